/** Writes archives: the same content gives the same bytes, and a file has its name once it is whole. */
import { BullaError } from '../base/errors.ts';
import { printable } from '../base/bytes.ts';
import type { BodyWriter } from '../io/http.ts';
import { openTemporary, type TemporaryFile } from '../io/temporary-file.ts';
import { writeFed } from './blob-file.ts';

/** A file to be. Its content is asked for when its turn comes. */
export type TarEntry = {
  readonly name: string;
  /** Bytes; the content must have as many. */
  readonly size: number;
  readonly content: Uint8Array | BodyWriter;
};

/** Entries of one time, owner and mode: who made it, and when, says nothing about an image. */
const anonymous = { uid: 0, gid: 0, mtime: new Date(0), mode: 0o644 } as const;

/**
 * Writes an archive of these files, ordered by name, each folder before what is in it.
 * @param taken what to do where the path has a file: `replace` it, or `refuse`
 * @throws BullaError `image.occupied`, `io.*`, and what the contents throw; `io.failed` where one has another size than its entry
 */
export async function writeTarArchive(
  path: string,
  entries: readonly TarEntry[],
  taken: 'replace' | 'refuse',
): Promise<void> {
  const header = await headers();
  await using temporary = await openTemporary(path);
  for (const folder of foldersOf(entries)) {
    await temporary.write(await header({ name: `${folder}/`, type: 'directory', mode: 0o755, size: 0 }));
  }
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const { name, size } = entry;
    await temporary.write(await header({ name, type: 'file', size }));
    await writeContent(temporary, entry);
    await temporary.write(zeros.subarray(0, -size & (blockBytes - 1)));
  }
  await temporary.write(zeros);
  if (taken === 'replace') await temporary.replace();
  else if (!(await temporary.create())) throw occupied(path);
}

const blockBytes = 512;
/** Two blocks of them end an archive. */
const zeros = new Uint8Array(2 * blockBytes);

type Header = {
  readonly name: string;
  readonly type: 'file' | 'directory';
  readonly mode?: number;
  readonly size: number;
};

/** Makes headers by tar-stream. The contents do not go through it: it would hold far more of them than is under way. */
async function headers(): Promise<(header: Header) => Promise<Uint8Array>> {
  const { pack } = await import('tar-stream');
  return async (header) => {
    const archive = pack();
    const entry = archive.entry({ ...anonymous, ...header });
    // its content never comes
    entry.on('error', () => undefined);
    archive.on('error', () => undefined);
    await new Promise((resolve) => archive.once('readable', () => resolve(undefined)));
    const blocks: Uint8Array[] = [];
    for (let block = next(archive); block !== null; block = next(archive)) blocks.push(block);
    archive.destroy();
    return Buffer.concat(blocks);
  };
}

function next(archive: { read(): unknown }): Uint8Array | null {
  return archive.read() as Uint8Array | null;
}

async function writeContent(file: TemporaryFile, { name, size, content }: TarEntry): Promise<void> {
  let length = 0;
  const feed: BodyWriter = content instanceof Uint8Array ? async (write) => write(content) : content;
  await writeFed(file, (write) =>
    feed((chunk) => {
      length += chunk.length;
      if (length > size) throw wrongSize(name);
      return write(chunk);
    }),
  );
  if (length < size) throw wrongSize(name);
}

function wrongSize(name: string): BullaError {
  return new BullaError('io.failed', `${printable(name)} changed its size while it was packed`);
}

/** @throws BullaError `image.occupied` */
export function occupied(path: string): BullaError {
  return new BullaError('image.occupied', `${printable(path)} is there already`, {
    hint: 'name a new file: a docker-archive is not added to',
  });
}

function foldersOf(entries: readonly TarEntry[]): readonly string[] {
  const folders = new Set<string>();
  for (const { name } of entries) {
    const parts = name.split('/').slice(0, -1);
    parts.forEach((_, index) => folders.add(parts.slice(0, index + 1).join('/')));
  }
  return [...folders].toSorted();
}
