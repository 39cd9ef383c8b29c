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

const unused = (): never => {
  throw new Error('no registry here');
};
const noHttp = {
  http: unused,
  registry: {
    domain: 'registry.example.com',
    manifest: unused,
    blob: unused,
    putBlob: unused,
    putManifest: unused,
    taggedManifest: unused,
    hasBlob: unused,
    headManifest: unused,
    referrers: unused,
    referrersByApi: unused,
  },
};

test('one lookaside to read and write, or two', () => {
  const read = { url: 'https://sigs.example.com', key: 'lookaside' };
  const one = storesOf(reference, configuration({ read, write: read }), noHttp);
  deepEqual(one.readers, [one.writerFor('simple')]);
  const write = { url: 'file:///staging', key: 'lookaside-staging' };
  const two = storesOf(reference, configuration({ read, write }), noHttp);
  deepEqual(
    [...two.readers, two.writerFor('simple')].map(({ description }) => description),
    ['lookaside https://sigs.example.com/', 'lookaside file:///staging'],
  );
  equal(
    storesOf(reference, configuration({}), noHttp).writerFor('simple').description,
    'lookaside file:///built-in',
  );
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
  const { readers, writerFor } = storesOf(reference, broken, { ...noHttp, extension });
  const writer = writerFor('simple');
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
  const docker = imageOf({ transport: 'docker', reference }, { physical, registry, isAsked: true });
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
  const extended = await locateStores(
    imageOf(docker.name, { physical, registry: supporting, isAsked: true }),
    {
      registriesD,
    },
  );
  match(extended.writerFor('simple').description, /extension/);
});

test('a ping that nobody asked for is sent when GPG signatures are wanted, and not before', async () => {
  let pings = 0;
  const registry = {
    domain: 'registry.example.com',
    http: {},
    ping: async () => {
      pings += 1;
      return { supportsSignatures: true };
    },
    getSignatureList: async () => utf8('{}'),
  };
  const docker = imageOf(
    { transport: 'docker', reference },
    { physical: reference, registry, isAsked: false },
  );
  const { readers, writerFor } = await locateStores(docker, { registriesD: async () => configuration({}) });
  const [reader] = readers;
  equal(reader?.description, 'GPG signatures of registry.example.com');
  equal(pings, 0);
  deepEqual(await listAll(reader, { reference, digest }), []);
  deepEqual(await listAll(reader, { reference, digest }), []);
  equal(pings, 1);
  match(reader.description, /extension/);
  equal(writerFor('bundle').description, 'bundles in registry.example.com');
  equal(writerFor('attestation').description, 'attestations (.att) in registry.example.com');
});

test('dir: and oci: hold their own signatures, docker-archive: none', async () => {
  const registriesD = (): never => {
    throw new Error('not asked for');
  };
  const dir = await locateStores(imageOf({ transport: 'dir', path: '/x' }), { registriesD });
  deepEqual(dir.readers, [dir.writerFor('simple')]);
  equal(dir.writerFor('cosign'), dir.writerFor('simple'));
  equal(dir.writerFor('simple').description, 'dir:/x');
  for (const transport of ['oci', 'oci-archive'] as const) {
    const oci = await locateStores(imageOf({ transport, path: '/x' }), { registriesD });
    deepEqual(oci.readers, [oci.writerFor('bundle')]);
    equal(oci.writerFor('simple').description, `${transport}:/x`);
  }
  const archive = await locateStores(imageOf({ transport: 'docker-archive', path: '/x' }), { registriesD });
  deepEqual(archive.readers, []);
  await rejects(
    archive.writerFor('cosign').add({ reference: undefined, digest }, simpleSignature('a')),
    (error: unknown) => isBullaError(error, 'store.none'),
  );
});

test('attachments are read and written where registries.d turns them on, and nowhere else', () => {
  const on = storesOf(reference, configuration({ useSigstoreAttachments: true }), noHttp);
  deepEqual(
    on.readers.map(({ description }) => description),
    ['lookaside file:///built-in', 'sigstore attachments in registry.example.com'],
  );
  equal(on.writerFor('cosign'), on.attachments);
  equal(on.writerFor('simple'), on.readers[0]);
  const off = storesOf(reference, configuration({}), noHttp);
  deepEqual(off.readers, [off.writerFor('simple')]);
  equal(off.attachments.description, 'sigstore attachments in registry.example.com');
});

function hintOf(config: RegistriesD): string {
  try {
    storesOf(reference, config, noHttp).writerFor('cosign');
  } catch (error) {
    if (isBullaError(error, 'store.attachments-off')) return error.hint ?? '';
    throw error;
  }
  return 'no error';
}

test('who writes where attachments are off is told the line that turns them on', () => {
  const nothing: RegistriesD = { folders: ['/etc/r.d'], files: [], docker: new Map(), builtIn: 'file:///b' };
  equal(
    hintOf(nothing),
    'put into /etc/r.d/sigstore.yaml: docker: { "registry.example.com": { use-sigstore-attachments: true } }',
  );
  const read = { url: 'https://sigs.example.com', key: 'lookaside' };
  equal(hintOf(configuration({ read })), 'add "use-sigstore-attachments: true" to default-docker in a.yaml');
  match(hintOf(configuration({ useSigstoreAttachments: false })), /default-docker in a\.yaml says false/);
});
