/** The keyrings of signedBy requirements. */
import { BullaError } from '../base/errors.ts';
import { type Keyring, parseKeyring } from '../keys/openpgp/keyring.ts';
import type { PolicyText } from './fields.ts';
import { type KeyReader, readMaterial, rememberLoaded } from './material.ts';
import type { Material, SignedBy } from './requirement.ts';

/**
 * The keyring of a requirement: all of its files together, every one of which must be readable.
 * @throws BullaError `trust.key-unavailable` where a file is missing or unreadable, or none holds a key
 */
export const keyringOf: (policy: PolicyText, requirement: SignedBy, read: KeyReader) => Promise<Keyring> =
  rememberLoaded(({ keys }: SignedBy, read) => loadKeyring(keys, read));

/** The keyring of all files or data together. @throws BullaError `key.*`, and what `read` throws */
export async function loadKeyring(keys: Material, read: KeyReader): Promise<Keyring> {
  return mergeKeyrings(await readMaterial(keys, read));
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
