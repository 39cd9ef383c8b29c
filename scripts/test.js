// Runs the tests on the pinned Node.js, whatever Node runs this file.
//   node scripts/test.js [unit] [transcripts] [interop] [packaging] [FILE…] [--test-…]
// Without a group or file: unit, transcripts, interop. Unit tests share one process (a process for
// each of many small files costs more than the tests); the others have one each, two at a time.
// BULLA_REQUIRE_PEERS=1: a skipped interop test fails the run.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, existsSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const node = join(root, 'node_modules', 'node', 'bin', 'node');
const scratch = mkdtempSync(join(tmpdir(), 'bulla-test-'));

function testFiles(folder, recursive = true) {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .flatMap((entry) => {
      const name = join(folder, entry.name);
      if (entry.isDirectory()) return recursive ? testFiles(name) : [];
      return entry.name.endsWith('.test.ts') ? [name] : [];
    })
    .sort();
}

const inOneProcess = ['--test-isolation=none', '--test-timeout=120000'];
const apart = ['--test-isolation=process', '--test-concurrency=2', '--test-timeout=600000'];
const groups = {
  unit: { flags: inOneProcess, files: () => [...testFiles('src'), ...testFiles('test', false)] },
  transcripts: { flags: apart, files: () => testFiles(join('test', 'transcripts')) },
  interop: { flags: apart, files: () => testFiles(join('test', 'interop')) },
  // needs npm and its registry, so it runs only when asked for
  packaging: { flags: apart, files: () => testFiles(join('test', 'packaging')) },
};

function groupOf(file) {
  const folder = file.split(sep)[1];
  return file.startsWith(`test${sep}`) && folder in groups ? folder : 'unit';
}

/** What to run: a list of [group, files]. */
function choose(words) {
  const chosen = words.length === 0 ? ['unit', 'transcripts', 'interop'] : words;
  const plan = new Map();
  for (const word of chosen) {
    const file = relative(root, resolve(word));
    if (!(word in groups) && !existsSync(join(root, file))) throw new Error(`no such group or file: ${word}`);
    const group = word in groups ? word : groupOf(file);
    plan.set(group, [...(plan.get(group) ?? []), ...(word in groups ? groups[word].files() : [file])]);
  }
  return plan;
}

/**
 * The tests' surroundings: an empty home and nothing of the user's configuration, so that no test
 * reads or writes real keys, and no proxy between loopback and us.
 */
function environment(group) {
  const env = { ...process.env };
  const mine =
    /^(https?_proxy|all_proxy|no_proxy|XDG_.*|GNUPGHOME|REGISTRY_AUTH_FILE|DOCKER_.*|CONTAINERS?_.*|COSIGN_.*|BULLA_(?!PEERS$|REQUIRE_PEERS$|DIST$).*)$/i;
  for (const name of Object.keys(env)) if (mine.test(name)) delete env[name];
  env.BULLA_PEERS ??= join(homedir(), '.cache', 'bulla-peers');
  env.PATH = [join(root, 'node_modules', '.bin'), env.PATH ?? ''].join(delimiter);
  // npm keeps its registry and its cache in the real home
  if (group === 'packaging') return { ...process.env, PATH: env.PATH };
  env.HOME = scratch;
  env.TZ = 'UTC';
  env.LC_ALL = 'C.UTF-8';
  delete env.NO_COLOR;
  return env;
}

function runGroup(group, files, flags) {
  const report = join(scratch, `${group}.ndjson`);
  const args = [
    '--disable-warning=ExperimentalWarning',
    '--test',
    ...groups[group].flags,
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(root, 'scripts', 'test-reporter.js')}`,
    `--test-reporter-destination=${report}`,
    ...flags,
    ...files,
  ];
  process.stdout.write(`\n== ${group}: ${files.length} files\n`);
  if (group === 'interop') {
    const peers = spawnSync(node, [join(root, 'test', 'support', 'peers.ts')], {
      env: environment(group),
      encoding: 'utf8',
    });
    process.stdout.write(`${peers.stdout}${peers.stderr}`);
  }
  return new Promise((settle) => {
    const child = spawn(node, args, {
      cwd: root,
      env: environment(group),
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => child.kill(signal));
    child.on('error', (error) => settle({ group, ok: false, why: error.message, lines: [] }));
    child.on('close', (code, signal) => {
      const lines = existsSync(report)
        ? readFileSync(report, 'utf8')
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line))
        : [];
      settle({ group, ok: code === 0, why: signal ?? `exit ${code}`, lines });
    });
  });
}

/** The totals in the words of Node's own summary, the skipped interop tests, and the verdict. */
function conclude(results) {
  const total = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };
  const skipped = [];
  for (const { group, lines } of results) {
    for (const line of lines) {
      if (line.skipped !== undefined && group === 'interop') skipped.push(line);
      const counts = line.counts ?? {};
      total.tests += counts.tests ?? 0;
      total.pass += counts.passed ?? 0;
      total.fail += counts.failed ?? 0;
      total.cancelled += counts.cancelled ?? 0;
      total.skipped += counts.skipped ?? 0;
      total.todo += counts.todo ?? 0;
    }
  }
  const out = ['', `== all: ${results.map(({ group }) => group).join(', ')}`];
  for (const { group, ok, why } of results) if (!ok) out.push(`FAILED: ${group} (${why})`);
  for (const [name, count] of Object.entries(total)) out.push(`# ${name} ${count}`);
  if (skipped.length > 0) {
    out.push('', `SKIPPED: ${skipped.length} interop tests need what this machine lacks:`);
    for (const { skipped: name, file, reason } of skipped) {
      out.push(`  ${relative(root, file ?? '')}: ${name}${reason === '' ? '' : ` (${reason})`}`);
    }
    out.push(
      'To run them on Debian 12 or newer: scripts/install-peers.sh and scripts/sigstack/build.sh, then `npm run test:interop`',
    );
  }
  const refused = process.env.BULLA_REQUIRE_PEERS === '1' && skipped.length > 0;
  if (refused) out.push('FAILED: BULLA_REQUIRE_PEERS=1 allows no skipped interop test');
  process.stdout.write(`${out.join('\n')}\n`);
  return !refused && results.every(({ ok }) => ok);
}

try {
  const args = process.argv.slice(2);
  const flags = args.filter((arg) => arg.startsWith('--'));
  const plan = choose(args.filter((arg) => !arg.startsWith('--')));
  const results = [];
  for (const [group, files] of plan) {
    if (files.length > 0) results.push(await runGroup(group, files, flags));
  }
  process.exitCode = conclude(results) ? 0 : 1;
} catch (error) {
  process.stderr.write(`test: ${error.message}\n`);
  process.exitCode = 2;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
