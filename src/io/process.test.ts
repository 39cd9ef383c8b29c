import assert from 'node:assert/strict';
import { test } from 'node:test';

import { textOf, utf8 } from '../base/bytes.ts';
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

test('a child killed by a signal does not look like success', async () => {
  const result = await runProcess('sh', ['-c', 'kill -TERM $$'], options);
  assert.notEqual(result.exitCode, 0);
});
