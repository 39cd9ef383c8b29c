/** `trust import --bundle`: keys out of a transfer bundle, of which the user knows the fingerprints, into files that a policy can name. */
import { resolve } from 'node:path';

import { bytesEqual, printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { createFile, readFileIfThere } from '../../io/files.ts';
import { certificateBytes } from '../../keys/openpgp/keyring-part.ts';
import { parseKeyring } from '../../keys/openpgp/keyring.ts';
import { encodePem } from '../../keys/sigstore/pem.ts';
import { findPinnedKeys, type PinnedKey } from './keys.ts';
import { openTransfer } from './open.ts';

export type ImportTransferKeysRequest = {
  /** The bundle. */
  readonly file: string;
  /** In full; at least one. */
  readonly fingerprints: readonly string[];
  /** The file to make, for one key. Default: `FINGERPRINT.gpg` or `FINGERPRINT.pub` in `cwd`. */
  readonly output?: string;
  readonly cwd: string;
};

export type ImportedKey = {
  readonly kind: PinnedKey['kind'];
  readonly fingerprint: string;
  readonly path: string;
  /** False: the very same file was there. */
  readonly written: boolean;
};

/**
 * Writes each key to a file of its own: that key and nothing that stands beside it in the bundle. Only the key is believed by it,
 * not the bundle: what is wrong elsewhere in the file is for `bundle verify` to say.
 * @throws BullaError `usage.invalid` (no whole fingerprint; the file is there and is another), `key.not-found`, `key.unusable` (revoked),
 * `transfer.*`, `image.*`, `io.*`
 */
export async function importTransferKeys({
  file,
  fingerprints,
  output,
  cwd,
}: ImportTransferKeysRequest): Promise<readonly ImportedKey[]> {
  if (fingerprints.length === 0)
    throw new BullaError('usage.invalid', 'no key of a transfer bundle is imported without its fingerprint', {
      hint: 'give --fingerprint as somebody you trust told it to you; bulla bundle show lists the keys that are there',
    });
  if (output !== undefined && fingerprints.length > 1)
    throw new BullaError('usage.invalid', '-o names one file, and there are several keys', {
      hint: 'without -o each gets a file named by its fingerprint',
    });
  await using transfer = await openTransfer(file);
  const pinned = await findPinnedKeys(transfer, fingerprints);
  const imported: ImportedKey[] = [];
  for (const each of pinned) imported.push(await install(each, resolve(cwd, output ?? defaultName(each))));
  return imported;
}

function defaultName({ kind, fingerprint }: PinnedKey): string {
  return `${fingerprint}.${kind === 'gpg' ? 'gpg' : 'pub'}`;
}

async function install(pinned: PinnedKey, path: string): Promise<ImportedKey> {
  const { kind, fingerprint } = pinned;
  const bytes = kind === 'gpg' ? certificateOf(pinned) : encodePem('PUBLIC KEY', pinned.key.spki);
  const written = await createFile(path, bytes);
  const there = written ? bytes : await readFileIfThere(path, limits.keyringBytes);
  if (there !== undefined && bytesEqual(there, bytes)) return { kind, fingerprint, path, written };
  throw new BullaError('usage.invalid', `${printable(path)} is there already, and is another key`, {
    hint: 'name a new file by -o',
  });
}

function certificateOf({ fingerprint, keyring, files }: Extract<PinnedKey, { kind: 'gpg' }>): Uint8Array {
  const bytes = certificateBytes(files, fingerprint);
  const [only, ...more] = bytes === undefined ? [] : parseKeyring(bytes).certificates;
  // what is written must be that key alone, whatever the file was made of
  if (bytes === undefined || only?.fingerprint !== fingerprint || more.length > 0)
    throw new BullaError(
      'key.malformed',
      `the key ${fingerprint} cannot be taken out of the bundle’s key files`,
    );
  if (keyring.certificates.some(({ revoked }) => revoked))
    throw new BullaError('key.unusable', `the key ${fingerprint} is revoked: the bundle itself says so`);
  return bytes;
}
