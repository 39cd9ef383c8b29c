/** bin/bulla.js: which Node it runs on, what it runs, and how it ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { textOf } from '../src/base/bytes.ts';
import { runProcess } from '../src/io/process.ts';
import { root } from './support/source-files.ts';

type Place = { readonly folder: string; readonly launcher: string };

/** A package of its own around a copy of the launcher. */
async function placeWith(t: TestContext, files: Readonly<Record<string, string>>): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-launcher-'));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'bin'));
  for (const name of ['bulla.js', 'package.json']) {
    await copyFile(join(root, 'bin', name), join(folder, 'bin', name));
  }
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return { folder, launcher: join(folder, 'bin', 'bulla.js') };
}

type Ran = { readonly exitCode: number; readonly stdout: string; readonly stderr: string };

async function run(launcher: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const clean = { PATH: process.env['PATH'], HOME: '/nonexistent', ...env };
  const options = { env: clean, timeoutMs: 20_000, maxBytes: 10_000_000 };
  const result = await runProcess(process.execPath, [launcher, ...args], options);
  return { ...result, stdout: textOf(result.stdout) ?? '' };
}

/** The launcher as an older Node sees it. */
async function onNode(place: Place, version: string): Promise<string> {
  const path = join(place.folder, 'bin', 'old.js');
  const text = await readFile(place.launcher, 'utf8');
  const pretence = `Object.defineProperty(process.versions, 'node', { value: '${version}' });\n`;
  await writeFile(path, text.replace("'use strict';\n", `'use strict';\n${pretence}`));
  return path;
}

const say = (text: string): string =>
  `exports.main = async (argv) => { console.log('${text}', ...argv); return 0; };\n`;
const sayInSource = (text: string): string =>
  `export async function main(argv) { console.log('${text}', ...argv); return 0; }\n`;

test('a checkout runs its source, BULLA_DIST=1 and an installed package run dist', async (t) => {
  const both = await placeWith(t, {
    'src/cli/main.ts': sayInSource('source'),
    'dist/cli/main.cjs': say('dist'),
  });
  assert.equal((await run(both.launcher, ['a', '--b'])).stdout, 'source a --b\n');
  assert.equal((await run(both.launcher, [], { BULLA_DIST: '1' })).stdout, 'dist\n');
  const installed = await placeWith(t, { 'dist/cli/main.cjs': say('dist') });
  assert.equal((await run(installed.launcher, [])).stdout, 'dist\n');
  const unbuilt = await run((await placeWith(t, {})).launcher, []);
  assert.equal(unbuilt.exitCode, 2);
  assert.match(
    unbuilt.stderr,
    /^bulla: there is no dist\/cli\/main\.cjs \[usage\.unsupported\]\nhint: npm run build\n$/,
  );
});

test('it runs on the versions that package.json promises, and no others', async (t) => {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  assert.equal(manifest.engines.node, '^24.15 || >=26', 'then change isSupported in bin/bulla.js');
  const place = await placeWith(t, { 'dist/cli/main.cjs': say('ran') });
  for (const [version, supported] of [
    ['12.22.12', false],
    ['20.20.2', false],
    ['24.14.9', false],
    ['24.15.0', true],
    ['25.9.0', false],
    ['26.0.0', true],
    ['30.1.0', true],
  ] as const) {
    const { exitCode, stderr } = await run(await onNode(place, version), []);
    assert.equal(exitCode, supported ? 0 : 2, version);
    if (!supported) assert.match(stderr, /^bulla: needs Node\.js 26 .*\[usage\.unsupported\]\nhint: .*\n$/);
  }
});

test('on an old Node it hands over to the checkout’s own: arguments, output, exit code', async (t) => {
  const place = await placeWith(t, {});
  const own = join(place.folder, 'node_modules', 'node', 'bin', 'node');
  await mkdir(join(own, '..'), { recursive: true });
  await writeFile(own, '#!/bin/sh\nshift\necho "own node: $*"\nexit 7\n');
  await chmod(own, 0o755);
  const { exitCode, stdout } = await run(await onNode(place, '20.0.0'), ['x', 'y z']);
  assert.deepEqual([exitCode, stdout], [7, 'own node: x y z\n']);
  await writeFile(own, '#!/bin/sh\nkill -TERM $$\n');
  assert.notEqual((await run(await onNode(place, '20.0.0'), [])).exitCode, 0);
});

test('it never starts itself again and again', async (t) => {
  const place = await placeWith(t, {});
  const own = join(place.folder, 'node_modules', 'node', 'bin', 'node');
  await mkdir(join(own, '..'), { recursive: true });
  await symlink(process.execPath, own);
  assert.equal((await run(await onNode(place, '20.0.0'), [])).exitCode, 2);
});

test('a signal reaches the Node that does the work', async (t) => {
  const place = await placeWith(t, {});
  const own = join(place.folder, 'node_modules', 'node', 'bin', 'node');
  await mkdir(join(own, '..'), { recursive: true });
  await writeFile(
    own,
    '#!/bin/sh\ntrap "echo told; exit 9" TERM\necho ready\nfor turn in $(seq 400); do sleep 0.05; done\n',
  );
  await chmod(own, 0o755);
  const child = spawn(process.execPath, [await onNode(place, '20.0.0')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    text += String(chunk);
    if (text === 'ready\n') child.kill('SIGTERM');
  }
  const code = child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)));
  assert.deepEqual([text, code], ['ready\ntold\n', 9]);
});

test('the exit code is main’s, and output is whole', async (t) => {
  const main = `exports.main = async () => { process.stdout.write('x'.repeat(3e6)); return 4; };`;
  const place = await placeWith(t, { 'dist/cli/main.cjs': main });
  const { exitCode, stdout } = await run(place.launcher, []);
  assert.deepEqual([exitCode, stdout.length], [4, 3_000_000]);
});

test('a crash is exit 3 and one line; --debug shows where', async (t) => {
  for (const main of [
    `exports.main = async () => { throw new Error('boom\\nmore'); }`,
    `exports.main = () => { setTimeout(() => { throw new Error('boom'); }, 1); return new Promise(() => {}); }`,
    `exports.main = async () => { void Promise.reject(new Error('boom')); await new Promise(() => {}); }`,
  ]) {
    const place = await placeWith(t, { 'dist/cli/main.cjs': main });
    const { exitCode, stderr } = await run(place.launcher, []);
    assert.equal(exitCode, 3);
    assert.match(stderr, /^bulla: boom \[internal\.bug\]\nhint: .*\n$/);
    assert.match((await run(place.launcher, ['--debug'])).stderr, /main\.cjs:1/);
  }
});

test('a main that never comes to its end is no success', async (t) => {
  const main = `exports.main = () => new Promise(() => {});`;
  const { exitCode, stderr } = await run((await placeWith(t, { 'dist/cli/main.cjs': main })).launcher, []);
  assert.equal(exitCode, 3);
  assert.match(stderr, /^bulla: it ended before it was done \[internal\.bug\]\nhint: .*\n$/);
});

test('a reader that goes away is no error; a full disk is', async (t) => {
  const main = `exports.main = async () => {
    for (let i = 0; i < 50; i++) { process.stdout.write('x'.repeat(1e5)); await new Promise((r) => setTimeout(r, 1)); }
    return 0;
  }`;
  const place = await placeWith(t, { 'dist/cli/main.cjs': main });
  const shell = (command: string): Promise<Ran> =>
    runProcess('/bin/bash', ['-c', command, '_', process.execPath, place.launcher], {
      timeoutMs: 20_000,
      maxBytes: 1_000_000,
    }).then((result) => ({ ...result, stdout: textOf(result.stdout) ?? '' }));
  const gone = await shell('"$@" | head -c 10; echo " ${PIPESTATUS[0]}"');
  assert.deepEqual([gone.stdout, gone.stderr], ['xxxxxxxxxx 0\n', '']);
  const full = await shell('"$@" > /dev/full');
  assert.equal(full.exitCode, 3);
  assert.match(full.stderr, /^bulla: cannot write the result/);
});

test('compiled code is cached only where nobody else can write', async (t) => {
  const place = await placeWith(t, { 'dist/cli/main.cjs': say('ran'), 'src/unused': '' });
  const cache = join(place.folder, 'cache');
  const folder = join(cache, 'bulla', 'compile');
  const isCached = async (env: NodeJS.ProcessEnv): Promise<boolean> => {
    await run(place.launcher, [], { XDG_CACHE_HOME: cache, ...env });
    const there = await stat(folder).catch(() => undefined);
    const { stdout } = await runProcess('ls', ['-A', cache === '' ? '/' : folder], {
      timeoutMs: 9000,
      maxBytes: 9000,
    });
    return there !== undefined && stdout.length > 0;
  };
  await mkdir(cache, { mode: 0o700 });
  assert.equal(await isCached({ NODE_DISABLE_COMPILE_CACHE: '1' }), false);
  await chmod(cache, 0o777);
  assert.equal(await isCached({}), false);
  await chmod(cache, 0o700);
  assert.equal(await isCached({}), true);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
});

test('compiled code that is torn or of another main is not used', async (t) => {
  const place = await placeWith(t, { 'dist/cli/main.cjs': say('first') });
  const cache = join(place.folder, 'cache');
  const folder = join(cache, 'bulla', 'compile');
  await mkdir(cache, { mode: 0o700 });
  const output = async (): Promise<string> => {
    const { exitCode, stdout } = await run(place.launcher, ['x'], { XDG_CACHE_HOME: cache });
    return `${exitCode} ${stdout}`;
  };
  assert.equal(await output(), '0 first x\n');
  const [name = ''] = await readdir(folder);
  const whole = await readFile(join(folder, name));
  assert.equal(await output(), '0 first x\n');
  // the end of it lost, as after a loss of power
  const torn = Buffer.concat([whole.subarray(0, 200), Buffer.alloc(whole.length - 200)]);
  await writeFile(join(folder, name), torn);
  assert.equal(await output(), '0 first x\n');
  assert.notDeepEqual(await readFile(join(folder, name)), torn, 'it is written anew');
  // of the same length, so that V8 alone would not notice
  await writeFile(join(place.folder, 'dist/cli/main.cjs'), say('other'));
  assert.equal(await output(), '0 other x\n');
  assert.deepEqual((await readdir(folder)).length, 2);
});

test('the first runs each add what they used to the compiled code', async (t) => {
  const used = (name: string): string => `function ${name}() { return [${'1,'.repeat(2000)}].length; }`;
  const main = `${used('first')} ${used('second')}
    exports.main = async ([word]) => { if (word === 'one') first(); else second(); return 0; };`;
  const place = await placeWith(t, { 'dist/cli/main.cjs': main });
  const cache = join(place.folder, 'cache');
  await mkdir(cache, { mode: 0o700 });
  const sizeAfter = async (word: string): Promise<number> => {
    await run(place.launcher, [word], { XDG_CACHE_HOME: cache });
    const [name = ''] = await readdir(join(cache, 'bulla', 'compile'));
    return (await stat(join(cache, 'bulla', 'compile', name))).size;
  };
  const first = await sizeAfter('one');
  const both = await sizeAfter('two');
  assert.ok(both > first + 1000, `${first}, then ${both}`);
  assert.ok((await sizeAfter('one')) > first + 1000, 'what the second run added stays');
});
