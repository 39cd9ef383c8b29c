import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { digestOf, hexOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { openHttp } from '../io/http.ts';
import { openLookaside } from './lookaside.ts';
import type { SignatureStore } from './store.ts';
import { listAll, rejectsList, simpleSignature, testDigests, testStoreContract } from './store-contract.ts';

const from = { kind: 'built-in' } as const;
const noHttp = {
  http: () => {
    throw new Error('no HTTP here');
  },
};
const digest = digestOf(utf8('an image'));
const image = { reference: parseReference('registry.example.com:5000/ns/app:1'), digest };
const folderName = `ns/app@sha256=${hexOf(digest)}`;

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-lookaside-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function fileStore(path: string): SignatureStore {
  return openLookaside({ url: `file://${path}`, from }, noHttp);
}

testStoreContract('lookaside over file', async () => {
  const folder = temporaryFolder();
  return {
    store: fileStore(folder.path),
    digests: testDigests(),
    dispose: async () => folder[Symbol.dispose](),
  };
});

test('a signature lies where containers/image looks for it, readable by all', async () => {
  using folder = temporaryFolder();
  const { location } = await fileStore(folder.path).add(image, simpleSignature('a'));
  equal(location, join(folder.path, folderName, 'signature-1'));
  equal(statSync(location).mode & 0o777, 0o644 & ~process.umask());
  equal(statSync(join(folder.path, 'ns')).mode & 0o777, 0o755 & ~process.umask());
  deepEqual(readdirSync(join(folder.path, folderName)), ['signature-1']);
});

test('Docker Hub’s short names have their library/', async () => {
  using folder = temporaryFolder();
  const { location } = await fileStore(folder.path).add(
    { reference: parseReference('busybox'), digest },
    simpleSignature('a'),
  );
  equal(location, join(folder.path, `library/busybox@sha256=${hexOf(digest)}/signature-1`));
});

test('a gap ends the list, and the next signature fills it', async () => {
  using folder = temporaryFolder();
  const store = fileStore(folder.path);
  for (const each of ['1', '2', '3']) await store.add(image, simpleSignature(each));
  rmSync(join(folder.path, folderName, 'signature-2'));
  equal((await listAll(store, image)).length, 1);
  const { location } = await store.add(image, simpleSignature('4'));
  equal(location, join(folder.path, folderName, 'signature-2'));
  equal((await listAll(store, image)).length, 3);
});

test('other files in the folder are left alone and not counted', async () => {
  using folder = temporaryFolder();
  const store = fileStore(folder.path);
  await store.add(image, simpleSignature('1'));
  for (const name of ['.bulla-tmp-1-2', 'signature-01', 'signature-2.tmp', 'README']) {
    writeFileSync(join(folder.path, folderName, name), 'x');
  }
  equal((await listAll(store, image)).length, 1);
  equal((await store.add(image, simpleSignature('2'))).location.endsWith('/signature-2'), true);
  equal(readdirSync(join(folder.path, folderName)).length, 6);
});

test('127 signatures are readable, a 128th is never added, 128 are refused', async () => {
  using folder = temporaryFolder();
  const store = fileStore(folder.path);
  mkdirSync(join(folder.path, folderName), { recursive: true });
  const put = (n: number): void =>
    writeFileSync(join(folder.path, folderName, `signature-${n}`), new Uint8Array([0xa3, n]));
  for (let n = 1; n <= 127; n += 1) put(n);
  equal((await listAll(store, image)).length, 127);
  const isTooMany = (error: unknown): boolean => isBullaError(error, 'store.too-many-signatures');
  await rejects(store.add(image, simpleSignature('128')), isTooMany);
  equal(readdirSync(join(folder.path, folderName)).length, 127);
  put(128);
  await rejectsList(store, image, 'store.too-many-signatures');
});

test('a bad file is listed as one that cannot be read, by its own code and place', async () => {
  const bad: readonly (readonly [string, Uint8Array, string])[] = [
    ['empty', new Uint8Array(), 'signature.empty'],
    ['armored', utf8('-----BEGIN PGP MESSAGE-----'), 'signature.unrecognized'],
    ['HTML', utf8('<html>'), 'signature.unrecognized'],
    ['unknown format', utf8('\0other\nx'), 'signature.unrecognized'],
  ];
  for (const [what, bytes, code] of bad) {
    using folder = temporaryFolder();
    const store = fileStore(folder.path);
    await store.add(image, simpleSignature('good'));
    const path = join(folder.path, folderName, 'signature-2');
    writeFileSync(path, bytes);
    const [, second] = await listAll(store, image);
    equal(second?.signature.format === 'unreadable' ? second.signature.code : undefined, code, what);
    equal(second?.location, path);
  }
});

test('what cannot be read is an error, not the end', async () => {
  using folder = temporaryFolder();
  const store = fileStore(folder.path);
  mkdirSync(join(folder.path, folderName, 'signature-1'), { recursive: true });
  await rejectsList(store, image, 'store.unreadable');
  await rejects(store.add(image, simpleSignature('a')), (error: unknown) =>
    isBullaError(error, 'store.unreadable'),
  );
  using other = temporaryFolder();
  writeFileSync(join(other.path, 'ns'), 'a file where a folder should be');
  await rejectsList(fileStore(other.path), image, 'store.unreadable');
});

test('a file over the limit is not read at all', async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, folderName), { recursive: true });
  writeFileSync(join(folder.path, folderName, 'signature-1'), new Uint8Array(4_194_305).fill(0xa3));
  await rejectsList(fileStore(folder.path), image, 'signature.too-large');
});

test('a link to a signature is read like one', async () => {
  using folder = temporaryFolder();
  const store = fileStore(folder.path);
  mkdirSync(join(folder.path, folderName), { recursive: true });
  writeFileSync(join(folder.path, 'elsewhere'), new Uint8Array([0xa3, 1]));
  symlinkSync(join(folder.path, 'elsewhere'), join(folder.path, folderName, 'signature-1'));
  equal((await listAll(store, image)).length, 1);
});

test('base URLs: only those that say where', () => {
  const refused = [
    'ftp://h/x',
    '/plain/path',
    'relative',
    'file:relative',
    'file://host/srv',
    's3://b/x',
    'https://user:secret@h/x',
    'file:///a%zz',
    'file:///a%00b',
    'http:/x',
    '',
  ];
  for (const url of refused) {
    throws(
      () => openLookaside({ url, from }, noHttp),
      (error: unknown) => isBullaError(error, 'store.unsupported') && !error.message.includes('secret'),
      url,
    );
  }
  for (const url of ['file:///', 'FILE:///srv', 'file://localhost/srv', 'HTTPS://h', 'http://h:8080/a//b/']) {
    ok(openLookaside({ url, from }, noHttp), url);
  }
});

test('a percent-escaped folder is the folder it means', async () => {
  using folder = temporaryFolder();
  const base = join(folder.path, 'a b%');
  const store = openLookaside({ url: `file://${folder.path}/a%20b%25?x#y`, from }, noHttp);
  await store.add(image, simpleSignature('a'));
  equal((await listAll(fileStore(base.replace('%', '%25').replace(' ', '%20')), image)).length, 1);
  deepEqual(readdirSync(folder.path), ['a b%']);
});

test('cosign signatures have no place in a lookaside', async () => {
  using folder = temporaryFolder();
  const signature = { format: 'cosign', mediaType: 'x/y', payload: utf8('{}'), annotations: {} } as const;
  await rejects(fileStore(folder.path).add(image, signature), (error: unknown) =>
    isBullaError(error, 'store.unsupported'),
  );
  deepEqual(readdirSync(folder.path), []);
});

// --- over HTTP

type Answer = {
  readonly status: number;
  readonly body?: Uint8Array;
  readonly headers?: Record<string, string>;
};

async function serve(
  answer: (url: string) => Answer,
): Promise<{ url: string; requests: string[]; authorizations: (string | undefined)[] } & AsyncDisposable> {
  const requests: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    authorizations.push(request.headers.authorization);
    const { status, body, headers } = answer(request.url ?? '');
    response.writeHead(status, headers).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const dispose = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
  };
  return { url, requests, authorizations, [Symbol.asyncDispose]: dispose };
}

const notFound: Answer = { status: 404 };
const signature: Answer = { status: 200, body: new Uint8Array([0xa3, 1]) };

test('over HTTP: N + 1 requests, without credentials, the slash kept, the host left out', async () => {
  await using server = await serve((url) => (/signature-[12](?:\?|$)/.test(url) ? signature : notFound));
  await using http = openHttp({ env: {} });
  for (const [base, prefix] of [
    ['', ''],
    ['/', '/'],
    ['/a/', '/a/'],
    ['/a//b', '/a//b'],
    ['/x?key=1#f', '/x'],
  ] as const) {
    server.requests.length = 0;
    const store = openLookaside({ url: server.url + base, from }, { http: () => http });
    const found = await listAll(store, image);
    const query = base.includes('?') ? '?key=1' : '';
    deepEqual(
      server.requests,
      [1, 2, 3].map((n) => `${prefix}/ns/app@sha256=${hexOf(digest)}/signature-${n}${query}`),
    );
    equal(found.length, 2);
    match(found[0]?.location ?? '', /signature-1$/);
  }
  ok(server.authorizations.every((each) => each === undefined));
});

test('over HTTP: only 404 is an end', async () => {
  for (const status of [401, 403, 410, 500, 503, 204, 206, 304]) {
    await using server = await serve(() => ({ status }));
    await using http = openHttp({ env: {} });
    await rejectsList(
      openLookaside({ url: server.url, from }, { http: () => http }),
      image,
      'store.unreadable',
    );
    equal(server.requests.length, 1);
  }
});

test('over HTTP: a server that is not there is an error', async () => {
  const server = await serve(() => notFound);
  await server[Symbol.asyncDispose]();
  await using http = openHttp({ env: {} });
  await rejectsList(
    openLookaside({ url: server.url, from }, { http: () => http }),
    image,
    'store.unreadable',
  );
});

test('over HTTP: HTML is judged as it is, with a remark', async () => {
  await using server = await serve((url) =>
    url.endsWith('1')
      ? { status: 200, body: utf8('<html>'), headers: { 'content-type': 'text/html; charset=x' } }
      : notFound,
  );
  await using http = openHttp({ env: {} });
  const remarks: string[] = [];
  const store = openLookaside(
    { url: server.url, from },
    { http: () => http, warn: (line) => remarks.push(line) },
  );
  deepEqual(
    (await listAll(store, image)).map(({ signature }) => signature.format),
    ['unreadable'],
  );
  equal(remarks.length, 1);
});

test('over HTTP: a signature over 4 MiB and a 128th are refused', async () => {
  await using server = await serve(() => ({ status: 200, body: new Uint8Array(4_194_305).fill(0xa3) }));
  await using http = openHttp({ env: {} });
  await rejectsList(
    openLookaside({ url: server.url, from }, { http: () => http }),
    image,
    'signature.too-large',
  );
  await using endless = await serve(() => signature);
  await rejectsList(
    openLookaside({ url: endless.url, from }, { http: () => http }),
    image,
    'store.too-many-signatures',
  );
  equal(endless.requests.length, 128);
});

test('over HTTP: reading only', async () => {
  const store = openLookaside({ url: 'https://sigs.example.com', from }, noHttp);
  await rejects(
    store.add(image, simpleSignature('a')),
    (error: unknown) =>
      isBullaError(error, 'store.read-only') && (error.hint ?? '').includes('lookaside-staging'),
  );
});

// --- processes

const writer = `
  const { openLookaside } = await import(${JSON.stringify(import.meta.resolve('./lookaside.ts'))});
  const { parseReference } = await import(${JSON.stringify(import.meta.resolve('../base/reference.ts'))});
  const store = openLookaside({ url: process.argv[1], from: { kind: 'built-in' } }, {});
  const image = { reference: parseReference(process.argv[2]), digest: process.argv[3] };
  process.stdout.write('ready\\n');
  for (let n = 0; n < Number(process.argv[5]); n += 1) {
    const blob = new Uint8Array(5000).fill(n + 1);
    blob[0] = 0xa3;
    blob.set(Buffer.from(process.argv[4]), 1);
    await store.add(image, { format: 'simple', blob });
    process.stdout.write('.');
  }
`;

function startWriter(folder: string, name: string, count: number): ReturnType<typeof spawn> {
  const args = [`file://${folder}`, 'registry.example.com:5000/ns/app:1', digest, name, String(count)];
  return spawn(process.execPath, ['--input-type=module', '-e', writer, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

test('processes at the same time lose nothing', { timeout: 60_000 }, async () => {
  using folder = temporaryFolder();
  const writers = Array.from({ length: 8 }, (_, n) => startWriter(folder.path, `process ${n}`, 5));
  const codes = await Promise.all(writers.map(async (each) => (await once(each, 'close'))[0] as unknown));
  deepEqual(new Set(codes), new Set([0]));
  equal((await listAll(fileStore(folder.path), image)).length, 40);
});

test(
  'a writer killed at any moment leaves whole signatures and nothing that readers count',
  { timeout: 60_000 },
  async () => {
    using folder = temporaryFolder();
    for (let round = 0; round < 6; round += 1) {
      const child = startWriter(folder.path, `round ${round}`, 126);
      let output = 0;
      for await (const chunk of child.stdout ?? []) {
        output += (chunk as Buffer).length;
        // the kill falls into another part of the writing each time
        if (output > 'ready'.length + round * 2) break;
      }
      child.kill('SIGKILL');
      await once(child, 'close');
      const found = await listAll(fileStore(folder.path), image);
      for (const { signature: each } of found) equal(each.format === 'simple' && each.blob.length, 5000);
      rmSync(join(folder.path, 'ns'), { recursive: true, force: true });
    }
  },
);

test('a file that is there is never replaced', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, folderName, 'signature-1');
  mkdirSync(join(folder.path, folderName), { recursive: true });
  writeFileSync(path, 'torn');
  equal(
    (await fileStore(folder.path).add(image, simpleSignature('a'))).location.endsWith('signature-2'),
    true,
  );
  equal(readFileSync(path, 'utf8'), 'torn');
});
