/** Who signs in the cases, and the key files that policies name. */
import { readFileSync, writeFileSync } from 'node:fs';

import type { Signer } from '../../../src/keys/signer.ts';
import * as forge from '../../support/openpgp-forge.ts';
import type { Bench } from '../../support/peers.ts';
import { exportKey, rawSigner } from '../../support/simple-signing.ts';

/**
 * `first`, `second`, `third`: sound keys of gpg (Ed25519, RSA, P-256). `subkey`: its primary key only
 * certifies. The others: keys, or signatures of sound keys, past their time or revoked.
 */
export const signerNames = [
  ...(['first', 'second', 'third', 'subkey', 'stranger'] as const),
  ...(['expired key', 'revoked key', 'revoked subkey', 'expired subkey', 'revoked user'] as const),
  ...(['expired signature', 'living signature', 'encryption key'] as const),
] as const;
export type SignerName = (typeof signerNames)[number];

export const keyFileNames = [
  ...([
    'first',
    'first binary',
    'second',
    'third',
    'subkey',
    'all',
    'all armored',
    'first and all that failed',
  ] as const),
  ...(['expired key', 'revoked key', 'revoked subkey', 'expired subkey', 'revoked user'] as const),
  ...([
    'forged',
    'encryption key',
    'first, then garbage',
    'garbage',
    'empty',
    'missing',
    'a folder',
    'cut',
  ] as const),
] as const;
export type KeyFileName = (typeof keyFileNames)[number];

export type Keys = {
  /** Signs any bytes, as a binary signed message. */
  sign(signer: SignerName, content: Uint8Array): Promise<Uint8Array>;
  path(file: KeyFileName): string;
  /** The GnuPG home with the keys of gpg, and the names in it. */
  readonly fingerprints: Readonly<Record<'first' | 'second' | 'third' | 'subkey', string>>;
};

type Forged = {
  readonly certificate: Uint8Array;
  readonly message: (content: Uint8Array) => Uint8Array;
};

/** A certificate of forged keys, and messages that its primary key or its subkey signs. */
function forged(
  by: 'primary' | 'subkey',
  options: (subkey: forge.ForgedKey) => forge.CertificateOptions = () => ({}),
  signed: forge.SignatureOptions = {},
): Forged {
  const [primary, subkey] = [forge.edKey(), forge.edKey()];
  return {
    certificate: forge.certificate(primary, options(subkey)),
    message: (content) => forge.message(by === 'primary' ? primary : subkey, content, signed),
  };
}

/** Keys in states that gpg makes only with a turned clock. */
function forgedKeys(): Readonly<Record<string, Forged>> {
  return {
    stranger: forged('primary'),
    'expired key': forged('primary', () => ({ self: { extra: [forge.flags(3), forge.keyLifetime(500)] } })),
    'revoked key': forged('primary', () => ({ revocations: [{}] })),
    'revoked subkey': forged('subkey', (key) => ({ subkeys: [{ key, revocations: [{}] }] })),
    'expired subkey': forged('subkey', (key) => ({
      subkeys: [{ key, bindings: [{ extra: [forge.keyLifetime(500)] }] }],
    })),
    'revoked user': forged('primary', () => ({
      users: [{ userId: forge.userId, signatures: [{ created: 900 }, { created: 200, type: 0x30 }] }],
    })),
    'expired signature': forged('primary', undefined, { extra: [forge.lifetime(50)] }),
    'living signature': forged('primary', undefined, { extra: [forge.lifetime(1_000_000)] }),
    'encryption key': forged('primary', () => ({ self: { extra: [forge.flags(0x0c)] } })),
  };
}

/** Makes all keys and writes all key files. */
export async function makeKeys(bench: Bench): Promise<Keys> {
  const quick = ['--batch', '--pinentry-mode', 'loopback', '--passphrase', ''];
  const first = await bench.newGpgKey('First <first@example.com>', { type: 'ed25519' });
  const second = await bench.newGpgKey('Second <second@example.com>', { type: 'rsa2048' });
  const third = await bench.newGpgKey('Third <third@example.com>', { type: 'nistp256' });
  const made = await bench.ok('gpg', [
    ...quick,
    ...['--status-fd', '1', '--quick-generate-key', 'Sub <sub@example.com>', 'ed25519', 'cert', '0'],
  ]);
  const subkey = /KEY_CREATED \S+ ([0-9A-F]{40})/.exec(made)?.[1] ?? '';
  await bench.ok('gpg', [...quick, '--quick-add-key', subkey, 'ed25519', 'sign', '0']);
  const fingerprints = { first, second, third, subkey };
  const signers = new Map<string, Signer>();
  const armored = new Map<string, Uint8Array>();
  for (const [name, fingerprint] of Object.entries(fingerprints)) {
    signers.set(name, await rawSigner(bench, fingerprint));
    armored.set(name, new Uint8Array(readFileSync(await exportKey(bench, fingerprint))));
  }
  const failing = forgedKeys();
  const path = (file: KeyFileName): string => bench.path('keys', file.replaceAll(/[ ,]+/g, '-'));
  await writeKeyFiles(bench, path, armored, failing, fingerprints);
  return {
    fingerprints,
    path,
    sign: async (name, content) => {
      const signer = signers.get(name);
      if (signer !== undefined) return signer.sign(content);
      const key = failing[name];
      if (key === undefined) throw new Error(`no signer ${name}`);
      return key.message(content);
    },
  };
}

async function writeKeyFiles(
  bench: Bench,
  path: (file: KeyFileName) => string,
  armored: ReadonlyMap<string, Uint8Array>,
  failing: Readonly<Record<string, Forged>>,
  fingerprints: Keys['fingerprints'],
): Promise<void> {
  await bench.ok('/bin/mkdir', ['-p', path('a folder')]);
  const put = (file: KeyFileName, ...parts: readonly (Uint8Array | undefined)[]): void =>
    writeFileSync(path(file), Buffer.concat(parts.filter((part) => part !== undefined)));
  const binary = async (...names: readonly string[]): Promise<Uint8Array> => {
    const output = bench.path('keys', 'exported');
    await bench.ok('gpg', ['--batch', '--yes', '--output', output, '--export', ...names]);
    return new Uint8Array(readFileSync(output));
  };
  for (const name of ['first', 'second', 'third', 'subkey'] as const) put(name, armored.get(name));
  put('first binary', await binary(fingerprints.first));
  put('all', await binary());
  put('all armored', ...armored.values());
  const failed = ['expired key', 'revoked key', 'revoked subkey', 'expired subkey', 'revoked user'] as const;
  for (const name of [...failed, 'encryption key'] as const) put(name, failing[name]?.certificate);
  put(
    'first and all that failed',
    await binary(fingerprints.first),
    ...failed.map((name) => failing[name]?.certificate),
  );
  put('forged', failing['expired signature']?.certificate, failing['living signature']?.certificate);
  put('first, then garbage', armored.get('first'), Buffer.from('garbage\n'));
  put('garbage', Buffer.from('this is no key\n'));
  put('empty');
  put('cut', (await binary(fingerprints.first)).subarray(0, 60));
}
