import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { dockerSample } from '../../test/support/docker-sample.ts';
import { type DockerStub, startDockerStub } from '../../test/support/docker-stub.ts';
import { isBullaError } from '../base/errors.ts';
import { namedHost } from './docker-host.ts';
import { openDockerArchiveSink } from './docker-archive-sink.ts';
import { openDaemonImage, openDaemonSink, parseDaemonName } from './docker-daemon.ts';
import { putSample, testImageContract } from './image-contract.ts';

/** A stub, and DOCKER_HOST and TMPDIR as long as it is there. */
async function openStub(): Promise<{ stub: DockerStub; folder: string } & AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), 'bulla-docker-'));
  const stub = await startDockerStub(join(folder, 'docker.sock'));
  const { DOCKER_HOST: before, TMPDIR: temporary } = process.env;
  process.env['DOCKER_HOST'] = `unix://${join(folder, 'docker.sock')}`;
  process.env['TMPDIR'] = folder;
  const restore = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  return {
    stub,
    folder,
    [Symbol.asyncDispose]: async () => {
      restore('DOCKER_HOST', before);
      restore('TMPDIR', temporary);
      await stub[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const name = 'registry.example.com/ns/app:1';

testImageContract(
  'docker-daemon: (a stub of Docker)',
  async () => {
    const opened = await openStub();
    return {
      image: () => openDaemonImage(name),
      sink: () => openDaemonSink(name),
      dispose: async () => opened[Symbol.asyncDispose](),
    };
  },
  { sample: dockerSample, indexes: false },
);

async function put(text: string): Promise<void> {
  await using sink = await openDaemonSink(name);
  await putSample(sink, dockerSample(text));
}

async function archive(folder: string, text: string): Promise<Buffer> {
  const path = join(folder, `${text}.tar`);
  await using sink = await openDockerArchiveSink(path, name);
  await putSample(sink, dockerSample(text));
  return readFileSync(path);
}

test('nothing stays in TMPDIR', async () => {
  await using opened = await openStub();
  await put('x');
  {
    await using image = await openDaemonImage(name);
    equal((await image.manifest()).digest, dockerSample('x').manifest.digest);
  }
  deepEqual(readdirSync(opened.folder), ['docker.sock']);
});

test('what Docker has under the name must be what it was given; else the name is removed', async () => {
  await using opened = await openStub();
  opened.stub.faults = { keeps: await archive(opened.folder, 'another') };
  await rejects(put('x'), (error: unknown) => isBullaError(error, 'engine.wrong-digest'));
  deepEqual([...opened.stub.images.keys()], []);
  equal(opened.stub.requests.at(-1), `DELETE /images/${name}`);
});

test('an ID of containerd’s store is no configuration: what Docker gives back decides', async () => {
  await using opened = await openStub();
  opened.stub.faults = { id: `sha256:${'1'.repeat(64)}` };
  await put('x');
  opened.stub.faults = { ...opened.stub.faults, keeps: await archive(opened.folder, 'another') };
  await rejects(put('yy'), (error: unknown) => isBullaError(error, 'engine.wrong-digest'));
});

test('a failure after the 200, and an answer that breaks off, are failures', async () => {
  await using opened = await openStub();
  opened.stub.faults = { loadError: 'no space left on device' };
  await rejects(
    put('x'),
    (error: unknown) =>
      isBullaError(error, 'engine.failed') && error.message.includes('no space left on device'),
  );
  opened.stub.faults = {};
  await put('x');
  opened.stub.faults = { cutAt: 5000 };
  await rejects(openDaemonImage(name), (error: unknown) => isBullaError(error, 'engine.failed'));
});

test('where no Docker listens it says so', async () => {
  const before = process.env['DOCKER_HOST'];
  process.env['DOCKER_HOST'] = 'unix:///nowhere/docker.sock';
  try {
    await rejects(
      openDaemonImage(name),
      (error: unknown) => isBullaError(error, 'engine.unavailable') && error.hint !== undefined,
    );
  } finally {
    if (before === undefined) delete process.env['DOCKER_HOST'];
    else process.env['DOCKER_HOST'] = before;
  }
});

test('names and hosts', () => {
  const id = `sha256:${'a'.repeat(64)}`;
  equal(parseDaemonName(id), id);
  for (const text of ['app', '', 'UPPER:1', 'sha256:12'])
    try {
      const parsed = parseDaemonName(text);
      equal(text, 'sha256:12', JSON.stringify(parsed));
    } catch (error) {
      equal(isBullaError(error, 'image-name.malformed'), true);
    }
  const tcp = 'tcp://127.0.0.1:2376';
  const at = { hostname: '127.0.0.1', port: 2376 };
  deepEqual(namedHost({}), { socketPath: '/var/run/docker.sock' });
  deepEqual(namedHost({ DOCKER_HOST: 'unix:///run/user/1/docker.sock' }), {
    socketPath: '/run/user/1/docker.sock',
  });
  deepEqual(namedHost({ DOCKER_HOST: tcp }), at);
  deepEqual(namedHost({ DOCKER_HOST: tcp, DOCKER_TLS_VERIFY: '1', HOME: '/home/me' }), {
    ...at,
    tls: { folder: '/home/me/.docker', isUnchecked: false },
  });
  // what a flag names is skopeo's: tcp is with TLS, and DOCKER_HOST does not count
  const env = { DOCKER_HOST: 'unix:///other', DOCKER_CERT_PATH: '/certs' };
  deepEqual(namedHost(env, { host: tcp }), { ...at, tls: { folder: '/certs', isUnchecked: false } });
  deepEqual(namedHost({}, { host: tcp, certDir: '/own', tlsVerify: false }), {
    ...at,
    tls: { folder: '/own', isUnchecked: true },
  });
  // nobody's certificate is left unlooked at because of a registry's flag
  deepEqual(
    namedHost({ DOCKER_HOST: tcp, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/c' }, { tlsVerify: false }),
    { ...at, tls: { folder: '/c', isUnchecked: false } },
  );
  deepEqual(namedHost({}, { host: 'http://127.0.0.1:2376' }), at);
  deepEqual(namedHost({}, { host: 'tcp://[::1]:80' }), {
    hostname: '::1',
    port: 80,
    tls: { isUnchecked: false },
  });
  for (const text of ['ssh://x', 'tcp://u:p@x:1', 'tcp://x', 'tcp://x:1/path', 'unix://relative', 'x:1'])
    try {
      namedHost({ DOCKER_HOST: text });
      equal('accepted', text);
    } catch (error) {
      equal(isBullaError(error, 'usage.unsupported'), true);
      equal(String(error).includes('u:p'), false, 'a password is not repeated');
    }
});
