/** Child processes: bounded in time and output, never through a shell. */
import { BullaError } from '../base/errors.ts';
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
  /** Lets the child use this process's terminal (a pinentry). */
  readonly cwd?: string;
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
export function runProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions,
): Promise<ProcessResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ProcessResult>();
  const extra = options.extraInput === undefined ? [] : (['pipe'] as const);
  const child = childProcess().spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe', ...extra],
    env: options.env ?? process.env,
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let failure: BullaError | undefined;
  const stop = (error: BullaError): void => {
    failure ??= error;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(() => {
    stop(new BullaError('process.timeout', `${command} did not end within ${options.timeoutMs} ms`));
  }, options.timeoutMs);
  const collect = (stream: NodeJS.ReadableStream | null, into: Buffer[]): void => {
    let length = 0;
    stream?.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= options.maxBytes) into.push(chunk);
      else
        stop(
          new BullaError(
            'process.output-too-large',
            `${command} printed more than ${options.maxBytes} bytes`,
          ),
        );
    });
  };
  collect(child.stdout, out);
  collect(child.stderr, err);
  const feed = (stream: NodeJS.WritableStream | null | undefined, bytes: Uint8Array | undefined): void => {
    // a child that ends without reading its input closes the pipe; its exit code tells the story
    stream?.on('error', () => undefined);
    if (bytes === undefined) stream?.end();
    else stream?.end(bytes);
  };
  feed(child.stdin, options.input);
  feed(child.stdio[3] as NodeJS.WritableStream | null | undefined, options.extraInput);
  child.on('error', (cause) => {
    clearTimeout(timer);
    const missing = 'code' in cause && cause.code === 'ENOENT';
    reject(
      new BullaError(
        missing ? 'process.not-found' : 'process.failed',
        `cannot run ${command}: ${cause.message}`,
        { cause },
      ),
    );
  });
  child.on('close', (exitCode) => {
    clearTimeout(timer);
    if (failure !== undefined) reject(failure);
    else
      resolve({
        exitCode: exitCode ?? 128,
        stdout: new Uint8Array(Buffer.concat(out)),
        stderr: Buffer.concat(err).toString('utf8'),
      });
  });
  return promise;
}
