/** Writes archives: the same content gives the same bytes, and a file has its name once it is whole. */
import { BullaError } from '../base/errors.ts';
import { printable } from '../base/bytes.ts';
import { openTemporary } from '../io/temporary-file.ts';

/** A file to be. Its content is opened when its turn comes. */
export type TarEntry = {
  readonly name: string;
  /** Bytes; the content must have as many. */
  readonly size: number;
  readonly content: Uint8Array | (() => Promise<AsyncIterable<Uint8Array>>);
};

/** Entries of one time, owner and mode: who made it, and when, says nothing about an image. */
const anonymous = { uid: 0, gid: 0, mtime: new Date(0), mode: 0o644 } as const;

/**
 * Writes an archive of these files, ordered by name, each folder before what is in it.
 * @param taken what to do where the path has a file: `replace` it, or `refuse`
 * @throws BullaError `image.occupied`, `io.*`, and what the contents throw
 */
export async function writeTarArchive(
  path: string,
  entries: readonly TarEntry[],
  taken: 'replace' | 'refuse',
): Promise<void> {
  const { pack } = await import('tar-stream');
  await using temporary = await openTemporary(path);
  const archive = pack();
  const filling = fill(archive, entries);
  // told below; unhandled it would end the process before the stream does
  filling.catch(() => undefined);
  for await (const chunk of archive as AsyncIterable<Uint8Array>) await temporary.write(chunk);
  await filling;
  if (taken === 'replace') await temporary.replace();
  else if (!(await temporary.create())) throw occupied(path);
}

/** @throws BullaError `image.occupied` */
export function occupied(path: string): BullaError {
  return new BullaError('image.occupied', `${printable(path)} is there already`, {
    hint: 'name a new file: a docker-archive is not added to',
  });
}

type Pack = ReturnType<(typeof import('tar-stream'))['pack']>;

async function fill(archive: Pack, entries: readonly TarEntry[]): Promise<void> {
  try {
    for (const folder of foldersOf(entries)) {
      archive.entry({ ...anonymous, name: `${folder}/`, type: 'directory', mode: 0o755 }, new Uint8Array());
    }
    const sorted = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of sorted) await addEntry(archive, entry);
    archive.finalize();
  } catch (error) {
    archive.destroy(error instanceof Error ? error : new Error('the content could not be read'));
    throw error;
  }
}

function foldersOf(entries: readonly TarEntry[]): readonly string[] {
  const folders = new Set<string>();
  for (const { name } of entries) {
    const parts = name.split('/').slice(0, -1);
    parts.forEach((_, index) => folders.add(parts.slice(0, index + 1).join('/')));
  }
  return [...folders].toSorted();
}

async function addEntry(archive: Pack, { name, size, content }: TarEntry): Promise<void> {
  const header = { ...anonymous, name, size, type: 'file' as const };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sink = archive.entry(header, (error) => {
    if (error === null || error === undefined) resolve();
    else reject(error);
  });
  sink.on('error', reject);
  // a content that fails is told of by itself; this would end the process
  promise.catch(() => undefined);
  if (content instanceof Uint8Array) {
    sink.end(content);
    return promise;
  }
  for await (const chunk of await content()) {
    if (!sink.write(chunk)) await Promise.race([drained(sink), promise]);
  }
  sink.end(undefined);
  return promise;
}

function drained(sink: ReturnType<Pack['entry']>): Promise<void> {
  return new Promise((resolve) => sink.once('drain', () => resolve()));
}
