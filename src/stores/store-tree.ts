/** A signature store as a tree of folders: which are an image's, and what lies in them; and such a tree on disk. */
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { printable } from '../base/bytes.ts';
import { tryParseDigest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { fileError, temporaryPrefix } from '../io/files.ts';
import { isGitsOwn } from './git-name.ts';
import { readSignatureFile } from './signature-folder.ts';

/** A file or folder that is no signature: `link` (not followed), `leftover` (of a killed writer), `foreign` (anything else). */
export type Oddity = { readonly kind: 'link' | 'leftover' | 'foreign'; readonly path: string };

export type SignaturePlace = {
  readonly n: number;
  /** For people. */
  readonly path: string;
  /**
   * Its bytes; undefined where it is gone. To be called before the walk goes on.
   * @throws BullaError `signature.too-large`, `store.unreadable`
   */
  read(): Promise<Uint8Array | undefined>;
};

/** Signatures that can be read, wherever they lie. */
export interface StoreTree extends AsyncDisposable {
  /** In order of names; links are reported, never followed. @throws BullaError `io.*`, `store.*` */
  walk(): AsyncIterable<TreeItem>;
}

/** An image's folder: `<repository path>@<algorithm>=<hex>`, or `<algorithm>=<hex>` as OpenShift's release store has it. */
export type ImageFolder = {
  readonly path: string;
  /** Below the store: `ns/app@sha256=…`. */
  readonly name: string;
  /** Regular files `signature-N`, in order of N; gaps are not judged here. */
  readonly signatures: readonly SignaturePlace[];
  readonly oddities: readonly Oddity[];
};

/** `signature-N` */
export const signatureFileName: RegExp = /^signature-([1-9][0-9]{0,8})$/;

/** What a walk comes by. */
export type TreeItem =
  | { readonly kind: 'image'; readonly folder: ImageFolder }
  | { readonly kind: 'oddity'; readonly oddity: Oddity };

/** A repository path has 255 bytes at most: no deeper tree is a store. */
const deepest = 130;

/** True for the name of an image's folder, without what is before the last slash. */
export function isImageFolderName(name: string): boolean {
  const digest = /(?:^|@)(sha(?:256|384|512))=([0-9a-f]+)$/.exec(name);
  return digest !== null && tryParseDigest(`${digest[1]}:${digest[2]}`) !== undefined;
}

/** A store on disk, or the folder of one image in it. Its walk throws `io.not-found`, `io.failed`. */
export function openFolderTree(root: string): StoreTree {
  return { walk: () => walkStore(root), [Symbol.asyncDispose]: async () => undefined };
}

async function* walkStore(root: string): AsyncGenerator<TreeItem> {
  if (isImageFolderName(basename(root))) {
    yield { kind: 'image', folder: await readImageFolder(root, basename(root)) };
    return;
  }
  yield* walkFolder(root, '', 0);
}

async function* walkFolder(path: string, name: string, depth: number): AsyncGenerator<TreeItem> {
  if (depth > deepest) {
    throw new BullaError('io.failed', `${printable(path)} is nested deeper than any store`);
  }
  for (const entry of await entriesOf(path)) {
    const below = { path: join(path, entry.name), name: name === '' ? entry.name : `${name}/${entry.name}` };
    // the folder of git's own beside files that are checked out
    if (!entry.isDirectory() || isGitsOwn(entry.name)) {
      yield { kind: 'oddity', oddity: oddityOf(entry, below.path) };
    } else if (isImageFolderName(entry.name)) {
      yield { kind: 'image', folder: await readImageFolder(below.path, below.name) };
    } else {
      yield* walkFolder(below.path, below.name, depth + 1);
    }
  }
}

async function readImageFolder(path: string, name: string): Promise<ImageFolder> {
  const signatures: SignaturePlace[] = [];
  const oddities: Oddity[] = [];
  for (const entry of await entriesOf(path)) {
    const place = join(path, entry.name);
    const n = signatureFileName.exec(entry.name)?.[1];
    if (n !== undefined && entry.isFile()) {
      signatures.push({ n: Number(n), path: place, read: () => readSignatureFile(place) });
    } else oddities.push(oddityOf(entry, place));
  }
  return { path, name, signatures: signatures.sort((a, b) => a.n - b.n), oddities };
}

function oddityOf(entry: Dirent, path: string): Oddity {
  if (entry.isSymbolicLink()) return { kind: 'link', path };
  return { kind: entry.name.startsWith(temporaryPrefix) ? 'leftover' : 'foreign', path };
}

async function entriesOf(path: string): Promise<readonly Dirent[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw fileError(error, path, 'read');
  }
}
