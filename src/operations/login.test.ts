import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { type FaultyRegistry, serveAnswers } from '../../test/support/registry-faults.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import type { SystemEnvironment } from '../registry/environment.ts';
import { currentLogin, login, logout, logoutAll, parseLoginTarget } from './login.ts';

function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    assert.doesNotMatch(error.message, /s3cret/);
    return true;
  };
}

function serveBasic(): Promise<FaultyRegistry> {
  const good = `Basic ${Buffer.from('anna:s3cret').toString('base64')}`;
  return serveAnswers((request, response) => {
    if (request.headers.authorization === good) response.end('{}');
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
  });
}

type Home = AsyncDisposable & { readonly environment: SystemEnvironment; readonly authFile: string };

async function home(): Promise<Home> {
  const path = await mkdtemp(join(tmpdir(), 'bulla-login-'));
  return {
    environment: { env: { XDG_RUNTIME_DIR: path }, home: path, uid: 1, etc: path, share: path },
    authFile: join(path, 'containers/auth.json'),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}

test('credentials that the registry accepts are kept, others are not', async () => {
  await using site = await serveBasic();
  await using at = await home();
  const request = { registry: site.host, username: 'anna', tlsVerify: false, environment: at.environment };
  await assert.rejects(login({ ...request, password: 'wrong' }), code('registry.unauthorized'));
  await assert.rejects(stat(at.authFile));
  assert.equal(await currentLogin(request), undefined);
  assert.deepEqual(await login({ ...request, password: 's3cret' }), { keptIn: at.authFile });
  assert.deepEqual(JSON.parse(await readFile(at.authFile, 'utf8')), {
    auths: { [site.host]: { auth: Buffer.from('anna:s3cret').toString('base64') } },
  });
  assert.equal((await stat(at.authFile)).mode & 0o777, 0o600);
  assert.equal(await currentLogin(request), 'anna');
});

test('a namespace, an --authfile and docker’s file', async () => {
  await using site = await serveBasic();
  await using at = await home();
  const authFile = `${at.authFile}.own`;
  const request = {
    registry: `${site.host}/ns`,
    username: 'anna',
    password: 's3cret',
    tlsVerify: false,
    environment: at.environment,
  };
  await login({ ...request, authFile });
  assert.equal(await currentLogin({ ...request, authFile, registry: `${site.host}/ns/app` }), 'anna');
  assert.equal(await currentLogin({ ...request, authFile, registry: site.host }), undefined);
  const compat = { ...request, compatAuthFile: authFile };
  await assert.rejects(login(compat), code('usage.unsupported'));
  await login({ ...compat, registry: site.host });
  const json = JSON.parse(await readFile(authFile, 'utf8')) as { auths: object };
  assert.deepEqual(Object.keys(json.auths), [`${site.host}/ns`, site.host]);
  await assert.rejects(login({ ...compat, authFile }), code('usage.invalid'));
});

test('logout forgets one registry, or all, and keeps what it does not know', async () => {
  await using at = await home();
  await mkdir(join(at.authFile, '..'), { recursive: true });
  const auth = { auth: 'YTpi' };
  const auths = { 'a.test': auth, 'b.test': auth, 'b.test/ns': auth, 'https://index.docker.io/v1/': auth };
  await writeFile(at.authFile, JSON.stringify({ other: 1, auths }));
  const { environment } = at;
  const keys = async (): Promise<string[]> =>
    Object.keys((JSON.parse(await readFile(at.authFile, 'utf8')) as { auths?: object }).auths ?? {});
  await logout({ registry: 'b.test', environment });
  assert.deepEqual(await keys(), ['a.test', 'b.test/ns', 'https://index.docker.io/v1/']);
  await logout({ registry: 'docker.io', environment });
  assert.deepEqual(await keys(), ['a.test', 'b.test/ns']);
  await assert.rejects(logout({ registry: 'c.test', environment }), code('registry.not-logged-in'));
  await logoutAll({ environment });
  assert.deepEqual(JSON.parse(await readFile(at.authFile, 'utf8')), { other: 1 });
});

test('logout says in which other file credentials still are', async () => {
  await using at = await home();
  const { environment } = at;
  await mkdir(join(environment.home, '.docker'));
  await writeFile(join(environment.home, '.docker/config.json'), '{"auths":{"a.test":{"auth":"YTpi"}}}');
  await assert.rejects(logout({ registry: 'a.test', environment }), (error) => {
    assert.ok(isBullaError(error, 'registry.not-logged-in'));
    assert.match(error.hint ?? '', /\.docker\/config\.json/);
    return true;
  });
});

test('what login takes as a registry', () => {
  assert.deepEqual(parseLoginTarget('r.test:5000'), { key: 'r.test:5000', host: 'r.test:5000' });
  assert.deepEqual(parseLoginTarget('https://r.test/v2/'), { key: 'r.test', host: 'r.test' });
  assert.deepEqual(parseLoginTarget('r.test/ns/app'), { key: 'r.test/ns/app', host: 'r.test' });
  assert.deepEqual(parseLoginTarget('[::1]:5000'), { key: '[::1]:5000', host: '[::1]:5000' });
  for (const text of ['', 'r test', 'u@r.test', 'r.test/UP', 'r.test/a:1', 'http://', '-x']) {
    assert.throws(() => parseLoginTarget(text), code('usage.invalid'), text);
  }
});
