import { deepEqual, equal, match, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import type { Image } from '../images/image.ts';
import { locateStores, storesOf } from './locate.ts';
import type { RegistriesD, Section } from './registries-d.ts';
import { listAll, simpleSignature } from './store-contract.ts';

const digest = digestOf(utf8('an image'));
const reference = parseReference('registry.example.com/ns/app:1');

function configuration(section: Partial<Section>): RegistriesD {
  const defaultDocker = { file: 'a.yaml', scope: 'default-docker', ...section };
  return { folders: [], files: [], docker: new Map(), defaultDocker, builtIn: 'file:///built-in' };
}

const noHttp = {
  http: () => {
    throw new Error('no HTTP here');
  },
};

test('one lookaside to read and write, or two', () => {
  const read = { url: 'https://sigs.example.com', key: 'lookaside' };
  const one = storesOf(reference, configuration({ read, write: read }), noHttp);
  deepEqual(one.readers, [one.writer]);
  const write = { url: 'file:///staging', key: 'lookaside-staging' };
  const two = storesOf(reference, configuration({ read, write }), noHttp);
  deepEqual(
    [...two.readers, two.writer].map(({ description }) => description),
    ['lookaside https://sigs.example.com/', 'lookaside file:///staging'],
  );
  equal(storesOf(reference, configuration({}), noHttp).writer.description, 'lookaside file:///built-in');
});

test('a registry with the extension has no lookaside, not even a broken one', async () => {
  let listed = 0;
  const extension = {
    domain: 'registry.example.com',
    getSignatureList: async () => {
      listed += 1;
      return utf8('{}');
    },
    putSignature: async () => 201,
  };
  const broken = configuration({ read: { url: 'ftp://h', key: 'lookaside' } });
  const { readers, writer } = storesOf(reference, broken, { ...noHttp, extension });
  deepEqual(readers, [writer]);
  await listAll(writer, { reference, digest });
  equal(listed, 1);
  throws(
    () => storesOf(reference, broken, noHttp),
    (error: unknown) => isBullaError(error, 'store.unsupported'),
  );
});

function imageOf(name: Image['name'], more: object = {}): Image {
  return { name, physical: undefined, ...more } as unknown as Image;
}

test('stores go by the physical reference; registries.d is read for registries only', async () => {
  const physical = parseReference('mirror.example.com/ns/app:1');
  const registry = {
    domain: 'mirror.example.com',
    http: {},
    ping: async () => ({ supportsSignatures: false }),
  };
  const docker = imageOf({ transport: 'docker', reference }, { physical, registry });
  const section = {
    file: 'a.yaml',
    scope: 'mirror.example.com',
    read: { url: 'file:///mirror', key: 'lookaside' },
  };
  const registriesD = async (): Promise<RegistriesD> => ({
    ...configuration({}),
    docker: new Map([['mirror.example.com', section]]),
  });
  const { readers } = await locateStores(docker, { registriesD });
  equal(readers[0]?.description, 'lookaside file:///mirror');
  const supporting = { ...registry, ping: async () => ({ supportsSignatures: true }) };
  const extended = await locateStores(imageOf(docker.name, { physical, registry: supporting }), {
    registriesD,
  });
  match(extended.writer.description, /extension/);
});

test('dir: holds its own signatures, oci: none', async () => {
  const registriesD = (): never => {
    throw new Error('not asked for');
  };
  const dir = await locateStores(imageOf({ transport: 'dir', path: '/x' }), { registriesD });
  deepEqual(dir.readers, [dir.writer]);
  equal(dir.writer.description, 'dir:/x');
  const oci = await locateStores(imageOf({ transport: 'oci', path: '/x' }), { registriesD });
  deepEqual(oci.readers, []);
  await rejects(oci.writer.add({ reference: undefined, digest }, simpleSignature('a')), (error: unknown) =>
    isBullaError(error, 'store.none'),
  );
});
