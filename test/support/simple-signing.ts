/** Simple signatures made outside Bulla's own formats code: payloads as text, lookaside folders by hand. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { openSecretKey } from '../../src/keys/openpgp/sign.ts';
import type { Signer } from '../../src/keys/signer.ts';
import type { Bench, PeerName } from './peers.ts';

/** What a payload says, as containers-signature.5 wants it. */
export function payloadFor(
  digest: string,
  reference: string,
  optional: object = { creator: 'test 1.0' },
): string {
  return JSON.stringify({
    critical: {
      identity: { 'docker-reference': reference },
      image: { 'docker-manifest-digest': digest },
      type: 'atomic container signature',
    },
    optional,
  });
}

/** The folder of an image's signatures in a file lookaside; made where it is missing. */
export function signatureFolder(base: string, path: string, digest: string): string {
  const folder = join(base, `${path}@${digest.replace(':', '=')}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Puts signatures 1, 2, … of an image into a file lookaside. */
export function putSignatures(
  base: string,
  path: string,
  digest: string,
  blobs: readonly (Uint8Array | string)[],
): void {
  const folder = signatureFolder(base, path, digest);
  for (const [index, blob] of blobs.entries()) writeFileSync(join(folder, `signature-${index + 1}`), blob);
}

/** Points registries.d of the bench (skopeo's, podman's and Bulla's) to a lookaside. */
export function useLookaside(bench: Bench, url: string): void {
  writeFileSync(join(bench.config, 'registries.d', 'default.yaml'), `default-docker:\n  lookaside: ${url}\n`);
}

/** A file with a public key of a GnuPG home, armored; gives its path. */
export async function exportKey(
  bench: Bench,
  id: string,
  options: { readonly home?: string; readonly gpg?: PeerName; readonly name?: string } = {},
): Promise<string> {
  const { home = bench.gnupgHome, gpg = 'gpg', name = id } = options;
  const text = await bench.ok(gpg, ['--batch', '--armor', '--export', id], { env: { GNUPGHOME: home } });
  const path = bench.path(`${name}.asc`);
  writeFileSync(path, text);
  return path;
}

/** A key of a GnuPG home without passphrase, to sign any bytes in this process. */
export async function rawSigner(bench: Bench, id: string, home: string = bench.gnupgHome): Promise<Signer> {
  const flags = ['--batch', '--pinentry-mode', 'loopback', '--passphrase', ''];
  const path = bench.path(`${id}.secret`);
  await bench.ok('gpg', [...flags, '--output', path, '--yes', '--export-secret-keys', id], {
    env: { GNUPGHOME: home },
  });
  return openSecretKey(new Uint8Array(readFileSync(path)));
}

/** Signs bytes with gpg, as containers/image's framing wants them. */
export async function gpgSign(
  bench: Bench,
  key: string,
  payload: string,
  options: { readonly gpg?: PeerName; readonly home?: string; readonly flags?: readonly string[] } = {},
): Promise<Uint8Array> {
  const { gpg = 'gpg', home = bench.gnupgHome, flags = ['--sign'] } = options;
  const [input, output] = [bench.path('payload'), bench.path('payload.signed')];
  writeFileSync(input, payload);
  const batch = ['--batch', '--yes', '--pinentry-mode', 'loopback', '--passphrase', ''];
  await bench.ok(gpg, [...batch, '-u', key, '--output', output, ...flags, input], {
    env: { GNUPGHOME: home },
  });
  return new Uint8Array(readFileSync(output));
}
