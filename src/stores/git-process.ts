/**
 * The user's own git program, with care: it asks nobody, runs no hook, speaks no other protocol than the one named, and
 * ends in time. What the user has configured holds otherwise: credential helpers, ssh, proxies, certificates, who commits.
 */
import { dirname } from 'node:path';

import { printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type ProcessResult, runProcess } from '../io/process.ts';
import { type GitStoreName, withoutSecrets } from './git-name.ts';

/** How git is run for one store. */
export type GitCall = {
  readonly env: NodeJS.ProcessEnv;
  /** The repository that is reached: its protocol is the only one allowed. */
  readonly name: GitStoreName;
  readonly input?: Uint8Array;
  /** The folder it runs in. */
  readonly cwd: string;
  /** The private repository that it works on. Named, as git may be told not to look for one, and none above is meant. */
  readonly gitDir?: string;
  readonly maxBytes?: number;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Configuration besides what always holds. */
  readonly config?: readonly string[];
};

/** What the two sides of a push or fetch on this machine are given, whatever stands in their configuration. */
const noPrograms = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  // a program for the repositories that this one borrows objects from; it may not be empty
  'core.alternateRefsCommand=true',
  'gc.auto=0',
  'maintenance.auto=false',
];

const always = [
  ...noPrograms,
  // a broken or hostile object is refused when it arrives, and what arrives is one file, whose size can be watched
  'fetch.fsckObjects=true',
  'transfer.fsckObjects=true',
  'fetch.unpackLimit=1',
  'transfer.unpackLimit=1',
  // files larger than any signature go through git without being held
  'core.bigFileThreshold=16m',
  'fetch.recurseSubmodules=false',
  'push.recurseSubmodules=no',
  'submodule.recurse=false',
  'push.followTags=false',
  'push.gpgSign=false',
  'core.quotePath=false',
  // a server that sends next to nothing for a minute is given up
  'http.lowSpeedLimit=1000',
  'http.lowSpeedTime=60',
  'init.defaultBranch=main',
];

/** For `--receive-pack`: git does not hand our configuration to the other side, not even on the same machine. */
export const quietReceivePack: string = [
  'git',
  ...noPrograms.flatMap((each) => ['-c', each]),
  // a folder that is checked out would be written to by filters that the repository names
  '-c receive.denyCurrentBranch=refuse -c receive.autogc=false receive-pack',
].join(' ');

/** What the environment may tell git; whatever else begins with GIT_ would point it elsewhere, or make it print secrets. */
const kept =
  /^GIT_(?:SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|EXEC_PATH|(?:AUTHOR|COMMITTER)_(?:NAME|EMAIL|DATE)|SSL_(?:CAINFO|CAPATH|CERT|KEY|CERT_TYPE|KEY_TYPE)|HTTP_PROXY_AUTHMETHOD|CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_[0-9]+|VALUE_[0-9]+))$/;

/** The environment that git gets. */
export function gitEnvironment(env: NodeJS.ProcessEnv, scheme: GitStoreName['scheme']): NodeJS.ProcessEnv {
  const passed = Object.entries(env).filter(([name]) => !name.startsWith('GIT_') || kept.test(name));
  return {
    ...Object.fromEntries(passed),
    // over all of protocol.*; the user may have ssh for https by url.*.insteadOf
    GIT_ALLOW_PROTOCOL: scheme === 'file' ? 'file' : 'https:ssh',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_LAZY_FETCH: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    // its messages are read here
    LC_ALL: 'C',
    LANGUAGE: '',
  };
}

/**
 * Runs git to its end; a failure is a result.
 * @throws BullaError `process.not-found`, `process.timeout`, `process.output-too-large`, what `signal` is aborted with
 */
export async function callGit(args: readonly string[], call: GitCall): Promise<ProcessResult> {
  const config = [...always, ...(call.config ?? [])].flatMap((each) => ['-c', each]);
  const inside = call.gitDir === undefined ? [] : [`--git-dir=${call.gitDir}`];
  try {
    return await runProcess('git', [...config, ...inside, ...args], {
      // whoever may write to the folder above must not have a repository found there
      env: { ...gitEnvironment(call.env, call.name.scheme), GIT_CEILING_DIRECTORIES: dirname(call.cwd) },
      cwd: call.cwd,
      timeoutMs: call.timeoutMs ?? limits.gitMs,
      maxBytes: call.maxBytes ?? 1_048_576,
      ownSession: true,
      ...(call.input !== undefined && { input: call.input }),
      ...(call.signal !== undefined && { signal: call.signal }),
    });
  } catch (error) {
    if (!isBullaError(error, 'process.not-found')) throw error;
    throw new BullaError(
      'process.not-found',
      'a git repository is reached by the program git, which is missing',
      {
        hint: 'install git',
        cause: error,
      },
    );
  }
}

/**
 * As callGit, but a failure is an error.
 * @param what was tried: `read`, `push to`
 * @throws BullaError `store.failed`, and what callGit throws
 */
export async function mustGit(args: readonly string[], call: GitCall, what: string): Promise<Uint8Array> {
  const result = await callGit(args, call);
  if (result.exitCode === 0) return result.stdout;
  throw gitError(result, call.name, what);
}

/** Text that git prints for programs: names of objects and references. */
export function gitText(bytes: Uint8Array): string {
  return (textOf(bytes) ?? '').trim();
}

const hints: readonly (readonly [RegExp, string])[] = [
  [
    /dubious ownership/,
    'the repository is another user’s; git config --global --add safe.directory PATH trusts it',
  ],
  [/not appear to be a git repository|not found/i, 'make it by: git init --bare PATH'],
  [
    /Authentication failed|could not read (?:Username|Password)|Permission denied|Host key verification/i,
    'git cannot ask here: give it a credential helper (git config credential.helper) or a key in ssh-agent',
  ],
  [
    /currently checked out|denyCurrentBranch/,
    'publish to a bare repository, or to a branch that is not checked out',
  ],
  [/transport '.*' not allowed/, 'git’s own configuration leads to a protocol that is not allowed here'],
];

/** What git said, without the parts of a URL that may be secret. */
export function gitError(result: ProcessResult, { text }: GitStoreName, what: string): BullaError {
  const said = `${result.stderr}${textOf(result.stdout) ?? ''}`;
  const hint = hints.find(([pattern]) => pattern.test(said))?.[1];
  const why = withoutSecrets(reasonOf(result));
  return new BullaError('store.failed', `cannot ${what} ${withoutSecrets(text)}: git: ${why}`, {
    ...(hint !== undefined && { hint }),
  });
}

function reasonOf({ stderr, stdout, exitCode }: ProcessResult): string {
  const said = stderr
    .split(/[\r\n]+/)
    .filter((line) => line.trim() !== '' && !/^(?:warning|hint|To|Cloning into|From)\b/.test(line));
  const rejected = /^!.*\t(.*)$/m.exec(textOf(stdout) ?? '')?.[1];
  // the first line says why, those after it what follows from it
  return printable(rejected ?? said[0] ?? `exit code ${exitCode}`, 500);
}
