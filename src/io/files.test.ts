import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import {
  createFile,
  createFirstFree,
  exists,
  fileError,
  makeFolder,
  readBoundedFile,
  readFileIfThere,
  replaceFile,
} from './files.ts';
import { openTemporary } from './temporary-file.ts';

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-files-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const hasCode =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    isBullaError(error, code);

test('a file is read up to its limit and no byte more', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a');
  writeFileSync(path, 'four');
  deepEqual(await readBoundedFile(path, 4), utf8('four'));
  await rejects(readBoundedFile(path, 3), hasCode('io.too-large'));
  await rejects(readBoundedFile('/dev/zero', 1000), hasCode('io.too-large'));
  deepEqual(await readBoundedFile('/dev/null', 10), new Uint8Array());
  await rejects(readBoundedFile(folder.path, 10_000), hasCode('io.failed'));
  await rejects(readBoundedFile(join(folder.path, 'b'), 1), hasCode('io.not-found'));
  equal(await readFileIfThere(join(folder.path, 'b'), 1), undefined);
  equal(await exists(path), true);
  equal(await exists(join(path, 'below a file')), false);
});

test('a file is replaced whole, with its mode, and nothing stays beside it', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a');
  await replaceFile(path, utf8('one'), 0o600);
  equal(statSync(path).mode & 0o777, 0o600);
  await replaceFile(path, utf8('two'));
  equal(readFileSync(path, 'utf8'), 'two');
  deepEqual(readdirSync(folder.path), ['a']);
  mkdirSync(join(folder.path, 'folder'));
  await rejects(replaceFile(join(folder.path, 'folder'), utf8('x')), hasCode('io.failed'));
  await rejects(replaceFile(join(folder.path, 'none', 'a'), utf8('x')), hasCode('io.not-found'));
  deepEqual(readdirSync(folder.path).sort(), ['a', 'folder']);
});

test('a file is created once; creators at the same time get different names', async () => {
  using folder = temporaryFolder();
  const path = (n: number): string => join(folder.path, `${n}`);
  equal(await createFile(path(0), utf8('first')), true);
  equal(await createFile(path(0), utf8('second')), false);
  equal(readFileSync(path(0), 'utf8'), 'first');
  const create = async (text: string): Promise<string | undefined> => {
    let n = 0;
    return createFirstFree(path(n), utf8(text), async () => path((n += 1)));
  };
  const made = await Promise.all(Array.from({ length: 12 }, (_, n) => create(`text ${n}`)));
  equal(new Set(made).size, 12);
  for (const [n, each] of made.entries()) equal(readFileSync(each ?? '', 'utf8'), `text ${n}`);
  equal(await createFirstFree(path(0), utf8('x'), async () => undefined), undefined);
  equal(readdirSync(folder.path).length, 13);
});

test('a mode that is exact holds whatever the umask', async () => {
  using folder = temporaryFolder();
  const umask = process.umask(0o077);
  try {
    await makeFolder(join(folder.path, 'a', 'b'), { exact: 0o755 });
    await createFirstFree(join(folder.path, 'a', 'b', 'c'), utf8('x'), async () => undefined, {
      exact: 0o644,
    });
    await makeFolder(join(folder.path, 'private'));
  } finally {
    process.umask(umask);
  }
  const modeOf = (...parts: readonly string[]): number => statSync(join(folder.path, ...parts)).mode & 0o777;
  deepEqual(
    [modeOf('a'), modeOf('a', 'b'), modeOf('a', 'b', 'c'), modeOf('private')],
    [0o755, 0o755, 0o644, 0o700],
  );
});

test('a file in the making appears when it is complete, or never', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'blob');
  {
    await using given = await openTemporary(path);
    await given.write(utf8('never'));
  }
  deepEqual(readdirSync(folder.path), []);
  {
    await using kept = await openTemporary(path);
    await kept.write(utf8('in '));
    equal(await exists(path), false);
    await kept.write(utf8('parts'));
    await kept.replace();
  }
  equal(readFileSync(path, 'utf8'), 'in parts');
  deepEqual(readdirSync(folder.path), ['blob']);
});

test('folders are made with those above them; a file in the way is an error', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a', 'b', 'c');
  await makeFolder(path);
  await makeFolder(path);
  equal(statSync(path).isDirectory(), true);
  writeFileSync(join(folder.path, 'file'), '');
  await rejects(makeFolder(join(folder.path, 'file', 'x')), hasCode('io.not-found'));
});

test('errors of the system have their codes', () => {
  const codeOf = (system: string, tried: 'read' | 'write'): string =>
    fileError(Object.assign(new Error('x'), { code: system }), '/p', tried).code;
  equal(codeOf('ENOSPC', 'write'), 'io.no-space');
  equal(codeOf('EDQUOT', 'write'), 'io.no-space');
  equal(codeOf('EROFS', 'write'), 'io.read-only');
  equal(codeOf('EACCES', 'write'), 'io.read-only');
  equal(codeOf('EACCES', 'read'), 'io.failed');
  equal(codeOf('EIO', 'write'), 'io.failed');
});
