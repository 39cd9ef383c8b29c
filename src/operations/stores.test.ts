import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { sampleSignature, temporaryStore } from '../../test/support/store-samples.ts';
import { isBullaError } from '../base/errors.ts';
import { checkStore as checkNamed, type StoreCheck } from './store/check.ts';
import { parseStoreName } from './store/name.ts';
import { mergeStores as mergeNamed, type StoreMerge } from './stores.ts';

const image = `ns/app@sha256=${'ab'.repeat(32)}`;

const checkStore = (path: string): Promise<StoreCheck> => checkNamed(parseStoreName(path, '/'));
const mergeStores = (from: string, to: string, options = {}): Promise<StoreMerge> =>
  mergeNamed(parseStoreName(from, '/'), parseStoreName(to, '/'), options);

test('a sound store has no findings', async () => {
  using store = temporaryStore();
  store.put(`${image}/signature-1`, sampleSignature('a'));
  store.put(`${image}/signature-2`, sampleSignature('b'));
  store.put(`sha256=${'cd'.repeat(32)}/signature-1`, sampleSignature('c'));
  deepEqual(await checkStore(store.path), { images: 2, signatures: 3, findings: [] });
  deepEqual(await checkStore(join(store.path, image)), { images: 1, signatures: 2, findings: [] });
});

test('everything that misleads readers is found and named', async () => {
  using store = temporaryStore();
  const whole = sampleSignature('whole');
  store.put(`${image}/signature-1`, whole);
  store.put(`${image}/signature-2`, '');
  store.put(`${image}/signature-3`, '<html>');
  store.put(`${image}/signature-4`, whole.subarray(0, -5));
  store.put(`${image}/signature-5`, whole);
  store.put(`${image}/signature-7`, sampleSignature('hidden'));
  store.put(`${image}/signature-01`, whole);
  store.put(`${image}/.bulla-tmp-1-a`, 'x');
  store.put(`ns/app@sha256:${'ab'.repeat(32)}/signature-1`, whole);
  symlinkSync('signature-1', join(store.path, image, 'signature-8'));
  const { findings, images, signatures } = await checkStore(store.path);
  deepEqual({ images, signatures }, { images: 1, signatures: 5 });
  const found = findings.map(({ kind, weight, path, code }) =>
    `${weight} ${kind} ${path.slice(store.path.length + 1).replace(`${image}/`, '')} ${code ?? ''}`.trim(),
  );
  deepEqual(found.sort(), [
    'problem broken signature-2 signature.empty',
    'problem broken signature-3 signature.unrecognized',
    'problem broken signature-4 signature.malformed',
    'problem gap signature-6',
    'problem hidden signature-7',
    'remark duplicate signature-5',
    `remark foreign ns/app@sha256:${'ab'.repeat(32)}/signature-1`,
    'remark foreign signature-01',
    'remark leftover .bulla-tmp-1-a',
    'remark link signature-8',
  ]);
});

test('what another store has otherwise under the same name is a conflict', async () => {
  using ours = temporaryStore();
  using theirs = temporaryStore();
  for (const [store, text] of [
    [ours, 'ours'],
    [theirs, 'theirs'],
  ] as const) {
    store.put(`${image}/signature-1`, sampleSignature('both'));
    store.put(`${image}/signature-2`, sampleSignature(text));
  }
  ours.put(`${image}/signature-3`, sampleSignature('only here'));
  const [a, b] = [ours, theirs].map(({ path }) => parseStoreName(path, '/'));
  if (a === undefined || b === undefined) throw new Error('two stores');
  const { findings } = await checkNamed(a, { against: b });
  deepEqual(
    findings.map(({ kind, weight, path }) => `${weight} ${kind} ${path}`),
    [`problem conflict ${ours.path}/${image}/signature-2`],
  );
  deepEqual((await checkNamed(a, { against: a })).findings, []);
});

test('128 signatures are too many', async () => {
  using store = temporaryStore();
  for (let n = 1; n <= 128; n += 1) store.put(`${image}/signature-${n}`, sampleSignature(`${n}`));
  const { findings } = await checkStore(store.path);
  deepEqual(
    findings.map(({ kind }) => kind),
    ['too-many'],
  );
});

test('a store that is not there is an error', async () => {
  await rejects(checkStore('/nonexistent/store'), (error: unknown) => isBullaError(error, 'io.not-found'));
  await rejects(mergeStores('/nonexistent/store', join(tmpdir(), 'x'), { dryRun: true }), (error: unknown) =>
    isBullaError(error, 'io.not-found'),
  );
});

test('merging adds what is missing, replaces nothing, and does nothing the second time', async () => {
  using from = temporaryStore();
  using to = temporaryStore();
  from.put(`${image}/signature-1`, sampleSignature('a'));
  from.put(`${image}/signature-2`, sampleSignature('b'));
  from.put(`other@sha256=${'cd'.repeat(32)}/signature-1`, sampleSignature('c'));
  to.put(`${image}/signature-1`, sampleSignature('theirs'));
  to.put(`${image}/signature-2`, sampleSignature('b'));
  const dry = await mergeStores(from.path, to.path, { dryRun: true });
  equal(dry.added.length, 2);
  deepEqual(readdirSync(join(to.path, image)).length, 2);
  const first = await mergeStores(from.path, to.path);
  deepEqual(first, {
    added: [
      { from: join(from.path, image, 'signature-1'), to: join(to.path, image, 'signature-3') },
      {
        from: join(from.path, `other@sha256=${'cd'.repeat(32)}/signature-1`),
        to: join(to.path, `other@sha256=${'cd'.repeat(32)}/signature-1`),
      },
    ],
    present: 1,
    skipped: [],
  });
  deepEqual(new Uint8Array(readFileSync(join(to.path, image, 'signature-1'))), sampleSignature('theirs'));
  deepEqual(dry, first, 'a dry run tells what happens');
  const second = await mergeStores(from.path, to.path);
  deepEqual([second.added, second.present], [[], 3]);
});

test('merging passes over what is no whole signature, and follows no link', async () => {
  using from = temporaryStore();
  using to = temporaryStore();
  using elsewhere = temporaryStore();
  elsewhere.put(`${image}/signature-1`, sampleSignature('secret'));
  symlinkSync(join(elsewhere.path, 'ns'), join(from.path, 'linked'));
  from.put(`${image}/signature-1`, '<html>');
  from.put(`${image}/signature-3`, sampleSignature('behind a gap'));
  symlinkSync(join(elsewhere.path, image, 'signature-1'), join(from.path, image, 'signature-4'));
  const { added, skipped } = await mergeStores(from.path, to.path);
  deepEqual(
    added.map(({ to: path }) => path),
    [join(to.path, image, 'signature-1')],
  );
  deepEqual(skipped.map(({ kind }) => kind).sort(), ['broken', 'link', 'link']);
});

test('an image that is full keeps nobody else’s signatures from arriving', async () => {
  using from = temporaryStore();
  using to = temporaryStore();
  const other = `other@sha256=${'cd'.repeat(32)}`;
  for (let n = 1; n <= 127; n += 1) to.put(`${image}/signature-${n}`, sampleSignature(`${n}`));
  from.put(`${image}/signature-1`, sampleSignature('one more'));
  from.put(`${other}/signature-1`, sampleSignature('other'));
  for (const dryRun of [true, false]) {
    const { added, skipped } = await mergeStores(from.path, to.path, { dryRun });
    deepEqual(
      added.map(({ to: path }) => path),
      [join(to.path, other, 'signature-1')],
    );
    deepEqual(
      skipped.map(({ kind, weight, code }) => [kind, weight, code]),
      [['too-many', 'problem', 'store.too-many-signatures']],
    );
  }
});

test('of what nobody wants a thousand of a kind are named, and the rest counted', async () => {
  using from = temporaryStore();
  using to = temporaryStore();
  for (let n = 0; n < 1003; n += 1) from.put(`junk/${n}`, '');
  from.put(`${image}/signature-1`, '');
  for (const { found, omitted } of [
    await mergeStores(from.path, to.path).then(({ skipped, ...rest }) => ({ found: skipped, ...rest })),
    await checkStore(from.path).then(({ findings, ...rest }) => ({ found: findings, ...rest })),
  ]) {
    equal(found.length, 1001);
    equal(omitted, 3);
    equal(found.filter(({ kind }) => kind === 'broken').length, 1, 'a problem is not lost among remarks');
  }
});

test('a store is not merged into itself or a part of itself', async () => {
  using store = temporaryStore();
  store.put(`${image}/signature-1`, sampleSignature('a'));
  mkdirSync(join(store.path, 'inner'));
  symlinkSync(store.path, `${store.path}-link`);
  try {
    for (const [from, to] of [
      [store.path, store.path],
      [store.path, join(store.path, 'inner')],
      [join(store.path, 'ns'), store.path],
      [`${store.path}-link`, store.path],
    ] as const) {
      await rejects(
        mergeStores(from, to),
        (error: unknown) => isBullaError(error, 'usage.invalid'),
        `${from} ${to}`,
      );
    }
  } finally {
    rmSync(`${store.path}-link`);
  }
});

test('merges of two stores at the same time lose nothing', async () => {
  using one = temporaryStore();
  using two = temporaryStore();
  using to = temporaryStore();
  for (let n = 1; n <= 10; n += 1) one.put(`${image}/signature-${n}`, sampleSignature(`one ${n}`));
  cpSync(one.path, two.path, { recursive: true });
  for (let n = 11; n <= 20; n += 1) two.put(`${image}/signature-${n}`, sampleSignature(`two ${n}`));
  await Promise.all([mergeStores(one.path, to.path), mergeStores(two.path, to.path)]);
  deepEqual(await checkStore(to.path), { images: 1, signatures: 20, findings: [] });
});

test('what names a store', () => {
  const pathOf = (text: string, cwd: string): string | undefined => {
    const name = parseStoreName(text, cwd);
    return name.kind === 'folder' ? name.path : undefined;
  };
  equal(pathOf('a/b', '/srv'), '/srv/a/b');
  equal(pathOf('/a', '/srv'), '/a');
  equal(pathOf('file:///a%20b', '/srv'), '/a b');
  for (const text of [
    'https://sigs.example.com',
    's3://bucket/x',
    'file://host/x',
    'docker://app',
    'web:/srv/sigs',
  ]) {
    throws(
      () => parseStoreName(text, '/srv'),
      (error: unknown) => isBullaError(error, 'store.unsupported'),
      text,
    );
  }
});
