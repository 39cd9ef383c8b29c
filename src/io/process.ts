/** Child processes: bounded in time and output, never through a shell. */
import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';

import { BullaError, type ErrorCode } from '../base/errors.ts';
import { childProcess } from '../base/node.ts';

export type ProcessOptions = {
  /** Written to standard input, which is then closed. Secrets go here, never into arguments. */
  readonly input?: Uint8Array;
  /** Written to file descriptor 3, then closed (a passphrase beside data on standard input). */
  readonly extraInput?: Uint8Array;
  /** The whole environment; default: this process's own. */
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  /** The most that standard output and error may each hold. */
  readonly maxBytes: number;
  /** Leaves standard error to the child: what it prints is for the person who waits. `stderr` is then empty. */
  readonly ownStderr?: boolean;
  /** The child's working directory; default: this process's own. */
  readonly cwd?: string;
  /**
   * Gives the child a session of its own, without a terminal on which it or its children could ask, and ends all of
   * them together: a program like git starts others, which would go on reading from a server after it is killed.
   */
  readonly ownSession?: boolean;
  /** Ends the child when it is aborted; its reason, a BullaError, is then thrown. */
  readonly signal?: AbortSignal;
};

export type ProcessResult = {
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: string;
};

/**
 * Runs a program to its end. A non-zero exit is a result, not an error.
 * @throws BullaError `process.not-found` (no such program), `process.timeout`, `process.output-too-large`, `process.failed`
 */
export async function runProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions,
): Promise<ProcessResult> {
  const child = start(command, args, options);
  let failure: BullaError | undefined;
  const stop = (code: ErrorCode, why: string): void => {
    end(new BullaError(code, `${command} ${why}`));
  };
  const end = (why: BullaError): void => {
    failure ??= why;
    giveUp(child, options);
  };
  using _forwarded = options.ownSession === true ? endWithUs(child, options) : undefined;
  const abort = (): void => end(options.signal?.reason as BullaError);
  options.signal?.addEventListener('abort', abort);
  const timer = setTimeout(
    () => stop('process.timeout', `did not end within ${options.timeoutMs} ms`),
    options.timeoutMs,
  );
  const overflow = (): void =>
    stop('process.output-too-large', `printed more than ${options.maxBytes} bytes`);
  const out = collect(child.stdout, options.maxBytes, overflow);
  const err = collect(child.stderr, options.maxBytes, overflow);
  feed(child.stdin, options.input);
  feed(child.stdio[3] as NodeJS.WritableStream | null | undefined, options.extraInput);
  try {
    const exitCode = await ended(child, command);
    if (failure !== undefined) throw failure;
    return {
      exitCode,
      stdout: new Uint8Array(Buffer.concat(out)),
      stderr: Buffer.concat(err).toString('utf8'),
    };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', abort);
  }
}

function giveUp(child: ChildProcess, options: ProcessOptions): void {
  kill(child, options, 'SIGKILL');
  // what the child left behind may hold its pipes for ever; nothing more is read from them
  for (const each of child.stdio) (each as Duplex | null | undefined)?.destroy();
}

function kill(child: ChildProcess, { ownSession }: ProcessOptions, signal: NodeJS.Signals): void {
  if (ownSession !== true || child.pid === undefined) child.kill(signal);
  else {
    try {
      process.kill(-child.pid, signal);
    } catch {
      // all of them ended by themselves
    }
  }
}

/** A terminal's Ctrl-C does not reach another session: what ends us is passed on, and then ends us. */
function endWithUs(child: ChildProcess, options: ProcessOptions): Disposable {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const pass = (signal: NodeJS.Signals): void => {
    for (const each of signals) process.off(each, pass);
    kill(child, options, 'SIGTERM');
    process.kill(process.pid, signal);
  };
  for (const each of signals) process.on(each, pass);
  return {
    [Symbol.dispose]: () => {
      for (const each of signals) process.off(each, pass);
    },
  };
}

function start(command: string, args: readonly string[], options: ProcessOptions): ChildProcess {
  const extra = options.extraInput === undefined ? [] : (['pipe'] as const);
  return childProcess().spawn(command, args, {
    stdio: ['pipe', 'pipe', options.ownStderr === true ? 'inherit' : 'pipe', ...extra],
    env: options.env ?? process.env,
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.ownSession === true && { detached: true }),
  });
}

/** Gathers a stream's chunks into the array it gives; past `most` bytes it calls `overflow` and drops them. */
function collect(
  stream: NodeJS.ReadableStream | null,
  most: number,
  overflow: () => void,
): readonly Buffer[] {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length <= most) chunks.push(chunk);
    else overflow();
  });
  return chunks;
}

function feed(stream: NodeJS.WritableStream | null | undefined, bytes: Uint8Array | undefined): void {
  // a child that ends without reading its input closes the pipe; its exit code tells the story
  stream?.on('error', () => undefined);
  if (bytes === undefined) stream?.end();
  else stream?.end(bytes);
}

/** The exit code once the child has ended and its output is read; 128 when a signal ended it. */
function ended(child: ChildProcess, command: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.on('error', (cause) => {
    const missing = 'code' in cause && cause.code === 'ENOENT';
    const code = missing ? 'process.not-found' : 'process.failed';
    reject(new BullaError(code, `cannot run ${command}: ${cause.message}`, { cause }));
  });
  child.on('close', (exitCode) => resolve(exitCode ?? 128));
  return promise;
}
