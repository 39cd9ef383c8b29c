import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { certificateFolders, readHostCertificates } from './certs-d.ts';

const certificate = (name: string): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(name).toString('base64')}\n-----END CERTIFICATE-----`;
const key = '-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----';

function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    return true;
  };
}

test('the first folder that has the host is used alone; --cert-dir stands alone', async () => {
  const path = await mkdtemp(join(tmpdir(), 'bulla-certs-'));
  const environment = {
    env: {},
    home: join(path, 'home'),
    uid: 1000,
    etc: join(path, 'etc'),
    share: join(path, 'share'),
  };
  try {
    assert.deepEqual(await readHostCertificates(environment, 'r.test:5000'), {});
    for (const folder of certificateFolders(environment).toReversed()) {
      await mkdir(join(folder, 'r.test:5000'), { recursive: true });
      await writeFile(join(folder, 'r.test:5000', 'ca.crt'), certificate(folder));
      const { ca } = await readHostCertificates(environment, 'r.test:5000');
      assert.deepEqual(ca, [certificate(folder)]);
    }
    assert.deepEqual(await readHostCertificates(environment, 'r.test'), {});
    const own = join(path, 'own');
    await assert.rejects(readHostCertificates(environment, 'r.test:5000', own), code('io.not-found'));
    await mkdir(own);
    assert.deepEqual(await readHostCertificates(environment, 'r.test:5000', own), {
      ca: [],
      clientCertificates: [],
    });
  } finally {
    await rm(path, { recursive: true });
  }
});

function foldersOf(uid: number): readonly string[] {
  return certificateFolders({ env: {}, home: '/h', uid, etc: '/etc', share: '/usr/share' });
}

test('root and others have folders of their own', () => {
  assert.ok(foldersOf(0).includes('/etc/containers/certs.rootful.d'));
  assert.ok(!foldersOf(0).some((each) => each.includes('rootless')));
  assert.ok(foldersOf(5).includes('/etc/containers/certs.rootless.d/5'));
  assert.equal(foldersOf(5)[0], '/h/.config/containers/certs.d');
  assert.equal(foldersOf(5).at(-1), '/etc/docker/certs.d');
});

test('pairs belong together, and a file that holds no PEM is refused', async () => {
  const path = await mkdtemp(join(tmpdir(), 'bulla-certs-'));
  const environment = { env: {}, home: path, uid: 1000, etc: path, share: path };
  const write = (name: string, text: string): Promise<void> => writeFile(join(path, name), text);
  const reading = (): Promise<unknown> => readHostCertificates(environment, 'r.test', path);
  try {
    await write('a.crt', `noise\n${certificate('1')}\n${certificate('2')}\n`);
    await write('client.cert', certificate('c'));
    await assert.rejects(reading(), code('certs-d.malformed'));
    await write('client.key', key);
    await write('ignored.pem', 'x');
    assert.deepEqual(await reading(), {
      ca: [certificate('1'), certificate('2')],
      clientCertificates: [{ cert: certificate('c'), key }],
    });
    await write('lost.key', key);
    await assert.rejects(reading(), code('certs-d.malformed'));
    await write('lost.cert', key);
    await assert.rejects(reading(), code('certs-d.malformed'));
    await write('lost.cert', certificate('l'));
    await write('b.crt', 'x');
    await assert.rejects(reading(), code('certs-d.malformed'));
  } finally {
    await rm(path, { recursive: true });
  }
});
