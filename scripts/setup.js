// Makes the checkout ready: dependencies as locked, and the pinned Node.js. Runs before
// `npm run demo` and `npm test` on any Node 18 or newer with npm 10 or newer; quick when all is there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.bulla-setup');
const nodePackage = join(modules, 'node');
const pinnedNode = join(nodePackage, 'bin', 'node');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** What the installation depends on; a changed script or description installs nothing anew. */
function currentStamp() {
  const { dependencies, devDependencies, optionalDependencies, overrides, allowScripts } = manifest;
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(JSON.stringify([dependencies, devDependencies, optionalDependencies, overrides, allowScripts]))
    .update(`${process.platform} ${process.arch}`)
    .digest('hex');
}

function readStamp() {
  return existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
}

/**
 * The environment without node_modules/.bin: `npm ci` deletes node_modules, so neither npm nor the
 * install scripts may run on the Node that lives in there.
 */
function outerEnvironment() {
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(modules))
    .join(delimiter);
  return { ...process.env, PATH: path };
}

function outerNode(env) {
  if (!process.execPath.startsWith(modules)) return process.execPath;
  for (const folder of env.PATH.split(delimiter)) {
    const candidate = join(folder, 'node');
    if (existsSync(candidate) && !realpathSync(candidate).startsWith(modules)) return candidate;
  }
  return process.execPath;
}

function run(command, args, options) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, ...options });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  throw new Error(
    `\`${[command, ...args].join(' ')}\` failed: ${result.error?.message ?? `exit ${result.status}`}`,
  );
}

function runNpm(args, options) {
  const env = outerEnvironment();
  const npm = process.env.npm_execpath;
  if (npm?.endsWith('.js') && !npm.startsWith(modules))
    run(outerNode(env), [npm, ...args], { ...options, env });
  else run('npm', args, { ...options, env });
}

function installDependencies() {
  if (readStamp() === currentStamp()) return;
  process.stderr.write('set-up: installing the dependencies (this happens once)\n');
  runNpm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error', '--fetch-timeout=60000'], {
    cwd: root,
  });
}

function pinnedVersion() {
  const result = spawnSync(pinnedNode, ['--version'], { encoding: 'utf8' });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/**
 * The npm package `node` fetches its binary in an install of its own, which the lockfile does not
 * pin and which `ignore-scripts` or a lost connection silently leave out.
 */
function checkNode() {
  const wanted = `v${manifest.devDependencies.node}`;
  if (pinnedVersion() === wanted) return;
  process.stderr.write(`set-up: fetching Node.js ${wanted}\n`);
  const env = outerEnvironment();
  run(outerNode(env), ['installArchSpecificPackage.js'], { cwd: nodePackage, env });
  const found = pinnedVersion();
  if (found !== wanted) {
    throw new Error(`node_modules/node is ${found ?? 'not runnable'}, not ${wanted}`);
  }
}

try {
  const started = Date.now();
  installDependencies();
  checkNode();
  if (readStamp() !== currentStamp()) {
    writeFileSync(stampFile, currentStamp());
    process.stderr.write(`set-up: done in ${Math.round((Date.now() - started) / 1000)} s\n`);
  }
} catch (error) {
  process.stderr.write(`set-up: ${error.message}\n`);
  process.stderr.write(
    'hint: remove node_modules and run `npm run setup` again; npm must reach its registry\n',
  );
  process.exitCode = 1;
}
