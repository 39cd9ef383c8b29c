/** The keys in a transfer bundle: shown by their fingerprints, and found by one that the user gives. They vouch for nothing by being there. */
import { printable, textOf } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { crypto } from '../../base/node.ts';
import { joinKeyrings, onlyCertificate } from '../../keys/openpgp/keyring-part.ts';
import { type Keyring, parseKeyring } from '../../keys/openpgp/keyring.ts';
import { decodePem } from '../../keys/sigstore/pem.ts';
import { parseSigstorePublicKey, type SigstorePublicKey } from '../../keys/sigstore/public-key.ts';
import type { HeldKeys, JudgedBy } from '../judge.ts';
import { transferFolders, type TransferMember } from './format.ts';
import type { Transfer } from './open.ts';

/** A key as the bundle has it. */
export type PackedKey = {
  /** The member. */
  readonly file: string;
  readonly kind: 'gpg' | 'sigstore' | 'certificate' | 'unreadable';
  /** `gpg`: of the primary key, upper-case hexadecimal. Others: SHA-256 of SubjectPublicKeyInfo, of a certificate as a whole; lower-case. */
  readonly fingerprint?: string;
  readonly algorithm?: string;
  /** What the key says of itself: anybody can make one that says so. */
  readonly userIds?: readonly string[];
  readonly problem?: string;
};

/** @throws BullaError `transfer.altered`, `io.*` */
export async function readPackedKeys(transfer: Transfer): Promise<readonly PackedKey[]> {
  const keys: PackedKey[] = [];
  for (const { name, content } of await keyFiles(transfer)) {
    try {
      keys.push(...keysIn(content).map((key) => ({ file: name, ...key })));
    } catch (error) {
      if (!isBullaError(error)) throw error;
      keys.push({ file: name, kind: 'unreadable', problem: error.message });
    }
  }
  return keys;
}

type KeyFile = { readonly name: string; readonly content: Uint8Array };

async function keyFiles(transfer: Transfer): Promise<readonly KeyFile[]> {
  const files: KeyFile[] = [];
  let bytes = 0;
  for (const member of transfer.index.members.filter(isKey)) {
    bytes += member.size;
    if (bytes > limits.keyringBytes)
      throw new BullaError('image.too-large', `its keys have more than ${limits.keyringBytes} bytes`);
    files.push({ name: member.name, content: await transfer.read(member, limits.keyringBytes) });
  }
  return files;
}

function isKey({ name }: TransferMember): boolean {
  return name.startsWith(transferFolders.keys);
}

function isOpenPgp(content: Uint8Array): boolean {
  return ((content[0] ?? 0) & 0x80) !== 0 || /^-----BEGIN PGP /m.test(textOf(content) ?? '');
}

function keysIn(content: Uint8Array): readonly Omit<PackedKey, 'file'>[] {
  if (isOpenPgp(content)) {
    return parseKeyring(content).certificates.map(({ fingerprint, algorithm, userIds }) => ({
      kind: 'gpg',
      fingerprint,
      algorithm,
      userIds,
    }));
  }
  const certificates = decodePem(content).filter(({ type }) => type === 'CERTIFICATE');
  if (certificates.length > 0) {
    return certificates.map(({ bytes }) => ({
      kind: 'certificate',
      fingerprint: crypto.createHash('sha256').update(bytes).digest('hex'),
    }));
  }
  const { keyId, algorithm } = parseSigstorePublicKey(content);
  return [{ kind: 'sigstore', fingerprint: keyId, algorithm }];
}

/** Keys that a fingerprint names, with the files that they are in. */
export type PinnedKey =
  | {
      readonly kind: 'gpg';
      readonly fingerprint: string;
      readonly keyring: Keyring;
      readonly files: readonly Uint8Array[];
    }
  | { readonly kind: 'sigstore'; readonly fingerprint: string; readonly key: SigstorePublicKey };

/**
 * The keys of the bundle that have these fingerprints: the user's word vouches for the key, the bundle only brings it.
 * @param fingerprints in full: OpenPGP's of the primary key (40 digits), or SHA-256 of SubjectPublicKeyInfo (64 digits); blanks and colons do not count
 * @throws BullaError `usage.invalid` (no whole fingerprint), `key.not-found`, `key.ambiguous`, `transfer.altered`
 */
export async function findPinnedKeys(
  transfer: Transfer,
  fingerprints: readonly string[],
): Promise<readonly PinnedKey[]> {
  const wanted = [...new Set(fingerprints.map(wholeFingerprint))];
  const files = await keyFiles(transfer);
  const openpgp = files.filter(({ content }) => isOpenPgp(content)).map(({ content }) => content);
  const keyring = keyringOf(openpgp);
  const sigstore = files
    .filter(({ content }) => !isOpenPgp(content))
    .flatMap(({ content }) => keyIn(content));
  return wanted.map((each) => {
    if (each.length === 40) {
      const fingerprint = each.toUpperCase();
      if (keyring?.certificates.some((known) => known.fingerprint === fingerprint) === true)
        return { kind: 'gpg', fingerprint, keyring: onlyCertificate(keyring, fingerprint), files: openpgp };
    }
    const key = sigstore.find(({ keyId }) => keyId === each);
    if (key !== undefined) return { kind: 'sigstore', fingerprint: each, key };
    throw new BullaError(
      'key.not-found',
      `no key in ${printable(transfer.path)} has the fingerprint ${each}`,
      {
        hint: 'bulla bundle show lists those that are there',
      },
    );
  });
}

/** One file that is no keyring leaves the others. */
function keyringOf(files: readonly Uint8Array[]): Keyring | undefined {
  const readable = files.filter((each) => {
    try {
      parseKeyring(each);
      return true;
    } catch (error) {
      if (isBullaError(error)) return false;
      throw error;
    }
  });
  return readable.length === 0 ? undefined : parseKeyring(...readable);
}

function keyIn(content: Uint8Array): readonly SigstorePublicKey[] {
  try {
    return [parseSigstorePublicKey(content)];
  } catch (error) {
    if (isBullaError(error)) return [];
    throw error;
  }
}

/** A part of one can be made to fit; people copy them with blanks, colons and `sha256:`. */
function wholeFingerprint(text: string): string {
  const plain = text
    .trim()
    .replace(/^(?:0x|sha256:)/i, '')
    .replace(/[\s:]/g, '')
    .toLowerCase();
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(plain)) return plain;
  throw new BullaError('usage.invalid', `"${printable(text)}" is no whole fingerprint`, {
    hint: '40 hexadecimal digits for a GPG key, 64 (SHA-256 of the public key) for a sigstore key',
  });
}

/**
 * Who judges, once pinned keys are found.
 * @throws BullaError `transfer.untrusted` where nobody does; `usage.invalid`, and as `findPinnedKeys`
 */
export async function judgeWith(
  by: JudgedBy | undefined,
  fingerprints: readonly string[],
  transfer: Transfer,
): Promise<JudgedBy> {
  if (fingerprints.length === 0) {
    if (by !== undefined) return by;
    throw new BullaError('transfer.untrusted', 'nothing on this side says whom to believe', {
      hint: 'give --policy, --key, --certificate-identity with --trusted-root, or --fingerprint of a key that somebody you trust told you',
    });
  }
  if (by !== undefined && by.kind !== 'keys')
    throw new BullaError('usage.invalid', '--fingerprint goes alone or with --key');
  const pinned = await findPinnedKeys(transfer, fingerprints);
  return { kind: 'keys', files: [], ...by, held: heldKeys(pinned) };
}

function heldKeys(pinned: readonly PinnedKey[]): HeldKeys {
  const keyrings = pinned.flatMap((each) => (each.kind === 'gpg' ? [each.keyring] : []));
  const sigstore = pinned.flatMap((each) => (each.kind === 'sigstore' ? [each.key] : []));
  return {
    ...(keyrings.length > 0 && { keyring: joinKeyrings(keyrings) }),
    ...(sigstore.length > 0 && { sigstore }),
  };
}
