/**
 * Signatures added to a git repository's branch: one commit on top of what is there, pushed by fast-forward only. git
 * itself refuses the push where somebody else's came first; then the merge is done again on top of theirs.
 */
import { statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { crypto } from '../base/node.ts';
import { type GitCommit, writeCommit } from './git-commit.ts';
import { isSafePath, withoutSecrets } from './git-name.ts';
import { callGit, gitError, quietReceivePack } from './git-process.ts';
import type { GitRepository } from './git-repository.ts';
import { describeEntry, entriesIn, type GitListing, isFile, listGitTree, placeOf } from './git-tree.ts';
import { tooManySignatures } from './signature-folder.ts';
import type { ImageSink, StoreSink } from './store-sink.ts';
import { signatureFileName } from './store-tree.ts';

/** Where an image's files stand in the listing. */
type Range = { readonly start: number; end: number };

/**
 * Opens a fetched repository to add signatures.
 * @param options `dryRun`: tell, commit and push nothing
 * @throws BullaError `store.read-only` for a bundle, `store.failed`, `process.*`
 */
export async function openGitSink(
  repository: GitRepository,
  options: { readonly dryRun: boolean },
): Promise<StoreSink> {
  refuseBundle(repository);
  let tries = 0;
  let commit: GitCommit | undefined;
  let listing: GitListing;
  let ranges: ReadonlyMap<string, Range>;
  const begin = async (): Promise<void> => {
    listing = await listGitTree(repository);
    ranges = rangesIn(listing);
    commit = options.dryRun ? undefined : writeCommit(repository);
  };
  await begin();
  return {
    atOnce: 1,
    accepts: isSafePath,
    image: (name) => imageSink(repository, name, namesIn(listing, ranges.get(name)), commit),
    finish: async () => {
      const made = await commit?.finish();
      if (made === undefined) return {};
      const refused = await push(repository, made);
      if (refused === undefined) return { commit: made };
      tries += 1;
      if (tries >= limits.gitTries) throw contended(refused);
      // others who were refused as well come back at other times
      await pause(crypto.randomInt(20, 50 + 50 * Math.min(tries, 20)));
      await repository.refresh();
      await begin();
      return 'again';
    },
    [Symbol.asyncDispose]: () => repository[Symbol.asyncDispose](),
  };
}

function refuseBundle({ name }: GitRepository): void {
  if (name.scheme !== 'file' || statSync(name.remote, { throwIfNoEntry: false })?.isFile() !== true) return;
  throw new BullaError(
    'store.read-only',
    `${withoutSecrets(name.text)} is a file: a bundle is only fetched from`,
    {
      hint: 'publish to a repository, then make the bundle anew by: git bundle create',
    },
  );
}

function rangesIn(listing: GitListing): ReadonlyMap<string, Range> {
  const ranges = new Map<string, Range>();
  for (const { path, start, end } of entriesIn(listing)) {
    const name = path === undefined ? undefined : placeOf(path)?.folder;
    if (name === undefined) continue;
    const known = ranges.get(name);
    if (known === undefined) ranges.set(name, { start, end });
    else known.end = end;
  }
  return ranges;
}

/** What an image's folder has: each name, with the object of those that are signatures. */
function namesIn(listing: GitListing, range: Range | undefined): Map<string, string | undefined> {
  const names = new Map<string, string | undefined>();
  if (range === undefined) return names;
  for (const entry of entriesIn(listing, range.start, range.end)) {
    // a folder in the place of a signature takes its number too
    const file = placeOf(entry.path ?? '')?.file.split('/') ?? [];
    const isSignature = file.length === 1 && isFile(entry) && signatureFileName.test(file[0] ?? '');
    names.set(file[0] ?? '', isSignature ? entry.object : undefined);
  }
  return names;
}

function imageSink(
  repository: GitRepository,
  name: string,
  names: Map<string, string | undefined>,
  commit: GitCommit | undefined,
): ImageSink {
  const shown = (file: string): string => describeEntry(repository, `${name}/${file}`);
  return {
    add: async (bytes) => {
      const object = objectName(bytes, repository.digits);
      let n = 1;
      // as a reader counts: behind the first gap the same signature is seen by nobody
      for (; names.has(`signature-${n}`); n += 1) {
        const file = `signature-${n}`;
        if (names.get(file) === object) return { path: shown(file), added: false };
      }
      if (n >= limits.lookasideSignatures) throw tooManySignatures(shown(''));
      const file = `signature-${n}`;
      names.set(file, object);
      await commit?.add(`${name}/${file}`, bytes);
      return { path: shown(file), added: true };
    },
  };
}

/** The name that git gives a file's content. Two contents with one name could not both lie in the repository. */
function objectName(bytes: Uint8Array, digits: number): string {
  const hash = crypto.createHash(digits === 64 ? 'sha256' : 'sha1');
  return hash.update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

/** Refusals that only mean that somebody else pushes at this moment. */
const passing =
  /\((?:fetch first|non-fast-forward|stale info)\)|cannot lock ref|failed to (?:update|lock) ref|incorrect old value|reference already exists|but expected/;

/** A branch `a` leaves no room for a branch `a/b`. */
const lasting = /exists; cannot create/;

/** Undefined once the branch has the commit; why not, where others are to blame and it is to be tried again. */
async function push(repository: GitRepository, commit: string): Promise<BullaError | undefined> {
  const { call, name, branch } = repository;
  const flags = ['--porcelain', '--no-verify', '--no-signed', '--no-follow-tags', '--recurse-submodules=no'];
  const program = name.scheme === 'file' ? [`--receive-pack=${quietReceivePack}`] : [];
  const refspec = `${commit}:refs/heads/${branch}`;
  const result = await callGit(['push', ...flags, ...program, '--', name.remote, refspec], call);
  if (result.exitCode === 0) return undefined;
  // a connection may break after the push was taken: what the branch is now decides
  const now = await repository.ask();
  if (now === commit) return undefined;
  const said = `${Buffer.from(result.stdout).toString('utf8')}${result.stderr}`;
  const error = gitError(result, name, 'publish to');
  if (now !== repository.tip() || (passing.test(said) && !lasting.test(said))) return error;
  throw error;
}

function contended({ message }: BullaError): BullaError {
  return new BullaError('store.contended', `${message}, ${limits.gitTries} times`, {
    hint: 'try again when fewer publish; if nobody does, look for a lock that a killed git left in the repository',
  });
}
