/**
 * Builds dist/ (docs/decisions/0004-bundled-dist.md):
 *   dist/*.js, *.d.ts     the library, module by module, by tsc
 *   dist/cli/main.cjs      the command, one file, by esbuild; each module in it runs when first used
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { build, type BuildOptions, type Metafile, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};

/** Bundled because nearly every command needs them at once; whatever else is installed beside stays there. */
const bundled = ['@noble/ciphers', 'commander', 'smol-toml', 'yaml'];

/** What every bundle of ours is made with; the bench measures imports with the same. */
export function bundleOptions(
  entryPoints: Readonly<Record<string, string>>,
  outdir: string,
): BuildOptions & { readonly metafile: true } {
  return {
    absWorkingDir: root,
    entryPoints,
    outdir,
    bundle: true,
    // CommonJS: Node's ES module loader costs a cold process more than the whole bundle does
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    platform: 'node',
    // `import()` in a script that runs by node:vm prints a warning and goes through the loader of ES modules; require() takes both kinds
    supported: { 'dynamic-import': false },
    // the one use of it is createRequire, which takes a path as well
    define: { 'import.meta.url': '__filename' },
    target: 'node24.15',
    minify: true,
    charset: 'ascii',
    legalComments: 'none',
    external: Object.keys(manifest.dependencies)
      .filter((name) => !bundled.includes(name))
      .flatMap((name) => [name, `${name}/*`]),
    plugins: [plainBuiltins],
    metafile: true,
    logLevel: 'warning',
  };
}

/**
 * Built-in modules are asked for by getBuiltinModule, and of each only what is named is touched: an
 * import as such would run every lazy getter of node:fs, node:util and the like.
 */
const plainBuiltins: Plugin = {
  name: 'plain-builtins',
  setup(builder) {
    builder.onLoad({ filter: /\.[cm]?[jt]s$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      return { contents: withPlainBuiltins(text), loader: path.endsWith('ts') ? 'ts' : 'js' };
    });
  },
};

function withPlainBuiltins(text: string): string {
  return text
    .replace(
      /^import\s+(?:\*\s+as\s+)?(\w+)\s+from\s+['"]node:([\w/]+)['"];?$/gm,
      (_, name: string, module: string) =>
        module === 'child_process' ? lazily(['spawn'], module, name) : `const ${name} = ${builtin(module)};`,
    )
    .replace(
      /^import\s+\{([^}]*)\}\s+from\s+['"]node:([\w/]+)['"];?$/gm,
      (_, list: string, module: string) => {
        const names = list
          .split(',')
          .map((name) => name.trim().replace(/\s+as\s+/, ': '))
          .filter((name) => name !== '' && !name.startsWith('type '));
        if (names.length === 0) return '';
        if (withoutState.has(module)) return lazily(names, module);
        return `const { ${names.join(', ')} } = ${builtin(module)};`;
      },
    );
}

/** Loaded with the first call: nothing but functions is imported from them. */
const withoutState: ReadonlySet<string> = new Set(['fs/promises', 'os']);

function builtin(module: string): string {
  return `globalThis.process.getBuiltinModule('node:${module}')`;
}

/** Functions of a module that is loaded when one of them is called; commander has a child_process it never uses. */
function lazily(names: readonly string[], module: string, holder?: string): string {
  const functions = names.map((name) => {
    if (!/^[a-z]\w*$/.test(name) || name === 'constants')
      throw new Error(`${name} of node:${module} is no function`);
    return `${name} = (...args) => ${builtin(module)}.${name}(...args)`;
  });
  if (holder === undefined) return `const ${functions.join(', ')};`;
  return `const ${holder} = { ${functions.map((each) => each.replace(' = ', ': ')).join(', ')} };`;
}

function run(command: string, args: readonly string[]): void {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${result.status}`);
}

/** The licences of what the bundle contains, as they demand. */
function licences(metafile: Metafile): readonly string[] {
  const names = new Set(
    Object.keys(metafile.inputs)
      .map((path) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
      .filter((name) => name !== undefined),
  );
  return [...names].sort().map((name) => {
    const folder = join(root, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      readonly version: string;
      readonly license: string;
    };
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    if (file === undefined) throw new Error(`${name} is bundled and has no licence file`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  });
}

async function main(): Promise<void> {
  const dist = join(root, 'dist');
  rmSync(dist, { recursive: true, force: true });
  run(process.execPath, [
    join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
    '-p',
    'tsconfig.build.json',
  ]);
  const { metafile } = await build(bundleOptions({ main: 'src/cli/main.ts' }, join(dist, 'cli')));
  const notice = `dist/cli/main.cjs contains these packages:\n\n${licences(metafile).join(`\n${'-'.repeat(80)}\n\n`)}`;
  writeFileSync(join(dist, 'cli', 'THIRD-PARTY-LICENSES.txt'), notice);
  // the launcher reads it as Latin-1, which spares V8 a decoding and half the memory
  if (/[^\0-\x7f]/.test(readFileSync(join(dist, 'cli', 'main.cjs'), 'utf8')))
    throw new Error('main.cjs is not ASCII');
  if (!existsSync(join(dist, 'index.js'))) throw new Error('tsc made no dist/index.js');
}

if (import.meta.main) await main();
