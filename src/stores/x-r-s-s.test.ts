import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { textOf, utf8 } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { listAll, rejectsList, simpleSignature, testDigests, testStoreContract } from './store-contract.ts';
import { openSignatureExtension, type SignatureExtension } from './x-r-s-s.ts';

const digest = digestOf(utf8('an image'));
const image = { reference: parseReference('registry.example.com/ns/app:1'), digest };

/** A registry with the extension, in memory, as OpenShift's behaves. */
function registry(): SignatureExtension & { readonly puts: { path: string; body: string }[] } {
  const stored = new Map<string, unknown[]>();
  const puts: { path: string; body: string }[] = [];
  return {
    domain: 'registry.example.com',
    puts,
    getSignatureList: async (path, of) => utf8(JSON.stringify({ signatures: stored.get(path + of) ?? [] })),
    putSignature: async (path, of, body) => {
      const text = textOf(body) ?? '';
      puts.push({ path, body: text });
      stored.set(path + of, [...(stored.get(path + of) ?? []), JSON.parse(text)]);
      return 201;
    },
  };
}

function listing(text: string): SignatureExtension {
  return { ...registry(), getSignatureList: async () => utf8(text) };
}

testStoreContract('registry extension', async () => {
  return {
    store: openSignatureExtension(registry()),
    digests: testDigests(),
    dispose: async () => undefined,
  };
});

test('a signature is put as one object, under a name that says the digest', async () => {
  const client = registry();
  await openSignatureExtension(client).add(image, simpleSignature('a'));
  equal(client.puts.length, 1);
  equal(client.puts[0]?.path, 'ns/app');
  const { name, ...rest } = JSON.parse(client.puts[0]?.body ?? '') as Record<string, unknown>;
  deepEqual(rest, {
    schemaVersion: 2,
    type: 'atomic',
    content: Buffer.from('\u00a3a', 'latin1').toString('base64'),
  });
  match(String(name), new RegExp(`^${digest}@[0-9a-f]{32}$`));
});

test('only schema version 2 and type atomic count', async () => {
  const content = Buffer.from('x').toString('base64');
  const entries = [
    { schemaVersion: 1, type: 'atomic', name: 'a', content },
    { schemaVersion: 2, type: 'other', name: 'b', content },
    { schemaVersion: 2, type: 'atomic', name: 'c', content },
  ];
  const found = await listAll(
    openSignatureExtension(listing(JSON.stringify({ signatures: entries }))),
    image,
  );
  deepEqual(
    found.map(({ signature }) => signature),
    [{ format: 'simple', blob: utf8('x') }],
  );
});

test('each signature has a place of its own, in one line, whatever the registry calls it', async () => {
  const content = Buffer.from('x').toString('base64');
  const entries = ['a', 'b@a', 'a (2)', 'a', '', '', 'c\u001b[2K\r'].map((name) => {
    return { schemaVersion: 2, type: 'atomic', name, content };
  });
  const found = await listAll(
    openSignatureExtension(listing(JSON.stringify({ signatures: entries }))),
    image,
  );
  equal(new Set(found.map(({ location }) => location)).size, entries.length);
  for (const { location } of found) match(location, /^[\u0020-\u007e]+$/);
});

test('no list is an empty one; a malformed one is an error', async () => {
  for (const text of ['{}', '{"signatures":null}', '{"signatures":[]}']) {
    deepEqual(await listAll(openSignatureExtension(listing(text)), image), []);
  }
  const entry = (fields: object): string =>
    JSON.stringify({ signatures: [{ schemaVersion: 2, type: 'atomic', ...fields }] });
  const bad = [
    '',
    '[]',
    '{"signatures":{}}',
    '{"signatures":[1]}',
    'null',
    entry({}),
    entry({ name: 'a', content: 'a b' }),
    entry({ name: 'a', content: '_-8=' }),
    entry({ name: 1, content: 'eA==' }),
  ];
  for (const text of bad) await rejectsList(openSignatureExtension(listing(text)), image, 'store.unreadable');
  await rejectsList(openSignatureExtension(listing(' '.repeat(4_194_305))), image, 'store.unreadable');
});

test('a registry that fails is no empty store', async () => {
  const failing: SignatureExtension = {
    ...registry(),
    getSignatureList: () => Promise.reject(new BullaError('image.not-found', '404')),
  };
  await rejectsList(openSignatureExtension(failing), image, 'store.unreadable');
  await rejects(openSignatureExtension(failing).add(image, simpleSignature('a')), (error: unknown) =>
    isBullaError(error, 'store.unreadable'),
  );
  const odd: SignatureExtension = { ...registry(), putSignature: async () => 200 };
  await rejects(openSignatureExtension(odd).add(image, simpleSignature('a')), (error: unknown) =>
    isBullaError(error, 'store.failed'),
  );
});

test('an image in no registry and a cosign signature have no place here', async () => {
  const store = openSignatureExtension(registry());
  await rejects(store.add({ digest, reference: undefined }, simpleSignature('a')), (error: unknown) =>
    isBullaError(error, 'store.none'),
  );
  const signature = { format: 'cosign', mediaType: 'x/y', payload: utf8('{}'), annotations: {} } as const;
  await rejects(store.add(image, signature), (error: unknown) => isBullaError(error, 'store.unsupported'));
});
