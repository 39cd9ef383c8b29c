import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import fc from 'fast-check';

import { forgeEntry, forgePax, forgeTar } from '../../test/support/tar-forge.ts';
import { isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { piecesOf } from './blob-file.ts';
import { openTarArchive, type TarOptions } from './tar-read.ts';

function temporaryFile(bytes: Uint8Array): { path: string; folder: string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'bulla-tar-'));
  const path = join(folder, 'a.tar');
  writeFileSync(path, bytes);
  return { path, folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

async function contents(bytes: Uint8Array, options?: TarOptions): Promise<Record<string, string>> {
  using file = temporaryFile(bytes);
  await using archive = await openTarArchive(file.path, options);
  const found: Record<string, string> = {};
  for (const [name, each] of archive.files) {
    found[name] = Buffer.from(await archive.read(each, 1_000_000)).toString();
    const pieces: Uint8Array[] = [];
    for await (const piece of piecesOf(archive.source(each))) pieces.push(piece);
    equal(Buffer.concat(pieces).toString(), found[name]);
  }
  return found;
}

async function refused(bytes: Uint8Array, code: string, what = '', options?: TarOptions): Promise<void> {
  await rejects(
    contents(bytes, options),
    (error: unknown) => isBullaError(error) && error.code === code,
    what,
  );
}

const large = 'x'.repeat(700_001);

test('files are found where they are, whatever the archive is packed with', async () => {
  const bytes = forgeTar(
    { name: './', type: '5' },
    { name: 'a', content: 'A' },
    { name: './b/', type: '5' },
    { name: './b/c', content: large },
    { name: 'empty' },
    forgePax({ path: `${'long/'.repeat(40)}name` }),
    { name: 'short', content: 'last' },
  );
  const wanted = { a: 'A', 'b/c': large, empty: '', [`${'long/'.repeat(40)}name`]: 'last' };
  deepEqual(await contents(bytes), wanted);
  deepEqual(await contents(gzipSync(bytes)), wanted);
  deepEqual(await contents(zstdCompressSync(bytes)), wanted);
  deepEqual(
    await contents(bytes.subarray(0, -1024)),
    wanted,
    'without the blocks that end it, as the peers read it',
  );
});

test('unpacking an archive leaves nothing in TMPDIR', async () => {
  using file = temporaryFile(gzipSync(forgeTar({ name: 'a', content: 'A' })));
  const before = process.env['TMPDIR'];
  const own = join(file.folder, 'tmp');
  mkdirSync(own);
  process.env['TMPDIR'] = own;
  try {
    await using archive = await openTarArchive(file.path);
    equal(archive.files.size, 1);
    deepEqual(readdirSync(own), []);
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
});

test('names that lead out of the archive, and names that are there twice, are refused', async () => {
  for (const name of ['../evil', 'a/../../evil', '/etc/passwd', 'a\\b', '..'])
    await refused(forgeTar({ name: 'a', content: 'A' }, { name, content: 'x' }), 'image.malformed', name);
  await refused(forgeTar(forgePax({ path: '../evil' }), { name: 'fine' }), 'image.malformed', 'by pax');
  await refused(forgeTar({ name: '../', type: '5' }, { name: 'a' }), 'image.malformed', 'a folder');
  await refused(
    forgeTar({ name: 'a', content: '1' }, { name: 'a', content: '2' }),
    'image.malformed',
    'twice',
  );
  await refused(forgeTar({ name: 'a' }, { name: './/a' }), 'image.malformed', 'twice, spelt otherwise');
});

test('what is no plain file is refused', async () => {
  const first = { name: 'a', content: 'A' };
  for (const type of ['1', '2', '3', '4', '6', '7', 'S', 'V', 'Z'])
    await refused(forgeTar(first, { name: 'b', type, link: 'a' }), 'image.malformed', `type ${type}`);
  await refused(
    forgeTar(forgePax({ 'GNU.sparse.major': '1', 'GNU.sparse.realsize': '999999999' }), first),
    'image.malformed',
    'sparse by pax',
  );
});

test('a folder with a content, and a file named as a folder, are refused: programs differ in what follows it, and one waits for ever', async () => {
  const file = { name: 'a', content: 'A' };
  for (const size of [1, 512, 10_000])
    await refused(forgeTar({ name: 'folder/', type: '5', size }, file), 'image.malformed');
  await refused(forgeTar(forgePax({ size: '1' }), { name: 'folder/', type: '5' }, file), 'image.malformed');
  await refused(forgeTar({ name: 'folder/', type: '0', content: 'x' }, file), 'image.malformed');
  await refused(forgeTar({ name: 'folder/', type: '\0' }, file), 'image.malformed');
});

test('a docker-archive’s links stay inside', async () => {
  const options = { links: 'keep' } as const;
  const layer = { name: 'l.tar', content: 'L' };
  using file = temporaryFile(forgeTar(layer, { name: 'x/layer.tar', type: '2', link: '../l.tar' }));
  await using archive = await openTarArchive(file.path, options);
  deepEqual([...archive.links], [['x/layer.tar', 'l.tar']]);
  for (const link of ['../../l.tar', '/etc/passwd', ''])
    await refused(forgeTar(layer, { name: 'x/y', type: '2', link }), 'image.malformed', link, options);
  await refused(forgeTar(layer, { name: 'x', type: '1', link: 'l.tar' }), 'image.malformed', 'hard', options);
});

test('an archive that ends early, or has something behind its end, is refused', async () => {
  const bytes = forgeTar({ name: 'a', content: large });
  for (const length of [100, 512, 600, 1024 + 700_000, 700_000])
    await refused(bytes.subarray(0, length), 'image.malformed', `${length} bytes`);
  await refused(Buffer.concat([bytes, forgeEntry({ name: 'b', content: 'B' })]), 'image.malformed', 'behind');
  await refused(forgeTar({ name: 'a', size: '77777777777\0' }), 'image.malformed', 'a size it has not');
  await refused(
    forgeTar({ name: 'a', size: '\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff' }),
    'image.malformed',
    'a size no number has',
  );
  await refused(
    forgeTar(forgePax({ size: '99999999999' }), { name: 'a' }),
    'image.malformed',
    'a size by pax',
  );
});

test('what is no archive is refused', async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(10_240), Buffer.from('{}'), Buffer.alloc(5000, 'x')])
    await refused(bytes, 'image.malformed');
  await refused(gzipSync(Buffer.alloc(5000, 'x')), 'image.malformed');
  await refused(gzipSync(forgeTar({ name: 'a', content: large })).subarray(0, 600), 'image.malformed', 'cut');
  await refused(Buffer.from('BZh91AY&SY'), 'image.unsupported');
  await rejects(openTarArchive('/nowhere/a.tar'), (error: unknown) => isBullaError(error, 'image.not-found'));
  await rejects(openTarArchive(tmpdir()), (error: unknown) => isBullaError(error, 'image.malformed'));
});

test('too many entries are refused', async () => {
  const entries = Array.from({ length: limits.archiveEntries + 1 }, (_, n) =>
    forgeEntry({ name: `${n}`, type: '5' }),
  );
  await refused(Buffer.concat(entries), 'image.too-large');
});

test('a compressed archive that grows out of proportion is refused', async () => {
  // members behind each other are one stream
  const member = gzipSync(Buffer.alloc(16_777_216));
  const members = Array.from({ length: limits.unpackedFreely / 16_777_216 + 1 }, () => member);
  await refused(Buffer.concat(members), 'image.too-large');
});

test('any bytes: an archive or a refusal, never anything else', async () => {
  const good = forgeTar({ name: 'a', content: 'A' }, { name: 'b', content: 'B'.repeat(600) });
  const change = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(change, fc.nat(good.length), async (changes, cut) => {
      const bytes = Buffer.from(good);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        await contents(bytes.subarray(0, cut));
      } catch (error) {
        ok(isBullaError(error) && error.code.startsWith('image.'), String(error));
      }
    }),
    { numRuns: 100 },
  );
});
