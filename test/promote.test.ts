/** Promotions on the embedded registry where something moves, fails or lies on the way: the name goes on meaning what it meant. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { test } from 'node:test';

import { type ErrorCode, isBullaError } from '../src/base/errors.ts';
import { parseImageName } from '../src/base/image-name.ts';
import { buildImage } from '../src/cli/demo/image.ts';
import { copy, openWorld, promote, type PromoteRequest, sign, verify, type World } from '../src/index.ts';
import { encodePem } from '../src/keys/sigstore/pem.ts';
import { makeKeyPair, openSigstoreKey } from '../src/keys/sigstore/private-key.ts';
import { encryptPrivateKey } from '../src/keys/sigstore/encrypted-key.ts';
import type { Signer, SigstoreSigner } from '../src/keys/signer.ts';
import { listen } from '../src/servers/listen.ts';
import { createRegistry } from '../src/servers/registry/registry.ts';

type Fault = (request: Request) => Promise<Response | undefined> | Response | undefined;

type Stage = {
  readonly world: World;
  readonly host: string;
  readonly folder: string;
  readonly release: Signer;
  readonly request: PromoteRequest;
  /** `METHOD /path` of every write so far. */
  readonly writes: string[];
  /** What answers first from now on. */
  answer(fault: Fault): void;
  /** Gives a name another image. */
  move(name: string): Promise<void>;
  meaning(path: string, tag: string): Promise<string | null>;
};

/** Made once: sealing and opening a key takes a second of scrypt. */
type Key = { readonly signer: SigstoreSigner; readonly pem: Uint8Array };

async function makeKey(): Promise<Key> {
  const pair = makeKeyPair('ecdsa-p256');
  const sealed = await encryptPrivateKey(pair.privateKey.export({ type: 'pkcs8', format: 'der' }), 'pw');
  const signer = await openSigstoreKey(sealed, { passphrase: { given: 'pw' } });
  return { signer, pem: encodePem('PUBLIC KEY', pair.publicKey.spki) };
}

const keys = { dev: await makeKey(), release: await makeKey() };

/** An image that the key `dev` signed as `dev/app:1`, and a promotion to `prod/app:1` by the key `release`. */
async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-promote-'));
  const registry = createRegistry();
  const writes: string[] = [];
  let fault: Fault = () => undefined;
  const server = await listen(async (request) => {
    const { pathname } = new URL(request.url);
    if (!['GET', 'HEAD'].includes(request.method)) writes.push(`${request.method} ${pathname}`);
    return (await fault(request)) ?? registry(request);
  });
  try {
    const { host } = new URL(server.url);
    await mkdir(join(folder, 'registries.d'));
    await writeFile(
      join(folder, 'registries.d', 'x.yaml'),
      `default-docker:\n  lookaside: file://${folder}/sigstore\n  use-sigstore-attachments: true\n`,
    );
    await using world = openWorld({
      environment: { env: { HOME: folder }, home: folder, uid: 1, etc: folder, share: folder },
      tlsVerify: false,
      retryTimes: 0,
      registriesDFolder: join(folder, 'registries.d'),
    });
    const dev = keys.dev.signer;
    const release = keys.release.signer;
    const policy = async (name: keyof typeof keys): Promise<string> => {
      const path = join(folder, `${name}.json`);
      const keyPath = join(folder, `${name}.pub`);
      await writeFile(keyPath, keys[name].pem);
      await writeFile(path, JSON.stringify({ default: [{ type: 'sigstoreSigned', keyPath }] }));
      return path;
    };
    await buildImage(join(folder, 'first'), 'hello');
    await buildImage(join(folder, 'second'), 'another');
    const push = async (layout: string, name: string): Promise<void> => {
      const request = {
        source: parseImageName(`oci:${join(folder, layout)}`),
        destination: parseImageName(`${host}/${name}`),
        by: { kind: 'insecure-accept-anything' },
      } as const;
      await copy(request, { from: world, to: world });
    };
    await push('first', 'dev/app:1');
    await sign({ image: parseImageName(`${host}/dev/app:1`), signers: [dev] }, world);
    writes.length = 0;
    await run({
      ...{ world, host, folder, release, writes },
      request: {
        source: parseImageName(`${host}/dev/app:1`),
        destination: parseImageName(`${host}/prod/app:1`),
        mode: 're-sign',
        sourceBy: { kind: 'policy', file: await policy('dev') },
        destinationBy: { kind: 'policy', file: await policy('release') },
        signers: [release],
      },
      answer: (other) => {
        fault = other;
      },
      move: (name) => push('second', name),
      meaning: async (path, tag) =>
        (await fetch(`${server.url}/v2/${path}/manifests/${tag}`, { method: 'HEAD' })).headers.get(
          'docker-content-digest',
        ),
    });
  } finally {
    await server.close();
    await rm(folder, { recursive: true });
  }
}

async function refuses(
  code: ErrorCode,
  { request, world }: Stage,
  more: Partial<PromoteRequest> = {},
): Promise<void> {
  await assert.rejects(promote({ ...request, ...more }, { from: world, to: world }), (error: unknown) => {
    assert.ok(isBullaError(error, code), `expected ${code}, got ${String(error)}`);
    return true;
  });
}

/** Does something once, when the first request of a kind comes in; what comes from within passes. */
function once(stage: Stage, isTime: (request: Request) => boolean, act: () => Promise<void>): void {
  let isDone = false;
  stage.answer(async (request) => {
    if (isDone || !isTime(request)) return undefined;
    isDone = true;
    await act();
    return undefined;
  });
}

const isFirstUpload = ({ method }: Request): boolean => method === 'POST';

test('the name is the last thing that is written', () =>
  onStage(async ({ request, world, writes }) => {
    const outcome = await promote(request, { from: world, to: world });
    assert.ok(outcome.promoted && outcome.changed);
    assert.ok(writes.length > 3);
    assert.equal(writes.at(-1), 'PUT /v2/prod/app/manifests/1');
    assert.equal(writes.filter((each) => each === 'PUT /v2/prod/app/manifests/1').length, 1);
  }));

test('a source that moves under the promotion: nothing is promoted', () =>
  onStage(async (stage) => {
    once(stage, isFirstUpload, () => stage.move('dev/app:1'));
    await refuses('promote.source-moved', stage);
    assert.equal(await stage.meaning('prod/app', '1'), null);
    // by its digest it means what it means
    const { request, world, host } = stage;
    const digest = await stage.meaning('dev/app', '1');
    const source = parseImageName(`${host}/dev/app@${digest}`);
    const outcome = await promote({ ...request, source }, { from: world, to: world });
    assert.ok(!outcome.promoted, 'nobody has signed the other one');
  }));

test('a destination that somebody else moves meanwhile stays as they left it', () =>
  onStage(async (stage) => {
    once(stage, isFirstUpload, () => stage.move('prod/app:1'));
    await refuses('registry.changed', stage);
    assert.notEqual(await stage.meaning('prod/app', '1'), await stage.meaning('dev/app', '1'));
  }));

test('a tag that is to keep the previous image and means something else: nothing is written', () =>
  onStage(async (stage) => {
    await stage.move('prod/app:1');
    const previous = await stage.meaning('prod/app', '1');
    const tag = `1-previous-${previous?.slice(7, 19)}`;
    const { request, world, host } = stage;
    const destination = parseImageName(`${host}/prod/app:${tag}`);
    const signed = await promote({ ...request, destination }, { from: world, to: world });
    assert.ok(signed.promoted);
    stage.writes.length = 0;
    await refuses('promote.tag-taken', stage, { keepPrevious: true });
    await refuses('promote.tag-taken', stage, { keepPrevious: true, dryRun: true });
    assert.deepEqual(stage.writes, []);
    assert.equal(await stage.meaning('prod/app', '1'), previous);
  }));

test('a destination that takes nothing, or has lost what it took: the name means what it meant', () =>
  onStage(async (stage) => {
    await stage.move('prod/app:1');
    const previous = await stage.meaning('prod/app', '1');
    stage.answer(({ method }) => (method === 'POST' ? new Response('{}', { status: 403 }) : undefined));
    await refuses('registry.denied', stage);
    assert.equal(await stage.meaning('prod/app', '1'), previous);
    const digest = await stage.meaning('dev/app', '1');
    stage.answer(({ method, url }) =>
      method === 'GET' && url.endsWith(`/prod/app/manifests/${digest}`)
        ? new Response('{}', { status: 404 })
        : undefined,
    );
    await refuses('image.not-found', stage);
    stage.answer(() => undefined);
    assert.equal(await stage.meaning('prod/app', '1'), previous);
  }));

test('a dry run writes nothing and asks no log; what a log has its part in it cannot tell', () =>
  onStage(async ({ request, world, host, release, writes }) => {
    const witnesses = { logs: [{ url: `http://${host}/rekor`, version: 1 as const }], timestamps: [] };
    const plan = { signer: release, formats: ['cosign' as const], witnesses, explicitFormat: false };
    const told = await promote({ ...request, signers: [plan], dryRun: true }, { from: world, to: world });
    assert.ok('dryRun' in told);
    assert.equal(told.verdict, undefined);
    assert.equal(told.signatures.length, 1);
    const known = await promote({ ...request, dryRun: true }, { from: world, to: world });
    assert.ok('dryRun' in known && known.verdict?.accepted === true);
    assert.deepEqual(writes, []);
  }));

test('a log that does not answer: nothing is named, and the next run completes it', () =>
  onStage(async (stage) => {
    const { request, world, host, release } = stage;
    const witnesses = { logs: [{ url: `http://${host}/rekor`, version: 1 as const }], timestamps: [] };
    const plan = { signer: release, formats: ['cosign' as const], witnesses, explicitFormat: false };
    stage.answer(({ url }) => (url.includes('/rekor/') ? new Response('', { status: 404 }) : undefined));
    await assert.rejects(promote({ ...request, signers: [plan] }, { from: world, to: world }));
    assert.equal(await stage.meaning('prod/app', '1'), null);
    const outcome = await promote(request, { from: world, to: world });
    assert.ok(outcome.promoted);
    assert.equal(await stage.meaning('prod/app', '1'), await stage.meaning('dev/app', '1'));
  }));

test('a key that asks witnesses: a second run makes no new signature where the policy accepts the old one', () =>
  onStage(async ({ request, world, host, release, writes }) => {
    const first = await promote(request, { from: world, to: world });
    assert.ok(first.promoted);
    writes.length = 0;
    const witnesses = { logs: [{ url: `http://${host}/rekor`, version: 1 as const }], timestamps: [] };
    const plan = { signer: release, formats: ['cosign' as const], witnesses, explicitFormat: false };
    const again = await promote({ ...request, signers: [plan] }, { from: world, to: world });
    assert.ok(again.promoted && !again.changed);
    assert.deepEqual(
      again.signatures.map(({ there }) => there),
      [true],
    );
    assert.deepEqual(writes, []);
  }));

async function promoteFromFolder(
  { request, world, host, release, folder }: Stage,
  { text, shown }: { readonly text: string; readonly shown: string },
): Promise<void> {
  const layout = parseImageName(text);
  const anything = { kind: 'insecure-accept-anything' } as const;
  await copy({ source: request.source, destination: layout, by: anything }, { from: world, to: world });
  const file = join(folder, 'layout.json');
  const signedIdentity = { type: 'exactRepository', dockerRepository: `${host}/dev/app` };
  const keyPath = join(folder, 'dev.pub');
  await writeFile(file, JSON.stringify({ default: [{ type: 'sigstoreSigned', keyPath, signedIdentity }] }));
  const plan = {
    signer: release,
    formats: ['cosign', 'bundle'] as const,
    witnesses: { logs: [], timestamps: [] },
    explicitFormat: true,
  };
  const again: PromoteRequest = {
    ...request,
    source: layout,
    sourceBy: { kind: 'policy', file },
    signers: [plan],
  };
  const first = await promote(again, { from: world, to: world });
  assert.ok(first.promoted && first.attestation.note === undefined && first.attestation.added);
  assert.equal(first.lineage.source.reference, text);
  const by = {
    kind: 'keys',
    files: [join(folder, 'release.pub')],
    predicateType: first.lineage.schema,
  } as const;
  const [verdict] = await verify({ images: [request.destination], by }, world);
  const statements = verdict?.requirements
    .flatMap(({ signatures }) => signatures)
    .map(({ statement }) => statement);
  const attested = Buffer.from(statements?.[0] ?? new Uint8Array()).toString('utf8');
  assert.ok(attested.includes(`"reference":"${shown}"`), attested);
  assert.ok(!attested.includes(basename(folder)), attested);
  const second = await promote(again, { from: world, to: world });
  assert.ok(second.promoted && !second.changed, JSON.stringify(second));
}

test('from a folder: what is attested names no folder, and a second run attests nothing more', () =>
  onStage((stage) => promoteFromFolder(stage, { text: `oci:${stage.folder}/carried:x`, shown: 'oci:…' })));

test('from a folder that is named from where one stands: neither', () =>
  onStage((stage) =>
    promoteFromFolder(stage, { text: `dir:${relative('.', stage.folder)}/carried`, shown: 'dir:…' }),
  ));

/** The scopes of a written policy, and the rule of identity under each. */
function scopesOf(text: string | undefined): Readonly<Record<string, unknown>> {
  const { transports } = JSON.parse(text ?? '') as {
    readonly transports: { readonly docker: Record<string, readonly { readonly signedIdentity: unknown }[]> };
  };
  return Object.fromEntries(
    Object.entries(transports.docker).map(([name, rules]) => [
      name,
      rules.map(({ signedIdentity }) => signedIdentity),
    ]),
  );
}

test('carried: a policy that believes one signed reference, or one tag, is not widened to a repository', () =>
  onStage(async ({ request, world, host, folder, ...stage }) => {
    const { signers: _signers, destinationBy: _destinationBy, ...rest } = request;
    const file = join(folder, 'narrow.json');
    const keyPath = join(folder, 'dev.pub');
    const carry = async (
      rule: object,
      scope: string,
      more: Partial<PromoteRequest> = {},
    ): Promise<Readonly<Record<string, unknown>>> => {
      const requirement = { type: 'sigstoreSigned', keyPath, ...rule };
      const policy = { default: [{ type: 'reject' }], transports: { docker: { [scope]: [requirement] } } };
      await writeFile(file, JSON.stringify(policy));
      const sourceBy = { kind: 'policy', file } as const;
      const told = await promote(
        { ...rest, mode: 'carry', dryRun: true, sourceBy, ...more },
        { from: world, to: world },
      );
      assert.ok('dryRun' in told && told.verdict?.accepted === true);
      return scopesOf(told.carryPolicy);
    };
    const exact = { type: 'exactReference', dockerReference: `${host}/dev/app:1` };
    assert.deepEqual(await carry({ signedIdentity: exact }, `${host}/dev`), {
      [`${host}/prod/app`]: [exact],
    });
    const remapped = { type: 'remapIdentity', prefix: `${host}/prod/app`, signedPrefix: `${host}/dev/app` };
    assert.deepEqual(await carry({}, `${host}/dev/app`), { [`${host}/prod/app`]: [remapped] });
    assert.deepEqual(await carry({}, `${host}/dev/app:1`), { [`${host}/prod/app:1`]: [remapped] });
    const digest = await stage.meaning('dev/app', '1');
    const source = parseImageName(`${host}/dev/app@${digest}`);
    await assert.rejects(carry({}, `${host}/dev/app@${digest}`, { source }), (error: unknown) =>
      isBullaError(error, 'promote.not-carryable'),
    );
  }));

test('a destination that moves while the source is judged: it is not said to be promoted', () =>
  onStage(async (stage) => {
    const { request, world } = stage;
    const first = await promote(request, { from: world, to: world });
    assert.ok(first.promoted);
    // the first look at the destination sees what is promoted again; then the tag is moved
    let isSeen = false;
    once(
      stage,
      ({ method, url }) => {
        const wasSeen = isSeen;
        isSeen ||= method === 'HEAD' && url.endsWith('/prod/app/manifests/1');
        return wasSeen && method === 'GET' && url.includes('/prod/app/');
      },
      () => stage.move('prod/app:1'),
    );
    await refuses('registry.changed', stage);
    assert.notEqual(await stage.meaning('prod/app', '1'), await stage.meaning('dev/app', '1'));
  }));
