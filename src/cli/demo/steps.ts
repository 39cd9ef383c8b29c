/**
 * The walk of a signed image, step by step: what is done, the command that does it here, and what
 * people type today for the same thing. Every command runs for real; `expect` is its exit code.
 */
import type { Outcome } from '../command.ts';

/** Where the demo's things are; all inside one temporary folder. */
export type Stage = {
  readonly folder: string;
  /** `127.0.0.1:PORT` of the embedded registry. */
  readonly registry: string;
};

export type Step = {
  readonly title: string;
  /** Bulla's words, or a name of something the demo does by hand (`act`). */
  readonly argv?: readonly string[];
  readonly act?: 'build' | 'rebuild' | 'show-store' | 'tamper' | 'restore';
  /** What the same takes with the tools of today. */
  readonly today?: string;
  readonly expect: Outcome;
  /** A verification ends with its verdict in words. */
  readonly verdict?: boolean;
};

const signer = 'Demo Signer <signer@example.com>';
const mail = 'signer@example.com';

/** All steps, in order. Paths are relative to the stage's folder, in which the commands run. */
export function steps({ registry }: Stage): readonly Step[] {
  const image = `docker://${registry}/demo/app:1.0`;
  return [...makeKey(), ...pushAndTrust(image, registry), ...signAndPublish(image), ...tamper(image)];
}

function makeKey(): readonly Step[] {
  const generate = ['key', 'generate', 'gpg', '--user-id', signer, '--type', 'ed25519', '--expires', '2y'];
  return [
    {
      title: 'Make a signing key',
      argv: [...generate, '--passphrase-file', 'passphrase'],
      today: 'gpg --full-generate-key',
      expect: 0,
    },
    { title: 'List it', argv: ['key', 'list', '--secret'], today: 'gpg --list-secret-keys', expect: 0 },
    {
      title: 'Export the public key',
      argv: ['key', 'export', mail, '--armor', '-o', 'signer.pub.asc'],
      today: `gpg --armor --export ${mail} > signer.pub.asc`,
      expect: 0,
    },
  ];
}

function pushAndTrust(image: string, registry: string): readonly Step[] {
  const scope = `${registry}/demo`;
  return [
    { title: 'Build a small image', act: 'build', today: 'podman build -t app .', expect: 0 },
    { title: 'Push it', argv: pushWords(image), today: `podman push app ${image}`, expect: 0 },
    {
      title: 'Trust only that key for that repository, and nothing else',
      argv: ['trust', 'set', '--signature-policy', 'policy.json', '-f', 'signer.pub.asc', scope],
      today: `podman image trust set -f signer.pub.asc ${scope}`,
      expect: 0,
    },
    verifyStep('Verify before it is signed', image, 1),
  ];
}

function signAndPublish(image: string): readonly Step[] {
  const sign = ['sign', '--tls-verify=false', '--registries.d', 'registries.d', '--sign-by', mail];
  return [
    {
      title: 'Sign it where it is',
      argv: [...sign, '--sign-passphrase-file', 'passphrase', image],
      today: `skopeo copy --sign-by ${mail} ${image} ${image}`,
      expect: 0,
    },
    {
      title: 'Look at the stored signature',
      act: 'show-store',
      today: 'find /var/lib/containers/sigstore',
      expect: 0,
    },
    verifyStep('Verify before the signature is published', image, 1),
    {
      title: 'Publish the signature to the web server’s folder',
      argv: ['store', 'publish', 'staging', 'web'],
      today: 'rsync -a /var/lib/containers/sigstore/ web:/var/www/sigstore/',
      expect: 0,
    },
    verifyStep('Verify', image, 0),
    {
      title: 'See who signed what',
      argv: ['inspect', ...judging, image],
      expect: 0,
    },
  ];
}

function tamper(image: string): readonly Step[] {
  return [
    { title: 'Tamper with the stored signature: turn one bit', act: 'tamper', expect: 0 },
    verifyStep('Verify the tampered signature', image, 1),
    { title: 'Put the signature back', act: 'restore', expect: 0 },
    verifyStep('Verify once more', image, 0),
    { title: 'Tamper with the image: another one under the same tag', act: 'rebuild', expect: 0 },
    { title: 'Push it over the signed one', argv: pushWords(image), expect: 0 },
    verifyStep('Verify the replaced image', image, 1),
  ];
}

const judging = ['--tls-verify=false', '--policy', 'policy.json', '--registries.d', 'registries.d'] as const;

function verifyStep(title: string, image: string, expect: Outcome): Step {
  return { title, argv: ['verify', ...judging, image], today: `podman pull ${image}`, expect, verdict: true };
}

function pushWords(image: string): readonly string[] {
  return ['push', '--tls-verify=false', 'oci:image', image];
}
