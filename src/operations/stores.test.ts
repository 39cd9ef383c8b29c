import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { concatBytes, utf8 } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { encodePacket } from '../keys/openpgp/packets.ts';
import { checkStore, mergeStores, storeFolder } from './stores.ts';

const image = `ns/app@sha256=${'ab'.repeat(32)}`;

/** Packets of a signed message, unsigned in truth: one-pass signature, literal data, signature. */
function signature(text: string): Uint8Array {
  const onePass = encodePacket(4, new Uint8Array([3, 0, 8, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1]));
  const literal = encodePacket(11, concatBytes(utf8('b'), new Uint8Array(5), utf8(text)));
  const body = new Uint8Array([4, 0, 1, 8, 0, 6, 5, 2, 0x65, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 8, 0xff]);
  return concatBytes(onePass, literal, encodePacket(2, body));
}

type Folder = { readonly path: string; put(name: string, bytes: Uint8Array | string): void } & Disposable;

function temporaryStore(): Folder {
  const path = mkdtempSync(join(tmpdir(), 'bulla-store-'));
  return {
    path,
    put(name, bytes) {
      const file = join(path, name);
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, bytes);
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

test('a sound store has no findings', async () => {
  using store = temporaryStore();
  store.put(`${image}/signature-1`, signature('a'));
  store.put(`${image}/signature-2`, signature('b'));
  store.put(`sha256=${'cd'.repeat(32)}/signature-1`, signature('c'));
  deepEqual(await checkStore(store.path), { images: 2, signatures: 3, findings: [] });
  deepEqual(await checkStore(join(store.path, image)), { images: 1, signatures: 2, findings: [] });
});

test('everything that misleads readers is found and named', async () => {
  using store = temporaryStore();
  const whole = signature('whole');
  store.put(`${image}/signature-1`, whole);
  store.put(`${image}/signature-2`, '');
  store.put(`${image}/signature-3`, '<html>');
  store.put(`${image}/signature-4`, whole.subarray(0, -5));
  store.put(`${image}/signature-5`, whole);
  store.put(`${image}/signature-7`, signature('hidden'));
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

test('128 signatures are too many', async () => {
  using store = temporaryStore();
  for (let n = 1; n <= 128; n += 1) store.put(`${image}/signature-${n}`, signature(`${n}`));
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
  from.put(`${image}/signature-1`, signature('a'));
  from.put(`${image}/signature-2`, signature('b'));
  from.put(`other@sha256=${'cd'.repeat(32)}/signature-1`, signature('c'));
  to.put(`${image}/signature-1`, signature('theirs'));
  to.put(`${image}/signature-2`, signature('b'));
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
  deepEqual(new Uint8Array(readFileSync(join(to.path, image, 'signature-1'))), signature('theirs'));
  deepEqual(dry, first, 'a dry run tells what happens');
  const second = await mergeStores(from.path, to.path);
  deepEqual([second.added, second.present], [[], 3]);
});

test('merging passes over what is no whole signature, and follows no link', async () => {
  using from = temporaryStore();
  using to = temporaryStore();
  using elsewhere = temporaryStore();
  elsewhere.put(`${image}/signature-1`, signature('secret'));
  symlinkSync(join(elsewhere.path, 'ns'), join(from.path, 'linked'));
  from.put(`${image}/signature-1`, '<html>');
  from.put(`${image}/signature-3`, signature('behind a gap'));
  symlinkSync(join(elsewhere.path, image, 'signature-1'), join(from.path, image, 'signature-4'));
  const { added, skipped } = await mergeStores(from.path, to.path);
  deepEqual(
    added.map(({ to: path }) => path),
    [join(to.path, image, 'signature-1')],
  );
  deepEqual(skipped.map(({ kind }) => kind).sort(), ['broken', 'link', 'link']);
});

test('a store is not merged into itself or a part of itself', async () => {
  using store = temporaryStore();
  store.put(`${image}/signature-1`, signature('a'));
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
  for (let n = 1; n <= 10; n += 1) one.put(`${image}/signature-${n}`, signature(`one ${n}`));
  cpSync(one.path, two.path, { recursive: true });
  for (let n = 11; n <= 20; n += 1) two.put(`${image}/signature-${n}`, signature(`two ${n}`));
  await Promise.all([mergeStores(one.path, to.path), mergeStores(two.path, to.path)]);
  deepEqual(await checkStore(to.path), { images: 1, signatures: 20, findings: [] });
});

test('what names a store', () => {
  equal(storeFolder('a/b', '/srv'), '/srv/a/b');
  equal(storeFolder('/a', '/work'), '/a');
  equal(storeFolder('file:///a%20b', '/work'), '/a b');
  for (const text of ['https://sigs.example.com', 's3://bucket/x', 'file://host/x', 'docker://app']) {
    throws(
      () => storeFolder(text, '/work'),
      (error: unknown) => isBullaError(error, 'store.unsupported'),
      text,
    );
  }
});
