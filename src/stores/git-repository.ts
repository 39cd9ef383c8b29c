/**
 * One branch of a git repository, fetched into a private one: only its newest state, no working copy. Files are read by
 * their object names, so that no link, filter, attribute or submodule of the repository has a say.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { printable, textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { fileError, temporaryPrefix } from '../io/files.ts';
import { type GitStoreName, isBranchName, withoutSecrets } from './git-name.ts';
import { type GitCall, gitText, mustGit } from './git-process.ts';

/** Disposing removes what was fetched. */
export interface GitRepository extends AsyncDisposable {
  readonly name: GitStoreName;
  readonly branch: string;
  /** How many hexadecimal digits an object's name has: 40, or 64 in a repository of SHA-256. */
  readonly digits: number;
  /** What every call of git in the private repository is given. */
  readonly call: GitCall;
  /** The branch's commit as last fetched; undefined where the branch is not there. */
  tip(): string | undefined;
  /** Asks for the branch again and fetches what is new. @throws BullaError as openGitRepository */
  refresh(): Promise<void>;
  /** The branch's commit in the repository now, without fetching it. */
  ask(): Promise<string | undefined>;
}

/**
 * Opens a repository and fetches its branch.
 * @throws BullaError `io.not-found` (no such folder), `io.too-large`, `store.failed`, `process.*`
 */
export async function openGitRepository(name: GitStoreName, env: NodeJS.ProcessEnv): Promise<GitRepository> {
  if (name.scheme === 'file' && !existsSync(name.remote)) {
    throw new BullaError('io.not-found', `there is no repository ${printable(name.remote)}`, {
      hint: 'make it by: git init --bare PATH',
    });
  }
  const folder = await mkdtemp(join(tmpdir(), temporaryPrefix)).catch((error: unknown) => {
    throw fileError(error, tmpdir(), 'write');
  });
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 5 });
  try {
    return { ...(await fetched(name, env, folder)), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function fetched(
  name: GitStoreName,
  env: NodeJS.ProcessEnv,
  folder: string,
): Promise<Omit<GitRepository, typeof Symbol.asyncDispose>> {
  const asking = { env, name, cwd: folder };
  const told = await askRemote(asking, name.branch);
  const cwd = join(folder, 'repository');
  const started =
    told.tip === undefined ? await cloneEmpty(asking, cwd) : await initialise(asking, cwd, told.tip.length);
  const branch = name.branch ?? told.branch ?? started.branch;
  const call = { ...asking, cwd, gitDir: cwd };
  let tip: string | undefined;
  const refresh = async (): Promise<void> => {
    tip = await fetchBranch(call, branch);
  };
  const ask = async (): Promise<string | undefined> => (await askRemote(call, branch)).tip;
  if (told.tip !== undefined) await refresh();
  return {
    name,
    branch,
    digits: started.digits,
    call,
    tip: () => tip,
    refresh: async () => ((await ask()) === undefined ? (tip = undefined) : await refresh()),
    ask,
  };
}

type Told = { readonly branch: string | undefined; readonly tip: string | undefined };

/** What the repository says of a branch, or of its default one. */
async function askRemote(asking: GitCall, branch: string | undefined): Promise<Told> {
  const call = { ...asking, timeoutMs: limits.gitAskMs };
  const wanted = branch === undefined ? 'HEAD' : `refs/heads/${branch}`;
  const output = await mustGit(['ls-remote', '--symref', '--', call.name.remote, wanted], call, 'read');
  let head: string | undefined;
  let tip: string | undefined;
  for (const line of (textOf(output) ?? '').split('\n')) {
    const [value = '', reference] = line.split('\t');
    // a pattern of ls-remote fits the end of other names too
    if (reference !== wanted) continue;
    if (value.startsWith('ref: refs/heads/')) head = value.slice('ref: refs/heads/'.length);
    else if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(value)) tip = value;
  }
  if (head !== undefined && !isBranchName(head)) {
    throw new BullaError(
      'store.failed',
      `the default branch of ${withoutSecrets(call.name.text)} has an odd name`,
      {
        hint: 'name a branch: #branch',
      },
    );
  }
  if (branch === undefined && head === undefined && tip !== undefined) {
    throw new BullaError('store.failed', `${withoutSecrets(call.name.text)} says no default branch`, {
      hint: 'name a branch: #branch',
    });
  }
  return { branch: branch ?? head, tip };
}

type Started = { readonly branch: string; readonly digits: number };

async function initialise(call: GitCall, cwd: string, digits: number): Promise<Started> {
  const format = `--object-format=${digits === 64 ? 'sha256' : 'sha1'}`;
  await mustGit(['init', '--quiet', '--bare', '--template=', format, '--', cwd], call, 'read');
  return { branch: '', digits };
}

/** Of a repository without that branch, git alone finds out what its default branch and its kind of names are to be. */
async function cloneEmpty(call: GitCall, cwd: string): Promise<Started> {
  const flags = ['--quiet', '--bare', '--template=', '--depth=1', '--single-branch', '--no-tags'];
  const clone = `${cwd}-empty`;
  await watched(call, clone, (signal) =>
    mustGit(['clone', ...flags, '--', call.name.remote, clone], { ...call, signal }, 'read'),
  );
  const inside = { ...call, gitDir: clone };
  const head = gitText(await mustGit(['symbolic-ref', '--short', 'HEAD'], inside, 'read'));
  // git before 2.41 does not hear of it over its protocol, and reads it off a repository on the same machine
  const gitDir = call.name.scheme === 'file' ? gitDirOf(call.name.remote) : clone;
  const asked = await mustGit(['rev-parse', '--show-object-format'], { ...call, gitDir }, 'read');
  const { digits } = await initialise(call, cwd, gitText(asked) === 'sha256' ? 64 : 40);
  return { branch: isBranchName(head) ? head : 'main', digits };
}

/** A repository with a working copy has its own part below it. */
function gitDirOf(path: string): string {
  return existsSync(join(path, '.git')) ? join(path, '.git') : path;
}

const base = 'refs/bulla/base';

async function fetchBranch(call: GitCall, branch: string): Promise<string> {
  const flags = ['--quiet', '--depth=1', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head'];
  await watched(call, call.cwd, (signal) =>
    mustGit(
      ['fetch', ...flags, '--', call.name.remote, `+refs/heads/${branch}:${base}`],
      { ...call, signal },
      'read',
    ),
  );
  return gitText(await mustGit(['rev-parse', '--verify', `${base}^{commit}`], call, 'read'));
}

/** git has no limit for what it fetches: the file that grows is watched, and git ended when it is too large. */
async function watched<T>(call: GitCall, cwd: string, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const timer = setInterval(() => {
    if (packedBytes(join(cwd, 'objects', 'pack')) <= limits.gitFetchBytes) return;
    const what = `the branch of ${withoutSecrets(call.name.text)}`;
    stop.abort(new BullaError('io.too-large', `${what} is larger than ${limits.gitFetchBytes} bytes`));
  }, 100);
  try {
    return await run(stop.signal);
  } finally {
    clearInterval(timer);
  }
}

function packedBytes(folder: string): number {
  try {
    return readdirSync(folder)
      .map((each) => statSync(join(folder, each), { throwIfNoEntry: false })?.size ?? 0)
      .reduce((sum, size) => sum + size, 0);
  } catch {
    // not there yet
    return 0;
  }
}
