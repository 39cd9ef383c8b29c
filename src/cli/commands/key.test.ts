import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { main } from '../main.ts';
import { errorLines, type Terminal } from '../terminal.ts';

const root = await mkdtemp(join(tmpdir(), 'bulla-key-'));
after(() => rm(root, { recursive: true, force: true }));

type Session = {
  readonly folder: string;
  readonly out: string[];
  readonly err: string[];
  run(...words: readonly string[]): Promise<number>;
};

let count = 0;
/** A user with an empty home; `answers` are what a person types, by the beginning of the question. */
async function session(answers?: Readonly<Record<string, string | boolean>>): Promise<Session> {
  const folder = await mkdtemp(join(root, `${(count += 1)}-`));
  const out: string[] = [];
  const err: string[] = [];
  const answer = (question: string): string | boolean => {
    const key = Object.keys(answers ?? {}).find((each) => question.startsWith(each));
    if (key === undefined) throw new Error(`nobody expected the question "${question}"`);
    return answers?.[key] ?? '';
  };
  const terminal: Terminal = {
    env: { HOME: folder, XDG_DATA_HOME: join(folder, 'data'), PATH: '' },
    cwd: folder,
    interactive: answers !== undefined,
    quiet: false,
    debug: false,
    paint: (word) => word,
    print: (line) => void out.push(line),
    write: (bytes) => void out.push(Buffer.from(bytes).toString('latin1')),
    printJson: (value) => void out.push(JSON.stringify(value)),
    note: (line) => void err.push(line),
    warn: (line) => void err.push(`warning: ${line}`),
    error: (error) => void err.push(errorLines(error, false)),
    readInput: () => Promise.resolve(new Uint8Array()),
    ask: async (question) => String(answer(question)),
    askSecret: async (question) => String(answer(question)),
    confirm: async (question) => answer(question) === true,
  };
  return { folder, out, err, run: (...words) => main(['key', ...words], terminal) };
}

const keys = (at: Session): string => join(at.folder, 'data', 'bulla', 'keys');
const generate = ['generate', 'gpg', '--user-id', 'Ann <ann@example.com>', '--type', 'ed25519'] as const;

test('generate prints the fingerprint alone on stdout and says the rest on stderr', async () => {
  const at = await session();
  await writeFile(join(at.folder, 'pass'), 'open sesame\nmore\n');
  assert.equal(await at.run(...generate, '--passphrase-file', join(at.folder, 'pass')), 0);
  assert.equal(at.out.length, 1);
  assert.match(at.out[0] ?? '', /^[0-9A-F]{40}$/u);
  assert.match(at.err.join('\n'), /ed25519 key for Ann <ann@example.com>, expires: 20/u);
  assert.equal((await readdir(keys(at))).length, 3);
});

test('generate with a prefix writes three files, touches no keyring, and overwrites nothing', async () => {
  const at = await session();
  await writeFile(join(at.folder, 'empty'), '');
  const words = [
    ...generate,
    '--expires',
    '0',
    '--passphrase-file',
    join(at.folder, 'empty'),
    '--output-prefix',
    'ci',
  ];
  assert.equal(await at.run(...words), 0);
  assert.match(at.err.join('\n'), /warning: .*empty/u);
  const modes = await Promise.all(
    ['ci.private.asc', 'ci.pub.asc', 'ci.revoke.asc'].map(
      async (name) => (await stat(join(at.folder, name))).mode & 0o777,
    ),
  );
  assert.deepEqual(modes, [0o600, 0o644, 0o600]);
  await assert.rejects(stat(join(at.folder, 'data')), { code: 'ENOENT' });
  await rm(join(at.folder, 'ci.private.asc'));
  const before = await readFile(join(at.folder, 'ci.pub.asc'), 'utf8');
  assert.equal(await at.run(...words), 2);
  assert.match(at.err.at(-1) ?? '', /\[key\.exists\]/u);
  assert.equal(await readFile(join(at.folder, 'ci.pub.asc'), 'utf8'), before);
  await assert.rejects(stat(join(at.folder, 'ci.private.asc')), { code: 'ENOENT' });
});

test('without a terminal a passphrase or a user ID that is missing is an error, and no key is made', async () => {
  const at = await session();
  assert.equal(await at.run(...generate), 4);
  assert.match(at.err.join('\n'), /\[key\.passphrase-missing\]/u);
  assert.equal(await at.run(...generate, '--passphrase-file', join(at.folder, 'none')), 4);
  assert.equal(await at.run('generate', 'gpg'), 2);
  await assert.rejects(stat(keys(at)), { code: 'ENOENT' });
});

test('wrong words are refused before a key is made', async () => {
  const at = await session();
  await writeFile(join(at.folder, 'pass'), 'x');
  const file = ['--passphrase-file', join(at.folder, 'pass')];
  assert.equal(await at.run('generate', 'gpg', '--user-id', 'A', '--type', 'dsa', ...file), 2);
  assert.equal(await at.run('generate', 'gpg', '--user-id', 'A', '--expires', 'soon', ...file), 2);
  assert.equal(await at.run('generate', 'gpg', '--user-id', 'A\nB', ...file), 2);
  assert.equal(await at.run('generate', 'gpg', '--user-id', '', ...file), 2);
  assert.equal(await at.run(...generate, '--gnupg', '--output-prefix', 'x', ...file), 2);
  assert.equal(await at.run('generate', 'gpg', '--no-such-flag'), 2);
  await assert.rejects(stat(keys(at)), { code: 'ENOENT' });
});

const person = {
  'Kind of key': 'ed25519',
  'When shall it expire': '30d',
  'Real name': 'Ann',
  'Mail address': 'ann@example.com',
  'A ed25519 key for "Ann <ann@example.com>"': true,
  'Passphrase of the new key': 'open sesame',
  'The same once more': 'open sesame',
};

test('on a terminal generate asks what gpg asks', async () => {
  const at = await session(person);
  assert.equal(await at.run('generate', 'gpg'), 0, at.err.join('\n'));
  assert.equal(await at.run('list', '--json'), 0);
  const [listed] = JSON.parse(at.out.at(-1) ?? '') as [Record<string, unknown>];
  assert.deepEqual(
    [listed['userIds'], listed['algorithm'], listed['secret']],
    [['Ann <ann@example.com>'], 'ed25519', true],
  );
});

test('on a terminal two passphrases that differ, or a no, make no key', async () => {
  for (const wrong of [
    { 'The same once more': 'sesame' },
    { 'A ed25519 key for "Ann <ann@example.com>"': false },
  ]) {
    const at = await session({ ...person, ...wrong });
    assert.notEqual(await at.run('generate', 'gpg'), 0);
    await assert.rejects(stat(keys(at)), { code: 'ENOENT' });
  }
});

test('list, show, export, extend, revoke and delete work on one key', async () => {
  const at = await session();
  await writeFile(join(at.folder, 'pass'), 'open sesame');
  const file = ['--passphrase-file', join(at.folder, 'pass')];
  await at.run(...generate, ...file);
  const fingerprint = at.out.pop() ?? '';
  await at.run('list');
  assert.match(
    at.out.splice(0).join('\n'),
    new RegExp(`^FINGERPRINT .*\n${fingerprint}  ed25519  secret  20.*  valid  own`, 'u'),
  );
  await at.run('show', 'ann@example.com');
  assert.match(
    at.out.splice(0).join('\n'),
    new RegExp(`^fingerprint  ${fingerprint}\nuser ID      Ann`, 'u'),
  );
  assert.equal(await at.run('export', 'ann', '--armor', '-o', join(at.folder, 'out.asc')), 0);
  assert.match(await readFile(join(at.folder, 'out.asc'), 'utf8'), /^-----BEGIN PGP PUBLIC KEY BLOCK/u);
  assert.equal(await at.run('export', 'ann', '--secret', '-o', join(at.folder, 'secret.asc')), 0);
  assert.match(at.err.at(-1) ?? '', /warning: this is the secret key/u);
  assert.equal((await stat(join(at.folder, 'secret.asc'))).mode & 0o777, 0o600);
  assert.equal(await at.run('extend', 'ann', '--expires', '2031-05-05', ...file), 0);
  assert.equal(await at.run('extend', 'ann', '--expires', '2031-05-05'), 4);
  assert.equal(await at.run('revoke', 'ann', '--reason', 'boredom'), 2);
  assert.equal(await at.run('revoke', 'ann'), 0);
  at.out.splice(0);
  await at.run('show', 'ann', '--json');
  const [shown] = JSON.parse(at.out.splice(0).join('')) as [Record<string, unknown>];
  assert.deepEqual(
    [shown['expires'], shown['state'], shown['keyring']],
    ['2031-05-05T12:00:00.000Z', 'revoked', 'own'],
  );
  assert.equal(await at.run('delete', 'ann', '--secret'), 0);
  assert.equal(await at.run('list', '--secret', '--json'), 0);
  assert.equal(at.out.pop(), '[]');
  assert.equal(await at.run('delete', 'ann'), 0);
  assert.equal(await at.run('show', 'ann'), 4);
});

test('import prints the fingerprints; what is no key changes nothing', async () => {
  const from = await session();
  await writeFile(join(from.folder, 'pass'), '');
  await from.run(...generate, '--passphrase-file', join(from.folder, 'pass'), '--output-prefix', 'a');
  const at = await session();
  assert.equal(await at.run('import', join(from.folder, 'a.pub.asc')), 0);
  assert.deepEqual(at.out, from.out);
  await writeFile(join(at.folder, 'junk'), 'junk');
  assert.equal(await at.run('import', join(at.folder, 'junk')), 2);
  assert.match(at.err.at(-1) ?? '', /\[key\.malformed\]/u);
  assert.equal(await at.run('import', join(at.folder, 'none')), 3);
});

test('on a terminal revoke and delete ask first; --yes and scripts are not asked', async () => {
  const answers: Record<string, string | boolean> = { ...person, 'Revoke Ann': false, 'Delete Ann': false };
  const at = await session(answers);
  await at.run('generate', 'gpg');
  assert.equal(await at.run('revoke', 'ann'), 2);
  assert.equal(await at.run('delete', 'ann'), 2);
  assert.equal(await at.run('show', 'ann'), 0);
  assert.match(at.out.join('\n'), /state {8}valid/u);
  answers['Delete Ann'] = true;
  assert.equal(await at.run('delete', 'ann'), 0);
  assert.deepEqual(await readdir(keys(at)), []);
});
