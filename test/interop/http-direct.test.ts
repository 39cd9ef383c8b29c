/** Large bodies over TLS by sockets of our own: the same certificates, the same checks and the same errors as by Node’s client. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

import { BullaError } from '../../src/base/errors.ts';
import { openHttp, type TlsOptions } from '../../src/io/http.ts';
import { makeCertificates, registryUser, startRegistry } from '../support/docker-registry.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';
import { directly, outcomeOf, serveRaw } from '../support/raw-server.ts';

const hello = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello';

async function pemsOf(
  bench: Bench,
): Promise<Record<'ca' | 'cert' | 'key' | 'clientCert' | 'clientKey', string>> {
  const files = await makeCertificates(bench, 'site');
  const read = (path: string): string => readFileSync(path, 'utf8');
  return {
    ca: read(files.ca),
    cert: read(files.serverCertificate),
    key: read(files.serverKey),
    clientCert: read(files.clientCertificate),
    clientKey: read(files.clientKey),
  };
}

/** A certificate that signs itself. */
async function selfSigned(
  bench: Bench,
  name: string,
  host: string,
  days: number,
): Promise<{ readonly cert: string; readonly key: string }> {
  const [request, key, cert, extensions] = ['csr', 'key', 'pem', 'ext'].map((kind) =>
    bench.path(`${name}.${kind}`),
  ) as [string, string, string, string];
  writeFileSync(extensions, `subjectAltName=${host}\n`);
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=site'];
  await bench.ok('openssl', ['req', ...kind, '-keyout', key, '-out', request]);
  const sign = ['x509', '-req', '-in', request, '-signkey', key, '-days', `${days}`, '-extfile', extensions];
  await bench.ok('openssl', [...sign, '-out', cert]);
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

test(
  'a certificate is refused as ever, and then nothing is said to the server',
  needs('openssl'),
  async () => {
    await using bench = await openBench();
    const { ca, cert, key } = await pemsOf(bench);
    const elsewhere = await selfSigned(bench, 'elsewhere', 'DNS:elsewhere.test', 2);
    const expired = await selfSigned(bench, 'expired', 'IP:127.0.0.1', -1);
    const cases: readonly [string, { cert: string; key: string }, TlsOptions, string | undefined][] = [
      ['unknown issuer', { cert, key }, {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
      ['known issuer', { cert, key }, { ca: [ca] }, undefined],
      ['another issuer', { cert, key }, { ca: [elsewhere.cert] }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
      ['self-signed', elsewhere, {}, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
      ['another host', elsewhere, { ca: [elsewhere.cert] }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
      ['expired', expired, { ca: [expired.cert] }, 'CERT_HAS_EXPIRED'],
      ['another host, unchecked', elsewhere, { insecure: true }, undefined],
      ['expired, unchecked', expired, { insecure: true }, undefined],
    ];
    for (const [name, server, tls, refusal] of cases) {
      await using site = await serveRaw((socket) => void socket.end(hello), server);
      for (const direct of [true, false]) {
        await using http = openHttp({ env: {}, tls });
        const headers = { authorization: 'Bearer secret' };
        const answer = http.request({ ...directly, direct, url: site.url, headers });
        if (refusal === undefined) {
          assert.equal(Buffer.from(await (await answer).bytes()).toString(), 'hello', name);
          continue;
        }
        await assert.rejects(answer, (error: unknown) => {
          assert.ok(error instanceof BullaError && error.cause instanceof Error, name);
          assert.equal(error.code, 'http.certificate-refused', name);
          assert.equal((error.cause as NodeJS.ErrnoException).code, refusal, name);
          return true;
        });
        assert.equal(site.asked.length, 0, name);
      }
    }
  },
);

test('a server without TLS, and one that wants a certificate, fail as ever', needs('openssl'), async () => {
  await using bench = await openBench();
  const { ca, cert, key, clientCert, clientKey } = await pemsOf(bench);
  const plain = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  });
  await once(plain.listen(0, '127.0.0.1'), 'listening');
  const url = new URL(`https://127.0.0.1:${(plain.address() as AddressInfo).port}/blob`);
  await using strict = await serveRaw((socket) => void socket.end(hello), {
    ...{ cert, key, ca, requestCert: true, rejectUnauthorized: true },
  });
  await using anonymous = openHttp({ env: {}, tls: { ca: [ca] } });
  for (const each of [url, strict.url]) {
    const usual = await outcomeOf(anonymous, { ...directly, direct: false, url: each });
    assert.equal(usual, 'http.failed');
    assert.equal(await outcomeOf(anonymous, { ...directly, url: each }), usual);
  }
  plain.close();
  assert.equal(strict.asked.length, 0);
  const clientCertificates = [{ cert: clientCert, key: clientKey }];
  await using known = openHttp({ env: {}, tls: { ca: [ca], clientCertificates } });
  const request = { ...directly, url: strict.url };
  assert.equal((await known.request(request)).status, 200);
  assert.equal(await outcomeOf(known, { ...request, clientCertificate: false }), 'http.failed');
});

test(
  'the server name is sent as ever; a redirect takes neither credentials nor certificate along',
  needs('openssl'),
  async () => {
    await using bench = await openBench();
    const { ca, cert, key, clientCert, clientKey } = await pemsOf(bench);
    const server = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
    await using storage = await serveRaw((socket) => void socket.end(hello), server);
    const named = new URL(storage.url.href.replace('127.0.0.1', 'localhost'));
    await using registry = await serveRaw((socket) => {
      socket.end(`HTTP/1.1 302 Found\r\nlocation: ${named.href}\r\ncontent-length: 0\r\n\r\n`);
    }, server);
    for (const direct of [true, false]) {
      const clientCertificates = [{ cert: clientCert, key: clientKey }];
      await using http = openHttp({ env: {}, tls: { ca: [ca], clientCertificates } });
      const headers = { authorization: 'Bearer secret' };
      const request = { ...directly, direct, url: registry.url, headers, redirects: 'follow' } as const;
      const response = await http.request(request);
      assert.equal(Buffer.from(await response.bytes()).toString(), 'hello');
      const [first, second] = [registry.sockets.at(-1), storage.sockets.at(-1)] as [TLSSocket, TLSSocket];
      assert.equal(first.authorized, true);
      assert.equal(first.servername, false);
      assert.equal(second.authorized, false);
      assert.equal(second.servername, 'localhost');
      assert.match(registry.asked.at(-1) ?? '', /authorization: Bearer secret/i);
      assert.doesNotMatch(storage.asked.at(-1) ?? '', /authorization|secret/i);
    }
    assert.deepEqual([registry.asked.length, storage.asked.length], [2, 2]);
  },
);

test(
  'a slow consumer gets every byte, and little waits for it; what is cut off is an error',
  needs('openssl'),
  async () => {
    await using bench = await openBench();
    const { ca, cert, key } = await pemsOf(bench);
    const content = randomBytes(16_000_000);
    let sent = content.length;
    await using site = await serveRaw(
      (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${content.length}\r\n\r\n`);
        socket.end(content.subarray(0, sent));
      },
      { cert, key },
    );
    await using http = openHttp({ env: {}, tls: { ca: [ca] } });
    const hash = createHash('sha256');
    let [under, most] = [0, 0];
    let last = Promise.resolve();
    await (
      await http.request({ ...directly, url: site.url })
    ).each((chunk) => {
      under += chunk.length;
      most = Math.max(most, under);
      last = last.then(async () => {
        await turn();
        // read late: a buffer that had been used again would show
        hash.update(chunk);
        under -= chunk.length;
      });
      return last;
    });
    assert.equal(hash.digest('hex'), createHash('sha256').update(content).digest('hex'));
    assert.ok(most < 1_500_000, `${most} bytes waited`);
    sent = 10_000_000;
    assert.equal(await outcomeOf(http, { ...directly, url: site.url }), 'http.failed');
  },
);

test(
  'blobs of a registry with TLS and users come directly, each asked for once',
  needs('docker-registry', 'openssl', 'oras'),
  async () => {
    await using bench = await openBench();
    const registry = await startRegistry(bench, { tls: true, users: true });
    const certificates = bench.path('certs');
    mkdirSync(certificates);
    copyFileSync(registry.certificates?.ca ?? '', `${certificates}/ca.crt`);
    writeFileSync(bench.path('large.bin'), randomBytes(20_000_000));
    const login = ['--username', registryUser.name, '--password', registryUser.password];
    const file = 'large.bin:application/vnd.oci.image.layer.v1.tar';
    const trusted = ['--ca-file', registry.certificates?.ca ?? ''];
    await bench.ok('oras', ['push', ...login, ...trusted, `${registry.host}/app:1`, file], {
      cwd: bench.path('.'),
    });
    const flags = ['--insecure-policy', `--src-creds=${registryUser.name}:${registryUser.password}`];
    const from = [`--src-cert-dir=${certificates}`, `docker://${registry.host}/app:1`];
    const copied = await bench.bulla(['copy', ...flags, ...from, `dir:${bench.path('copied')}`]);
    assert.equal(copied.exitCode, 0, copied.stderr);
    const digest = createHash('sha256')
      .update(readFileSync(bench.path('large.bin')))
      .digest('hex');
    assert.deepEqual(readFileSync(bench.path(`copied/${digest}`)), readFileSync(bench.path('large.bin')));
    const gets = registry
      .log()
      .split('\n')
      .filter((line) => line.includes(`GET /v2/app/blobs/sha256:${digest}`));
    assert.equal(gets.filter((line) => / 200 /.test(line)).length, 1, gets.join('\n'));
  },
);

test(
  'requests that meet an unknown issuer together are all asked again by the machine’s own authorities',
  needs('openssl'),
  async () => {
    await using bench = await openBench();
    const { ca, cert, key } = await pemsOf(bench);
    writeFileSync(bench.path('authority.pem'), ca);
    await using site = await serveRaw((socket) => socket.end(hello), { cert, key });
    const program = `
      import { openHttp } from ${JSON.stringify(new URL('../../src/io/http.ts', import.meta.url).href)};
      await using http = openHttp({ env: {} });
      const ask = async () => (await http.request({ url: new URL(${JSON.stringify(site.url.href)}), maxBytes: 9 })).bytes();
      const answers = await Promise.all(Array.from({ length: 6 }, ask));
      console.log(answers.map((each) => Buffer.from(each).toString()).join(' '));`;
    const env = { ...bench.env, SSL_CERT_FILE: bench.path('authority.pem') };
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], { env });
    assert.equal((await run).stdout, 'hello hello hello hello hello hello\n');
  },
);
