/**
 * The manners of the terminal, obeyed by every command:
 * - results on stdout, everything else on stderr; with --json one JSON document on stdout and nothing else there;
 * - an error is one line `bulla: <what> [<code>]`, then `hint: <what to do>` where a human can act;
 * - no stack without --debug; nothing but errors and warnings on stderr under --quiet;
 * - text from outside is made printable before it is shown.
 */
import { styleText } from 'node:util';

import { BullaError } from '../base/errors.ts';
import { printable } from '../base/bytes.ts';
import { isTerminal } from '../base/node.ts';

/** The world as a command sees it. Tests hand in their own. */
export type Terminal = {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** A person can be asked: standard input and standard error are terminals. */
  readonly interactive: boolean;
  quiet: boolean;
  debug: boolean;
  /** One line of result on stdout. */
  print(line: string): void;
  /** A word coloured for stdout, where that is a terminal and NO_COLOR is not set. */
  paint(word: string, colour: 'green' | 'red'): string;
  /** Bytes of result on stdout, as they are. */
  write(bytes: Uint8Array): void;
  /** One JSON document on stdout. */
  printJson(value: unknown): void;
  /** Progress and remarks on stderr; silent under --quiet. */
  note(line: string): void;
  /** `warning: …` on stderr, also under --quiet. */
  warn(line: string): void;
  /** `bulla: … [code]` and its hint on stderr. */
  error(error: unknown): void;
  /** All of standard input, at most `limit` bytes. @throws BullaError `io.too-large` */
  readInput(limit: number): Promise<Uint8Array>;
  /** Asks for a line of text, on stderr. @throws BullaError `usage.invalid` where nobody can be asked or the person gives up */
  ask(question: string, initial?: string): Promise<string>;
  /** Asks for a secret without echo; `hint` says how else it can be given. @throws BullaError `key.passphrase-missing` where nobody can be asked or the person gives up */
  askSecret(question: string, hint?: string): Promise<string>;
  /** Asks yes or no; no where the person gives up. @throws BullaError `usage.invalid` where nobody can be asked */
  confirm(question: string): Promise<boolean>;
};

function isInteractive(): boolean {
  return isTerminal(0) && isTerminal(2);
}

/** The terminal that this process has. */
export function openTerminal(): Terminal {
  const terminal: Terminal = {
    env: process.env,
    cwd: process.cwd(),
    get interactive() {
      return isInteractive();
    },
    quiet: false,
    debug: false,
    print: (line) => void process.stdout.write(`${line}\n`),
    paint: (word, colour) => styleText(colour, word, { stream: process.stdout }),
    write: (bytes) => void process.stdout.write(bytes),
    printJson: (value) => void process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`),
    note: (line) => {
      if (!terminal.quiet) process.stderr.write(`${line}\n`);
    },
    warn: (line) => void process.stderr.write(`warning: ${line}\n`),
    error: (error) => void process.stderr.write(errorLines(error, terminal.debug)),
    readInput,
    ask: (question, initial) => askText(isInteractive(), question, initial),
    askSecret: (question, hint) => askSecret(isInteractive(), question, hint),
    confirm: (question) => confirm(isInteractive(), question),
  };
  return terminal;
}

/** An error as its lines on stderr. */
export function errorLines(error: unknown, debug: boolean): string {
  const known = error instanceof BullaError ? error : unexpected(error);
  const hint = known.hint === undefined ? '' : `hint: ${printable(known.hint, 1000)}\n`;
  const stack = debug && error instanceof Error ? `${error.stack ?? ''}\n` : '';
  return `bulla: ${printable(known.message, 2000)} [${known.code}]\n${hint}${stack}`;
}

/** Anything that is not a BullaError is a bug of ours: it fails closed with exit 3. */
export function unexpected(error: unknown): BullaError {
  const message = error instanceof Error ? error.message : String(error);
  return new BullaError('internal.bug', `unexpected: ${message}`, {
    hint: 'run it again with --debug and report what it prints',
    cause: error,
  });
}

async function readInput(limit: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limit) throw new BullaError('io.too-large', `standard input is larger than ${limit} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

async function askText(interactive: boolean, question: string, initial?: string): Promise<string> {
  if (!interactive) throw nobody(question);
  const { text, isCancel } = await import('@clack/prompts');
  const answer = await text({
    message: question,
    output: promptOutput(),
    ...(initial !== undefined && { initialValue: initial }),
  });
  if (isCancel(answer)) throw new BullaError('usage.invalid', 'given up at the prompt');
  return answer ?? '';
}

async function askSecret(interactive: boolean, question: string, hint?: string): Promise<string> {
  if (!interactive) {
    throw new BullaError(
      'key.passphrase-missing',
      `"${question}" wants an answer and there is no terminal to ask on`,
      {
        hint: hint ?? 'give it in a file, e.g. --sign-passphrase-file or --passphrase-file',
      },
    );
  }
  const { password, isCancel } = await import('@clack/prompts');
  const answer = await password({ message: question, output: promptOutput() });
  if (isCancel(answer)) throw new BullaError('key.passphrase-missing', 'given up at the prompt');
  return answer ?? '';
}

async function confirm(interactive: boolean, question: string): Promise<boolean> {
  if (!interactive) throw nobody(question);
  const prompts = await import('@clack/prompts');
  const answer = await prompts.confirm({ message: question, initialValue: false, output: promptOutput() });
  return answer === true;
}

/** Where questions are asked. A terminal that tells no width would get each letter on a line of its own. */
function promptOutput(): typeof process.stderr {
  if (!(process.stderr.columns > 0)) process.stderr.columns = 80;
  return process.stderr;
}

function nobody(question: string): BullaError {
  return new BullaError('usage.invalid', `"${question}" wants an answer and there is no terminal to ask on`, {
    hint: 'give the answer by a flag; --help lists them',
  });
}
