/** The user's GnuPG as a process: where its home is, how it is called, what its answers mean. */
import { existsSync, readlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { isTerminal } from '../base/node.ts';
import { runProcess } from '../io/process.ts';

export type Gnupg = {
  /** The program; found by PATH. */
  readonly program: string;
  /** GNUPGHOME, or ~/.gnupg. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
};

/** One line `[GNUPG:] KEYWORD words…` (GnuPG's doc/DETAILS). */
export type Status = { readonly keyword: string; readonly words: readonly string[] };

export type GnupgResult = {
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly statuses: readonly Status[];
  /** What gpg printed for people. */
  readonly log: readonly string[];
};

export type GnupgCall = {
  readonly input?: Uint8Array;
  /** Given to gpg on a file descriptor of its own; without it the agent and its pinentry are asked. */
  readonly passphrase?: string;
};

/** A person may have to find a card and type a PIN. */
const patience = 300_000;

/** The GnuPG that `env` leads to; nothing is started. */
export function findGnupg(env: NodeJS.ProcessEnv, program = 'gpg'): Gnupg {
  const named = env['GNUPGHOME'] ?? '';
  const home = named === '' ? join(env['HOME'] ?? homedir(), '.gnupg') : named;
  return { program, home, env };
}

/**
 * False where the home cannot hold a key: then gpg need not be started, which would make a home
 * where there is none and cost a process where there is nothing to find.
 */
export function hasKeyring(gnupg: Gnupg): boolean {
  return ['pubring.kbx', 'pubring.gpg', 'public-keys.d'].some((each) => existsSync(join(gnupg.home, each)));
}

const always = [
  '--no-tty',
  // it takes a lock and walks the web of trust, which decides nothing here
  '--no-auto-check-trustdb',
  '--utf8-strings',
  '--display-charset',
  'utf-8',
  '--status-fd',
  '2',
] as const;

/**
 * Runs gpg to its end; a failure is a result.
 * @throws BullaError `process.not-found` and the like; `io.not-found` where GNUPGHOME names no folder
 */
export async function callGnupg(
  gnupg: Gnupg,
  args: readonly string[],
  call: GnupgCall = {},
): Promise<GnupgResult> {
  if ((gnupg.env['GNUPGHOME'] ?? '') !== '' && !existsSync(gnupg.home)) {
    // gpg would only complain of an agent that does not start
    throw new BullaError('io.not-found', `GNUPGHOME names no folder: ${printable(gnupg.home)}`, {
      hint: 'make it by: mkdir -m 700',
    });
  }
  const secret = call.passphrase === undefined ? [] : ['--pinentry-mode', 'loopback', '--passphrase-fd', '3'];
  const result = await runProcess(gnupg.program, [...always, ...secret, ...args], {
    env: { ...gnupg.env, ...terminalOf(gnupg.env), ...localeOf(gnupg.env) },
    timeoutMs: patience,
    maxBytes: limits.keyringBytes,
    input: call.input ?? new Uint8Array(),
    ...(call.passphrase !== undefined && { extraInput: Buffer.from(`${call.passphrase}\n`) }),
  });
  const { statuses, log } = splitErrorOutput(result.stderr);
  return { exitCode: result.exitCode, stdout: result.stdout, statuses, log };
}

/** gpg's messages are read here, so they come in English; a pinentry keeps the user's characters. */
function localeOf(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const characters = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find(
    (each) => each !== undefined && each !== '',
  );
  return { LC_ALL: undefined, LANGUAGE: undefined, LC_MESSAGES: 'C', LC_CTYPE: characters };
}

/** gpg looks for the terminal of a pinentry on its standard input, which is a pipe here. */
function terminalOf(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (env['GPG_TTY'] !== undefined || !isTerminal(0)) return {};
  try {
    return { GPG_TTY: readlinkSync('/proc/self/fd/0') };
  } catch {
    return {};
  }
}

function splitErrorOutput(stderr: string): { statuses: Status[]; log: string[] } {
  const statuses: Status[] = [];
  const log: string[] = [];
  for (const line of stderr.split('\n')) {
    if (line.startsWith('[GNUPG:] ')) {
      const [keyword = '', ...words] = line.slice('[GNUPG:] '.length).split(' ');
      statuses.push({ keyword, words });
    } else if (line !== '') log.push(line);
  }
  return { statuses, log };
}

/** The first status with that keyword. */
export function statusOf(result: GnupgResult, keyword: string): Status | undefined {
  return result.statuses.find((each) => each.keyword === keyword);
}

/** GnuPG's error numbers (libgpg-error, err-codes.h), without their source part. */
const badPassphrase = 11;
const noPassphrase = [
  /* cancelled */ 99, /* no pinentry */ 86, 85, /* no passphrase */ 177, /* fully cancelled */ 198,
  /* timeout */ 62, /* not a terminal */ 32_870,
];

/** What went wrong, as one of Bulla's errors. `what` is what was tried: `sign with …`. */
export function gnupgError(result: GnupgResult, what: string): BullaError {
  const numbers = result.statuses
    .filter((each) => each.keyword === 'FAILURE' || each.keyword === 'ERROR')
    .map((each) => Number(each.words[1] ?? 0) % 65_536);
  if (numbers.includes(badPassphrase) || statusOf(result, 'BAD_PASSPHRASE') !== undefined) {
    return new BullaError('key.passphrase-wrong', `cannot ${what}: the passphrase is wrong`);
  }
  if (
    numbers.some((each) => noPassphrase.includes(each)) ||
    statusOf(result, 'MISSING_PASSPHRASE') !== undefined
  ) {
    return new BullaError(
      'key.passphrase-missing',
      `cannot ${what}: gpg-agent could not ask for the passphrase`,
      {
        hint: 'give it in a file (--passphrase-file, --sign-passphrase-file), or run where a pinentry can ask',
      },
    );
  }
  return new BullaError('key.unusable', `cannot ${what}: ${printable(reasonOf(result))}`);
}

function reasonOf(result: GnupgResult): string {
  const lines = result.log
    .filter((line) => line.startsWith('gpg: '))
    .map((line) => line.slice('gpg: '.length));
  // the last line is the verdict; those before it are the steps towards it
  return lines.at(-1) ?? `gpg ended with exit code ${result.exitCode}`;
}
