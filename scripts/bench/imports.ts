/**
 * What each import costs a fresh process, with all that it brings along: Node's own modules, the
 * dependencies, and the entries of Bulla's folders, bundled and cached as the command is.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { build } from 'esbuild';

import { bundleOptions } from '../build.ts';
import { summaryOf } from './measure.ts';
import { printTable } from './report.ts';
import { node, type Stage } from './stage.ts';

export type ImportCost = {
  readonly kind: 'builtin' | 'bundle' | 'package';
  readonly name: string;
  /** Of CPU. */
  readonly milliseconds: number;
  readonly least: number;
  readonly most: number;
};

const builtins = [
  'crypto',
  'http',
  'https',
  'net',
  'fs/promises',
  'child_process',
  'zlib',
  'util',
  'perf_hooks',
];

/** What a door imports from each folder. */
const entries: Readonly<Record<string, string>> = {
  base: 'src/base/manifest.ts',
  io: 'src/io/http.ts',
  keys: 'src/keys/open-signer.ts',
  'keys-openpgp': 'src/keys/openpgp/keyring.ts',
  registry: 'src/registry/registries.ts',
  formats: 'src/formats/simple-signing.ts',
  images: 'src/images/docker.ts',
  stores: 'src/stores/locate.ts',
  trust: 'src/trust/evaluate.ts',
  'operations-verify': 'src/operations/verify.ts',
  'operations-sign': 'src/operations/sign.ts',
  'servers-registry': 'src/servers/registry/serve.ts',
  'cli-verify': 'src/cli/commands/verify.ts',
  'cli-sign': 'src/cli/commands/sign.ts',
  cli: 'src/cli/main.ts',
  index: 'src/index.ts',
};

const root = join(import.meta.dirname, '..', '..');
const program = join(import.meta.dirname, 'import-cost.cjs');

/** Measures each alternately, in `rounds` rounds after one warm-up. */
export async function importCosts(stage: Stage, rounds: number): Promise<readonly ImportCost[]> {
  const folder = stage.bench.path('bundles');
  await build(bundleOptions(entries, folder));
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Readonly<Record<string, string>>;
  };
  const imports = [
    ...builtins.map((name) => ({ kind: 'builtin' as const, name, argument: name })),
    ...packagesOf(dependencies).map((name) => ({ kind: 'package' as const, name, argument: name })),
    ...Object.keys(entries).map((name) => {
      return { kind: 'bundle' as const, name: entries[name] ?? name, argument: join(folder, `${name}.cjs`) };
    }),
  ];
  const taken = imports.map((): number[] => []);
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, { kind, argument }] of imports.entries()) {
      const milliseconds = costOf(stage, kind, argument);
      if (round > 0) taken[index]?.push(milliseconds);
    }
  }
  return imports.map(({ kind, name }, index) => {
    const { median, least, most } = summaryOf(taken[index] ?? []);
    return { kind, name, milliseconds: median, least, most };
  });
}

/** One of @noble's files is what is imported; the others by their names. */
/** Packages that have no module of their own name: the one of theirs that is used. */
const moduleOf: Readonly<Record<string, string>> = {
  '@noble/ciphers': '@noble/ciphers/salsa.js',
  '@noble/curves': '@noble/curves/ed25519.js',
};

function packagesOf(dependencies: Readonly<Record<string, string>>): readonly string[] {
  return Object.keys(dependencies).map((name) => moduleOf[name] ?? name);
}

function costOf(stage: Stage, kind: ImportCost['kind'], argument: string): number {
  const result = spawnSync(node, [program, kind, argument], { env: stage.env, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`import of ${argument}: ${result.stderr}`);
  return Number(result.stdout);
}

export function printImports(costs: readonly ImportCost[]): void {
  const kinds = { builtin: 'node:', package: 'package ', bundle: '' };
  printTable(
    ['import', 'CPU ms', 'min – max'],
    costs.map(({ kind, name, milliseconds, least, most }) => [
      `${kinds[kind]}${name}`,
      milliseconds.toFixed(1),
      `${least.toFixed(1)} – ${most.toFixed(1)}`,
    ]),
  );
}
