import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { isBullaError } from '../base/errors.ts';
import { isBranchName, isGitStoreName, isSafePath, parseGitStoreName } from './git-name.ts';

const parse = (text: string): unknown => {
  const { remote, branch, folder } = parseGitStoreName(text, '/folder');
  return [remote, branch, folder];
};

test('a repository by file, https and ssh, with branch and folder', () => {
  deepEqual(parse('git+file:///srv/sigs.git'), ['/srv/sigs.git', undefined, '']);
  deepEqual(parse('git+file:///a%20b/%23c'), ['/a b/#c', undefined, '']);
  deepEqual(parse('git+file://localhost/srv/sigs'), ['/srv/sigs', undefined, '']);
  deepEqual(parse('git+file:/srv/sigs'), ['/srv/sigs', undefined, '']);
  deepEqual(parse('git+file:sigs.git#main'), ['/folder/sigs.git', 'main', '']);
  deepEqual(parse('git+file:--upload-pack=x'), ['/folder/--upload-pack=x', undefined, '']);
  deepEqual(parse('git+https://example.com/a/b.git#prod:sig/app/'), [
    'https://example.com/a/b.git',
    'prod',
    'sig/app',
  ]);
  deepEqual(parse('git+https://example.com:8443/a#:sig'), ['https://example.com:8443/a', undefined, 'sig']);
  deepEqual(parse('git+ssh://git@example.com:2222/a.git'), [
    'ssh://git@example.com:2222/a.git',
    undefined,
    '',
  ]);
});

for (const [text, code] of [
  ['ext::sh -c id', 'store.unsupported'],
  ['fd::3', 'store.unsupported'],
  ['git@git.example.com:org/sigs.git', 'store.unsupported'],
  ['ssh://git@example.com/a', 'store.unsupported'],
  ['git://example.com/a', 'store.unsupported'],
  ['git+http://example.com/a', 'store.unsupported'],
  ['git+git://example.com/a', 'store.unsupported'],
  ['git+ext::sh -c id', 'store.unsupported'],
  ['GIT+FILE:///srv/x', 'store.unsupported'],
  ['git+file:', 'usage.invalid'],
  ['git+file://host/x', 'usage.invalid'],
  ['git+file:///a%zz', 'usage.invalid'],
  ['git+file:///a%00', 'usage.invalid'],
  ['git+file:///a\nb', 'usage.invalid'],
  ['git+https:/x', 'usage.invalid'],
  ['git+https://', 'usage.invalid'],
  ['git+https://example.com', 'usage.invalid'],
  ['git+https://example.com/a?token=secret', 'usage.invalid'],
  ['git+https://user:secret@example.com/a', 'usage.invalid'],
  ['git+https://secret@example.com/a', 'usage.invalid'],
  ['git+ssh://git:secret@example.com/a', 'usage.invalid'],
  ['git+ssh://-oProxyCommand=id/a', 'usage.invalid'],
  ['git+ssh://%2doProxyCommand=id/a', 'usage.invalid'],
  ['git+ssh://-l@example.com/a', 'usage.invalid'],
  ['git+file:/a#', 'usage.invalid'],
  ['git+file:/a#-x', 'usage.invalid'],
  ['git+file:/a#a..b', 'usage.invalid'],
  ['git+file:/a#main:../x', 'usage.invalid'],
  ['git+file:/a#main:a/.git/x', 'usage.invalid'],
] as const) {
  test(`refused: ${JSON.stringify(text)}`, () => {
    ok(isGitStoreName(text));
    throws(
      () => parseGitStoreName(text, '/folder'),
      (error: unknown) => isBullaError(error, code) && !error.message.includes('secret'),
    );
  });
}

test('the way git hosts write it is told in ours', () => {
  throws(
    () => parseGitStoreName('git@git.example.com:org/sigs.git', '/folder'),
    (error: unknown) =>
      isBullaError(error, 'store.unsupported') &&
      error.hint === 'write git+ssh://git@git.example.com/org/sigs.git',
  );
});

test('what names no git repository', () => {
  for (const text of [
    '/srv/sigs.git',
    'sigs.git',
    'file:///srv/sigs',
    'https://example.com/a.git',
    'git',
    'a:b',
  ])
    equal(isGitStoreName(text), false, text);
});

test('branches that no program misreads', () => {
  for (const name of ['main', 'sig/prod', 'v1.2', 'a-b_c']) ok(isBranchName(name), name);
  for (const name of [
    '',
    '-a',
    '/a',
    'a/',
    'a//b',
    'a..b',
    'a.lock',
    'a.lock/b',
    'a.',
    '.a',
    'a b',
    'a~1',
    'a^',
    'a:b',
    '@{u}',
    'HEAD',
    'a\nb',
    '+a',
  ])
    equal(isBranchName(name), false, name);
});

test('paths that are the same in a repository and on disk', () => {
  for (const path of [`ns/app@sha256=${'ab'.repeat(32)}/signature-1`, 'a b', 'ä', '.gitignore', '-x'])
    ok(isSafePath(path), path);
  for (const path of [
    '',
    '/a',
    'a/',
    'a//b',
    '..',
    'a/../b',
    './a',
    '.git',
    'a/.GIT/b',
    '.git ',
    '.g\u200cit',
    'git~1',
    'a\\b',
    'a\nb',
    'x'.repeat(256),
  ])
    equal(isSafePath(path), false, path);
});
