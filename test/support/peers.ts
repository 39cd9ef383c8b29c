/**
 * The real programs that Bulla must agree with, found and run apart from the machine's own set-up.
 *
 *   test('skopeo accepts what we sign', needs('skopeo', 'docker-registry'), async () => {
 *     await using bench = await openBench();
 *     const registry = await startRegistry(bench);                    // or { tls: true, users: true }
 *     await writeOciImage(bench.path('image'), { tag: 'v1' });        // from oci-image.ts
 *     await bench.ok('skopeo', ['copy', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`, `docker://${registry.host}/app:v1`]);
 *     const refused = await bench.run('skopeo', ['copy', …]);         // { exitCode, stdout, stderr }
 *   });
 *
 * - `needs(…)` are test options: the test is skipped, by name, where a peer is missing; under
 *   BULLA_REQUIRE_PEERS=1 it runs and fails. `requirePeer(t, name)` does it inside a test.
 * - A bench is a temporary folder with HOME, GNUPGHOME, XDG folders, container storage (vfs),
 *   policy.json (accepts anything) and registries.d in it. `bench.env` is the environment for
 *   Bulla too. Disposing it ends every process it started, and its gpg-agents, and deletes it.
 * - Registry listens on a port of its own choice (docker-registry.ts).
 * - `node test/support/peers.ts` prints what is found and in which version.
 *
 * Peers are looked for in $BULLA_PEERS/bin, ~/.cache/bulla-peers/bin (scripts/install-peers.sh), PATH.
 * `gpg-host` is the machine's own GnuPG, of another version than the peers' `gpg`. `sigstack` are the real sigstore
 * services, which sigstack.ts starts.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { TestContext, TestOptions } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import { runProcess } from '../../src/io/process.ts';

export const peerNames = [
  'skopeo',
  'skopeo-1.18',
  'podman',
  'gpg',
  'gpg-host',
  'docker-registry',
  'cosign',
  'cosign2',
  'crane',
  'oras',
  'notation',
  'umoci',
  'openssl',
  'sigstack',
  'git',
  'rsync',
] as const;
export type PeerName = (typeof peerNames)[number];

const versionFlags: Readonly<Partial<Record<PeerName, string>>> = {
  cosign: 'version',
  cosign2: 'version',
  crane: 'version',
  oras: 'version',
  notation: 'version',
  openssl: 'version',
  sigstack: 'version',
};

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

const prefixes: readonly string[] = [
  ...(process.env['BULLA_PEERS'] === undefined ? [] : [process.env['BULLA_PEERS']]),
  join(homedir(), '.cache', 'bulla-peers'),
].map((prefix) => join(prefix, 'bin'));

/** The folders searched for peers, first match first. */
export function peerFolders(): readonly string[] {
  return [...prefixes, ...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')];
}

const found = new Map<PeerName, string | undefined>();

/** The path of a peer's program, or undefined where it is not installed. */
export function findPeer(name: PeerName): string | undefined {
  if (!found.has(name)) {
    const folders = name === 'gpg-host' ? ['/usr/bin', '/usr/local/bin'] : peerFolders();
    const programs: Readonly<Partial<Record<PeerName, string>>> = {
      'gpg-host': 'gpg',
      // the services stand for each other: they are built together
      sigstack: join('..', 'sigstack', 'bin', 'fulcio-server'),
    };
    const program = programs[name] ?? name;
    found.set(
      name,
      folders.map((folder) => join(folder, program)).find((path) => isProgram(path)),
    );
  }
  return found.get(name);
}

/** True in CI, where a missing peer fails instead of skipping. */
export const peersAreRequired: boolean = process.env['BULLA_REQUIRE_PEERS'] === '1';

function missing(names: readonly PeerName[]): string | undefined {
  const gone = names.filter((name) => findPeer(name) === undefined);
  if (gone.length === 0) return undefined;
  const others: Readonly<Partial<Record<PeerName, string>>> = {
    sigstack: 'scripts/sigstack/build.sh',
    git: 'apt-get install git',
    rsync: 'apt-get install rsync',
  };
  const scripts = new Set(gone.map((name) => others[name] ?? 'scripts/install-peers.sh'));
  return `${gone.join(', ')} missing: run ${[...scripts].join(', ')}`;
}

/** Options of a test that needs these peers: it is skipped where one is missing, unless peers are required. */
export function needs(...names: readonly PeerName[]): TestOptions {
  const skip = peersAreRequired ? undefined : missing(names);
  return skip === undefined ? {} : { skip };
}

/**
 * A peer's path, for use inside a test: `const gpg = requirePeer(t, 'gpg'); if (gpg === undefined) return;`
 * Where it is missing the test is marked skipped, or fails when peers are required.
 */
export function requirePeer(t: TestContext, name: PeerName): string | undefined {
  const why = missing([name]);
  if (why !== undefined && peersAreRequired) throw new Error(why);
  if (why !== undefined) t.skip(why);
  return findPeer(name);
}

const versions = new Map<PeerName, Promise<string>>();

/** The version a peer says it has, on one line; `missing` where it is not there. */
export async function peerVersion(name: PeerName): Promise<string> {
  const known = versions.get(name) ?? readVersion(name);
  versions.set(name, known);
  return known;
}

async function readVersion(name: PeerName): Promise<string> {
  const path = findPeer(name);
  if (path === undefined) return 'missing';
  const result = await runProcess(path, [versionFlags[name] ?? '--version'], {
    timeoutMs: 20_000,
    maxBytes: 100_000,
  });
  const text = Buffer.from(result.stdout).toString('utf8') + result.stderr;
  // cosign shows other versions besides its own, and a Debian build of crane or cosign may know none
  const own = /GitVersion:\s+v?(\d\S*)/.exec(text) ?? /^[^\n]*?\bv?(\d+\.\d+[^\s,]*)/.exec(text);
  return own?.[1] ?? installedVersion(name, path) ?? 'unknown';
}

/** What scripts/install-peers.sh noted beside the programs: `sid crane 0.20.7-5`. */
function installedVersion(name: PeerName, path: string): string | undefined {
  const [suite, program] = name === 'cosign2' ? ['trixie', 'cosign'] : ['sid', name];
  const list = join(dirname(path), '..', 'versions.txt');
  if (!existsSync(list)) return undefined;
  const lines = readFileSync(list, 'utf8').split('\n');
  return lines.find((line) => line.startsWith(`${suite} ${program} `))?.split(' ')[2];
}

export type RunOptions = {
  readonly input?: Uint8Array | string;
  /** Added to the bench's environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Default: a minute. */
  readonly timeoutMs?: number;
};

/** A program's end, its output as text. */
export type PeerResult = { readonly exitCode: number; readonly stdout: string; readonly stderr: string };

/** A process that runs until the bench is disposed or it is stopped. */
export type Running = {
  readonly pid: number;
  /** Resolves with the first line of stdout or stderr that matches; rejects when the process ends before, or after 20 s. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
  /** Everything it printed so far. */
  output(): string;
  stop(): Promise<void>;
};

/** A temporary place where peers and Bulla run. Everything in it goes when it is disposed. */
export interface Bench extends AsyncDisposable {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** $HOME/.config/containers, where skopeo and podman look for policy.json and registries.d. */
  readonly config: string;
  readonly gnupgHome: string;
  /** A path inside the folder. */
  path(...parts: readonly string[]): string;
  /** A further, empty GnuPG home; pass it as `env: { GNUPGHOME }`. */
  newGnupgHome(name: string): string;
  /** Runs a peer, or any program by its path, to its end. */
  run(program: PeerName | `/${string}`, args: readonly string[], options?: RunOptions): Promise<PeerResult>;
  /** As run, but an exit code other than 0 throws, with the peer's version and output. Gives stdout. */
  ok(program: PeerName | `/${string}`, args: readonly string[], options?: RunOptions): Promise<string>;
  /** Runs this checkout's Bulla from source. */
  bulla(args: readonly string[], options?: RunOptions): Promise<PeerResult>;
  /** Starts a program that stays. */
  start(program: PeerName | `/${string}`, args: readonly string[], options?: RunOptions): Running;
  /** A new OpenPGP key without passphrase in a GnuPG home (default: the bench's); gives its fingerprint. */
  newGpgKey(
    userId: string,
    options?: { readonly type?: string; readonly home?: string; readonly expires?: string },
  ): Promise<string>;
}

const launcher = join(import.meta.dirname, '..', '..', 'bin', 'bulla.js');

/** Opens a bench in a new temporary folder. */
export async function openBench(): Promise<Bench> {
  // a gpg-agent's socket lies in its home, and a socket's path may have 107 bytes at most
  const base = tmpdir().length <= 50 ? tmpdir() : '/tmp';
  const folder = mkdtempSync(join(base, 'bulla-peers-'));
  const env = environmentIn(folder);
  const running: Running[] = [];
  const gnupgHomes: string[] = [];
  const newGnupgHome = (name: string): string => {
    const home = join(folder, name);
    mkdirSync(home, { mode: 0o700 });
    gnupgHomes.push(home);
    return home;
  };
  const environment = (options: RunOptions): NodeJS.ProcessEnv => ({ ...env, ...options.env });
  const bench: Bench = {
    folder,
    env,
    config: join(folder, 'home', '.config', 'containers'),
    gnupgHome: newGnupgHome('gnupg'),
    path: (...parts) => join(folder, ...parts),
    newGnupgHome,
    run: (program, args, options = {}) =>
      runText(pathOf(program), args, environment(options), folder, options),
    ok: async (program, args, options = {}) => {
      const result = await bench.run(program, args, options);
      if (result.exitCode === 0) return result.stdout;
      const version = program.startsWith('/') ? '' : ` ${await peerVersion(program as PeerName)}`;
      throw new Error(
        `${program}${version} ${args.join(' ')}: exit ${result.exitCode}\n${result.stdout}${result.stderr}`,
      );
    },
    bulla: (args, options = {}) =>
      runText(process.execPath, [launcher, ...args], environment(options), folder, options),
    start: (program, args, options = {}) => {
      const started = startProcess(pathOf(program), args, environment(options), options.cwd ?? folder);
      running.push(started);
      return started;
    },
    newGpgKey: async (userId, { type = 'rsa3072', home = bench.gnupgHome, expires = '0' } = {}) => {
      const flags = ['--batch', '--pinentry-mode', 'loopback', '--passphrase', '', '--status-fd', '1'];
      const status = await bench.ok(
        'gpg',
        [...flags, '--quick-generate-key', userId, type, 'sign', expires],
        {
          env: { GNUPGHOME: home },
        },
      );
      const fingerprint = /KEY_CREATED \S+ ([0-9A-F]{40})/.exec(status)?.[1];
      if (fingerprint === undefined) throw new Error(`gpg made no key: ${status}`);
      return fingerprint;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(running.map((each) => each.stop()));
      for (const home of gnupgHomes) await endAgents(home, env);
      await endStragglers(folder);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return bench;
}

/** The environment of a bench, and the configuration files it points to. */
function environmentIn(folder: string): NodeJS.ProcessEnv {
  const home = join(folder, 'home');
  const config = join(home, '.config', 'containers');
  for (const each of [join(config, 'registries.d'), join(folder, 'tmp'), join(folder, 'storage')]) {
    mkdirSync(each, { recursive: true });
  }
  mkdirSync(join(folder, 'run'), { mode: 0o700 });
  writeFileSync(join(config, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
  writeFileSync(join(config, 'registries.d', 'default.yaml'), '{}\n');
  writeFileSync(join(folder, 'registries.conf'), 'unqualified-search-registries = []\n');
  const storage = `[storage]\ndriver = "vfs"\ngraphroot = "${folder}/storage"\nrunroot = "${folder}/run/storage"\n`;
  writeFileSync(join(folder, 'storage.conf'), storage);
  writeFileSync(join(folder, 'override.conf'), `[engine]\ntmp_dir = "${folder}/run/libpod"\n`);
  return {
    PATH: peerFolders().join(delimiter),
    HOME: home,
    TMPDIR: join(folder, 'tmp'),
    XDG_RUNTIME_DIR: join(folder, 'run'),
    GNUPGHOME: join(folder, 'gnupg'),
    CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
    CONTAINERS_REGISTRIES_CONF: join(folder, 'registries.conf'),
    CONTAINERS_CONF_OVERRIDE: join(folder, 'override.conf'),
    REGISTRY_AUTH_FILE: join(folder, 'auth.json'),
    DOCKER_CONFIG: join(folder, 'docker'),
    COSIGN_PASSWORD: '',
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
  };
}

function pathOf(program: string): string {
  if (program.startsWith('/')) return program;
  const path = findPeer(program as PeerName);
  if (path === undefined) throw new Error(missing([program as PeerName]) ?? program);
  return path;
}

async function runText(
  path: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  folder: string,
  options: RunOptions,
): Promise<PeerResult> {
  const result = await runProcess(path, args, {
    env,
    cwd: options.cwd ?? folder,
    timeoutMs: options.timeoutMs ?? 60_000,
    maxBytes: 64 * 1024 * 1024,
    ...(options.input !== undefined && { input: Buffer.from(options.input) }),
  });
  return { ...result, stdout: Buffer.from(result.stdout).toString('utf8') };
}

function startProcess(path: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Running {
  const child = spawn(path, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  let listener: (() => void) | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      listener?.();
    });
  }
  const ended = once(child, 'close').catch(() => undefined);
  const waitFor = async (pattern: RegExp): Promise<RegExpExecArray> => {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    listener = () => {
      const match = pattern.exec(text);
      if (match !== null) resolve(match);
    };
    const fail = (why: string): void => reject(new Error(`${path} ${args.join(' ')} ${why}\n${text}`));
    const timer = setTimeout(() => fail('did not get ready'), 20_000);
    void ended.then(() => fail('ended'));
    listener();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      listener = undefined;
    }
  };
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 2000);
    await ended;
    clearTimeout(timer);
  };
  return { pid: child.pid ?? -1, waitFor, output: () => text, stop };
}

/** Ends the gpg-agent and its like of one GnuPG home; they outlive the gpg that started them. */
async function endAgents(home: string, env: NodeJS.ProcessEnv): Promise<void> {
  const gpgconf = peerFolders()
    .map((folder) => join(folder, 'gpgconf'))
    .find((path) => isProgram(path));
  if (gpgconf === undefined) return;
  await runText(gpgconf, ['--homedir', home, '--kill', 'all'], env, '/', { timeoutMs: 10_000 }).catch(
    () => undefined,
  );
}

/**
 * Ends what a peer left running in the folder, and waits until it has ended: skopeo and podman make GnuPG homes of their own in
 * TMPDIR and forget the agent. The bench's folder in its command line says that it is one of ours.
 */
async function endStragglers(folder: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (let signal: NodeJS.Signals = 'SIGTERM'; ; signal = Date.now() > deadline ? 'SIGKILL' : 'SIGTERM') {
    const left = stragglersIn(folder);
    if (left.length === 0) return;
    for (const pid of left) endQuietly(pid, signal);
    await wait(20);
  }
}

function stragglersIn(folder: string): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.filter((pid) => commandLineOf(pid).includes(`${folder}/`)).map(Number);
}

/** Empty for a process that has ended meanwhile, and for one that only waits to be asked how. */
function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function endQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it ended by itself meanwhile
  }
}

if (import.meta.main) {
  for (const name of peerNames) {
    console.log(`peer ${name.padEnd(16)} ${(await peerVersion(name)).padEnd(24)} ${findPeer(name) ?? ''}`);
  }
}
