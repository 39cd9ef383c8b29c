/** Keys named by hand (`--key`), whatever kind of key each file holds, and who is believed beside them. */
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { readBoundedFile } from '../../io/files.ts';
import type { SigstorePublicKey } from '../../keys/sigstore/public-key.ts';
import type { TrustedRoot } from '../../keys/trusted-root/trusted-root.ts';
import { type GivenKeys, signPredicateType } from '../../trust/given-keys.ts';
import type { HeldKeys, JudgedBy, WitnessFiles } from '../judge.ts';
import type { SignaturesWanted } from '../subject.ts';
import type { World } from '../world.ts';

/** What was given, and where signatures of its kinds are. */
export type Given = GivenKeys & { readonly looks: SignaturesWanted };

/**
 * Reads what a judgement by keys or by an identity needs.
 * @throws BullaError `key.*`, `trusted-root.*`, `io.*`, and for sigstore's public instance what fetching its root can
 */
export async function readGiven(
  by: Extract<JudgedBy, { kind: 'keys' | 'identity' }>,
  world: World,
): Promise<Given> {
  const [keys, witnesses] = await Promise.all([
    by.kind === 'keys'
      ? withHeld(await readGivenKeys(by.files, world.environment.env), by.held)
      : { identity: by.identity },
    readWitnesses(by, world),
  ]);
  const { requireLog, ignoreLog, ignoreSct, predicateType } = by;
  const given: GivenKeys = {
    ...keys,
    ...witnesses,
    ...(requireLog !== undefined && { requireLog }),
    ...(ignoreLog !== undefined && { ignoreLog }),
    ...(ignoreSct !== undefined && { ignoreSct }),
    ...(predicateType !== undefined && { predicateType }),
  };
  return { ...given, looks: looksFor(given) };
}

async function withHeld(read: GivenKeys, held: HeldKeys | undefined): Promise<GivenKeys> {
  if (held === undefined) return read;
  const sigstore = [...(read.sigstore ?? []), ...(held.sigstore ?? [])];
  const keyrings = [read.keyring, held.keyring].filter((each) => each !== undefined);
  const { joinKeyrings } = await import('../../keys/openpgp/keyring-part.ts');
  return {
    ...(keyrings.length > 0 && { keyring: joinKeyrings(keyrings) }),
    ...(sigstore.length > 0 && { sigstore }),
  };
}

/** Where their signatures are: statements hang in other places than GPG signatures and attachments. */
export function looksFor({
  keyring,
  sigstore,
  identity,
  predicateType = signPredicateType,
}: GivenKeys): SignaturesWanted {
  if (predicateType !== signPredicateType) return 'for-statements';
  if (sigstore === undefined && identity === undefined) return 'for-simple';
  return keyring === undefined ? 'for-sigstore' : 'everywhere';
}

type Witnesses = Pick<GivenKeys, 'roots' | 'rekorKeys'>;

/** The roots and logs' keys that were given. @throws as readGiven */
export async function readWitnesses(
  by: WitnessFiles & { readonly kind: JudgedBy['kind'] },
  world: World,
): Promise<Witnesses> {
  const { trustedRoots = [], rekorKeys = [], offline = false } = by;
  const [roots, keys] = await Promise.all([
    trustedRoots.length > 0
      ? readTrustedRoots(trustedRoots)
      : by.kind === 'identity'
        ? publicRoots(world, offline)
        : undefined,
    rekorKeys.length > 0 ? readRekorKeys(rekorKeys) : undefined,
  ]);
  return { ...(roots !== undefined && { roots }), ...(keys !== undefined && { rekorKeys: keys }) };
}

/** @throws BullaError `trusted-root.malformed`, `trusted-root.unusable`, `io.*` */
export async function readTrustedRoots(paths: readonly string[]): Promise<readonly TrustedRoot[]> {
  const { parseTrustedRoots } = await import('../../keys/trusted-root/parse.ts');
  const files = await Promise.all(
    paths.map(async (path) => parseTrustedRoots(await readBoundedFile(path, limits.trustedRootBytes), path)),
  );
  return files.flat();
}

async function publicRoots(world: World, offline: boolean): Promise<readonly TrustedRoot[]> {
  const { publicTrustedRoots } = await import('./public-root.ts');
  return publicTrustedRoots(world, { offline });
}

async function readRekorKeys(paths: readonly string[]): Promise<readonly SigstorePublicKey[]> {
  const { parseRekorKey } = await import('../../witnesses/rekor-set.ts');
  const files = await Promise.all(paths.map((path) => readBoundedFile(path, limits.keyringBytes)));
  return files.map(parseRekorKey);
}

type KeyFile = { readonly path: string; readonly bytes: Uint8Array; readonly kind: 'openpgp' | 'pem' };

/**
 * Reads keys: OpenPGP keyrings, armored or binary, and sigstore public keys in PEM, and those that a URI names. Any of all
 * their keys may have signed. The code for a kind that is not there is not loaded.
 * @throws BullaError `key.malformed`, `key.none`, `key.unusable`, `io.*`
 */
export async function readGivenKeys(
  paths: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<GivenKeys> {
  const uris = paths.filter((path) => keyScheme.test(path));
  const files = await Promise.all(paths.filter((path) => !keyScheme.test(path)).map(readKeyFile));
  const [keyring, { sigstore = [] }, others] = await Promise.all([
    keyringOf(files.filter(({ kind }) => kind === 'openpgp')),
    sigstoreKeysOf(files.filter(({ kind }) => kind === 'pem')),
    keysByUri(uris, env),
  ]);
  const all = [...sigstore, ...others];
  return { ...keyring, ...(all.length > 0 && { sigstore: all }) };
}

/** A scheme (RFC 3986), as keys/open-key-uri.ts knows them; that file is loaded for such a key alone. */
export const keyScheme: RegExp = /^(?:[A-Za-z][A-Za-z0-9+.-]*:\/\/|(?:file|pkcs11):)/i;

async function keysByUri(
  uris: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<readonly SigstorePublicKey[]> {
  if (uris.length === 0) return [];
  const { readPublicKeyUri } = await import('../../keys/open-key-uri.ts');
  return Promise.all(uris.map((uri) => readPublicKeyUri(uri, { env })));
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
  const { parseKeyring } = await import('../../keys/openpgp/keyring.ts');
  return { keyring: parseKeyring(...files.map(({ bytes }) => bytes)) };
}

async function sigstoreKeysOf(files: readonly KeyFile[]): Promise<Pick<GivenKeys, 'sigstore'>> {
  if (files.length === 0) return {};
  const { parseSigstorePublicKey } = await import('../../keys/sigstore/public-key.ts');
  return { sigstore: files.map(({ bytes }) => parseSigstorePublicKey(bytes)) };
}
