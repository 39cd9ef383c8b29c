/** The manners of the terminal, in this process, for every command. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import type { Command } from 'commander';

import { type Ended, runBulla } from '../../test/support/fake-terminal.ts';
import { version } from '../base/version.ts';
import { commands } from './commands.ts';
import { buildWholeProgram, runsItself } from './program.ts';
import { openTerminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-main-'));
after(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, 'policy.json'), '{"default":[{"type":"reject"}]}');

async function bulla(...words: readonly string[]): Promise<Ended> {
  return runBulla(folder, words, { XDG_CONFIG_HOME: folder, GNUPGHOME: join(folder, 'gnupg') });
}

function allCommands(
  command: Command,
  above: readonly string[] = [],
): readonly [readonly string[], Command][] {
  return command.commands.flatMap((each): readonly [readonly string[], Command][] => {
    const path = [...above, each.name()];
    return [[path, each], ...allCommands(each, path)];
  });
}

const program = await buildWholeProgram({
  terminal: openTerminal(),
  finish: () => undefined,
  run: () => Promise.resolve(0),
});
const all = allCommands(program);

/** `bulla: <what> [<code>]`, then at most one hint. */
const errorForm = /^bulla: [^\n]+ \[([a-z-]+\.[a-z-]+)\]\n(?:hint: [^\n]+\n)?$/;

test('every command has help with an example, on stdout, and exits 0', async () => {
  for (const [path] of all) {
    const { exit, out, err } = await bulla(...path, '--help');
    assert.deepEqual([exit, err], [0, ''], path.join(' '));
    assert.match(out, /^Usage: bulla /, path.join(' '));
    assert.match(out, /\nExample:\n {2}\$ [^\n]*bulla /, path.join(' '));
  }
});

test('an example is of the command it explains, and uses flags that it has', async () => {
  for (const [path, command] of all) {
    if (!runsItself(command)) continue;
    const { out } = await bulla(...path, '--help');
    const examples = out.slice(out.indexOf('\nExample:\n'));
    assert.ok(examples.includes(`bulla ${path.join(' ')}`), path.join(' '));
    const own = examples.split(/\n(?= {2}\$ )/).filter((each) => each.includes(`bulla ${path.join(' ')}`));
    for (const [flag] of own.join('\n').matchAll(/(?<= )--[a-z.-]+/g))
      assert.ok(out.slice(0, -examples.length).includes(flag), `${path.join(' ')}: ${flag}`);
  }
});

test('every option and argument is described', () => {
  for (const [path, command] of all) {
    assert.notEqual(command.description(), '', path.join(' '));
    for (const { description, long } of command.options)
      assert.notEqual(description, '', `${path.join(' ')} ${long ?? ''}`);
    for (const argument of command.registeredArguments)
      assert.notEqual(argument.description, '', `${path.join(' ')} ${argument.name()}`);
  }
});

test('every command refuses a flag that it does not know, and says where help is', async () => {
  for (const [path] of all) {
    const { exit, out, err } = await bulla(...path, '--no-such-flag');
    assert.deepEqual([exit, out], [2, /^verify$/.test(path.join(' ')) ? out : ''], path.join(' '));
    assert.equal(errorForm.exec(err)?.[1], 'usage.invalid', err);
    assert.ok(err.includes(`hint: \`bulla ${path.join(' ')} --help\``), err);
  }
});

test('the list of commands names each with the summary that it has', async () => {
  const { exit, out } = await bulla('--help');
  assert.equal(exit, 0);
  for (const { name } of commands) assert.match(out, new RegExp(`^ {2}${name} `, 'm'));
  assert.deepEqual(
    commands.map(({ name }) => name),
    program.commands.map((each) => each.name()),
  );
});

test('help as a word; the version before a command only', async () => {
  assert.deepEqual(await bulla('help'), await bulla('--help'));
  assert.deepEqual(await bulla('help', 'trust', 'set'), await bulla('trust', 'set', '--help'));
  assert.deepEqual(await bulla('-v'), { exit: 0, out: `${version}\n`, err: '' });
  assert.deepEqual(await bulla('--version'), { exit: 0, out: `${version}\n`, err: '' });
  const login = await bulla('login', '-v');
  assert.deepEqual([login.exit, login.out], [2, '']);
});

test('no command, half a command, a wrong one: exit 2, nothing on stdout', async () => {
  for (const words of [[], ['trust'], ['key'], ['key', 'generate'], ['store'], ['serve']]) {
    const { exit, out, err } = await bulla(...words);
    assert.deepEqual([exit, out], [2, ''], words.join(' '));
    assert.match(err, /^Usage: bulla /);
    assert.match(err, /Example:/);
  }
  for (const words of [
    ['no-such'],
    ['help', 'no-such'],
    ['trust', 'no-such'],
    ['trust', 'shwo'],
    ['--no-such'],
  ]) {
    const { exit, out, err } = await bulla(...words);
    assert.deepEqual([exit, out], [2, ''], words.join(' '));
    assert.equal(errorForm.exec(err)?.[1], 'usage.invalid', err);
  }
});

test('a stack is shown under --debug only', async () => {
  const plain = await bulla('manifest-digest', join(folder, 'none'));
  assert.match(plain.err, errorForm);
  const debug = await bulla('manifest-digest', '--debug', join(folder, 'none'));
  assert.equal(debug.exit, plain.exit);
  assert.ok(debug.err.startsWith(plain.err));
  assert.match(debug.err, /\n {4}at /);
});

test('--quiet silences remarks and no warning', async () => {
  const policy = join(folder, 'policy.json');
  assert.match((await bulla('trust', 'check', '--policy', policy)).err, /well-formed/);
  assert.equal((await bulla('trust', 'check', '-q', '--policy', policy)).err, '');
  const { err } = await bulla('verify', '--quiet', '--insecure-policy', `dir:${join(folder, 'none')}`);
  assert.match(err, /^warning: .*--insecure-policy/);
});

test('skopeo’s global flags stand before the command', async () => {
  const none = join(folder, 'none.json');
  for (const flag of ['--policy', '--signature-policy']) {
    const { exit, err } = await bulla(flag, none, '--registries.d', folder, 'verify', 'dir:x');
    assert.deepEqual([exit, errorForm.exec(err)?.[1]], [2, 'policy.not-found']);
  }
  const { exit, err } = await bulla('--insecure-policy', 'verify', '--policy', none, 'dir:x');
  assert.deepEqual([exit, errorForm.exec(err)?.[1]], [2, 'usage.invalid']);
});

/** A registry that takes no credentials. */
async function refusing(): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end('{"errors":[]}');
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  return server;
}

test('a secret is in no error, with a registry that refuses it and with none at all', async () => {
  const server = await refusing();
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const reach = ['--tls-verify=false', '--retry-times', '0'];
  for (const host of [`127.0.0.1:${address.port}`, '127.0.0.1:1']) {
    const lines = [
      ['verify', '--insecure-policy', ...reach, '--creds', 'user:sesame-pw', `${host}/a:1`],
      ['verify', '--insecure-policy', ...reach, '--registry-token', 'sesame-pw', `${host}/a:1`],
      ['inspect', ...reach, '--creds', 'user:sesame-pw', `${host}/a:1`],
      ['login', '--tls-verify=false', '-u', 'user', '-p', 'sesame-pw', host],
    ];
    for (const line of lines) {
      const { exit, out, err } = await bulla(...line, '--debug');
      assert.equal(exit, 3, err);
      const encoded = Buffer.from('user:sesame-pw').toString('base64');
      for (const secret of ['sesame', encoded.slice(0, 12)]) {
        assert.ok(!`${out}${err}`.includes(secret), `${line.join(' ')}\n${err}`);
      }
    }
  }
  server.close();
});

test('--json prints one document on stdout, whatever happens', async () => {
  const policy = join(folder, 'policy.json');
  const lines = [
    ['verify', '--json', '--policy', policy, `dir:${join(folder, 'none')}`],
    ['verify', '--json', '--policy', join(folder, 'none.json'), 'dir:x'],
    ['sign', '--json', '--sign-by', 'nobody@example.com', `dir:${join(folder, 'none')}`],
    ['trust', 'show', '--json', '--policy', policy],
    ['trust', 'check', '--json', '--policy', policy],
    ['trust', 'explain', '--json', '--policy', policy, 'registry.example.com/ns/app:1'],
    ['key', 'list', '--json'],
    ['store', 'check', '--json', folder],
    ['store', 'publish', '--json', '--dry-run', folder, join(folder, '..', 'nowhere')],
  ];
  for (const line of lines) {
    const { out } = await bulla(...line);
    assert.doesNotThrow(() => JSON.parse(out), `${line.join(' ')}: ${out}`);
  }
});
