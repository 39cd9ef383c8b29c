/** The signatures in a git repository's branch, read from its trees. */
import { textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { isSafePath, withoutSecrets } from './git-name.ts';
import { mostAtOnce, objectReader } from './git-objects.ts';
import { gitText, mustGit } from './git-process.ts';
import type { GitRepository } from './git-repository.ts';
import {
  type ImageFolder,
  isImageFolderName,
  type Oddity,
  signatureFileName,
  type SignaturePlace,
  type StoreTree,
  type TreeItem,
} from './store-tree.ts';

/** A file in the tree, as `git ls-tree` tells it. */
export type GitEntry = {
  /** `100644` and `100755` are files, `120000` is a link, `160000` a submodule. */
  readonly mode: string;
  readonly object: string;
  readonly size: number;
  /** Below the store's folder; undefined where it could not be a path on disk. */
  readonly path: string | undefined;
};

/** All files of the store's folder, in git's order: those of one folder stand together. */
export type GitListing = { readonly bytes: Buffer };

/**
 * Lists the store's folder as last fetched; empty where the branch or the folder is not there.
 * @throws BullaError `process.output-too-large`, `store.failed`
 */
export async function listGitTree(repository: GitRepository): Promise<GitListing> {
  const tree = await treeOf(repository);
  if (tree === undefined) return { bytes: Buffer.alloc(0) };
  const call = { ...repository.call, maxBytes: limits.gitListBytes };
  const listed = await mustGit(['ls-tree', '-r', '-z', '-l', '--full-tree', tree], call, 'read');
  return { bytes: Buffer.from(listed.buffer, listed.byteOffset, listed.byteLength) };
}

/** What git calls the store's folder; undefined where it is not there. */
async function treeOf(repository: GitRepository): Promise<string | undefined> {
  const { call, name } = repository;
  const tip = repository.tip();
  if (tip === undefined || name.folder === '') return tip;
  const tree = `${tip}:${name.folder}`;
  const input = Buffer.from(`${tree}\n`);
  const kind = gitText(
    await mustGit(['cat-file', '--batch-check=%(objecttype)'], { ...call, input }, 'read'),
  );
  if (kind === 'tree') return tree;
  if (kind.endsWith(' missing')) return undefined;
  throw new BullaError('store.unreadable', `${withoutSecrets(name.text)}: ${name.folder} is no folder`);
}

/** The entries of a listing, or of a part of it, one after the other. */
export function* entriesIn(
  { bytes }: GitListing,
  from = 0,
  to: number = bytes.length,
): Generator<GitEntry & { readonly start: number; readonly end: number }> {
  for (let start = from; start < to;) {
    const end = bytes.indexOf(0, start) + 1;
    if (end === 0) return;
    const tab = bytes.indexOf(9, start);
    const [mode = '', , object = '', size = ''] = bytes.toString('latin1', start, tab).split(/ +/);
    const path = textOf(bytes.subarray(tab + 1, end - 1));
    const safe = path !== undefined && isSafePath(path) ? path : undefined;
    yield { mode, object, size: Number(size), path: safe, start, end };
    start = end;
  }
}

export function isFile({ mode }: GitEntry): boolean {
  return mode === '100644' || mode === '100755';
}

/** The image's folder that a file lies in, and its name there. */
export function placeOf(path: string): { readonly folder: string; readonly file: string } | undefined {
  for (
    let slash = path.indexOf('/'), start = 0;
    slash > 0;
    start = slash + 1, slash = path.indexOf('/', start)
  ) {
    if (isImageFolderName(path.slice(start, slash))) {
      return { folder: path.slice(0, slash), file: path.slice(slash + 1) };
    }
  }
  return undefined;
}

/**
 * What lies in the repository, as last fetched.
 * @throws BullaError `io.not-found` where a branch or folder is named that is not there: no store is empty by a misspelling
 */
export async function openGitTree(repository: GitRepository): Promise<StoreTree> {
  const { name } = repository;
  if (name.branch !== undefined && repository.tip() === undefined)
    throw missing(repository, `branch ${name.branch}`);
  if (name.folder !== '' && (await treeOf(repository)) === undefined)
    throw missing(repository, `folder ${name.folder}`);
  return {
    walk: () => walkGit(repository),
    [Symbol.asyncDispose]: () => repository[Symbol.asyncDispose](),
  };
}

function missing({ name }: GitRepository, what: string): BullaError {
  return new BullaError('io.not-found', `${withoutSecrets(name.text)}: the repository has no ${what}`);
}

async function* walkGit(repository: GitRepository): AsyncGenerator<TreeItem> {
  const listing = await listGitTree(repository);
  let held: (TreeItem | Gathered)[] = [];
  let signatures = 0;
  for (const item of groupImages(repository, listing)) {
    held.push(item);
    if (item.kind === 'gathered') signatures += item.entries.length;
    if (signatures < mostAtOnce.objects && held.length < mostAtOnce.objects) continue;
    yield* filled(repository, held);
    [held, signatures] = [[], 0];
  }
  yield* filled(repository, held);
}

/** Where a file is, for people. */
export function describeEntry({ name, branch }: GitRepository, path: string): string {
  const below = name.folder === '' ? path : `${name.folder}/${path}`;
  return `${withoutSecrets(name.text.replace(/#.*$/s, ''))}#${branch}:${below}`;
}

/** An image's folder whose signatures are not read yet. */
type Gathered = {
  readonly kind: 'gathered';
  readonly name: string;
  readonly path: string;
  readonly entries: {
    readonly n: number;
    readonly object: string;
    readonly size: number;
    readonly path: string;
  }[];
  readonly oddities: Oddity[];
};

function* groupImages(repository: GitRepository, listing: GitListing): Generator<TreeItem | Gathered> {
  // a repository may have one image's folder named as the store
  const own = repository.name.folder.split('/').at(-1) ?? '';
  const prefix = isImageFolderName(own) ? `${own}/` : '';
  let current: Gathered | undefined;
  for (const entry of entriesIn(listing)) {
    const path = describeEntry(repository, entry.path ?? '(a name that is no path)');
    const place = entry.path === undefined ? undefined : placeOf(prefix + entry.path);
    if (place === undefined) {
      yield { kind: 'oddity', oddity: { kind: entry.mode === '120000' ? 'link' : 'foreign', path } };
      continue;
    }
    if (current?.name !== place.folder) {
      if (current !== undefined) yield current;
      const shown = describeEntry(repository, place.folder.slice(prefix.length));
      current = { kind: 'gathered', name: place.folder, path: shown, entries: [], oddities: [] };
    }
    const n = signatureFileName.exec(place.file)?.[1];
    if (n !== undefined && isFile(entry))
      current.entries.push({ n: Number(n), object: entry.object, size: entry.size, path });
    else current.oddities.push({ kind: entry.mode === '120000' ? 'link' : 'foreign', path });
  }
  if (current !== undefined) yield current;
}

/** Gives out folders whose signatures are read many at a time: a process for each would take longest. */
async function* filled(
  repository: GitRepository,
  held: readonly (TreeItem | Gathered)[],
): AsyncGenerator<TreeItem> {
  const wanted = held.flatMap((each) => (each.kind === 'gathered' ? each.entries : []));
  const read = objectReader(repository.call, wanted);
  let index = 0;
  for (const each of held) {
    if (each.kind !== 'gathered') {
      yield each;
      continue;
    }
    const signatures = each.entries.map(({ n, path, size }): SignaturePlace => {
      const at = index++;
      return { n, path, read: async () => contentOf(await read(at), path, size) };
    });
    const { name, path, oddities } = each;
    const folder: ImageFolder = { path, name, signatures: signatures.sort((a, b) => a.n - b.n), oddities };
    yield { kind: 'image', folder };
  }
}

function contentOf(bytes: Uint8Array | undefined, path: string, size: number): Uint8Array {
  if (bytes !== undefined) return bytes;
  if (size > limits.signatureBytes) {
    throw new BullaError('signature.too-large', `${path} is larger than ${limits.signatureBytes} bytes`);
  }
  throw new BullaError('store.unreadable', `git does not have the content of ${path}`);
}
