/**
 * The differences that docs/reference/differences.md names and the generator does not reach, both
 * sides as they are: when a peer changes its mind, or Bulla does, the page is out of date.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';

import type { ErrorCode } from '../../src/base/errors.ts';
import { makeCertificates, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { askBulla, askSkopeo, type Question, signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, peerVersion } from '../support/peers.ts';
import { exportKey, gpgSign, payloadFor, putSignatures, useLookaside } from '../support/simple-signing.ts';

const page = readFileSync(
  join(import.meta.dirname, '..', '..', 'docs', 'reference', 'differences.md'),
  'utf8',
);

type Stage = {
  readonly bench: Bench;
  readonly host: string;
  /** Of the image at `docker://HOST/ns/app:1`. */
  readonly digest: string;
  readonly image: string;
  /** Its good signature, which lies in the lookaside `sig`. */
  readonly good: Uint8Array;
  /** Everything must be signed by the key of that signature. */
  readonly policy: string;
  /** Asserts what both say. */
  readonly both: (
    ours: ErrorCode | 'accepted',
    theirs: 'accepted' | 'refused',
    question?: Partial<Question>,
  ) => Promise<void>;
};

/** A test of one named difference. */
function difference(name: string, run: (stage: Stage) => Promise<void>): void {
  test(`difference ${name}`, needs('skopeo', 'podman', 'docker-registry', 'gpg', 'openssl'), async () => {
    assert.ok(page.includes(`\`${name}\``), `differences.md does not name ${name}`);
    await using bench = await openBench();
    const { host } = await startRegistry(bench);
    const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
    const image = `docker://${host}/ns/app:1`;
    const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`];
    await bench.ok('skopeo', [...copy, image]);
    useLookaside(bench, `file://${bench.path('sig')}`);
    const key = await bench.newGpgKey('Signer <signer@example.com>', { type: 'ed25519' });
    const good = await gpgSign(bench, key, payloadFor(digest, `${host}/ns/app:1`));
    putSignatures(bench.path('sig'), 'ns/app', digest, [good]);
    const policy = writePolicy(bench, 'signed', [signedBy(await exportKey(bench, key))]);
    const both: Stage['both'] = async (ours, theirs, more = {}) => {
      const question = { image, policy, ...more };
      const [bulla, skopeo] = [await askBulla(bench, question), await askSkopeo(bench, question)];
      assert.equal(bulla.code, ours, bulla.message);
      const told = `skopeo ${await peerVersion('skopeo')}: ${skopeo.message}`;
      assert.equal(skopeo.accepted ? 'accepted' : 'refused', theirs, told);
    };
    await run({ bench, host, digest, image, good, policy, both });
  });
}

difference('nothing-required', async ({ bench, digest, image, both }) => {
  const policy = writePolicy(bench, 'anything', [{ type: 'insecureAcceptAnything' }]);
  await both('accepted', 'accepted', { policy });
  putSignatures(bench.path('sig'), 'ns/app', digest, [Buffer.from('garbage')]);
  await both('accepted', 'refused', { policy });
  const flags = ['-q', '--tls-verify=false', '--signature-policy', policy];
  const pulled = await bench.run('podman', ['pull', ...flags, image]);
  assert.match(pulled.stderr, /reading signatures: parsing signature/);
  useLookaside(bench, 'http://127.0.0.1:1/nobody');
  await both('accepted', 'refused', { policy });
});

difference('lookaside-file-url', async ({ bench, both }) => {
  const folder = bench.path('sig');
  for (const url of [
    `file://${folder}`,
    `file://localhost${folder}`,
    `FILE://${folder}`,
    `file:${folder}`,
    `file://${folder}/`,
  ]) {
    useLookaside(bench, url);
    await both('accepted', 'accepted');
  }
  useLookaside(bench, `file://other.example.com${folder}`);
  await both('store.unsupported', 'accepted');
  useLookaside(bench, folder);
  await both('store.unsupported', 'refused');
});

type Web = AsyncDisposable & { readonly plain: string; readonly secure: string; readonly seen: string[] };

/** The good signature over http and https; below /redirect of https it is at the other. */
async function startWeb(bench: Bench, good: Uint8Array): Promise<Web> {
  const seen: string[] = [];
  const answer =
    (scheme: string): RequestListener =>
    (request, response) => {
      const { url = '', headers } = request;
      seen.push(`${scheme} ${url} authorization=${headers.authorization ?? ''} ${certificateOf(request)}`);
      const to = url.startsWith('/redirect') ? `${plain}${url.replace('/redirect', '')}` : undefined;
      if (to !== undefined) response.writeHead(302, { location: to }).end();
      else if (url.endsWith('/signature-1')) response.writeHead(200).end(good);
      else response.writeHead(404).end();
    };
  const { ca, serverCertificate, serverKey } = await makeCertificates(bench, 'web');
  const [cert, key] = [readFileSync(serverCertificate), readFileSync(serverKey)];
  const options = { cert, key, ca: readFileSync(ca), requestCert: true, rejectUnauthorized: false };
  const servers = [createServer(answer('http')), createTlsServer(options, answer('https'))] as const;
  for (const server of servers) await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const [plainPort, securePort] = servers.map((server) => (server.address() as AddressInfo).port);
  const plain = `http://127.0.0.1:${plainPort}`;
  return {
    ...{ plain, secure: `https://127.0.0.1:${securePort}`, seen },
    [Symbol.asyncDispose]: async () => {
      for (const server of servers) server.closeAllConnections();
      for (const server of servers) await new Promise((done) => server.close(done));
    },
  };
}

function certificateOf({ socket }: IncomingMessage): string {
  const certificate = 'getPeerCertificate' in socket ? (socket as TLSSocket).getPeerCertificate() : undefined;
  return `certificate=${String(certificate?.subject?.CN ?? '')}`;
}

difference('lookaside-credentials', async ({ bench, good, both }) => {
  await using web = await startWeb(bench, good);
  useLookaside(bench, web.plain.replace('//', '//user:password@'));
  await both('store.unsupported', 'accepted');
  assert.ok(web.seen.some((line) => line.includes('authorization=Basic')));
});

difference('lookaside-redirect', async ({ bench, good, both }) => {
  await using web = await startWeb(bench, good);
  useLookaside(bench, `${web.plain}/redirect`);
  await both('accepted', 'accepted');
  useLookaside(bench, `${web.secure}/redirect`);
  await both('store.unreadable', 'accepted');
});

difference('lookaside-client-certificate', async ({ bench, good, both }) => {
  await using web = await startWeb(bench, good);
  const certDir = bench.path('certs');
  mkdirSync(certDir);
  const client = await makeCertificates(bench, 'registry');
  cpSync(client.clientCertificate, join(certDir, 'client.cert'));
  cpSync(client.clientKey, join(certDir, 'client.key'));
  useLookaside(bench, web.secure);
  await both('accepted', 'accepted', { certDir });
  const shown = web.seen.map((line) => /certificate=(.*)$/.exec(line)?.[1]);
  // Bulla is asked first
  assert.deepEqual(shown, ['', '', 'test client', 'test client']);
});

difference('registries-d-documents', async ({ bench, both }) => {
  const file = join(bench.config, 'registries.d', 'default.yaml');
  writeFileSync(file, `${readFileSync(file, 'utf8')}---\ndefault-docker:\n  lookaside: file:///elsewhere\n`);
  await both('registries-d.malformed', 'accepted');
});

difference('registries-conf-variable', async ({ bench, host, digest, policy }) => {
  const conf = bench.path('own.conf');
  const lines = ['[[registry]]', 'location = "primary.invalid/ns"'];
  lines.push('[[registry.mirror]]', `location = "${host}/ns"`, 'insecure = true');
  writeFileSync(conf, lines.join('\n'));
  const name = 'primary.invalid/ns/app:1';
  const key = /[0-9A-F]{40}/.exec(readFileSync(policy, 'utf8'))?.[0] ?? '';
  const blob = await gpgSign(bench, key, payloadFor(digest, name));
  putSignatures(bench.path('sig'), 'ns/app', digest, [blob]);
  const env = { CONTAINERS_REGISTRIES_CONF: conf };
  const verified = await bench.bulla(['verify', '--policy', policy, `docker://${name}`], { env });
  assert.equal(verified.exitCode, 0, verified.stderr);
  const pull = ['pull', '-q', '--signature-policy', policy, name];
  assert.equal((await bench.run('podman', pull, { env })).exitCode, 0);
  const copy = ['--policy', policy, 'copy', `docker://${name}`, `dir:${bench.path('out')}`];
  assert.notEqual((await bench.run('skopeo', copy, { env })).exitCode, 0);
  assert.equal((await bench.run('skopeo', ['--registries-conf', conf, ...copy])).exitCode, 0);
});

difference('auth-file', async ({ bench, image, policy }) => {
  const gone = bench.path('gone.json');
  const exits = async (
    flags: readonly string[],
    env: Record<string, string> = {},
  ): Promise<readonly boolean[]> => {
    const plain = ['--tls-verify=false', ...flags];
    const pull = ['pull', '-q', '--signature-policy', policy, ...plain, image];
    const bulla = await bench.bulla(['verify', '--policy', policy, ...plain, image], { env });
    const skopeo = await bench.run('skopeo', ['inspect', ...plain, image], { env });
    return [bulla, skopeo, await bench.run('podman', pull, { env })].map(({ exitCode }) => exitCode === 0);
  };
  assert.deepEqual(await exits(['--authfile', gone]), [false, true, false]);
  assert.deepEqual(await exits([], { REGISTRY_AUTH_FILE: gone }), [true, true, true]);
});

difference('as', async ({ bench, host, digest, policy }) => {
  const folder = bench.path('dir');
  await bench.ok('skopeo', [
    'copy',
    '--quiet',
    '--src-tls-verify=false',
    `docker://${host}/ns/app:1`,
    `dir:${folder}`,
  ]);
  const verify = ['verify', '--policy', policy, `dir:${folder}`];
  assert.equal((await bench.bulla(verify)).exitCode, 1);
  assert.equal((await bench.bulla([...verify, '--as', `${host}/ns/app:1`])).exitCode, 0);
  assert.equal((await bench.bulla([...verify, '--as', `${host}/ns/app`])).exitCode, 1);
  assert.equal((await bench.bulla([...verify, '--as', `${host}/ns/app:1@${digest}`])).exitCode, 1);
});

difference('verify-by-key', async ({ bench, digest, good, image, both }) => {
  putSignatures(bench.path('sig'), 'ns/app', digest, [Buffer.from('garbage'), good]);
  await both('signature.unrecognized', 'refused');
  const key = readFileSync(bench.path('signed.policy.json'), 'utf8').match(/"keyPath": "([^"]*)"/)?.[1] ?? '';
  const verified = await bench.bulla(['verify', '--tls-verify=false', '--key', key, image]);
  assert.equal(verified.exitCode, 0, verified.stderr);
});
