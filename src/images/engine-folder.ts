/** Images on their way into and out of an engine: a private folder, and blobs until all of them are there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { type ImageName } from '../base/image-name.ts';
import { isIndexType } from '../base/descriptor.ts';
import type { Manifest } from '../base/manifest.ts';
import { fileError } from '../io/files.ts';
import type { Image } from './image.ts';

/** A folder for one image, which nobody else can look into. Disposing removes it. */
export interface EngineFolder extends AsyncDisposable {
  readonly path: string;
}

/** @throws BullaError `io.*` */
export async function openEngineFolder(): Promise<EngineFolder> {
  // made with mode 0700
  const path = await mkdtemp(join(tmpdir(), 'bulla-engine-')).catch((error: unknown) => {
    throw fileError(error, tmpdir(), 'make');
  });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** An image that an engine has put into a folder, under its own name; the folder goes with it. */
export async function imageFromEngine(
  name: ImageName,
  folder: EngineFolder,
  open: () => Promise<Image>,
): Promise<Image> {
  try {
    const image = await open();
    return {
      name,
      physical: undefined,
      manifest: (digest) => image.manifest(digest),
      blob: (descriptor) => image.blob(descriptor),
      ...(image.feed !== undefined && { feed: image.feed }),
      [Symbol.asyncDispose]: async () => {
        await image[Symbol.asyncDispose]();
        await folder[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

/** An engine keeps what it can run. @throws BullaError `image.unsupported` for a list, or one of its instances */
export function refuseList(manifest: Manifest, isInstance: boolean, engine: string): void {
  if (!isInstance && !isIndexType(manifest.mediaType)) return;
  throw new BullaError('image.unsupported', `${engine} takes images of one platform, no lists of images`, {
    hint: 'choose one by its platform, or copy the list to oci: or a registry',
  });
}

/** What an engine said, made fit for one line. */
export function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return printable((lines.at(-1) ?? 'it said nothing').replace(/^Error: /, ''), 500);
}
