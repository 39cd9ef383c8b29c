/** The package as its users get it: packed, installed in an empty folder, run and imported. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { textOf } from '../../src/base/bytes.ts';
import { runProcess } from '../../src/io/process.ts';
import { importsOf, root } from '../support/source-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-package-'));
const home = join(folder, 'user');
let files: readonly string[] = [];

async function ok(command: string, args: readonly string[], cwd: string): Promise<string> {
  const options = { cwd, timeoutMs: 300_000, maxBytes: 10_000_000 };
  const result = await runProcess(command, args, options);
  const stdout = textOf(result.stdout) ?? '';
  if (result.exitCode !== 0) throw new Error(`${command} ${args.join(' ')}: ${stdout}${result.stderr}`);
  return stdout;
}

before(async () => {
  await ok('npm', ['run', 'build', '--silent'], root);
  const packed = JSON.parse(
    await ok('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root),
  ) as { filename: string; files: { path: string }[] }[];
  files = packed[0]?.files.map(({ path }) => path) ?? [];
  mkdirSync(home);
  writeFileSync(join(home, 'package.json'), '{"private":true,"type":"module"}');
  const tarball = join(folder, packed[0]?.filename ?? '');
  await ok(
    'npm',
    [
      'install',
      '--prefer-offline',
      '--fetch-timeout=60000',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      tarball,
    ],
    home,
  );
});

after(() => rmSync(folder, { recursive: true, force: true }));

test('it holds what a user needs and nothing else', () => {
  for (const needed of [
    'bin/bulla.js',
    'bin/package.json',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/cli/main.cjs',
    'dist/cli/THIRD-PARTY-LICENSES.txt',
    'LICENSE',
    'README.md',
  ]) {
    assert.ok(files.includes(needed), `${needed} is missing`);
  }
  const stray = files.filter(
    (path) =>
      !/^(?:bin|dist|docs)\//.test(path) &&
      !/^(?:package\.json|README|LICENSE|CHANGELOG|SECURITY)/.test(path),
  );
  assert.deepEqual(stray, []);
  assert.deepEqual(
    files.filter((path) => /\.test\.|-contract\.|^test\/|^src\//.test(path)),
    [],
  );
});

test('the command runs', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.equal((await ok(join(home, 'node_modules', '.bin', 'bulla'), ['--version'], home)).trim(), version);
  assert.match(await ok(join(home, 'node_modules', '.bin', 'bulla'), ['--help'], home), /verify/);
});

test('the library is imported, with its types', async () => {
  writeFileSync(
    join(home, 'use.mjs'),
    "import * as bulla from 'bulla'; console.log(Object.keys(bulla).join(' '));",
  );
  const names = (await ok(process.execPath, ['use.mjs'], home)).trim().split(' ');
  for (const name of ['sign', 'verify', 'BullaError'])
    assert.ok(names.includes(name), `${name} in ${names.join(' ')}`);
  writeFileSync(
    join(home, 'use.ts'),
    "import { sign, verify } from 'bulla';\nexport const both = [sign, verify] as const;\n",
  );
  const tsc = join(root, 'node_modules', '.bin', 'tsc');
  const types = join(root, 'node_modules', '@types');
  const flags = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'esnext', '--typeRoots', types];
  await ok(tsc, [...flags, '--types', 'node', 'use.ts'], home);
});

test('only what it declares is needed at run time', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object };
  const declared = new Set(Object.keys(manifest.dependencies));
  const library = files
    .filter((path) => path.startsWith('dist/') && path.endsWith('.js'))
    .flatMap((path) => importsOf(readFileSync(join(root, path), 'utf8'), path))
    .map(({ specifier }) => specifier);
  // the command is one file; what it does not contain it asks for by name
  const command = readFileSync(join(root, 'dist', 'cli', 'main.cjs'), 'utf8');
  const asked = [...command.matchAll(/\b(?:require|import)\("([^"]+)"\)/g)].map(([, name]) => name ?? '');
  const packages = [...library, ...asked]
    .filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
    .map((specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier);
  assert.ok(packages.includes('openpgp') && asked.includes('hono'), packages.join(' '));
  assert.deepEqual(
    packages.filter((name) => !declared.has(name)),
    [],
  );
});
