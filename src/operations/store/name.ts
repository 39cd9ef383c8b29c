/** Which store an argument names, and opening it. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import {
  type GitStoreName,
  isGitStoreName,
  parseGitStoreName,
  withoutSecrets,
} from '../../stores/git-name.ts';
import { type GitRepository, openGitRepository } from '../../stores/git-repository.ts';
import { openGitSink } from '../../stores/git-sink.ts';
import { openGitTree } from '../../stores/git-tree.ts';
import { parseLookasideBase } from '../../stores/lookaside-location.ts';
import { openFolderSink, type StoreSink } from '../../stores/store-sink.ts';
import { openFolderTree, type StoreTree } from '../../stores/store-tree.ts';

/** A signature store: a folder (an absolute path), or a branch and folder of a git repository. */
export type StoreName = { readonly kind: 'folder'; readonly path: string } | GitStoreName;

/**
 * Reads a store's name: a path, a file:// URL, or `git+file:`, `git+https:`, `git+ssh:` with `#branch:folder`.
 * @param cwd what a relative path is relative to
 * @throws BullaError `store.unsupported` for other stores, `usage.invalid`
 */
export function parseStoreName(text: string, cwd: string): StoreName {
  if (isGitStoreName(text)) return parseGitStoreName(text, cwd);
  if (!/^[A-Za-z][A-Za-z0-9+.-]+:/.test(text)) return folder(resolve(cwd, text));
  if (/^https?:/i.test(text)) throw overHttp(text);
  if (!text.includes('://') && !text.startsWith('file:')) {
    throw new BullaError('store.unsupported', `${printable(text)} is no folder of this machine`, {
      hint: 'a folder of another machine is carried by rsync; write ./NAME for a folder with a colon in its name',
    });
  }
  const location = parseLookasideBase({ url: text, from: { kind: 'argument', text } });
  if (location.kind === 'file') return folder(location.path);
  throw overHttp(text);
}

/** A bare repository is a folder too, but not one that signatures belong in as they are. */
function folder(path: string): StoreName {
  if (['HEAD', 'objects', 'refs'].every((name) => existsSync(join(path, name)))) {
    throw new BullaError(
      'usage.invalid',
      `${printable(path)} is a git repository, not a folder of signatures`,
      {
        hint: `write git+file:${printable(path)}`,
      },
    );
  }
  return { kind: 'folder', path };
}

function overHttp(text: string): BullaError {
  return new BullaError(
    'store.unsupported',
    `${withoutSecrets(printable(text))} cannot be listed: a web server only answers for names that are known`,
    {
      hint: 'name the folder that the web server serves (by rsync where it is another machine’s), or git+https://… for a git repository',
    },
  );
}

/** Opens a store to read all of it. */
export async function openStoreTree(name: StoreName, env: NodeJS.ProcessEnv): Promise<StoreTree> {
  if (name.kind === 'folder') return openFolderTree(name.path);
  return fetched(name, env, openGitTree);
}

/** Opens a store to add to it. */
export async function openStoreSink(
  name: StoreName,
  env: NodeJS.ProcessEnv,
  options: { readonly dryRun: boolean },
): Promise<StoreSink> {
  if (name.kind === 'folder') return openFolderSink(name.path, options);
  return fetched(name, env, (repository) => openGitSink(repository, options));
}

/** What was fetched goes with the store that is opened, or at once where it cannot be opened. */
async function fetched<T>(
  name: GitStoreName,
  env: NodeJS.ProcessEnv,
  open: (repository: GitRepository) => Promise<T>,
): Promise<T> {
  const repository = await openGitRepository(name, env);
  try {
    return await open(repository);
  } catch (error) {
    await repository[Symbol.asyncDispose]();
    throw error;
  }
}
