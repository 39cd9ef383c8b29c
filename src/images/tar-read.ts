/**
 * Archives of images (tar), read where they lie: one pass notes where each file is, and a file is read
 * from there when it is asked for. Nothing is ever unpacked under a name that the archive chose, so no
 * name can lead anywhere; names that try are refused all the same. The file is opened once: what was
 * indexed is what is read, whoever replaces it meanwhile.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { fileError } from '../io/files.ts';
import { type ByteSource, sourceAt } from './blob-file.ts';
import { compressionOf, spool } from './unpack.ts';

/** Where a file's content is in the archive. */
export type TarFile = { readonly offset: number; readonly size: number };

/** An archive and where its files are. Disposing closes it; streams under way fail then. */
export interface TarArchive extends AsyncDisposable {
  /** For messages. */
  readonly path: string;
  /** By name, without a leading `./`. */
  readonly files: ReadonlyMap<string, TarFile>;
  /** Symbolic links of a docker-archive, by name, each to a name in the archive. */
  readonly links: ReadonlyMap<string, string>;
  /** A whole file. @throws BullaError `io.too-large` past the limit, `io.*` */
  read(file: TarFile, limit: number): Promise<Uint8Array>;
  /** A file piece by piece. */
  source(file: TarFile): ByteSource;
}

export type TarOptions = {
  /** `refuse` (default), or `keep`: docker-archive has them, and they are followed once at most. */
  readonly links?: 'refuse' | 'keep';
};

const chunkBytes = 262_144;
const headersAtOnce = 16_384;

/**
 * Opens an archive, plain or compressed by gzip or zstd. A compressed one is unpacked into a private file without a name.
 * @throws BullaError `image.not-found` (no such file), `image.malformed` (no tar; an absolute name, one with `..`, a name twice,
 * a link, device or sparse file; it ends early), `image.too-large` (too many entries; it unpacks to too much), `image.unsupported` (xz, bzip2), `io.*`
 */
export async function openTarArchive(path: string, options: TarOptions = {}): Promise<TarArchive> {
  const packed = await openFile(path);
  let file = packed;
  try {
    const compression = await compressionOf(packed, path);
    if (compression !== undefined) {
      file = await spool(packed, compression, path);
      await packed.close();
    }
    const { files, links } = await indexOf(file, path, options);
    return {
      path,
      files,
      links,
      read: (each, limit) => readWhole(file, each, limit, path),
      source: ({ offset, size }) => sourceAt(file, offset, size),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw fileError(error, path, 'read');
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    const failure = fileError(error, path, 'read');
    if (failure.code !== 'io.not-found') throw failure;
    throw new BullaError('image.not-found', failure.message);
  }
  throw malformed(path, 'it is no plain file');
}

async function readWhole(
  file: FileHandle,
  { offset, size }: TarFile,
  limit: number,
  path: string,
): Promise<Uint8Array> {
  if (size > limit) {
    throw new BullaError('io.too-large', `a file in ${printable(path)} is larger than ${limit} bytes`);
  }
  const bytes = new Uint8Array(size);
  for (let length = 0; length < size;) {
    const { bytesRead } = await file.read(bytes, length, size - length, offset + length);
    if (bytesRead === 0) throw malformed(path, 'it ends early');
    length += bytesRead;
  }
  return bytes;
}

/** What tar-stream tells of an entry; its types leave out the offset, and that an unknown type is null. */
type Header = {
  readonly name: string;
  readonly size: number;
  readonly type: string | null;
  readonly linkname: string | null;
  readonly byteOffset: number;
  readonly pax: Readonly<Record<string, string>> | null;
};

type Index = { readonly files: Map<string, TarFile>; readonly links: Map<string, string> };

/** How far an archive was looked through. */
type Walk = Index & {
  readonly file: FileHandle;
  readonly path: string;
  readonly size: number;
  readonly options: TarOptions;
  /** Where each entry begins, with what precedes its header. */
  readonly starts: number[];
  /** Where the last entry ends. */
  end: number;
};

const blockBytes = 512;
const zeros = new Uint8Array(chunkBytes);

/** Notes every entry. */
async function indexOf(file: FileHandle, path: string, options: TarOptions): Promise<Index> {
  const { size } = await file.stat();
  const walk: Walk = { file, path, size, options, files: new Map(), links: new Map(), starts: [], end: 0 };
  const parser = (await import('tar-stream')).extract();
  const ended = new Promise<void>((resolve, reject) => {
    parser.on('error', (cause: Error) => reject(asMalformed(cause, path)));
    parser.on('finish', () => resolve());
  });
  ended.catch(() => undefined);
  parser.on('entry', (header, stream, next) => {
    // it ends with the parser, which tells of it
    stream.on('error', () => undefined);
    try {
      note(header as unknown as Header, walk);
    } catch (error) {
      parser.destroy(error instanceof Error ? error : new Error('unknown'));
      return;
    }
    stream.on('end', () => next());
    stream.resume();
  });
  await feed(parser, walk, ended);
  if (walk.starts.length === 0) throw malformed(path, 'it holds nothing');
  for (const start of walk.starts) await checkStart(walk, start);
  return walk;
}

type Parser = ReturnType<(typeof import('tar-stream'))['extract']>;

/** Gives the parser the archive's headers, and zeros in place of contents. */
async function feed(parser: Parser, walk: Walk, ended: Promise<void>): Promise<void> {
  const { file, path, size } = walk;
  for (let position = 0; position < size;) {
    const chunk =
      walk.end > position
        ? zeros.subarray(0, Math.min(zeros.length, walk.end - position))
        : await readAt(file, position, Math.min(headersAtOnce, size - position));
    if (chunk.length === 0) throw malformed(path, 'it ends early');
    position += chunk.length;
    parser.write(chunk);
    // the parser looks at it in its own time; what it finds decides what is read next
    await Promise.race([new Promise((resolve) => void setImmediate(resolve)), ended]);
  }
  parser.end(undefined);
  await ended;
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

/** Two blocks of zeros end an archive. Behind them the peers read nothing, and Bulla would read something else than they. */
async function checkStart({ file, path }: Walk, start: number): Promise<void> {
  const block = await readAt(file, start, blockBytes);
  if (block.every((byte) => byte === 0)) throw malformed(path, 'something follows its end');
}

function paddedEnd({ byteOffset, size }: Header): number {
  return byteOffset + Math.ceil(size / blockBytes) * blockBytes;
}

function note(header: Header, walk: Walk): void {
  const { files, links, path, options, starts } = walk;
  const { type, size, byteOffset, pax } = header;
  if (!Number.isSafeInteger(size) || size < 0) throw malformed(path, 'an entry has no valid size');
  // some programs read content there, some do not, and the parser waits for it for ever
  if (type === 'directory' && size > 0) throw malformed(path, 'a folder in it has a content');
  if (Object.keys(pax ?? {}).some((key) => key.startsWith('GNU.sparse')))
    throw malformed(path, 'it has a sparse file');
  if (starts.length === limits.archiveEntries) throw tooMany(path);
  starts.push(walk.end);
  walk.end = paddedEnd(header);
  if (walk.end > walk.size) throw malformed(path, 'it ends early');
  const name = checkedName(header.name, path);
  if (type === 'directory') return;
  if (name === '') throw malformed(path, 'an entry has no name');
  // old programs wrote folders so, and some of today read one there
  if (header.name.endsWith('/')) throw malformed(path, `the file ${printable(name)} is named as a folder`);
  if (files.has(name) || links.has(name)) throw malformed(path, `it has ${printable(name)} twice`);
  if (type === 'file') {
    files.set(name, { offset: byteOffset, size });
  } else if (type === 'symlink' && options.links === 'keep') {
    links.set(name, linkTarget(name, header.linkname ?? '', path));
  } else {
    throw malformed(path, `${printable(name)} is no plain file`);
  }
}

/** Without `.` and empty parts. */
function checkedName(name: string, path: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (!name.startsWith('/') && !parts.includes('..') && !name.includes('\0') && !name.includes('\\'))
    return parts.join('/');
  throw malformed(path, `an entry is named ${printable(name)}, which leads out of it`);
}

function linkTarget(name: string, target: string, path: string): string {
  const parts = name.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) parts.push('..');
  }
  if (!target.startsWith('/') && target !== '' && !parts.includes('..')) return parts.join('/');
  throw malformed(path, `the link ${printable(name)} leads out of it`);
}

function asMalformed(cause: Error, path: string): BullaError {
  if (cause instanceof BullaError) return cause;
  return /Unexpected end/.test(cause.message)
    ? malformed(path, 'it ends early')
    : malformed(path, 'it is no tar archive');
}

function tooMany(path: string): BullaError {
  return new BullaError('image.too-large', `${printable(path)} has more than ${limits.archiveEntries} files`);
}

function malformed(path: string, why: string): BullaError {
  return new BullaError('image.malformed', `${printable(path)} is no image archive: ${why}`);
}
