/** sign and attest with logs, on the embedded registry: places before anything, nothing where a log lies, lists, dry runs. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { utf8 } from '../src/base/bytes.ts';
import { mediaTypes } from '../src/base/descriptor.ts';
import { type Digest, digestOf } from '../src/base/digest.ts';
import { parseImageName } from '../src/base/image-name.ts';
import { parseReference } from '../src/base/reference.ts';
import { openHttp } from '../src/io/http.ts';
import { openFulcioSigner } from '../src/keys/fulcio/open-fulcio-signer.ts';
import { givenToken } from '../src/keys/oidc/token-source.ts';
import type { SigstoreSigner } from '../src/keys/signer.ts';
import { makeKeyPair } from '../src/keys/sigstore/private-key.ts';
import { crypto } from '../src/base/node.ts';
import { parseTrustedRoots } from '../src/keys/trusted-root/parse.ts';
import { attest } from '../src/operations/attest.ts';
import { sign } from '../src/operations/sign.ts';
import type { SigningFormat, SigningPlan, Witnesses } from '../src/operations/sign/plan.ts';
import { openWorld, type World } from '../src/operations/world.ts';
import { listen } from '../src/servers/listen.ts';
import { createRegistry } from '../src/servers/registry/registry.ts';
import { serveRegistry } from '../src/servers/registry/serve.ts';
import { forgeInstance, trustedRootBytes } from './support/bundle-forge.ts';
import { answerV1, answerV2 } from './support/forged-rekor.ts';
import { openFulcioStub } from './support/fulcio-stub.ts';
import { type FaultyRegistry, serveAnswers } from './support/registry-faults.ts';

const instance = forgeInstance();
const roots = parseTrustedRoots(trustedRootBytes(instance), 'root');
const folder = await mkdtemp(join(tmpdir(), 'bulla-sign-sigstore-'));
const registry = await serveRegistry();
const host = new URL(registry.url).host;
const warnings: string[] = [];
let log: FaultyRegistry;
/** Answers that wait for so many requests to be there at once: whoever sends them one by one waits for ever. */
let together = 1;
const held: (() => void)[] = [];
function answerAll(): void {
  for (const answer of held.splice(0)) answer();
}
let on: World;
let off: World;

before(async () => {
  log = await serveAnswers((request, response) => {
    if (request.url === '/tsa') return void response.end('hello');
    const isV2 = request.url.startsWith('/api/v2');
    held.push(() => {
      const answer = isV2 ? answerV2(request, instance) : answerV1(request, instance);
      response.writeHead(201).end(JSON.stringify(answer));
    });
    if (held.length >= together) answerAll();
  });
  const environment = {
    ...{ env: { HOME: folder }, home: folder, uid: 1 },
    etc: join(folder, 'etc'),
    share: join(folder, 'share'),
  };
  const worldOf = async (name: string, text: string): Promise<World> => {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'x.yaml'), text);
    const registriesDFolder = join(folder, name);
    const warn = (message: string): void => void warnings.push(message);
    return openWorld({ environment, tlsVerify: false, registriesDFolder, warn });
  };
  on = await worldOf('on', 'default-docker:\n  use-sigstore-attachments: true\n');
  off = await worldOf('off', 'default-docker:\n  use-sigstore-attachments: false\n');
});
after(async () => {
  await on[Symbol.asyncDispose]();
  await off[Symbol.asyncDispose]();
  await log[Symbol.asyncDispose]();
  await registry.close();
  await rm(folder, { recursive: true, force: true });
});

function newSigner(): SigstoreSigner {
  const { privateKey, publicKey } = makeKeyPair('ecdsa-p256');
  const signWith = async (message: Uint8Array): Promise<Uint8Array> =>
    new Uint8Array(crypto.sign('sha256', message, privateKey));
  const { keyId } = publicKey;
  const dispose = { [Symbol.asyncDispose]: async () => undefined };
  return { kind: 'sigstore', keyId, publicKey, sign: signWith, signForBundle: signWith, ...dispose };
}

function plan(signer: SigstoreSigner, more: Partial<SigningPlan> = {}): SigningPlan {
  const formats: readonly SigningFormat[] = ['cosign', 'bundle'];
  return { signer, formats, explicitFormat: false, witnesses: seenBy(), ...more };
}

function seenBy(more: Partial<Witnesses> = {}): Witnesses {
  return { logs: [{ url: `http://${log.host}`, version: 1 }], timestamps: [], roots, ...more };
}

async function pushImage(path: string, tag: string, at = host): Promise<{ digest: Digest; size: number }> {
  const client = await on.registries.open({
    reference: parseReference(`${at}/${path}:${tag}`),
    insecure: true,
  });
  const config = utf8(JSON.stringify({ os: 'linux', architecture: 'amd64', path, tag }));
  const described = { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length };
  await client.putBlob(path, described, config);
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: described, layers: [] };
  const bytes = utf8(JSON.stringify(manifest));
  await client.putManifest(path, tag, { bytes, mediaType: mediaTypes.ociManifest });
  return { digest: digestOf(bytes), size: bytes.length };
}

const image = (path: string): ReturnType<typeof parseImageName> =>
  parseImageName(`docker://${host}/${path}:1`);

/** Whether the image has neither a `.sig` nor a bundle. */
async function isBare(path: string, digest: Digest): Promise<boolean> {
  const tags = (await (await fetch(`http://${host}/v2/${path}/tags/list`)).json()) as { tags: string[] };
  const referrers = await fetch(`http://${host}/v2/${path}/referrers/${digest}`);
  const { manifests } = (await referrers.json()) as { manifests: unknown[] };
  return tags.tags.join() === '1' && manifests.length === 0;
}

test(
  'both formats: their entries are asked for at once, and the receipt tells of them',
  { timeout: 20_000 },
  async () => {
    await pushImage('both', '1');
    together = 2;
    const { signatures } = await sign({ image: image('both'), signers: [plan(newSigner())] }, on);
    together = 1;
    assert.deepEqual(
      signatures.map(({ format, added, logs }) => [format, added, logs?.length]),
      [
        ['cosign', true, 1],
        ['bundle', true, 1],
      ],
    );
  },
);

test(
  'a list: every instance in both formats, the list last; the log is asked for all at once',
  { timeout: 20_000 },
  async () => {
    const instances = [await pushImage('list', 'a'), await pushImage('list', 'b')];
    const manifests = instances.map((each, index) => ({
      ...each,
      mediaType: mediaTypes.ociManifest,
      platform: { os: 'linux', architecture: index === 0 ? 'amd64' : 'arm64' },
    }));
    const bytes = utf8(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
    const client = await on.registries.open({ reference: parseReference(`${host}/list:1`), insecure: true });
    await client.putManifest('list', '1', { bytes, mediaType: mediaTypes.ociIndex });
    together = 6;
    const { signatures } = await sign({ image: image('list'), signers: [plan(newSigner())] }, on);
    together = 1;
    const digests = [...instances.map(({ digest }) => digest), digestOf(bytes)];
    assert.deepEqual(
      signatures.map(({ digest, format }) => [digest, format]),
      digests.flatMap((digest) => [
        [digest, 'cosign'],
        [digest, 'bundle'],
      ]),
    );
  },
);

test('a log that lies, or is not there: nothing is in the registry, not even what another log took', async () => {
  const { digest } = await pushImage('lies', '1');
  const otherRoots = parseTrustedRoots(trustedRootBytes(forgeInstance()), 'root');
  const cases: readonly [Partial<Witnesses>, string][] = [
    [{ roots: otherRoots }, 'log.answer-invalid'],
    [{ timestamps: [{ url: `http://${log.host}/tsa` }] }, 'timestamp.answer-invalid'],
    [{ timestamps: [{ url: 'http://127.0.0.1:9/' }] }, 'timestamp.failed'],
  ];
  for (const [more, code] of cases) {
    const signers = [plan(newSigner(), { witnesses: seenBy(more) })];
    await assert.rejects(sign({ image: image('lies'), signers }, on), { code });
    assert.equal(await isBare('lies', digest), true, code);
  }
});

test('Fulcio certified, or a log took it, and the next service is gone or stalls: nothing is in the registry', async () => {
  const { digest } = await pushImage('between', '1');
  await using fulcio = await openFulcioStub(() => ({}));
  await using silent = await serveAnswers(() => undefined);
  await using cut = await serveAnswers((_, response) => void response.destroy());
  await using limiting = await serveAnswers(
    (_, response) => void response.writeHead(429, { 'retry-after': '0' }).end(),
  );
  const good = { url: `http://${log.host}`, version: 1 } as const;
  const at = (service: { readonly host: string }) => ({ url: `http://${service.host}`, version: 1 }) as const;
  const cases: readonly [Partial<Witnesses>, string][] = [
    [{ logs: [{ url: 'http://127.0.0.1:9', version: 1 }] }, 'log.failed'],
    [{ logs: [at(cut)] }, 'log.failed'],
    [{ logs: [at(silent)] }, 'log.failed'],
    [{ logs: [at(limiting)] }, 'log.rate-limited'],
    [{ logs: [good, at(cut)] }, 'log.failed'],
    [{ logs: [good], timestamps: [at(cut)] }, 'timestamp.failed'],
  ];
  await using http = openHttp();
  for (const [more, code] of cases) {
    const asked = fulcio.requests.length;
    await using keyless = await openFulcioSigner({
      url: fulcio.url,
      http,
      token: givenToken(identityToken(), 'the test'),
    });
    const witnesses = seenBy({ roots: [], ...more });
    const signers = [plan(keyless, { witnesses })];
    // only where nothing answers does anybody wait for it
    const signal = AbortSignal.timeout(more.logs?.[0]?.url.endsWith(silent.host) === true ? 1000 : 60_000);
    await assert.rejects(sign({ image: image('between'), signers }, { ...on, signal }), { code });
    assert.equal(fulcio.requests.length, asked + 1, code);
    assert.equal(await isBare('between', digest), true, code);
  }
});

/** A token that the stub believes. */
function identityToken(): string {
  const exp = Math.floor(Date.now() / 1000) + 600;
  const claims = { iss: 'https://issuer.example', aud: 'sigstore', sub: 'u1', exp };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const who = { email: 'alice@example.com', email_verified: true };
  return `${part({ alg: 'RS256' })}.${part({ ...claims, ...who })}.c2lnbmF0dXJl`;
}

test('no log is asked before every signature has its place', async () => {
  const { digest } = await pushImage('places', '1');
  const asked = log.requests.length;
  const signer = newSigner();
  const podman = plan(signer, { formats: ['cosign'] });
  const name = image('places');
  // podman's flags write attachments only where registries.d has them on
  await assert.rejects(sign({ image: name, signers: [plan(signer), podman] }, off), {
    code: 'store.attachments-off',
  });
  const simple = plan(signer, { formats: ['simple'], explicitFormat: true });
  await assert.rejects(sign({ image: name, signers: [simple] }, on), { code: 'usage.invalid' });
  assert.equal(log.requests.length, asked);
  assert.equal(await isBare('places', digest), true);
});

test('cosign’s flags know no registries.d: the .sig is written, and a warning says who will not read it', async () => {
  await pushImage('cosign-style', '1');
  warnings.length = 0;
  const { signatures } = await sign({ image: image('cosign-style'), signers: [plan(newSigner())] }, off);
  assert.deepEqual(
    signatures.map(({ added }) => added),
    [true, true],
  );
  assert.match(warnings.join('\n'), /podman, skopeo and CRI-O will not read the \.sig/);
});

test('an attachment that has no place for the log that was asked for says so', async () => {
  await pushImage('tiled', '1');
  warnings.length = 0;
  const witnesses = seenBy({ logs: [{ url: `http://${log.host}`, version: 2 }] });
  const key = plan(newSigner(), { formats: ['cosign'], explicitFormat: true, witnesses });
  const { signatures } = await sign({ image: image('tiled'), signers: [key], dryRun: true }, on);
  assert.deepEqual(
    signatures.map(({ format }) => format),
    ['cosign'],
  );
  assert.match(warnings.join('\n'), /made without a log entry/);
});

test('a dry run asks no log and writes nothing', async () => {
  const { digest } = await pushImage('dry', '1');
  const asked = log.requests.length;
  const request = { image: image('dry'), signers: [plan(newSigner())], dryRun: true };
  const { signatures } = await sign(request, on);
  assert.deepEqual(
    signatures.map(({ format, added }) => [format, added]),
    [
      ['cosign', false],
      ['bundle', false],
    ],
  );
  assert.equal(log.requests.length, asked);
  assert.equal(await isBare('dry', digest), true);
});

test('a default bundle does not hide somebody else’s .sig, a wanted one does', async () => {
  await pushImage('hides', '1');
  await sign({ image: image('hides'), signers: [plan(newSigner(), { formats: ['cosign'] })] }, on);
  warnings.length = 0;
  const signer = newSigner();
  const formats = async (more: Partial<SigningPlan>): Promise<string[]> => {
    const { signatures } = await sign({ image: image('hides'), signers: [plan(signer, more)] }, on);
    return signatures.map(({ format }) => format);
  };
  assert.deepEqual(await formats({}), ['cosign']);
  assert.match(warnings.join('\n'), /\[store\.hides-attachment\]/);
  const attested = { kind: 'predicate', type: 'vuln', predicate: utf8('{}') } as const;
  const about = { image: image('hides'), attested };
  await assert.rejects(attest({ ...about, signers: [plan(signer)] }, on), { code: 'store.hides-attachment' });
  assert.deepEqual(await formats({ explicitFormat: true }), ['cosign', 'bundle']);
  // the .sig is hidden now, whatever comes
  assert.deepEqual(await formats({}), ['cosign', 'bundle']);
  const { attestations } = await attest({ ...about, signers: [plan(signer)] }, on);
  assert.deepEqual(
    attestations.map(({ format, added }) => [format, added]),
    [['bundle', true]],
  );
});

test('what is attested has to be about the image, of a known type, and JSON', async () => {
  const { digest } = await pushImage('attested', '1');
  const asked = log.requests.length;
  const statement = (hex: string): Uint8Array =>
    utf8(
      `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"${hex}"}}],"predicateType":"https://x.example/p"}`,
    );
  const cases = [
    { kind: 'statement', statement: statement('0'.repeat(64)) },
    { kind: 'statement', statement: utf8('{}') },
    { kind: 'predicate', type: 'sdpx', predicate: utf8('{}') },
    { kind: 'predicate', type: 'spdxjson', predicate: utf8('[]') },
    { kind: 'predicate', type: 'spdxjson', predicate: utf8('{') },
    { kind: 'predicate', type: 'spdxjson', predicate: Uint8Array.of(0xff) },
  ] as const;
  for (const attested of cases) {
    const request = { image: image('attested'), attested, signers: [plan(newSigner())] };
    await assert.rejects(attest(request, on), ({ code, exitCode }: { code: string; exitCode: number }) => {
      assert.match(code, /^(?:usage\.invalid|json\.malformed)$/);
      return exitCode === 2;
    });
  }
  assert.equal(log.requests.length, asked);
  assert.equal(await isBare('attested', digest), true);
  const whole = { kind: 'statement', statement: statement(digest.slice(7)) } as const;
  await attest({ image: image('attested'), attested: whole, signers: [plan(newSigner())] }, on);
});

/** What a signer's registry was asked up to the time that its key was open, and afterwards. */
async function askedAround(options: Partial<Parameters<typeof sign>[0]>): Promise<[string[], string[]]> {
  const handler = createRegistry();
  const asked: string[] = [];
  const isReady = Promise.withResolvers<undefined>();
  await using site = await listen(async (request) => {
    const { pathname } = new URL(request.url);
    asked.push(`${request.method} ${pathname.includes('uploads') ? 'upload' : pathname.slice(-4)}`);
    const answer = await handler(request);
    if (asked.filter((each) => each === 'POST upload').length === 2) isReady.resolve(undefined);
    return answer;
  });
  const at = new URL(site.url).host;
  await pushImage('app', '1', at);
  asked.splice(0);
  let before: string[] = [];
  const opened = async (): Promise<readonly SigstoreSigner[]> => {
    if (options.expected !== undefined && options.dryRun !== true) await isReady.promise;
    before = asked.splice(0);
    return [newSigner()];
  };
  const name = parseImageName(`docker://${at}/app:1`);
  const { signatures } = await sign({ image: name, signers: opened(), ...options }, on);
  assert.equal(signatures[0]?.added, options.dryRun !== true);
  return [before, asked];
}

test(
  'while a key opens the list is read and places to upload to are asked for',
  { timeout: 20_000 },
  async () => {
    const [before, after] = await askedAround({ expected: ['cosign'] });
    assert.deepEqual(before.toSorted().slice(-2), ['POST upload', 'POST upload']);
    // the payload and the configuration, a look, the list, a look whether it stayed
    assert.deepEqual(after.toSorted(), ['GET .sig', 'GET .sig', 'PUT .sig', 'PUT upload', 'PUT upload']);
  },
);

test(
  'nothing is got ready where nothing is to be stored, or nobody said what',
  { timeout: 20_000 },
  async () => {
    const [before, after] = await askedAround({ expected: ['cosign'], dryRun: true });
    assert.deepEqual(
      [...before, ...after].filter((each) => each.startsWith('P')),
      [],
    );
    const [early] = await askedAround({});
    assert.deepEqual(
      early.filter((each) => each.startsWith('P')),
      [],
    );
  },
);
