/**
 * Signatures inside a dir: image: `signature-N` for its manifest, `<hex>.signature-N` for an
 * instance of its index; GPG ones bare, sigstore ones framed (formats/blob.ts).
 */
import { join } from 'node:path';

import type { Digest } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { takeManifest } from '../base/manifest.ts';
import { encodeSignatureBlob } from '../formats/blob.ts';
import { dirFileName } from '../images/dir.ts';
import { readFileIfThere } from '../io/files.ts';
import { addSignatureFile, parseStored, readNumbered, readSignatureFile } from './signature-folder.ts';
import type { SignatureStore } from './store.ts';

/**
 * Opens the signatures of the dir: image in a folder. The reference in an ImageId plays no part: a
 * dir: image has none. Nothing is read yet.
 */
export function openDirStore(folder: string): SignatureStore {
  return {
    description: `dir:${folder}`,
    async *list({ digest }) {
      const prefix = await prefixOf(folder, digest);
      const pathOf = (n: number): string => join(folder, `${prefix}signature-${n}`);
      for await (const { n, bytes } of readNumbered((each) => readSignatureFile(pathOf(each)), folder)) {
        yield { signature: parseStored(bytes), location: pathOf(n) };
      }
    },
    async add({ digest }, signature) {
      const prefix = await prefixOf(folder, digest);
      const { path, added } = await addSignatureFile(folder, encodeSignatureBlob(signature), prefix);
      return { location: path, added };
    },
  };
}

/** Nothing for the folder's own manifest, else the instance's file name and a dot. */
async function prefixOf(folder: string, digest: Digest): Promise<string> {
  const bytes = await readFileIfThere(join(folder, 'manifest.json'), limits.manifestBytes);
  return bytes !== undefined && digestOrNone(bytes) === digest ? '' : `${dirFileName(digest)}.`;
}

function digestOrNone(bytes: Uint8Array): Digest | undefined {
  try {
    return takeManifest(bytes).digest;
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}
