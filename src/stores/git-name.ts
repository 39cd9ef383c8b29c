/** Which git repository, branch and folder a store is: `git+file:`, `git+https:` or `git+ssh:`, then `#branch:folder`. */
import { resolve } from 'node:path';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';

export type GitStoreName = {
  readonly kind: 'git';
  /** What git is given: an absolute path, or an https or ssh URL without a password. */
  readonly remote: string;
  readonly scheme: 'file' | 'https' | 'ssh';
  /** Undefined: the repository's own default. */
  readonly branch: string | undefined;
  /** Where the store lies in the repository; empty for its root. */
  readonly folder: string;
  /** For people: as it was written. */
  readonly text: string;
};

/** True for what is written as a git repository, whether or not it can be used. */
export function isGitStoreName(text: string): boolean {
  // git@host:path is how git hosts write it, and looks like a folder
  if (/^[^/:\s]+@[^/:\s]+:/.test(text)) return true;
  return /^(?:git\+[a-z]+|git|ssh|ext|fd):/i.test(text) || /^[a-z][a-z0-9+.-]*::/i.test(text);
}

/**
 * Reads a repository's name. `git+file:` takes an absolute path as a URL has it (`git+file:///srv/sigs.git`), or any
 * path as it is (`git+file:sigs.git`).
 * @param cwd what a relative path is relative to
 * @throws BullaError `store.unsupported` for other transports, `usage.invalid`
 */
export function parseGitStoreName(text: string, cwd: string): GitStoreName {
  const [, scheme = '', rest = '', fragment] = /^git\+(file|https|ssh):([^#]*)(?:#(.*))?$/s.exec(text) ?? [];
  if (scheme === '') throw unsupported(text);
  // also keeps a line feed out of what is sent to git line by line
  if (/[\u0000-\u001f\u007f]/.test(text)) throw invalid(text, 'it has a control character');
  const remote = scheme === 'file' ? resolve(cwd, filePath(rest, text)) : remoteUrl(scheme, rest, text);
  return { kind: 'git', remote, scheme: scheme as 'file', ...parseFragment(fragment, text), text };
}

/** `branch`, `branch:folder` or `:folder`. */
function parseFragment(
  fragment: string | undefined,
  text: string,
): { branch: string | undefined; folder: string } {
  if (fragment === undefined) return { branch: undefined, folder: '' };
  const colon = fragment.indexOf(':');
  const branch = colon < 0 ? fragment : fragment.slice(0, colon);
  const folder = (colon < 0 ? '' : fragment.slice(colon + 1)).replace(/^\/+|\/+$/g, '');
  if (branch === '' && folder === '') throw invalid(text, 'nothing stands behind its #');
  if (branch !== '' && !isBranchName(branch)) throw invalid(text, `${branch} is no branch`);
  if (folder !== '' && !isSafePath(folder)) throw invalid(text, `${folder} is no folder`);
  return { branch: branch === '' ? undefined : branch, folder };
}

/** Stricter than git: a name that no program takes for an option, a revision or several. */
export function isBranchName(name: string): boolean {
  const part = '[A-Za-z0-9_][A-Za-z0-9_.+-]*';
  return (
    new RegExp(`^${part}(?:/${part})*$`).test(name) &&
    !/\.\.|\.(?:\/|$)|\.lock(?:\/|$)/.test(name) &&
    name !== 'HEAD' &&
    name.length <= 200
  );
}

/**
 * Whether a path in a repository may become a path on disk, and the other way round: no part of it leads up, is
 * git's own, is too long for a file system, or holds what would break a line.
 */
export function isSafePath(path: string): boolean {
  return path
    .split('/')
    .every(
      (part) =>
        part !== '' &&
        part !== '.' &&
        part !== '..' &&
        !/[\u0000-\u001f\u007f\\\ufffd]/.test(part) &&
        !isGitsOwn(part) &&
        Buffer.byteLength(part) <= 255,
    );
}

/** `.git` in all spellings that some file system takes for it. */
export function isGitsOwn(part: string): boolean {
  return /^(?:\.git|git~[0-9]+)[ .]*$/i.test(
    part.replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, ''),
  );
}

function filePath(rest: string, text: string): string {
  if (!rest.startsWith('//')) {
    if (rest === '') throw invalid(text, 'it has no path');
    return rest;
  }
  const path = /^\/\/(?:localhost)?(\/.*)$/i.exec(rest)?.[1];
  if (path === undefined) throw invalid(text, 'a file URL is git+file:// and an absolute path');
  try {
    const decoded = decodeURIComponent(path);
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // a broken escape: the same answer as for a zero byte
  }
  throw invalid(text, 'its path is not well escaped');
}

function remoteUrl(scheme: string, rest: string, text: string): string {
  const url = URL.parse(`${scheme}:${rest}`);
  if (url === null || !rest.startsWith('//') || url.hostname === '') throw invalid(text, 'it has no host');
  if (url.password !== '' || (scheme === 'https' && url.username !== '')) {
    // it would stand in the arguments of a process, which all users of the machine can read
    throw new BullaError('usage.invalid', 'the URL of a git repository has credentials in it', {
      hint: 'leave them out, and let a credential helper of git’s have them (git config credential.helper)',
    });
  }
  if (url.search !== '') throw invalid(text, 'it has a query');
  // ssh and its kin take a name that begins so for an option
  if (`${url.username} ${url.hostname}`.split(' ').some((part) => decodeURIComponent(part).startsWith('-')))
    throw invalid(text, 'its host or user begins with a hyphen');
  if (url.pathname.length < 2) throw invalid(text, 'it has no path');
  return `${scheme}:${rest}`;
}

function unsupported(text: string): BullaError {
  const [, user, path] = /^([^/:\s]+@[^/:\s]+):\/*(.+)$/.exec(text) ?? [];
  if (user !== undefined && path !== undefined) {
    return new BullaError('store.unsupported', `${printable(text)} is written as no store is`, {
      hint: `write git+ssh://${printable(user)}/${printable(path)}`,
    });
  }
  return new BullaError(
    'store.unsupported',
    `${withoutSecrets(text)} is no git repository that Bulla reaches`,
    {
      hint: 'write git+file:///path, git+https://host/path or git+ssh://host/path, then #branch or #branch:folder',
    },
  );
}

function invalid(text: string, why: string): BullaError {
  return new BullaError(
    'usage.invalid',
    `${withoutSecrets(text)} names no git repository: ${printable(why)}`,
  );
}

/** A URL for people. */
export function withoutSecrets(text: string): string {
  return printable(text.replace(/\/\/[^/@\s]*@/g, '//').replace(/\?[^#\s]*/g, ''), 500);
}
