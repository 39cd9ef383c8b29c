/** The completion scripts, run by the shells that are here. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { runBulla } from '../../../test/support/fake-terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-completion-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function scriptFor(shell: string): Promise<string> {
  const { exit, out, err } = await runBulla(folder, ['completion', shell]);
  assert.deepEqual([exit, err], [0, '']);
  return out;
}

function isHere(shell: string): boolean {
  return spawnSync(shell, ['--version']).error === undefined;
}

/** What bash offers after these words, the last of which is being typed. */
function offered(script: string, words: readonly string[]): readonly string[] {
  const list = ['bulla', ...words].map((word) => `'${word}'`).join(' ');
  const run = `${script}\nCOMP_WORDS=(${list}); COMP_CWORD=${words.length}; _bulla; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', run], { cwd: folder, encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash completes commands, subcommands and their flags', { skip: !isHere('bash') }, async () => {
  const script = await scriptFor('bash');
  assert.equal(spawnSync('bash', ['-n'], { input: script }).status, 0);
  assert.deepEqual(offered(script, ['ver']), ['verify', 'verify-attestation', 'verify-blob']);
  assert.ok(offered(script, ['']).includes('standalone-sign'));
  const trust = ['check', 'explain', 'import', 'render', 'root', 'set', 'show', 'update'];
  assert.deepEqual(offered(script, ['trust', '']).toSorted(), trust);
  assert.deepEqual(offered(script, ['trust', 'set', '--pub']), ['--pubkeysfile']);
  assert.deepEqual(offered(script, ['verify', '--json', '--expl']), ['--explain']);
  assert.deepEqual(offered(script, ['key', 'generate', 'gpg', '--user']), ['--user-id']);
  assert.ok(offered(script, ['completion', '']).includes('fish'));
  // an alias that --help does not show is not offered either
  assert.deepEqual(offered(script, ['verify', '--signature-p']), []);
});

test('zsh takes its script', { skip: !isHere('zsh') && 'zsh is not installed' }, async () => {
  const { status, stderr } = spawnSync('zsh', ['-n'], { input: await scriptFor('zsh'), encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});

test('fish takes its script', { skip: !isHere('fish') && 'fish is not installed' }, async () => {
  // fish reads no script from Node's kind of pipe
  const file = join(folder, 'completion.fish');
  writeFileSync(file, await scriptFor('fish'));
  const { status, stderr } = spawnSync('fish', ['--no-execute', file], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  const asked = spawnSync('fish', ['-c', `source ${file}; complete -C 'bulla trust s'`], {
    encoding: 'utf8',
  });
  assert.deepEqual(asked.stdout.trim().split('\n').sort(), ['set', 'show']);
});

test('another shell is refused', async () => {
  const { exit, err } = await runBulla(folder, ['completion', 'tcsh']);
  assert.equal(exit, 2);
  assert.match(err, /\[usage\.invalid\]/);
});
