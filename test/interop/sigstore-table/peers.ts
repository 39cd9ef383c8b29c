/** How each program is asked to sign, and to verify, what a row and a format want; with its own flags. */
import { writeFileSync } from 'node:fs';

import type { PeerName } from '../../support/peers.ts';
import {
  emails,
  type Format,
  localImage,
  type Outcome,
  outcomeOf,
  passphrase,
  type Row,
  type Stage,
  type Target,
  type Who,
} from './stage.ts';

export type Cell = { readonly row: Row; readonly format: Format; readonly target: Target };

export type Peer = {
  readonly name: PeerName;
  sign(stage: Stage, cell: Cell): Promise<Outcome>;
  verify(stage: Stage, cell: Cell, who: Who): Promise<Outcome>;
};

function rekorOf({ stack }: Stage, { log }: Row): string {
  return log === 2 ? stack.urls.rekor2 : stack.urls.rekor;
}

function configOf({ stack: { signingConfigs } }: Stage, { log, timestamp }: Row): string {
  if (log === undefined) return signingConfigs.none;
  if (log === 1) return timestamp ? signingConfigs.rekor1AndTsa : signingConfigs.rekor1;
  return timestamp ? signingConfigs.rekor2AndTsa : signingConfigs.rekor2;
}

/** cosign's flags, and Bulla's, for who must have signed. */
export function identity(stage: Stage, { keyless }: Row, who: Who): readonly string[] {
  if (!keyless) return ['--key', stage.publicKeys[who]];
  return ['--certificate-identity', emails[who], '--certificate-oidc-issuer', stage.stack.urls.oidc];
}

const cosign: Peer = {
  name: 'cosign',
  sign: async (stage, { row, format, target }) => {
    const who = row.keyless
      ? ['--identity-token', stage.stack.tokenFile(), '--fulcio-url', stage.stack.urls.fulcio]
      : ['--key', stage.privateKey];
    // the older format takes services by their URLs
    const logged = row.log === undefined ? ['--tlog-upload=false'] : ['--rekor-url', rekorOf(stage, row)];
    const old = ['--new-bundle-format=false', '--use-signing-config=false', ...logged];
    const services = format === '.sig' ? old : ['--signing-config', configOf(stage, row)];
    const token = format === '.sig' ? who : who.slice(0, 2);
    const args = [...token, ...services, '--trusted-root', stage.stack.trustedRoot, target.digest];
    return outcomeOf(await stage.bench.run('cosign', ['sign', '-y', ...args], cosignEnv(stage)), stage);
  },
  verify: async (stage, { row, format, target }, who) => {
    const log = row.log === undefined ? ['--insecure-ignore-tlog=true'] : [];
    const time = row.timestamp ? ['--use-signed-timestamps'] : [];
    const how = [`--new-bundle-format=${format === 'bundle'}`, '--trusted-root', stage.stack.trustedRoot];
    const offline = format === '.sig' ? ['--offline'] : [];
    const args = ['verify', ...identity(stage, row, who), ...how, ...log, ...time, ...offline, target.digest];
    return outcomeOf(await stage.bench.run('cosign', args, cosignEnv(stage)), stage);
  },
};

/** cosign 2 reads no trusted root for `.sig`; these variables say the same. */
export function cosignEnv({ stack: { keys } }: Stage): { readonly env: Readonly<Record<string, string>> } {
  return {
    env: {
      COSIGN_PASSWORD: passphrase,
      SIGSTORE_REKOR_PUBLIC_KEY: keys.rekor,
      SIGSTORE_CT_LOG_PUBLIC_KEY_FILE: keys.ctLog,
      SIGSTORE_ROOT_FILE: keys.fulcioChain,
      SIGSTORE_TSA_CERTIFICATE_FILE: keys.tsaChain,
    },
  };
}

const cosign2: Peer = {
  name: 'cosign2',
  sign: async (stage, { row, format, target }) => {
    const { urls } = stage.stack;
    const who = row.keyless
      ? ['--identity-token', stage.stack.tokenFile(), '--fulcio-url', urls.fulcio]
      : ['--key', stage.privateKey];
    const log = row.log === undefined ? ['--tlog-upload=false'] : ['--rekor-url', rekorOf(stage, row)];
    const time = row.timestamp ? ['--timestamp-server-url', urls.tsa] : [];
    const how = format === 'bundle' ? ['--new-bundle-format'] : [];
    const args = ['sign', '-y', ...how, ...who, ...log, ...time, target.digest];
    return outcomeOf(await stage.bench.run('cosign2', args, cosignEnv(stage)), stage);
  },
  verify: async (stage, { row, format, target }, who) => {
    const log = row.log === undefined ? ['--insecure-ignore-tlog=true'] : [];
    const time = row.timestamp ? ['--use-signed-timestamps'] : [];
    const how = format === 'bundle' ? ['--new-bundle-format', '--trusted-root', stage.stack.trustedRoot] : [];
    const signer = identity(stage, row, who);
    // else it asks the public log for what the signature lacks
    const args = ['verify', '--offline', ...how, ...signer, ...log, ...time, target.digest];
    return outcomeOf(await stage.bench.run('cosign2', args, cosignEnv(stage)), stage);
  },
};

/** policy.json that demands the row's key or identity, and its log. `repository`: the reference without tag is enough. */
export function policyFor(stage: Stage, row: Row, who: Who, repository: boolean): string {
  const { keys, urls } = stage.stack;
  const fulcio = { caPath: keys.fulcioChain, oidcIssuer: urls.oidc, subjectEmail: emails[who] };
  const requirement = {
    type: 'sigstoreSigned',
    ...(row.keyless ? { fulcio } : { keyPath: stage.publicKeys[who] }),
    ...(row.log !== undefined && { rekorPublicKeyPath: row.log === 2 ? keys.rekor2 : keys.rekor }),
    ...(repository && { signedIdentity: { type: 'matchRepository' } }),
  };
  const path = stage.fresh('policy');
  writeFileSync(path, JSON.stringify({ default: [requirement] }));
  return path;
}

/** The flags of skopeo and podman to sign so. */
function signFlags(stage: Stage, { row, format }: Cell): readonly string[] {
  // neither has a flag that would ask for a bundle
  if (format === 'bundle') return ['--signature-format', 'bundle'];
  if (!row.keyless && row.log === undefined) {
    return ['--sign-by-sigstore-private-key', stage.privateKey, '--sign-passphrase-file', stage.passFile];
  }
  const { urls } = stage.stack;
  const fulcio = { fulcioURL: urls.fulcio, oidcMode: 'staticToken', oidcIDToken: stage.stack.token() };
  const key = { privateKeyFile: stage.privateKey, privateKeyPassphraseFile: stage.passFile };
  const path = stage.fresh('yaml');
  // JSON is YAML
  writeFileSync(path, JSON.stringify({ ...(row.keyless ? { fulcio } : key), rekorURL: rekorOf(stage, row) }));
  return ['--sign-by-sigstore', path];
}

function skopeo(name: 'skopeo' | 'skopeo-1.18'): Peer {
  return {
    name,
    sign: async (stage, cell) => {
      const image = `docker://${cell.target.tag}`;
      const plain = ['copy', '-q', '--src-tls-verify=false', '--dest-tls-verify=false'];
      return outcomeOf(
        await stage.bench.run(name, [...plain, ...signFlags(stage, cell), image, image]),
        stage,
      );
    },
    verify: async (stage, { row, target }, who) => {
      const policy = policyFor(stage, row, who, false);
      const to = `dir:${stage.fresh('copy')}`;
      const args = ['--policy', policy, 'copy', '-q', '--src-tls-verify=false', `docker://${target.tag}`, to];
      return outcomeOf(await stage.bench.run(name, args), stage);
    },
  };
}

const podman: Peer = {
  name: 'podman',
  sign: async (stage, cell) => {
    const args = ['push', '-q', '--tls-verify=false', ...signFlags(stage, cell), localImage];
    return outcomeOf(await stage.bench.run('podman', [...args, `docker://${cell.target.tag}`]), stage);
  },
  verify: async (stage, { row, target }, who) => {
    const policy = policyFor(stage, row, who, false);
    const args = ['pull', '-q', '--tls-verify=false', '--signature-policy', policy, target.tag];
    const pulled = await stage.bench.run('podman', args);
    if (pulled.exitCode === 0) await stage.bench.ok('podman', ['untag', target.tag]);
    return outcomeOf(pulled, stage);
  },
};

export const peers: readonly Peer[] = [cosign, cosign2, skopeo('skopeo'), skopeo('skopeo-1.18'), podman];
