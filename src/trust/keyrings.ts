/** The keyrings of requirements, read and parsed once however many images are judged. */
import { BullaError } from '../base/errors.ts';
import { type Keyring, parseKeyring } from '../keys/openpgp/keyring.ts';
import { whereIs } from './policy.ts';
import type { PolicyText } from './fields.ts';
import type { SignedBy } from './requirement.ts';

/** Reads a key file; it is called once for each path of a requirement. */
export type KeyReader = (path: string) => Promise<Uint8Array>;

// By reader and requirement: both live as long as one command (or one loaded policy), so a key file
// that changes is seen when its policy is parsed again.
const parsed = new WeakMap<KeyReader, WeakMap<SignedBy, Promise<Keyring>>>();

/**
 * The keyring of a requirement: all of its files together, every one of which must be readable.
 * @throws BullaError `trust.key-unavailable` where a file is missing or unreadable, or none holds a key
 */
export function keyringOf(policy: PolicyText, requirement: SignedBy, read: KeyReader): Promise<Keyring> {
  const known = parsed.get(read) ?? new WeakMap<SignedBy, Promise<Keyring>>();
  parsed.set(read, known);
  const found = known.get(requirement);
  if (found !== undefined) return found;
  const keyring = loadKeyring(policy, requirement, read);
  known.set(requirement, keyring);
  // a failure is not kept: the next image may find the file readable again
  keyring.catch(() => known.delete(requirement));
  return keyring;
}

async function loadKeyring(policy: PolicyText, requirement: SignedBy, read: KeyReader): Promise<Keyring> {
  const { keys, source } = requirement;
  try {
    const files = keys.kind === 'data' ? keys.data : await Promise.all(keys.paths.map(read));
    return mergeKeyrings(files);
  } catch (error) {
    if (!(error instanceof BullaError)) throw error;
    throw new BullaError('trust.key-unavailable', `${whereIs(policy, source)}: ${error.message}`, {
      hint: error.hint ?? 'key paths of a policy.json are relative to the working directory',
      cause: error,
    });
  }
}

/**
 * One keyring of all files. As in containers/image, which lets gpg import one file after another, a
 * file without any key is passed over as long as another one holds one; `trust check` warns of it.
 */
function mergeKeyrings(files: readonly Uint8Array[]): Keyring {
  if (files.length < 2) return parseKeyring(...files);
  const holding = files.filter(holdsKeys);
  return parseKeyring(...(holding.length === 0 ? files : holding));
}

function holdsKeys(file: Uint8Array): boolean {
  try {
    parseKeyring(file);
    return true;
  } catch (error) {
    if (error instanceof BullaError) return false;
    throw error;
  }
}
