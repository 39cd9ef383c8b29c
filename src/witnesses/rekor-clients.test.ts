/** Logs that answer as they should, and that lie, stall, limit, redirect and disappear. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';

import { addEntry, sha256 } from '../../test/support/bundle-forge-log.ts';
import { forgeInstance, trustedRootBytes } from '../../test/support/bundle-forge.ts';
import * as forged from '../../test/support/forged-rekor.ts';
import { asV1, type Body, type Entry } from '../../test/support/forged-rekor.ts';
import { type Recorded, serveAnswers, testClock } from '../../test/support/registry-faults.ts';
import { ecKey, signBytes } from '../../test/support/sigstore-forge.ts';
import type { ErrorCode } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import { paeOf } from '../base/pae.ts';
import { openHttp } from '../io/http.ts';
import { publicKeyOf } from '../keys/sigstore/public-key.ts';
import { parseTrustedRoots } from '../keys/trusted-root/parse.ts';
import type { UntrustedLogEntry } from './log-entry.ts';
import type { LoggedArtifact, LoggedContent } from './logged-artifact.ts';
import { logInRekorV1 } from './rekor-v1-client.ts';
import { logInRekorV2 } from './rekor-v2-client.ts';
import type { ServiceOptions } from './ask-witness.ts';

const instance = forgeInstance();
const roots = parseTrustedRoots(trustedRootBytes(instance), 'root');
const otherRoots = parseTrustedRoots(trustedRootBytes(forgeInstance()), 'root');
const pair = ecKey();
const message = Buffer.from('what is signed');
const payload = Buffer.from('{"_type":"x"}');
const payloadType = 'application/vnd.in-toto+json';

function artifactOf(content: LoggedContent, signed: Uint8Array): LoggedArtifact {
  const key = publicKeyOf(pair.publicKey);
  return { signer: { kind: 'key', key }, signature: signBytes(pair, signed), content };
}
const file = artifactOf({ kind: 'message', message }, message);
const envelope = artifactOf({ kind: 'dsse', payloadType, payload }, paeOf(payloadType, payload));

const answerV1 = (request: Recorded, by = instance): ReturnType<typeof asV1> => forged.answerV1(request, by);
const answerV2 = (request: Recorded, by = instance): Entry => forged.answerV2(request, by);

type Answer = (request: Recorded, response: ServerResponse) => void;

function json(value: unknown, status = 201): Answer {
  return (_, response) => void response.writeHead(status).end(JSON.stringify(value));
}

/** Asks a server that answers so; gives the entry, or the error's code. */
async function ask(
  version: 1 | 2,
  answer: Answer,
  { artifact = file, ...more }: Partial<ServiceOptions> & { artifact?: LoggedArtifact } = {},
): Promise<UntrustedLogEntry> {
  await using server = await serveAnswers(answer);
  await using http = openHttp();
  const url = `http://${server.host}`;
  const options = { http, clock: testClock(), roots, ...more };
  if (version === 1) return await logInRekorV1(url, artifact, options);
  const { content } = artifact;
  const signed = content.kind === 'dsse' ? paeOf(content.payloadType, content.payload) : message;
  return await logInRekorV2(url, artifact, sha256(signed), options);
}

test('an honest log: a message and an envelope, by both versions', async () => {
  for (const artifact of [file, envelope]) {
    const first = await ask(1, (request, response) => json(answerV1(request))(request, response), {
      artifact,
    });
    assert.equal(first.kind, artifact === file ? 'hashedrekord' : 'dsse');
    assert.equal(first.integratedTime, BigInt(instance.time));
    const second = await ask(2, (request, response) => json(answerV2(request))(request, response), {
      artifact,
    });
    assert.equal(`${second.kind} ${second.version}`, 'hashedrekord 0.0.2');
    assert.equal(second.signedEntryTimestamp, undefined);
  }
});

test('the requests are those that cosign sends', async () => {
  const seen: Recorded[] = [];
  const kept =
    (answer: (request: Recorded) => unknown): Answer =>
    (request, response) => {
      seen.push(request);
      json(answer(request))(request, response);
    };
  await ask(
    1,
    kept((request) => answerV1(request)),
    { artifact: envelope },
  );
  await ask(
    2,
    kept((request) => answerV2(request)),
    { artifact: envelope },
  );
  const [first, second] = seen;
  assert.equal(`${first?.method} ${first?.url}`, 'POST /api/v1/log/entries');
  const { spec } = JSON.parse(String(first?.body)) as { spec: { proposedContent: { envelope: string } } };
  assert.deepEqual(Object.keys(JSON.parse(spec.proposedContent.envelope) as object), [
    'payload',
    'payloadType',
    'signatures',
  ]);
  assert.equal(`${second?.method} ${second?.url}`, 'POST /api/v2/log/entries');
  const { hashedRekordRequestV002: request } = JSON.parse(String(second?.body)) as {
    hashedRekordRequestV002: { signature: { verifier: { keyDetails: string } } };
  };
  assert.equal(request.signature.verifier.keyDetails, 'PKIX_ECDSA_P256_SHA_256');
});

test('an entry that is there already is read, where it is the same', async () => {
  const existing: Record<'location' | 'answer', unknown> = {
    location: '/api/v1/log/entries/x',
    answer: undefined,
  };
  const server: Answer = (request, response) => {
    if (request.method === 'GET') return json(existing.answer, 200)(request, response);
    existing.answer ??= answerV1(request);
    response.writeHead(409, { location: String(existing.location) }).end('{"code":409}');
  };
  const entry = await ask(1, server);
  assert.equal(entry.kind, 'hashedrekord');
  // another one's entry
  await assert.rejects(ask(1, server, { artifact: envelope }), { code: 'log.answer-invalid' });
  for (const location of ['http://127.0.0.1:9/x', 'https://user:pw@127.0.0.1/', 'http://[']) {
    existing.location = location;
    await assert.rejects(ask(1, server), { code: 'log.answer-invalid' });
  }
});

test('a log that is gone, or sends elsewhere, between its 409 and the entry', async () => {
  const seconds: readonly [ErrorCode, Answer][] = [
    ['log.failed', (_, response) => void response.destroy()],
    ['log.failed', (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end()],
    ['log.failed', (_, response) => void response.writeHead(502).end()],
    ['log.refused', (_, response) => void response.writeHead(404).end()],
  ];
  for (const [code, second] of seconds) {
    const server: Answer = (request, response) => {
      if (request.method === 'GET') return second(request, response);
      response.writeHead(409, { location: '/api/v1/log/entries/x' }).end();
    };
    await assert.rejects(ask(1, server), { code });
  }
  await assert.rejects(
    ask(1, (_, response) => void response.writeHead(409).end()),
    {
      code: 'log.answer-invalid',
    },
  );
});

test('a Rekor v2 that has the signature already', async () => {
  const duplicate: Answer = (_, response) => void response.writeHead(409, { 'x-log-index': '3' }).end('{}');
  await assert.rejects(ask(2, duplicate), { code: 'log.duplicate', exitCode: 3 });
});

test('lies are not stored', async () => {
  const lies: readonly [string, (request: Recorded) => unknown][] = [
    ['nothing', () => ({})],
    ['null', () => null],
    ['a list', (request) => [answerV1(request)]],
    ['two entries', (request) => ({ ...answerV1(request), ['0'.repeat(80)]: {} })],
    ['another log', (request) => answerV1(request, forgeInstance())],
    ['another name', (request) => ({ ['0'.repeat(80)]: Object.values(answerV1(request))[0] })],
    [
      'no proof',
      changed((entry) => delete (entry['verification'] as Record<string, unknown>)['inclusionProof']),
    ],
    [
      'no SET',
      changed((entry) => delete (entry['verification'] as Record<string, unknown>)['signedEntryTimestamp']),
    ],
    ['another time', changed((entry) => (entry['integratedTime'] = 5))],
    ['a negative index', changed((entry) => (entry['logIndex'] = -1))],
    ['no index', changed((entry) => delete entry['logIndex'])],
    ['half an index', changed((entry) => (entry['logIndex'] = 1.5))],
    ['no time', changed((entry) => delete entry['integratedTime'])],
    ['a body in bad base64', changed((entry) => (entry['body'] = `${String(entry['body'])}=`))],
  ];
  for (const [name, lie] of lies) {
    const answer: Answer = (request, response) => json(lie(request))(request, response);
    await assert.rejects(ask(1, answer), { code: 'log.answer-invalid' }, name);
  }
  const another: Answer = (request, response) => {
    const proposed = JSON.parse(request.body.toString()) as Body;
    const spec = { ...proposed.spec, data: { hash: { algorithm: 'sha256', value: '0'.repeat(64) } } };
    json(asV1(addEntry(instance.rekor1, { ...proposed, spec }, { time: 1 }) as Entry))(request, response);
  };
  // also where nobody gave a root: it is about something else
  await assert.rejects(ask(1, another, { roots: [] }), { code: 'log.answer-invalid' });
  const tiles: readonly [string, (request: Recorded) => unknown][] = [
    ['no proof', (request) => ({ ...answerV2(request), inclusionProof: undefined })],
    [
      '65 hashes',
      (request) => withProof(answerV2(request), { hashes: Array.from({ length: 65 }, () => 'AAAA') }),
    ],
    [
      'another root',
      (request) => withProof(answerV2(request), { rootHash: Buffer.alloc(32).toString('base64') }),
    ],
    ['another index', (request) => ({ ...answerV2(request), logIndex: '0' })],
    ['a negative index', (request) => ({ ...answerV2(request), logIndex: '-1' })],
    ['no index', (request) => ({ ...answerV2(request), logIndex: undefined })],
    ['no index in the proof', (request) => withProof(answerV2(request), { logIndex: undefined })],
    [
      'another version',
      (request) => ({ ...answerV2(request), kindVersion: { kind: 'hashedrekord', version: '0.0.3' } }),
    ],
    ['another log', (request) => answerV2(request, forgeInstance())],
  ];
  for (const [name, lie] of tiles) {
    const answer: Answer = (request, response) => json(lie(request))(request, response);
    await assert.rejects(ask(2, answer), { code: 'log.answer-invalid' }, name);
  }
  // an honest log, and a root that does not know it
  const honest: Answer = (request, response) => json(answerV1(request))(request, response);
  await assert.rejects(ask(1, honest, { roots: otherRoots }), { code: 'log.answer-invalid' });
  await ask(1, honest, { roots: [] });
});

function changed(change: (entry: Record<string, unknown>) => unknown): (request: Recorded) => unknown {
  return (request) => {
    const answer = answerV1(request);
    for (const entry of Object.values(answer)) change(entry);
    return answer;
  };
}

function withProof(entry: Entry, proof: object): Entry {
  return { ...entry, inclusionProof: { ...entry.inclusionProof, ...proof } };
}

const cutOff: Answer = (_, response) => {
  response.writeHead(201, { 'content-length': '99' });
  response.write('{', () => response.destroy());
};

test('a log that refuses, fails, redirects, is cut off or too large, and its words', async () => {
  const cases: readonly [ErrorCode, RegExp, Answer][] = [
    ['log.refused', /no such key/, json({ code: 400, message: 'no such key' }, 400)],
    ['log.refused', /answered 404$/, (_, response) => void response.writeHead(404).end('<html>lost</html>')],
    ['log.failed', /answered 500/, json({ message: 'oops' }, 500)],
    ['log.failed', /redirect/, (_, response) => void response.writeHead(307, { location: '/x' }).end()],
    ['log.failed', /./, cutOff],
    ['log.answer-invalid', /too|larger|bytes/i, (_, response) => void response.end('x'.repeat(1_100_000))],
    ['log.answer-invalid', /answer:1:1/, (_, response) => void response.writeHead(201).end('hello')],
  ];
  for (const version of [1, 2] as const) {
    for (const [code, pattern, answer] of cases) {
      await assert.rejects(ask(version, answer), { code, message: pattern });
    }
  }
});

test('a log that does not answer ends with the command’s own time', async () => {
  const signal = AbortSignal.timeout(50);
  await assert.rejects(ask(1, () => undefined, { signal }));
});

test('a log that wants fewer requests is asked again as late as it says, and not for ever', async () => {
  const clock = testClock();
  let count = 0;
  const limiting: Answer = (request, response) => {
    count += 1;
    if (count < 3) response.writeHead(429, { 'retry-after': '7' }).end();
    else json(answerV1(request))(request, response);
  };
  await ask(1, limiting, { clock });
  assert.deepEqual(clock.slept, [7000, 7000]);
  const always: Answer = (_, response) => void response.writeHead(429, { 'retry-after': '86400' }).end();
  await assert.rejects(ask(1, always, { clock }), { code: 'log.rate-limited', exitCode: 3 });
  assert.deepEqual(clock.slept.slice(2), [60_000, 60_000]);
});

test('a log that is not there, and one that is no URL', async () => {
  await using http = openHttp();
  await assert.rejects(logInRekorV1('http://127.0.0.1:9', file, { http }), { code: 'log.failed' });
  for (const url of ['ftp://x', 'rekor', 'http://u:p@x', 'http://x?y', 'http://x#y']) {
    await assert.rejects(logInRekorV1(url, file, { http }), { code: 'usage.invalid' }, url);
  }
});

test('Rekor v2 knows no RSA key of an odd size', async () => {
  const odd = crypto.generateKeyPairSync('rsa', { modulusLength: 2056 });
  const signer = { kind: 'key', key: publicKeyOf(odd.publicKey) } as const;
  await assert.rejects(ask(2, json({}), { artifact: { ...file, signer } }), { code: 'key.unusable' });
});
