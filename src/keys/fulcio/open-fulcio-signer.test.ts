import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type FulcioStub, type Lie, openFulcioStub } from '../../../test/support/fulcio-stub.ts';
import { serveAnswers } from '../../../test/support/registry-faults.ts';
import * as forge from '../../../test/support/sigstore-forge.ts';
import { bytesEqual } from '../../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { openHttp } from '../../io/http.ts';
import { parseCertificate } from '../certificates/certificate.ts';
import { givenToken } from '../oidc/token-source.ts';
import type { SigstoreSigner } from '../signer.ts';
import { verifySigstoreSignature } from '../sigstore/public-key.ts';
import { type FulcioOptions, openFulcioSigner } from './open-fulcio-signer.ts';

const http = openHttp();
const message = Buffer.from('the message');
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

/** A token that the stub believes; nobody here checks its signature. */
function token(claims: Readonly<Record<string, unknown>> = {}): string {
  const exp = Math.floor(Date.now() / 1000) + 600;
  const all = { iss: 'https://issuer.example', aud: 'sigstore', sub: 'u1', exp, ...claims };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(all)}.c2lnbmF0dXJl`;
}

const alice = { email: 'alice@example.com', email_verified: true };

function open(
  url: string,
  options: Partial<FulcioOptions> & { claims?: object } = {},
): Promise<SigstoreSigner> {
  const { claims = alice, ...rest } = options;
  const source = givenToken(token({ ...claims }), 'the test');
  return openFulcioSigner({ url, token: source, http, sleep: async () => undefined, ...rest });
}

async function withStub(
  answer: Parameters<typeof openFulcioStub>[0],
  run: (stub: FulcioStub) => Promise<void>,
): Promise<void> {
  await using stub = await openFulcioStub(answer);
  await run(stub);
}

for (const apiVersion of [1, 2] as const) {
  test(`API v${apiVersion}: the certificate comes late, once, and belongs to the key`, async () => {
    await withStub(
      () => ({}),
      async (stub) => {
        await using signer = await open(`${stub.url}/base/`, { apiVersion });
        assert.equal(stub.requests.length, 0);
        assert.equal(signer.certificates, undefined);
        const signatures = await Promise.all([
          signer.sign(message),
          signer.signForBundle(message),
          signer.sign(message),
        ]);
        for (const signature of signatures) {
          assert.ok(verifySigstoreSignature(signer.publicKey, message, signature));
        }
        const [request, ...more] = stub.requests;
        assert.equal(more.length, 0);
        assert.equal(request?.url, `/base/api/v${apiVersion}/signingCert`);
        assert.match(request?.headers.authorization ?? '', /^Bearer eyJ/);
        // the token goes nowhere else
        assert.ok(!request?.body.toString().includes('eyJ'));
        const [leaf, root, ...others] = signer.certificates ?? [];
        assert.equal(others.length, 0);
        assert.deepEqual(root, stub.root);
        assert.ok(bytesEqual(parseCertificate(leaf ?? new Uint8Array()).spki, signer.publicKey.spki));
      },
    );
  });
}

test('a CI identity: GitHub’s and GitLab’s names follow from the token', async () => {
  const ref = 'acme/app/.github/workflows/w.yml@refs/heads/main';
  const uri = (text: string): Lie => ({ names: forge.altNames([[6, text]], true) });
  const cases: readonly (readonly [object, string, boolean])[] = [
    [{ job_workflow_ref: ref }, `https://github.com/${ref}`, true],
    [{ job_workflow_ref: ref }, 'https://github.com/evil/app/.github/workflows/w.yml@refs/heads/main', false],
    [
      { ci_config_ref_uri: 'gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main' },
      'https://gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main',
      true,
    ],
    [
      { ci_config_ref_uri: 'gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main' },
      'https://gitlab.com/g/q//.gitlab-ci.yml@refs/heads/main',
      false,
    ],
    [{ sub: 'spiffe://a/b' }, 'spiffe://a/b', true],
    [{ sub: 'spiffe://a/b' }, 'spiffe://a/c', false],
  ];
  for (const [claims, name, isGood] of cases) {
    await withStub(
      () => uri(name),
      async (stub) => {
        await using signer = await open(stub.url, { claims });
        if (isGood) await signer.sign(message);
        else await assert.rejects(signer.sign(message), code('fulcio.answer-refused'), name);
      },
    );
  }
});

test('a broker’s token: the certificate names whom the broker asked', async () => {
  const claims = { ...alice, federated_claims: { connector_id: 'https://accounts.example' } };
  for (const issuer of ['https://accounts.example', 'https://issuer.example']) {
    await withStub(
      () => ({ issuer }),
      async (stub) => {
        await using signer = await open(stub.url, { claims });
        await signer.sign(message);
      },
    );
  }
});

const other = forge.ecKey();
const lies: Readonly<Record<string, Lie>> = {
  'another key': { key: other },
  'another person': { names: forge.altNames([[1, 'mallory@example.com']], true) },
  'two persons': {
    names: forge.altNames(
      [
        [1, 'alice@example.com'],
        [1, 'mallory@example.com'],
      ],
      true,
    ),
  },
  'a URI in place of the mail address': { names: forge.altNames([[6, 'https://example.com/x']], true) },
  'another issuer': { issuer: 'https://evil.example' },
  'not valid yet': { from: 120, to: 700 },
  expired: { from: -700, to: -1 },
  'no certificate log': { sct: false },
  'a timestamp beside the certificate': { sct: false, detached: true },
  'not for signing code': { usage: forge.usages('1.3.6.1.5.5.7.3.1') },
  'an issuer that has not signed': {
    chain: ([leaf = new Uint8Array()]) => [
      leaf,
      forge.certificate({
        subject: 'root',
        key: other,
        from: 1_700_000_000,
        to: 2_000_000_000,
        extensions: [forge.authority()],
      }),
    ],
  },
  'a certificate between that does not belong': {
    chain: ([leaf = new Uint8Array(), root = new Uint8Array()]) => [leaf, leaf, root].toReversed(),
  },
  'no certificate': { chain: () => [] },
  'a certificate cut short': { chain: ([leaf = new Uint8Array()]) => [leaf.subarray(0, 200)] },
  'more certificates than any chain has': {
    chain: ([leaf = new Uint8Array()]) => Array.from({ length: 40 }, () => leaf),
  },
  'no JSON': { body: () => 'certificate' },
  'a list': { body: () => [] },
  'neither certificate': { body: () => ({}) },
  'both certificates': {
    body: (pems) => {
      const chain = { chain: { certificates: pems } };
      return { signedCertificateEmbeddedSct: chain, signedCertificateDetachedSct: chain };
    },
  },
  'a member twice': { body: () => '{"signedCertificateEmbeddedSct":{},"signedCertificateEmbeddedSct":{}}' },
  'numbers for certificates': {
    body: () => ({ signedCertificateEmbeddedSct: { chain: { certificates: [1] } } }),
  },
};
for (const [name, lie] of Object.entries(lies)) {
  test(`refused, and nothing signed: ${name}`, async () => {
    await withStub(
      () => lie,
      async (stub) => {
        await using signer = await open(stub.url);
        await assert.rejects(signer.sign(message), code('fulcio.answer-refused'));
        assert.equal(signer.certificates, undefined);
      },
    );
  });
}

test('clocks may differ by a minute', async () => {
  await withStub(
    () => ({ from: 50, to: 600 }),
    async (stub) => {
      await using signer = await open(stub.url);
      await signer.sign(message);
    },
  );
});

test('without a certificate log where the caller does without', async () => {
  await withStub(
    () => ({ sct: false, detached: true }),
    async (stub) => {
      await using signer = await open(stub.url, { needSct: false });
      await signer.sign(message);
    },
  );
});

test('a trusted root decides whose certificates are taken, and judges their timestamps', async () => {
  await withStub(
    () => ({}),
    async (stub) => {
      const root = parseCertificate(stub.root);
      const validFor = { start: 0 };
      const authorities = [{ uri: '', chain: [root], validFor }] as const;
      await using good = await open(stub.url, { authorities, verifySct: () => ({ ok: true }) });
      await good.sign(message);
      const stranger = parseCertificate(
        forge.certificate({
          subject: 'root',
          key: other,
          from: 1_700_000_000,
          to: 2_000_000_000,
          extensions: [forge.authority()],
        }),
      );
      const refusals: readonly Partial<FulcioOptions>[] = [
        { authorities: [] },
        { authorities: [{ uri: '', chain: [stranger], validFor }] },
        { authorities: [{ uri: '', chain: [root], validFor: { start: 0, end: 1 } }] },
        {
          verifySct: () => ({ ok: false, code: 'signature.certificate-invalid', message: 'no log knows it' }),
        },
      ];
      for (const refusal of refusals) {
        await using signer = await open(stub.url, refusal);
        await assert.rejects(signer.sign(message), code('fulcio.answer-refused'));
      }
    },
  );
});

test('a limit on requests is waited for, and only for so long', async () => {
  const slept: number[] = [];
  const sleep = async (milliseconds: number): Promise<void> => void slept.push(milliseconds);
  await withStub(
    (_, response, count) => {
      if (count > 2) return {};
      response.writeHead(count === 1 ? 429 : 503, count === 1 ? { 'retry-after': '7' } : {}).end();
      return undefined;
    },
    async (stub) => {
      await using signer = await open(stub.url, { sleep });
      await signer.sign(message);
      assert.deepEqual(slept, [7000, 2000]);
    },
  );
  for (const wait of ['31', '3600', new Date(Date.now() + 3_600_000).toUTCString()]) {
    await withStub(
      (_, response) => void response.writeHead(429, { 'retry-after': wait }).end(),
      async (stub) => {
        await using signer = await open(stub.url, { sleep });
        await assert.rejects(signer.sign(message), code('fulcio.rate-limited'));
        assert.equal(stub.requests.length, 1);
      },
    );
  }
  await withStub(
    (_, response) => void response.writeHead(429).end(),
    async (stub) => {
      await using signer = await open(stub.url, { sleep });
      await assert.rejects(signer.sign(message), code('fulcio.rate-limited'));
      assert.equal(stub.requests.length, 4);
      // what was refused once is not asked for again
      await assert.rejects(signer.sign(message), code('fulcio.rate-limited'));
      assert.equal(stub.requests.length, 4);
    },
  );
});

test('a token that is not accepted, in Fulcio’s words but never with the token', async () => {
  const secret = token(alice);
  await withStub(
    (request, response) => {
      const said = request.url.includes('/v1/')
        ? `bad token ${request.headers.authorization}`
        : 'There was an error\u001b[2J';
      response.writeHead(400).end(JSON.stringify({ code: 3, message: said }));
      return undefined;
    },
    async (stub) => {
      for (const apiVersion of [1, 2] as const) {
        await using signer = await openFulcioSigner({
          url: stub.url,
          apiVersion,
          http,
          token: givenToken(secret, 'the test'),
        });
        await assert.rejects(signer.sign(message), (error) => {
          assert.ok(isBullaError(error, 'fulcio.refused'));
          assert.ok(!`${error.message}${error.hint}${String(error.cause)}`.includes('eyJ'));
          assert.ok(!error.message.includes('\u001b'));
          assert.equal(error.message.includes('There was an error'), apiVersion === 2);
          return true;
        });
      }
    },
  );
});

test('a redirect is not followed: the token goes to nobody else', async () => {
  await using thief = await serveAnswers((_, response) => void response.end('{}'));
  for (const status of [301, 302, 303, 307, 308]) {
    await withStub(
      (_, response) => void response.writeHead(status, { location: `http://${thief.host}/` }).end(),
      async (stub) => {
        await using signer = await open(stub.url);
        await assert.rejects(signer.sign(message), code('fulcio.failed'));
      },
    );
  }
  assert.equal(thief.requests.length, 0);
});

test('a Fulcio that is none, breaks, answers too much, stalls or is gone', async () => {
  for (const status of [404, 405, 500, 502]) {
    await withStub(
      (_, response) => void response.writeHead(status).end('<html>'),
      async (stub) => {
        await using signer = await open(stub.url);
        await assert.rejects(signer.sign(message), code('fulcio.failed'), String(status));
      },
    );
  }
  await withStub(
    (_, response) => void response.writeHead(200).end(Buffer.alloc(300_000, 32)),
    async (stub) => {
      await using signer = await open(stub.url);
      await assert.rejects(signer.sign(message), code('fulcio.failed'));
    },
  );
  await withStub(
    (_, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{');
      response.destroy();
      return undefined;
    },
    async (stub) => {
      await using signer = await open(stub.url);
      await assert.rejects(signer.sign(message), code('fulcio.failed'));
    },
  );
  let url = '';
  await withStub(
    () => ({}),
    async (stub) => void (url = stub.url),
  );
  await using signer = await open(url);
  await assert.rejects(signer.sign(message), code('fulcio.failed'));
  await withStub(
    () => undefined,
    async (stub) => {
      await using stalled = await open(stub.url, { signal: AbortSignal.timeout(50) });
      await assert.rejects(stalled.sign(message), code('fulcio.failed'));
    },
  );
});

test('a certificate that has nearly run out is renewed for the same key', async () => {
  await withStub(
    () => ({}),
    async (stub) => {
      let later = 0;
      await using signer = await open(stub.url, { now: () => new Date(Date.now() + later) });
      await signer.sign(message);
      const [first] = signer.certificates ?? [];
      later = 545_000;
      const renewing = [signer.sign(message), signer.sign(message)];
      // whoever has just signed still finds the certificate
      assert.deepEqual(signer.certificates?.[0], first);
      await Promise.all(renewing);
      assert.equal(stub.requests.length, 2);
      assert.notDeepEqual(signer.certificates?.[0], first);
      // and then the token has run out, too
      later = 2_000_000;
      await assert.rejects(signer.sign(message), code('oidc.token-expired'));
      assert.equal(stub.requests.length, 2);
    },
  );
});

test('an address that is none', async () => {
  for (const url of ['ftp://fulcio', 'fulcio', ''])
    await assert.rejects(open(url), code('http.url-refused'), url);
});
