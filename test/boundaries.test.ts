/** The authority on the floors: which folder may import which, and what loads when. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { importsOf, readSources, root, type SourceFile, withoutComments } from './support/source-files.ts';

/** A file imports its own folder or a lower rank, never another folder of its own rank. */
const ranks: Readonly<Record<string, number>> = {
  base: 0,
  io: 1,
  keys: 2,
  registry: 2,
  witnesses: 3,
  formats: 4,
  images: 4,
  stores: 5,
  trust: 5,
  operations: 6,
  platforms: 6,
  servers: 7,
  cli: 8,
};

/** Folders that decide on bytes they are given and touch nothing. */
const withoutIo = new Set(['base', 'formats', 'trust', 'platforms']);

/** Modules that do I/O, apart from io/ itself. */
const ioModules = /^node:(?:fs|net|tls|http|https|http2|dgram|dns|child_process|worker_threads)(?:\/|$)/;

/** Built-in modules whose import is slow: src/base/node.ts gives them at a tenth of the cost. */
const slowModules = new Set(['node:http', 'node:https', 'node:crypto', 'node:zlib', 'node:child_process']);

/** The packages that may be imported statically, and where; all others only by `await import()`. */
const staticPackages: Readonly<Record<string, RegExp>> = {
  commander: /^src\/cli\//,
  picocolors: /^src\/cli\//,
  hono: /^src\/servers\//,
  '@hono/node-server': /^src\/servers\//,
};

const forbiddenNames =
  /^(?:utils?|helpers?|common|misc|managers?|services?)$|-(?:utils?|common|managers?|services?)$/;

const sources = readSources('src');
const byPath = new Map(sources.map((file) => [file.path, file]));
const shipped = sources.filter(({ path }) => !/\.test\.ts$|-contract\.ts$/.test(path));

function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** One line for each offence; a test passes when there is none. */
function none(offences: readonly string[]): void {
  assert.deepEqual(offences, []);
}

test('the scanner sees every form of import', () => {
  const text = [
    "import { a } from './a.ts';",
    "import type { B } from '../b.ts';",
    'import {\n  c,\n  type D,\n} from "node:fs";',
    "import 'side-effect';",
    "export { e } from './e.ts';",
    "export * from './f.ts';",
    " * import { no } from 'comment';",
    "// import('comment')",
    "const g = await import('g');",
    "type H = typeof import('h');",
    "const from = 'x'; export const y = 1;",
  ].join('\n');
  const seen = importsOf(text, 'src/io/x.ts').map(({ kind, specifier, file }) => [kind, specifier, file]);
  assert.deepEqual(seen, [
    ['value', './a.ts', 'src/io/a.ts'],
    ['type', '../b.ts', 'src/b.ts'],
    ['value', 'node:fs', undefined],
    ['value', 'side-effect', undefined],
    ['value', './e.ts', 'src/io/e.ts'],
    ['value', './f.ts', 'src/io/f.ts'],
    ['dynamic', 'g', undefined],
    ['type', 'h', undefined],
  ]);
});

test('src holds the folders of the table, and index.ts', () => {
  assert.ok(sources.length > 20, 'the source tree was read');
  const unknown = readdirSync(join(root, 'src')).filter((name) => name !== 'index.ts' && !(name in ranks));
  none(unknown);
});

function rankOffences(file: SourceFile): string[] {
  const own = folderOf(file.path);
  if (own === undefined) return []; // index.ts re-exports from anywhere
  return file.imports.flatMap(({ file: target }) => {
    if (target === undefined) return [];
    if (!byPath.has(target)) {
      // tests may use test/support and fixtures; all else stays inside src
      const isSupport = file.path.endsWith('.test.ts') && /^test\/(?:support|fixtures)\//.test(target);
      return isSupport && existsSync(join(root, target))
        ? []
        : [`${file.path} imports ${target}: no file of src`];
    }
    const folder = folderOf(target);
    if (folder === undefined) return [`${file.path} imports ${target}: that is for users of the library`];
    if (folder === own) return [];
    return (ranks[folder] ?? 99) < (ranks[own] ?? -1) ? [] : [`${file.path} imports ${target}`];
  });
}

test('a file imports its own folder or a lower rank', () => {
  none(sources.flatMap(rankOffences));
});

test('what is imported dynamically is named by a literal', () => {
  none(
    shipped
      .filter(({ text }) => /\bawait\s+import\((?!\s*['"])/.test(withoutComments(text)))
      .map(({ path }) => path),
  );
});

test('the library only re-exports names', () => {
  const index = byPath.get('src/index.ts');
  if (index === undefined) return;
  const rest = withoutComments(index.text).replace(/^export (?:type )?\{[^}]*\} from '[^']+';$/gm, '');
  assert.equal(rest.trim(), '', 'src/index.ts holds nothing but `export { … } from`');
  none(index.imports.filter(({ file }) => !byPath.has(file ?? '')).map(({ specifier }) => specifier));
});

test('folders that decide do no I/O', () => {
  const offences = shipped
    .filter(({ path }) => withoutIo.has(folderOf(path) ?? ''))
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ kind }) => kind !== 'type')
        .filter(({ specifier, file }) => ioModules.test(specifier) || (file?.startsWith('src/io/') ?? false))
        .map(({ specifier }) => `${path} imports ${specifier}`),
    );
  none(offences);
});

test('slow built-in modules come from src/base/node.ts', () => {
  const offences = shipped.flatMap(({ path, text, imports }) => {
    if (path === 'src/base/node.ts') return [];
    const slow = imports.filter(({ kind, specifier }) => kind === 'value' && slowModules.has(specifier));
    const direct = [...withoutComments(text).matchAll(/\bgetBuiltinModule\(\s*'([^']*)'|\bcreateRequire\(/g)]
      .map((match) => match[1] ?? 'createRequire')
      .filter((name) => name === 'createRequire' || slowModules.has(name));
    return [...slow.map(({ specifier }) => specifier), ...direct].map((what) => `${path}: ${what}`);
  });
  none(offences);
});

test('built-in modules are imported as node:…', () => {
  const bare =
    /^(?:fs|path|os|url|util|stream|events|buffer|crypto|http|https|net|tls|zlib|child_process)(?:\/|$)/;
  none(
    sources.flatMap(({ path, imports }) =>
      imports.filter(({ specifier }) => bare.test(specifier)).map(({ specifier }) => `${path}: ${specifier}`),
    ),
  );
});

test('packages load when first needed', () => {
  const offences = shipped.flatMap(({ path, imports }) =>
    imports.flatMap(({ kind, specifier }) => {
      const name = packageOf(specifier);
      if (name === undefined || kind !== 'value') return [];
      return staticPackages[name]?.test(path) === true ? [] : [`${path} imports ${specifier} statically`];
    }),
  );
  none(offences);
});

test('servers load when one is started', () => {
  const offences = shipped
    .filter(({ path }) => folderOf(path) !== 'servers')
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ kind, file }) => kind === 'value' && (file?.startsWith('src/servers/') ?? false))
        .map(({ specifier }) => `${path} imports ${specifier} statically`),
    );
  none(offences);
});

test('only what ships is shipped: no test module in the package', () => {
  none(
    shipped.flatMap(({ path, imports }) =>
      imports
        .filter(({ specifier }) => /^node:(?:test|assert)|^fast-check$/.test(specifier))
        .map(({ specifier }) => `${path} imports ${specifier}`),
    ),
  );
});

test('files and folders have kebab-case names that say what they hold', () => {
  const offences = sources.flatMap(({ path }) => {
    const words = path.replace(/(?:\.test)?\.ts$/, '').split('/');
    return words
      .filter((word) => !/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(word) || forbiddenNames.test(word))
      .map((word) => `${path}: ${word}`);
  });
  none(offences);
});

test('ARCHITECTURE.md stays readable in one sitting', () => {
  const path = join(root, 'ARCHITECTURE.md');
  if (!existsSync(path)) return;
  assert.ok(readFileSync(path, 'utf8').split('\n').length <= 201, 'at most 200 lines');
});
