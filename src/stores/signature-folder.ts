/**
 * The signatures of one image in a folder: `signature-1`, `signature-2`, … and for readers nothing
 * else. A reader counts up to the first missing number, so a gap hides whatever comes after it.
 *
 * Writing: the next free number is the first missing one. Past a gap a signature would never be
 * read; in the gap it is, and what lay hidden behind it is read again, which is what its signer
 * wanted. A file is written whole under a hidden temporary name, synced, and linked to its number,
 * which fails where the number is taken: two writers never get the same one, nothing is replaced,
 * and a writer killed at any moment leaves a whole signature or a temporary file that no reader counts.
 */
import { dirname } from 'node:path';

import { bytesEqual } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { parseSignatureBlob } from '../formats/blob.ts';
import type { Signature, UnreadableSignature } from '../formats/signature.ts';
import { createFirstFree, isSystemError, makeFolder, readBoundedFile } from '../io/files.ts';
import { signatureName } from './lookaside-location.ts';

/** The bytes of signature N, or undefined where there is none. */
export type NumberedReader = (n: number) => Promise<Uint8Array | undefined>;

/**
 * Reads signatures 1, 2, … up to the first missing one: N + 1 reads for N signatures.
 * @throws BullaError `store.too-many-signatures` after 128, and what `read` throws
 */
export async function* readNumbered(
  read: NumberedReader,
  where: string,
): AsyncGenerator<{ readonly n: number; readonly bytes: Uint8Array }> {
  for (let n = 1; ; n += 1) {
    if (n > limits.lookasideSignatures) throw tooManySignatures(where);
    const bytes = await read(n);
    if (bytes === undefined) return;
    yield { n, bytes };
  }
}

/**
 * Reads one signature file.
 * @throws BullaError `signature.too-large`, `store.unreadable`
 */
export async function readSignatureFile(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readBoundedFile(path, limits.signatureBytes);
  } catch (error) {
    if (isBullaError(error, 'io.too-large')) {
      throw new BullaError('signature.too-large', `${path} is larger than ${limits.signatureBytes} bytes`);
    }
    // a file where a folder should be is a broken store, not an empty one
    const isBroken = error instanceof Error && isSystemError(error.cause, 'ENOTDIR');
    if (isBullaError(error, 'io.not-found') && !isBroken) return undefined;
    const why = error instanceof Error ? error.message : String(error);
    throw new BullaError('store.unreadable', why, { cause: error });
  }
}

/** Parses a stored signature; what is none is given out as such, with the reason. */
export function parseStored(bytes: Uint8Array): Signature | UnreadableSignature {
  try {
    return parseSignatureBlob(bytes);
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { format: 'unreadable', code: error.code, message: error.message };
  }
}

type Spot = { readonly n: number; readonly taken: boolean };

/** How often a writer that is no Bulla may spoil the file just written before we give up. */
const mostSpoiled = 8;

/**
 * Adds a signature under the first free number, unless the same bytes are there already.
 * @param folder made with mode 0755 where it is missing
 * @param prefix stands before `signature-N` (an instance in a dir: image)
 * @param published what is made can be read by everybody (0644, in folders of 0755), whatever the umask
 * @throws BullaError `store.too-many-signatures` (readers refuse an image with 128, so the last is
 * 127), `store.unreadable`, `io.*`
 */
export async function addSignatureFile(
  folder: string,
  bytes: Uint8Array,
  prefix = '',
  published = false,
): Promise<{ readonly path: string; readonly added: boolean }> {
  const pathOf = (n: number): string => `${folder}/${prefix}${signatureName(n)}`;
  await makeFolder(folder, published ? { exact: 0o755 } : 0o755);
  let spot = await findSpot(pathOf, bytes, 1);
  for (let spoiled = 0; !spot.taken && spoiled < mostSpoiled; spoiled += 1) {
    const next = async (): Promise<string | undefined> => {
      spot = await findSpot(pathOf, bytes, spot.n);
      return spot.taken ? undefined : pathOf(spot.n);
    };
    const mode = published ? { exact: 0o644 } : 0o644;
    const written = await createFirstFree(pathOf(spot.n), bytes, next, mode);
    if (written === undefined) break;
    // podman image sign looks for a free number and then truncates what it finds there: look again
    const now = await readSignatureFile(written);
    if (now !== undefined && bytesEqual(now, bytes)) return { path: written, added: true };
    spot = await findSpot(pathOf, bytes, 1);
  }
  if (spot.taken) return { path: pathOf(spot.n), added: false };
  throw new BullaError('store.contended', `another program keeps replacing signatures in ${folder}`, {
    hint: 'let one program at a time write there',
  });
}

/** The same bytes if they are there at or after `from`, else the first free number. */
async function findSpot(pathOf: (n: number) => string, bytes: Uint8Array, from: number): Promise<Spot> {
  for (let n = from; n < limits.lookasideSignatures; n += 1) {
    const there = await readSignatureFile(pathOf(n));
    if (there === undefined) return { n, taken: false };
    if (bytesEqual(there, bytes)) return { n, taken: true };
  }
  throw tooManySignatures(dirname(pathOf(1)));
}

/** The error for an image whose signatures no reader would take. */
export function tooManySignatures(where: string): BullaError {
  const most = limits.lookasideSignatures;
  return new BullaError(
    'store.too-many-signatures',
    `${where} has ${most} signatures or more; at most ${most - 1} are used`,
  );
}
