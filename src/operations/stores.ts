/** Merging one signature store into another, whether they are folders or git repositories. */
import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';

import { printable } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import type { StoreSink } from '../stores/store-sink.ts';
import type { ImageFolder, StoreTree, TreeItem } from '../stores/store-tree.ts';
import { inParallel } from './in-parallel.ts';
import { badFile, type Finding, gatherFindings, omittedOf, readWhole, remarkOf } from './store/check.ts';
import { openStoreSink, openStoreTree, type StoreName } from './store/name.ts';

export type MergedSignature = { readonly from: string; readonly to: string };
export type StoreMerge = {
  /** What the destination did not have. */
  readonly added: readonly MergedSignature[];
  /** How many it had already, byte for byte. */
  readonly present: number;
  /** Source files that hold no whole signature, and what else was passed over. */
  readonly skipped: readonly Finding[];
  /** How many of those are not named, where a kind has more than 1000. */
  readonly omitted?: number;
  /** The commit that was pushed to a git repository, where something was added. */
  readonly commit?: string;
};

export type MergeOptions = {
  /** Tell, write nothing. */
  readonly dryRun?: boolean;
  /** For git: where its configuration is, and who commits. Default: this process's own. */
  readonly env?: NodeJS.ProcessEnv;
  /** Told now and then how many images of the source are done. */
  readonly onProgress?: (images: number) => void;
};

/**
 * Merges a store into another one: each signature that the destination lacks gets the next free
 * number there. Nothing in the destination is replaced or removed, links are not followed, and only
 * whole signatures are copied. A source signature behind a gap is copied too: its signer meant it.
 * To a git repository all of it is one commit, pushed by fast-forward; where somebody else's push came
 * first, it is fetched and the merge done again on top.
 * @throws BullaError `usage.invalid` (one store lies in the other), `store.unreadable`,
 * `store.failed`, `store.contended`, `io.*`, `process.*`
 */
export async function mergeStores(
  source: StoreName,
  destination: StoreName,
  options: MergeOptions = {},
): Promise<StoreMerge> {
  const env = options.env ?? process.env;
  await refuseNested(source, destination);
  await using from = await openStoreTree(source, env);
  await using to = await openStoreSink(destination, env, { dryRun: options.dryRun === true });
  for (;;) {
    const merged = await mergeOnce(from, to, options.onProgress ?? (() => undefined));
    const done = await to.finish();
    if (done !== 'again') return { ...merged, ...done };
  }
}

async function mergeOnce(
  from: StoreTree,
  to: StoreSink,
  onProgress: (images: number) => void,
): Promise<StoreMerge> {
  const added: MergedSignature[] = [];
  const skipped = gatherFindings();
  let [present, images] = [0, 0];
  for await (const items of someOf(from.walk())) {
    for (const each of await inParallel(items, to.atOnce, (item) => mergeItem(item, to))) {
      added.push(...each.added);
      skipped.add(...each.skipped);
      present += each.present;
    }
    images += items.filter(({ kind }) => kind === 'image').length;
    onProgress(images);
  }
  return { added, present, skipped: skipped.named, ...omittedOf(skipped) };
}

/** So many at once are held and worked on. */
const batch = 64;

async function* someOf(items: AsyncIterable<TreeItem>): AsyncGenerator<readonly TreeItem[]> {
  let some: TreeItem[] = [];
  for await (const item of items) {
    some.push(item);
    if (some.length < batch) continue;
    yield some;
    some = [];
  }
  yield some;
}

async function mergeItem(item: TreeItem, to: StoreSink): Promise<StoreMerge> {
  if (item.kind === 'oddity') return { added: [], present: 0, skipped: [remarkOf(item.oddity)] };
  const { folder } = item;
  if (to.accepts(folder.name)) return mergeImage(folder, to);
  return { added: [], present: 0, skipped: [remarkOf({ kind: 'foreign', path: folder.path })] };
}

async function mergeImage(folder: ImageFolder, to: StoreSink): Promise<StoreMerge> {
  const skipped = folder.oddities.map(remarkOf);
  const added: MergedSignature[] = [];
  let present = 0;
  const image = to.image(folder.name);
  for (const place of folder.signatures) {
    const content = await readWhole(place);
    if (content instanceof BullaError) {
      skipped.push(badFile(place.path, content));
      continue;
    }
    const result = await image.add(content).catch((error: unknown) => fullImage(error, place.path));
    if ('kind' in result) skipped.push(result);
    else if (result.added) added.push({ from: place.path, to: result.path });
    else present += 1;
  }
  return { added, present, skipped };
}

/** Whoever fills one image's folder must not keep the signatures of all others from arriving. */
function fullImage(error: unknown, path: string): Finding {
  if (!isBullaError(error, 'store.too-many-signatures')) throw error;
  return { kind: 'too-many', weight: 'problem', path, message: error.message, code: error.code };
}

/** A store merged into a part of itself would feed on what it writes. */
async function refuseNested(source: StoreName, destination: StoreName): Promise<void> {
  if (source.kind === 'git' || destination.kind === 'git') {
    // a repository is read as it was fetched, so one part of it may go into another
    if (source.kind !== 'git' || destination.kind !== 'git' || !isSame(source, destination)) return;
    throw new BullaError('usage.invalid', `${printable(source.text)} would be merged into itself`);
  }
  const [from, to] = await Promise.all(
    [source.path, destination.path].map((path) => realpath(path).catch(() => path)),
  );
  if (`${from}${sep}`.startsWith(`${to}${sep}`) || `${to}${sep}`.startsWith(`${from}${sep}`)) {
    throw new BullaError(
      'usage.invalid',
      `${printable(source.path)} and ${printable(destination.path)} lie in one another`,
    );
  }
}

function isSame(a: StoreName & { kind: 'git' }, b: StoreName & { kind: 'git' }): boolean {
  return a.remote === b.remote && a.branch === b.branch && a.folder === b.folder;
}
