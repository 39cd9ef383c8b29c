/** Keys named by hand (`--key`), whatever kind of key each file holds. */
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';
import type { GivenKeys } from '../trust/given-keys.ts';

type KeyFile = { readonly path: string; readonly bytes: Uint8Array; readonly kind: 'openpgp' | 'pem' };

/**
 * Reads key files: OpenPGP keyrings, armored or binary, and sigstore public keys in PEM. Any of all their keys
 * may have signed. The code for a kind that is not there is not loaded.
 * @throws BullaError `key.malformed`, `key.none`, `key.unusable`, `io.*`
 */
export async function readGivenKeys(paths: readonly string[]): Promise<GivenKeys> {
  const files = await Promise.all(paths.map(readKeyFile));
  const [keyring, sigstore] = await Promise.all([
    keyringOf(files.filter(({ kind }) => kind === 'openpgp')),
    sigstoreKeysOf(files.filter(({ kind }) => kind === 'pem')),
  ]);
  return { ...keyring, ...sigstore };
}

async function readKeyFile(path: string): Promise<KeyFile> {
  const bytes = await readBoundedFile(path, limits.keyringBytes);
  return { path, bytes, kind: kindOf(bytes, path) };
}

/**
 * Told by what stands at the beginning of a binary file and on the BEGIN lines of a text: a packet header
 * of OpenPGP has the highest bit set, which no PEM file begins with. A file of both kinds is refused,
 * as each reader would pass over what the other one believes.
 */
function kindOf(bytes: Uint8Array, path: string): KeyFile['kind'] {
  if (((bytes[0] ?? 0) & 0x80) !== 0) return 'openpgp';
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const labels = [...text.matchAll(/^-----BEGIN ([^\r\n]{0,60}?)-----[ \t]*\r?$/gm)].map(
    ([, label]) => label ?? '',
  );
  const openpgp = labels.filter((label) => label.startsWith('PGP '));
  if (labels.length === 0) {
    throw new BullaError('key.none', `${path} holds no public key`, {
      hint: 'an OpenPGP keyring or a PEM file with PUBLIC KEY is wanted',
    });
  }
  if (openpgp.length === labels.length) return 'openpgp';
  if (openpgp.length === 0 && labels.length === 1) return 'pem';
  const what = openpgp.length > 0 ? 'OpenPGP and PEM blocks at once' : `${labels.length} PEM blocks`;
  throw new BullaError('key.malformed', `${path} holds ${what}`, {
    hint: 'give each key its own file and name each by --key: other tools read the first block alone',
  });
}

async function keyringOf(files: readonly KeyFile[]): Promise<Pick<GivenKeys, 'keyring'>> {
  if (files.length === 0) return {};
  const { parseKeyring } = await import('../keys/openpgp/keyring.ts');
  return { keyring: parseKeyring(...files.map(({ bytes }) => bytes)) };
}

async function sigstoreKeysOf(files: readonly KeyFile[]): Promise<Pick<GivenKeys, 'sigstore'>> {
  if (files.length === 0) return {};
  const { parseSigstorePublicKey } = await import('../keys/sigstore/public-key.ts');
  return { sigstore: files.map(({ bytes }) => parseSigstorePublicKey(bytes)) };
}
