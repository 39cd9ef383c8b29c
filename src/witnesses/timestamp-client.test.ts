/** Timestamp authorities that answer as they should, and that lie. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';

import { forgeTimestamp } from '../../test/support/bundle-forge-timestamp.ts';
import { forgeInstance, trustedRootBytes } from '../../test/support/bundle-forge.ts';
import { serveAnswers, testClock } from '../../test/support/registry-faults.ts';
import { der } from '../../test/support/sigstore-forge.ts';
import { utf8 } from '../base/bytes.ts';
import { crypto } from '../base/node.ts';
import { openHttp } from '../io/http.ts';
import { DerReader, onlyElement, tags } from '../keys/certificates/der.ts';
import { parseTrustedRoots } from '../keys/trusted-root/parse.ts';
import type { ServiceOptions } from './ask-witness.ts';
import { requestTimestamp } from './timestamp-client.ts';

const instance = forgeInstance();
const roots = parseTrustedRoots(trustedRootBytes(instance), 'root');
const signature = utf8('a signature');

/** The nonce, and the hash, of a TimeStampReq. */
function readQuery(body: Uint8Array): { digest: Uint8Array; nonce: Uint8Array; wantsCertificate: boolean } {
  const query = new DerReader(onlyElement(body, tags.sequence).content);
  query.next(tags.integer);
  const imprint = query.inside(tags.sequence);
  imprint.next(tags.sequence);
  const digest = imprint.next(tags.octetString).content;
  const nonce = query.next(tags.integer).content;
  return { digest, nonce, wantsCertificate: query.next(tags.boolean).content[0] === 0xff };
}

type Reply = (query: ReturnType<typeof readQuery>) => Uint8Array;

/** A real reply, but for what is said otherwise. */
function reply({ nonce }: { nonce?: Uint8Array }, of = signature, by = instance): Uint8Array {
  return forgeTimestamp(of, {
    time: by.time,
    key: by.keys.timestamp,
    certificate: by.certificates.timestamp,
    more: nonce === undefined ? [] : [der(0x02, nonce)],
  });
}

async function ask(answer: Reply, options: Partial<ServiceOptions> = {}): Promise<Uint8Array> {
  await using server = await serveAnswers((request, response) => {
    assert.equal(`${request.method} ${request.url}`, 'POST /api/v1/timestamp');
    assert.equal(request.headers['content-type'], 'application/timestamp-query');
    response.end(answer(readQuery(new Uint8Array(request.body))));
  });
  await using http = openHttp();
  const all = { http, roots, clock: testClock(), ...options };
  return await requestTimestamp(`http://${server.host}/api/v1/timestamp`, signature, all);
}

test('a timestamp of the signature, with a nonce that is new each time', async () => {
  const nonces = new Set<string>();
  for (let count = 0; count < 3; count += 1) {
    await ask((query) => {
      assert.deepEqual(Buffer.from(query.digest), crypto.createHash('sha256').update(signature).digest());
      assert.equal(query.wantsCertificate, true);
      nonces.add(Buffer.from(query.nonce).toString('hex'));
      return reply(query);
    });
  }
  assert.equal(nonces.size, 3);
});

test('a connection that the server drops before it answers is tried once more', async () => {
  let asked = 0;
  await using server = await serveAnswers((request, response) => {
    asked += 1;
    if (asked === 1) response.destroy();
    else response.end(reply(readQuery(new Uint8Array(request.body))));
  });
  await using http = openHttp();
  await requestTimestamp(`http://${server.host}/tsa`, signature, { http, roots, clock: testClock() });
  assert.equal(asked, 2);
});

test('lies are not stored', async () => {
  const lies: readonly [string, Reply][] = [
    ['of something else', (query) => reply(query, utf8('another'))],
    ['an old one, replayed', () => reply({ nonce: Uint8Array.of(0x41) })],
    ['without the nonce', () => reply({})],
    ['by nobody known', (query) => reply(query, signature, forgeInstance())],
    ['nothing', () => new Uint8Array()],
    ['a web page', () => utf8('<html>')],
    ['cut off', (query) => reply(query).subarray(0, 100)],
    ['more behind it', (query) => Buffer.concat([reply(query), Uint8Array.of(0)])],
  ];
  for (const [name, lie] of lies) await assert.rejects(ask(lie), { code: 'timestamp.answer-invalid' }, name);
  // without a root all but whose it is holds
  await ask((query) => reply(query, signature, forgeInstance()), { roots: [] });
});

test('a refusal, with the authority’s words', async () => {
  const status = der(0x30, der(0x02, Uint8Array.of(2)), der(0x30, der(0x0c, utf8('not today'))));
  await assert.rejects(
    ask(() => der(0x30, status)),
    { code: 'timestamp.refused', message: /not today/ },
  );
});

test('an authority that fails, limits, and is not there', async () => {
  const cases = [
    [500, 'timestamp.failed'],
    [404, 'timestamp.refused'],
    [429, 'timestamp.rate-limited'],
    [302, 'timestamp.failed'],
  ] as const;
  for (const [status, code] of cases) {
    await using server = await serveAnswers((_, response) => void response.writeHead(status).end());
    await using http = openHttp();
    const asked = requestTimestamp(`http://${server.host}/`, signature, { http, clock: testClock() });
    await assert.rejects(asked, { code, exitCode: 3 });
  }
  await using http = openHttp();
  await assert.rejects(requestTimestamp('http://127.0.0.1:9/', signature, { http }), {
    code: 'timestamp.failed',
  });
});

test('an authority that stalls ends with the command’s own time; one that is cut off, or says too much', async () => {
  const cases: readonly [string, (response: ServerResponse) => unknown][] = [
    ['timestamp.failed', () => undefined],
    ['timestamp.failed', (response) => response.write('0', () => response.destroy())],
    ['timestamp.answer-invalid', (response) => response.end('0'.repeat(1_100_000))],
  ];
  for (const [code, answer] of cases) {
    await using server = await serveAnswers((_, response) => void answer(response));
    await using http = openHttp();
    const signal = AbortSignal.timeout(300);
    await assert.rejects(requestTimestamp(`http://${server.host}/`, signature, { http, signal }), { code });
  }
});
