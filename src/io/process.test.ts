import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { textOf, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { runProcess } from './process.ts';

const options = { timeoutMs: 10_000, maxBytes: 1000 };

test('output, error output and exit code of a child are its result', async () => {
  const result = await runProcess('sh', ['-c', 'cat; echo oops >&2; exit 3'], {
    ...options,
    input: utf8('in'),
  });
  assert.equal(result.exitCode, 3);
  assert.equal(textOf(result.stdout), 'in');
  assert.equal(result.stderr, 'oops\n');
});

test('a second input arrives on file descriptor 3', async () => {
  const result = await runProcess('sh', ['-c', 'cat <&3; cat'], {
    ...options,
    input: utf8('data'),
    extraInput: utf8('secret '),
  });
  assert.equal(textOf(result.stdout), 'secret data');
});

test('arguments reach the child as they are: there is no shell', async () => {
  const result = await runProcess('printf', ['%s', '$HOME; `id`'], options);
  assert.equal(textOf(result.stdout), '$HOME; `id`');
});

test('environment and folder are the given ones', async () => {
  const env = { PATH: process.env['PATH'], ONLY: 'this' };
  const result = await runProcess('sh', ['-c', 'echo "$ONLY$HOME"; pwd'], { ...options, env, cwd: '/' });
  assert.equal(textOf(result.stdout), 'this\n/\n');
});

test('a child that ends without reading its input is no error', async () => {
  const result = await runProcess('true', [], { ...options, input: new Uint8Array(1_000_000) });
  assert.equal(result.exitCode, 0);
});

test('a program that is not there, one that hangs and one that floods have their own codes', async () => {
  await assert.rejects(runProcess('no-such-program-here', [], options), { code: 'process.not-found' });
  await assert.rejects(runProcess('sleep', ['60'], { ...options, timeoutMs: 50 }), {
    code: 'process.timeout',
  });
  await assert.rejects(runProcess('yes', [], options), { code: 'process.output-too-large' });
});

test('time ends also where a grandchild holds the pipes, whatever became of the child', async () => {
  for (const ownSession of [false, true]) {
    for (const program of ['sleep 8 & wait', 'setsid sleep 8 & echo started']) {
      const began = performance.now();
      const running = runProcess('sh', ['-c', program], { ...options, ownSession, timeoutMs: 300 });
      await assert.rejects(running, { code: 'process.timeout' });
      assert.ok(performance.now() - began < 6000, program);
    }
  }
});

test('a child killed by a signal does not look like success', async () => {
  const result = await runProcess('sh', ['-c', 'kill -TERM $$'], options);
  assert.notEqual(result.exitCode, 0);
});

test('a child of its own session has no terminal, and its children end with it', async () => {
  const alone = await runProcess('sh', ['-c', 'cut -d " " -f 6 /proc/$$/stat; echo $$'], {
    ...options,
    ownSession: true,
  });
  const [session = '', pid = ''] = (textOf(alone.stdout) ?? '').split('\n');
  assert.equal(session, pid);
  const stop = new AbortController();
  const why = new BullaError('io.too-large', 'enough');
  // the grandchild holds the pipe: were it not ended too, this would last as long as it
  const began = performance.now();
  const running = runProcess('sh', ['-c', 'sleep 60 & echo started; wait'], {
    ...options,
    ownSession: true,
    signal: stop.signal,
  });
  stop.abort(why);
  await assert.rejects(running, { code: 'io.too-large' });
  assert.ok(performance.now() - began < 9000);
});

test('what ends this process ends a child of another session', async () => {
  const program = `
    import { runProcess } from ${JSON.stringify(join(import.meta.dirname, 'process.ts'))};
    const options = { timeoutMs: 60_000, maxBytes: 1000, ownSession: true };
    setTimeout(() => process.kill(process.pid, 'SIGTERM'), 500);
    await runProcess('sh', ['-c', 'echo $$ > "$0"; exec sleep 60', process.argv[1]], options);
  `;
  const folder = mkdtempSync(join(tmpdir(), 'bulla-process-'));
  try {
    const pidFile = join(folder, 'pid');
    const { exitCode } = await runProcess(
      process.execPath,
      ['--input-type=module', '-e', program, pidFile],
      options,
    );
    assert.equal(exitCode, 128);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    // the signal was sent before this process ended; the kernel may need a moment
    for (let n = 0; n < 200 && isRunning(pid); n += 1)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(isRunning(pid), false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z');
  } catch {
    return false;
  }
}
