import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { editAuthFile, setAuth } from './auth-file-edit.ts';
import { authFilePaths, parseAuthFile } from './auth-file.ts';
import { eraseInHelper, storeInHelper } from './credential-helper.ts';
import type { SystemEnvironment } from './environment.ts';
import { findCredentials } from './find-credentials.ts';

type Machine = AsyncDisposable & {
  readonly path: string;
  readonly environment: SystemEnvironment;
  write(name: string, text: string, mode?: number): Promise<string>;
};

async function machine(): Promise<Machine> {
  const path = await mkdtemp(join(tmpdir(), 'bulla-auth-'));
  return {
    path,
    environment: {
      env: { XDG_RUNTIME_DIR: join(path, 'run'), PATH: `${join(path, 'bin')}:${process.env['PATH'] ?? ''}` },
      home: join(path, 'home'),
      uid: 1000,
      etc: join(path, 'etc'),
      share: join(path, 'share'),
    },
    async write(name, text, mode = 0o600) {
      const file = join(path, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
      await chmod(file, mode);
      return file;
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}

function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    assert.doesNotMatch(error.message, /s3cret/);
    return true;
  };
}

const entry = (user: string): { auth: string } => ({
  auth: Buffer.from(`${user}:s3cret`).toString('base64'),
});
const auths = (users: Readonly<Record<string, string>>): string =>
  JSON.stringify({
    auths: Object.fromEntries(Object.entries(users).map(([key, user]) => [key, entry(user)])),
  });

async function userOf(key: string, at: Machine, options: object = {}): Promise<string | undefined> {
  const { credentials } = await findCredentials(key, { environment: at.environment, ...options });
  return credentials.kind === 'password' ? credentials.username : undefined;
}

test('the files are searched in podman’s order, and a named one alone', async () => {
  await using at = await machine();
  const files = [
    'home/.dockercfg',
    'home/.docker/config.json',
    'home/.config/containers/auth.json',
    'run/containers/auth.json',
  ];
  for (const [index, file] of files.entries()) {
    const legacy = file.endsWith('.dockercfg');
    const text = legacy ? JSON.stringify({ 'r.test': entry('u0') }) : auths({ 'r.test': `u${index}` });
    await at.write(file, text);
    assert.equal(await userOf('r.test/app', at), `u${index}`);
  }
  const named = await at.write('named.json', auths({ 'other.test': 'n' }));
  assert.equal(await userOf('r.test/app', at, { authFile: named }), undefined);
  assert.equal(await userOf('other.test/app', at, { authFile: named }), 'n');
  const env = { ...at.environment.env, REGISTRY_AUTH_FILE: named };
  assert.equal(await userOf('other.test', at, { environment: { ...at.environment, env } }), 'n');
  await assert.rejects(
    userOf('r.test', at, { authFile: join(at.path, 'none.json') }),
    code('auth-file.not-found'),
  );
  const unmade = { ...at.environment.env, REGISTRY_AUTH_FILE: join(at.path, 'none.json') };
  assert.equal(await userOf('r.test', at, { environment: { ...at.environment, env: unmade } }), undefined);
});

test('without XDG_RUNTIME_DIR the first file is root’s run folder; DOCKER_CONFIG and XDG_CONFIG_HOME move theirs', () => {
  const environment = {
    env: { DOCKER_CONFIG: '/d', XDG_CONFIG_HOME: '/x' },
    home: '/h',
    uid: 7,
    etc: '/etc',
    share: '/usr/share',
  };
  assert.deepEqual(
    authFilePaths(environment).map((each) => each.path),
    ['/run/containers/7/auth.json', '/x/containers/auth.json', '/d/config.json', '/h/.dockercfg'],
  );
});

test('the most specific key wins, and a key is never a mere prefix', async () => {
  await using at = await machine();
  await at.write(
    'run/containers/auth.json',
    auths({ 'r.test': 'host', 'r.test/ns': 'namespace', 'r.test/ns/app': 'repository' }),
  );
  assert.equal(await userOf('r.test/ns/app', at), 'repository');
  assert.equal(await userOf('r.test/ns/app2', at), 'namespace');
  assert.equal(await userOf('r.test/ns2', at), 'host');
  assert.equal(await userOf('r.test:5000/ns', at), undefined);
  assert.equal(await userOf('sub.r.test', at), undefined);
});

test('Docker Hub is found under each of its names, hosts under URLs', async () => {
  for (const key of ['docker.io', 'index.docker.io', 'https://index.docker.io/v1/', 'registry-1.docker.io']) {
    await using at = await machine();
    await at.write('home/.docker/config.json', auths({ [key]: 'hub', 'https://r.test/v2/': 'url' }));
    assert.equal(await userOf('docker.io/library/a', at), 'hub', key);
    assert.equal(await userOf('r.test/a', at), 'url');
  }
});

test('an empty entry, as docker writes for a helper, holds nothing; an identity token does', async () => {
  await using at = await machine();
  const config = { auths: { 'r.test': {}, 'i.test': { identitytoken: 's3cret' } } };
  await at.write('run/containers/auth.json', JSON.stringify(config));
  await at.write('home/.config/containers/auth.json', auths({ 'r.test': 'later' }));
  assert.equal(await userOf('r.test', at), 'later');
  const { credentials } = await findCredentials('i.test', { environment: at.environment });
  assert.deepEqual(credentials, { kind: 'identity-token', username: '', token: 's3cret' });
});

test('malformed files are refused with their path', () => {
  for (const text of [
    '',
    '[]',
    '{',
    '{"auths":[]}',
    '{"auths":{"r":"x"}}',
    '{"auths":{"r":{"auth":7}}}',
    '{"auths":{"r":{"auth":"not base64!"}}}',
    '{"auths":{"r":{"auth":"YWJj"}}}',
    '{"auths":{"r":{"auth":"YTpi"},"r":{"auth":"YTpj"}}}',
    '{"auths":{"r":{"auth":"YTpiYw"}}}',
    '{"credHelpers":{"r":"../x"}}',
    '{"credsStore":"a/b"}',
  ]) {
    assert.throws(
      () => parseAuthFile(Buffer.from(text), { path: '/a.json', legacy: false }),
      (error) => {
        assert.ok(isBullaError(error, 'auth-file.malformed'), `${text}: ${String(error)}`);
        assert.match(error.message, /^\/a\.json/);
        return true;
      },
    );
  }
});

/** Remembers its arguments and input; answers `get` for r.test and docker's name of the Hub. */
const helper = `#!/bin/sh
read -r input
echo "$0 $* $input" >> "$(dirname "$0")/log"
case "$1 $input" in
"get r.test") echo '{"ServerURL":"r.test","Username":"helped","Secret":"s3cret"}' ;;
"get https://index.docker.io/v1/") echo '{"Username":"<token>","Secret":"s3cret"}' ;;
"get broken.test") echo 'keychain is locked'; exit 1 ;;
"get odd.test") echo 's3cret' ;;
"get "*) echo 'credentials not found in native keychain'; exit 1 ;;
"store "*) ;;
"erase r.test") ;;
"erase "*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`;

test('helpers: by host, as the store, and by registries.conf', async () => {
  await using at = await machine();
  await at.write('bin/docker-credential-mine', helper, 0o755);
  await at.write(
    'run/containers/auth.json',
    JSON.stringify({
      credHelpers: { 'r.test': 'mine', 'none.test': 'mine', 'broken.test': 'mine', 'odd.test': 'mine' },
    }),
  );
  await at.write('home/.docker/config.json', JSON.stringify({ credsStore: 'mine' }));
  assert.equal(await userOf('r.test/ns/app', at), 'helped');
  assert.equal(await userOf('none.test', at), undefined);
  const hub = await findCredentials('docker.io/library/a', { environment: at.environment });
  assert.equal(hub.credentials.kind, 'identity-token');
  await assert.rejects(userOf('broken.test', at), code('credential-helper.failed'));
  await assert.rejects(userOf('odd.test', at), code('credential-helper.failed'));
  const named = await at.write('named.json', '{}');
  assert.equal(await userOf('r.test', at, { authFile: named }), undefined);
  assert.equal(
    await userOf('r.test', at, { authFile: named, helpers: ['containers-auth.json', 'mine'] }),
    'helped',
  );
  await assert.rejects(userOf('r.test', at, { helpers: ['missing'] }), code('credential-helper.failed'));
});

test('with a memory a file is read once and a helper asked once a host', async () => {
  await using at = await machine();
  await at.write('bin/docker-credential-mine', helper, 0o755);
  const file = await at.write(
    'run/containers/auth.json',
    JSON.stringify({ credHelpers: { 'r.test': 'mine' }, auths: { 'a.test': entry('a') } }),
  );
  const memory = { files: new Map(), helpers: new Map() };
  assert.equal(await userOf('r.test/1', at, { memory }), 'helped');
  assert.equal(await userOf('r.test/2', at, { memory }), 'helped');
  assert.equal((await readFile(join(at.path, 'bin/log'), 'utf8')).trim().split('\n').length, 1);
  await rm(file);
  assert.equal(await userOf('a.test/1', at, { memory }), 'a');
  assert.equal(await userOf('a.test/1', at), undefined);
});

test('what is stored in a helper goes over its input, never its arguments', async () => {
  await using at = await machine();
  await at.write('bin/docker-credential-mine', helper, 0o755);
  await storeInHelper(at.environment, 'mine', 'r.test', { username: 'u', password: 's3cret' });
  assert.equal(await eraseInHelper(at.environment, 'mine', 'r.test'), true);
  assert.equal(await eraseInHelper(at.environment, 'mine', 'none.test'), false);
  const [stored] = (await readFile(join(at.path, 'bin/log'), 'utf8')).split('\n');
  assert.match(
    stored ?? '',
    /docker-credential-mine store \{"ServerURL":"r\.test","Username":"u","Secret":"s3cret"\}$/,
  );
});

test('edits at once lose nothing and keep what they do not know, in a file only its owner reads', async () => {
  await using at = await machine();
  const path = join(at.path, 'run/containers/auth.json');
  await at.write(
    'run/containers/auth.json',
    '{"HttpHeaders":{"X":"1"},"auths":{"old":{"auth":"YTpi"}}}',
    0o644,
  );
  // a lock whose holder is gone
  await at.write('run/containers/auth.json.lock', '999999999 gone');
  const hosts = Array.from({ length: 12 }, (_, index) => `r${index}.test`);
  await Promise.all(
    hosts.map((host) =>
      editAuthFile(path, (json) => {
        setAuth(json, host, 'u', 'p');
        return true;
      }),
    ),
  );
  const json = JSON.parse(await readFile(path, 'utf8')) as { auths: object; HttpHeaders: object };
  assert.deepEqual(
    Object.keys(json.auths),
    ['old', ...hosts].sort((a, b) => order(json.auths, a, b)),
  );
  assert.equal(Object.keys(json.auths).length, 13);
  assert.deepEqual(json.HttpHeaders, { X: '1' });
  const { stat, readdir } = await import('node:fs/promises');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(dirname(path)), ['auth.json']);
});

function order(object: object, a: string, b: string): number {
  const keys = Object.keys(object);
  return keys.indexOf(a) - keys.indexOf(b);
}

test('a malformed file is not overwritten', async () => {
  await using at = await machine();
  const path = await at.write('auth.json', '{"auths":');
  await assert.rejects(
    editAuthFile(path, () => true),
    code('auth-file.malformed'),
  );
  assert.equal(await readFile(path, 'utf8'), '{"auths":');
});
