/** A commit that adds files to a branch and changes nothing else, made in a private repository without working copy or index. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { withoutSecrets } from './git-name.ts';
import { mostAtOnce } from './git-objects.ts';
import { type GitCall, callGit, gitText, mustGit } from './git-process.ts';
import type { GitRepository } from './git-repository.ts';

/** A commit in the making. */
export interface GitCommit {
  /** @param path below the store's folder */
  add(path: string, bytes: Uint8Array): Promise<void>;
  /** Makes the commit and gives its name; undefined where nothing was added. @throws BullaError `store.unreadable`, `store.failed` */
  finish(): Promise<string | undefined>;
}

const work = 'refs/bulla/work';

/** Starts a commit on top of the branch as last fetched. */
export function writeCommit(repository: GitRepository): GitCommit {
  const { call, name } = repository;
  const parent = repository.tip();
  const paths: string[] = [];
  let pending: Uint8Array[] = [];
  let held = 0;
  let last = parent;
  const flush = async (): Promise<void> => {
    const head = `commit ${work}\ncommitter Bulla <bulla@localhost> 0 +0000\ndata 0\n`;
    const from = last === undefined ? 'deleteall\n' : `from ${last}\n`;
    const input = Buffer.concat([Buffer.from(head + from), ...pending, Buffer.from('\ndone\n')]);
    // each part is a commit that nobody gets to see; only the tree of the last one counts
    await mustGit(['fast-import', '--quiet', '--done', '--force'], { ...call, input }, 'write a commit for');
    last = gitText(await mustGit(['rev-parse', '--verify', work], call, 'write a commit for'));
    [pending, held] = [[], 0];
  };
  return {
    add: async (path, bytes) => {
      const full = name.folder === '' ? path : `${name.folder}/${path}`;
      pending.push(
        Buffer.from(`M 100644 inline ${quoted(full)}\ndata ${bytes.length}\n`),
        bytes,
        Buffer.from('\n'),
      );
      paths.push(path);
      held += bytes.length;
      if (held >= mostAtOnce.bytes) await flush();
    },
    finish: async () => {
      if (paths.length === 0) return undefined;
      if (pending.length > 0) await flush();
      await checkOnlyAdds(repository, parent, paths.length);
      return commitTree(call, parent, messageFor(paths));
    },
  };
}

/** A path as fast-import reads it. */
function quoted(path: string): string {
  return `"${path.replace(/["\\]/g, '\\$&')}"`;
}

/** A file of the branch where a folder would be would be replaced by it: nothing may go that is there. */
async function checkOnlyAdds(
  { call, name }: GitRepository,
  parent: string | undefined,
  added: number,
): Promise<void> {
  const empty = gitText(
    await mustGit(['mktree'], { ...call, input: new Uint8Array() }, 'write a commit for'),
  );
  const flags = ['-r', '-z', '--no-renames', '--name-status'];
  const trees = [parent === undefined ? empty : `${parent}^{tree}`, `${work}^{tree}`];
  const maxBytes = limits.gitListBytes;
  const output = await mustGit(
    ['diff-tree', ...flags, ...trees],
    { ...call, maxBytes },
    'write a commit for',
  );
  const words = Buffer.from(output).toString('utf8').split('\0');
  const changes = words.filter((_, index) => index % 2 === 0 && index < words.length - 1);
  if (changes.length === added && changes.every((each) => each === 'A')) return;
  const at = changes.findIndex((each) => each !== 'A');
  throw new BullaError(
    'store.unreadable',
    `${withoutSecrets(name.text)} has a file where a folder of signatures belongs: ${printable(words[at * 2 + 1] ?? '')}`,
    { hint: 'remove the file from the repository, or name another folder: #branch:folder' },
  );
}

async function commitTree(call: GitCall, parent: string | undefined, message: string): Promise<string> {
  const parents = parent === undefined ? [] : ['-p', parent];
  const input = Buffer.from(message);
  const config = await authorFor(call);
  const made = await mustGit(
    ['commit-tree', `${work}^{tree}`, ...parents, '-F', '-'],
    { ...call, input, config },
    'write a commit for',
  );
  return gitText(made);
}

/** Whoever git's configuration or environment says; where they say nothing, a name that claims nobody. */
async function authorFor(call: GitCall): Promise<readonly string[]> {
  for (const identity of ['GIT_AUTHOR_IDENT', 'GIT_COMMITTER_IDENT']) {
    const config = ['user.useConfigOnly=true'];
    if ((await callGit(['var', identity], { ...call, config })).exitCode !== 0)
      return ['user.name=Bulla', 'user.email=bulla@localhost'];
  }
  return [];
}

const mostListed = 50;

function messageFor(paths: readonly string[]): string {
  const images = new Set(paths.map((path) => path.slice(0, path.lastIndexOf('/'))));
  const subject = `Add ${counted(paths.length, 'signature')} of ${counted(images.size, 'image')}`;
  const listed = paths.slice(0, mostListed).map((path) => printable(path, 500));
  const more = paths.length > mostListed ? [`and ${paths.length - mostListed} more`] : [];
  return `${[subject, '', ...listed, ...more].join('\n')}\n`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
