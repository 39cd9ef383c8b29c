/** Signature stores carried by the real rsync: nothing is rewritten, nothing is lost, and what would be lost is found. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { checkStore, type Finding } from '../../src/operations/store/check.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';
import { sampleFolder, sampleSignature } from '../support/store-samples.ts';

const image = sampleFolder(1);

function put(bench: Bench, name: string, text: string): void {
  const path = bench.path(name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, sampleSignature(text));
}

/** `mode path` of everything below, and when files were written. */
function treeOf(folder: string): readonly { readonly line: string; readonly written: number }[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const { mode, mtimeMs } = statSync(join(folder, name));
      return { line: `${(mode & 0o7777).toString(8)} ${name}`, written: mtimeMs };
    })
    .sort((a, b) => (a.line < b.line ? -1 : 1));
}

async function publish(bench: Bench, from: string, to: string): Promise<void> {
  const { exitCode, stderr } = await bench.bulla([
    'store',
    'publish',
    '--quiet',
    bench.path(from),
    bench.path(to),
  ]);
  assert.equal(exitCode, 0, stderr);
}

/** Copies a tree, and gives what rsync says it did: one line for each file that it wrote or changed. */
async function rsync(
  bench: Bench,
  from: string,
  to: string,
  ...more: readonly string[]
): Promise<readonly string[]> {
  const flags = ['-a', '--itemize-changes', ...more];
  const output = await bench.ok('rsync', [...flags, `${bench.path(from)}/`, `${bench.path(to)}/`]);
  return output.split('\n').filter((line) => line !== '');
}

/** What rsync preserves for certain: it takes times within a second for the same, and folders' times are their own. */
function carried(folder: string): readonly string[] {
  return treeOf(folder).map(({ line, written }) =>
    line.startsWith('644 ') ? `${line} ${Math.floor(written / 1000)}` : line,
  );
}

/** The texts of all signatures of the image. */
function texts(bench: Bench, store: string): readonly string[] {
  const folder = bench.path(store, image);
  return readdirSync(folder)
    .map((name) => /b\0{5}(.*?)[\xc0-\xff]/s.exec(readFileSync(join(folder, name), 'latin1'))?.[1] ?? name)
    .sort();
}

async function conflicts(bench: Bench, store: string, against: string): Promise<readonly Finding[]> {
  const [a, b] = [store, against].map((name) => ({ kind: 'folder' as const, path: bench.path(name) }));
  assert.ok(a !== undefined && b !== undefined);
  return (await checkStore(a, { against: b })).findings;
}

test(
  'what is published is carried to a web server and back, readable by all, and written once',
  needs('rsync'),
  async () => {
    await using bench = await openBench();
    put(bench, `staging/${image}/signature-1`, 'a');
    put(bench, `staging/${sampleFolder(2)}/signature-1`, 'b');
    // a signer's own files may be private; what is published may not
    chmodSync(bench.path('staging', image, 'signature-1'), 0o600);
    const umask = process.umask(0o077);
    try {
      await publish(bench, 'staging', 'mirror');
    } finally {
      process.umask(umask);
    }
    assert.deepEqual(
      treeOf(bench.path('mirror')).map(({ line }) => line),
      [
        `644 ${image}/signature-1`,
        `644 ${sampleFolder(2)}/signature-1`,
        '755 ns',
        `755 ${image}`,
        `755 ${sampleFolder(2)}`,
      ],
    );
    assert.equal(statSync(bench.path('mirror')).mode & 0o777, 0o755);
    assert.ok((await rsync(bench, 'mirror', 'web')).length > 0);
    assert.deepEqual(carried(bench.path('web')), carried(bench.path('mirror')));
    await rsync(bench, 'web', 'back');
    assert.deepEqual(carried(bench.path('back')), carried(bench.path('mirror')));

    // nothing new: nothing written, by neither
    const before = treeOf(bench.path('mirror'));
    await publish(bench, 'staging', 'mirror');
    await publish(bench, 'back', 'mirror');
    assert.deepEqual(treeOf(bench.path('mirror')), before);
    assert.deepEqual(await rsync(bench, 'mirror', 'web'), []);
  },
);

test(
  'two machines that sign one image: rsync alone replaces a signature, and the check says so',
  needs('rsync'),
  async () => {
    await using bench = await openBench();
    put(bench, `one/${image}/signature-1`, 'of one');
    // rsync takes two files of one size and one second for the same
    put(bench, `two/${image}/signature-1`, 'of the other');
    await rsync(bench, 'one', 'web');
    const found = await conflicts(bench, 'two', 'web');
    assert.deepEqual(
      found.map(({ kind, weight }) => `${weight} ${kind}`),
      ['problem conflict'],
    );
    const said = await bench.bulla(['store', 'check', bench.path('two'), '--against', bench.path('web')]);
    assert.equal(said.exitCode, 1, said.stderr);
    assert.match(
      said.stdout,
      /problem conflict: .*two\/.*signature-1: another signature than .*web\/.*signature-1/,
    );
    await rsync(bench, 'two', 'web');
    assert.deepEqual(texts(bench, 'web'), ['of the other'], 'that is why');
  },
);

test(
  'two machines that sign one image: fetched, merged and sent, nothing is lost',
  needs('rsync'),
  async () => {
    await using bench = await openBench();
    const machines = ['one', 'two', 'three'];
    for (const machine of machines) put(bench, `${machine}/${image}/signature-1`, `of ${machine}`);
    mkdirSync(bench.path('web'));
    const send = async (
      machine: string,
      meanwhile: () => Promise<void> = async () => undefined,
    ): Promise<void> => {
      const mirror = `mirror-${machine}`;
      for (;;) {
        // signatures are often of one size, and of one second rsync takes them for the same
        await rsync(bench, 'web', mirror, '--checksum');
        await publish(bench, machine, mirror);
        await meanwhile();
        // what another machine sent since is left as it is, and found, and the next round puts ours behind it
        await rsync(bench, mirror, 'web', '--ignore-existing');
        if ((await conflicts(bench, mirror, 'web')).length === 0) return;
        meanwhile = async () => undefined;
      }
    };
    await send('one');
    // the third one comes while the second is between fetching and sending
    await send('two', () => send('three'));
    assert.deepEqual(texts(bench, 'web'), ['of one', 'of three', 'of two']);
    assert.deepEqual((await checkStore({ kind: 'folder', path: bench.path('web') })).findings, []);
    assert.equal(existsSync(bench.path('web', image, 'signature-4')), false);
  },
);

test(
  '10,000 images are merged in bounded memory, and in seconds',
  { ...needs('rsync', 'git'), timeout: 300_000 },
  async () => {
    await using bench = await openBench();
    for (let n = 0; n < 10_000; n += 1)
      put(bench, `staging/${sampleFolder(n, `ns/app${n % 50}`)}/signature-1`, `of ${n} ${'x'.repeat(600)}`);
    await bench.ok('git', ['init', '--quiet', '--bare', bench.path('sigs.git')]);
    const measured = async (from: string, to: string): Promise<number> => {
      const probe = `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(bench.path('peak'))}, String(process.resourceUsage().maxRSS)));`;
      writeFileSync(bench.path('probe.cjs'), probe);
      const env = { NODE_OPTIONS: `--require=${bench.path('probe.cjs')}` };
      const args = ['store', 'publish', '--json', from, to];
      const { exitCode, stdout, stderr } = await bench.bulla(args, { env, timeoutMs: 120_000 });
      assert.equal(exitCode, 0, stderr);
      assert.equal((JSON.parse(stdout) as { added: unknown[] }).added.length, 10_000);
      return Number(readFileSync(bench.path('peak'), 'utf8')) / 1024;
    };
    const git = `git+file://${bench.path('sigs.git')}`;
    for (const [from, to] of [
      [bench.path('staging'), bench.path('web')],
      [bench.path('staging'), git],
      [git, bench.path('fetched')],
    ] as const) {
      const began = performance.now();
      const peak = await measured(from, to);
      console.log(
        `10,000 images to ${to.replace(bench.folder, '')}: ${Math.round(performance.now() - began)} ms, ${Math.round(peak)} MiB`,
      );
      // 6 MiB of signatures, and as much of their names in the answer; the process alone has 70
      assert.ok(peak < 200, `${peak} MiB`);
    }
    assert.deepEqual(await rsync(bench, 'fetched', 'web', '--checksum', '--no-times'), []);
  },
);
