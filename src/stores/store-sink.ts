/** Where signatures are added: a folder, or nowhere in a dry run. */
import { join } from 'node:path';

import { bytesEqual } from '../base/bytes.ts';
import { limits } from '../base/limits.ts';
import { makeFolder } from '../io/files.ts';
import { addSignatureFile, readSignatureFile, tooManySignatures } from './signature-folder.ts';

/** Whether a signature was added, or was there already, and where. */
export type Added = { readonly path: string; readonly added: boolean };

/** The signatures of one image. */
export interface ImageSink {
  /** Adds a signature under the next free number, unless the same bytes are there. @throws BullaError `store.*`, `io.*` */
  add(bytes: Uint8Array): Promise<Added>;
}

/** A store that is added to. Nothing in it is replaced or removed. */
export interface StoreSink extends AsyncDisposable {
  /** How many images may be worked on at once. */
  readonly atOnce: number;
  /** False for a name that the store cannot have. */
  accepts(name: string): boolean;
  /** @param name the image's folder, below the store */
  image(name: string): ImageSink;
  /** Makes what was added last. `again`: somebody else came first and all is to be added once more, to what is there now. */
  finish(): Promise<{ readonly commit?: string } | 'again'>;
}

/**
 * Opens a folder, made where it is missing, so that a web server of any user can read what is written.
 * @param options `dryRun`: tell, write nothing
 */
export async function openFolderSink(
  path: string,
  options: { readonly dryRun: boolean },
): Promise<StoreSink> {
  if (!options.dryRun) await makeFolder(path, { exact: 0o755 });
  return {
    // each new file and folder waits for the disk
    atOnce: 16,
    accepts: () => true,
    image: (name) => {
      const folder = join(path, name);
      return options.dryRun ? planIn(folder) : { add: (bytes) => addSignatureFile(folder, bytes, '', true) };
    },
    finish: async () => ({}),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Tells what would be written. */
function planIn(folder: string): ImageSink {
  const planned = new Map<string, Uint8Array>();
  return {
    add: async (bytes) => {
      for (let n = 1; n < limits.lookasideSignatures; n += 1) {
        const path = join(folder, `signature-${n}`);
        const there = planned.get(path) ?? (await readSignatureFile(path));
        if (there === undefined) {
          planned.set(path, bytes);
          return { path, added: true };
        }
        if (bytesEqual(there, bytes)) return { path, added: false };
      }
      throw tooManySignatures(folder);
    },
  };
}
