/** What cosign signs and attests with real services, judged by Bulla by key, by identity, and as a file. */
import { deepEqual, equal } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { sha256 } from '../support/bundle-forge-log.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';
import { openSigstack, type Sigstack } from '../support/sigstack.ts';

const needed = needs('sigstack', 'cosign', 'cosign2', 'skopeo', 'docker-registry');
const env = { COSIGN_PASSWORD: 'pw' };
let bench: Bench;
let stack: Sigstack;
let registry: RealRegistry;
before(async () => {
  if (needed.skip !== undefined) return;
  [bench, stack] = await Promise.all([openBench(), openSigstack()]);
  registry = await startRegistry(bench);
  await writeOciImage(bench.path('image'));
  await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', bench.path('k')], { env });
  await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', bench.path('other')], { env });
  writeFileSync(bench.path('predicate.json'), '{"a":1}');
  writeFileSync(bench.path('file'), 'hello');
});
after(async () => {
  if (needed.skip !== undefined) return;
  await stack[Symbol.asyncDispose]();
  await bench[Symbol.asyncDispose]();
});

/** A fresh image, named by its digest. */
async function image(name: string): Promise<string> {
  const target = `${registry.host}/${name}:1`;
  const push = [
    'copy',
    '--insecure-policy',
    '--dest-tls-verify=false',
    `oci:${bench.path('image')}`,
    `docker://${target}`,
  ];
  await bench.ok('skopeo', [...push, '--digestfile', bench.path('digest')]);
  return `${registry.host}/${name}@${readFileSync(bench.path('digest'), 'utf8').trim()}`;
}

const identity = (email = 'dev@sigstack.test'): readonly string[] => [
  '--certificate-identity',
  email,
  '--certificate-oidc-issuer',
  stack.urls.oidc,
];
const root = (): readonly string[] => ['--trusted-root', stack.trustedRoot];
const token = (): readonly string[] => ['--identity-token', stack.tokenFile({ email: 'dev@sigstack.test' })];
const config = (name: keyof Sigstack['signingConfigs']): readonly string[] => [
  '--signing-config',
  stack.signingConfigs[name],
  ...root(),
];
const byKey = (): readonly string[] => ['--key', bench.path('k.pub')];

/** Exit code and the code of the first refusal, or `accepted`. */
async function judged(command: string, args: readonly string[]): Promise<readonly [number, string]> {
  const { exitCode, stdout, stderr } = await bench.bulla([command, '--json', '--offline', ...args]);
  if (stdout === '' || stdout.startsWith('[]')) return [exitCode, stderr];
  const found = JSON.parse(stdout) as Answer | readonly { readonly requirements: readonly Answer[] }[];
  const answer = 'code' in found || !Array.isArray(found) ? (found as Answer) : found[0]?.requirements.at(-1);
  return [exitCode, answer?.code ?? 'accepted'];
}
type Answer = { readonly code?: string };

const verifies = (name: string, ...flags: readonly string[]): Promise<readonly [number, string]> =>
  judged('verify', ['--tls-verify=false', ...flags, name]);

test('keyless bundles by Rekor v1, with a timestamp, and by Rekor v2', needed, async () => {
  for (const name of ['rekor1', 'rekor1AndTsa', 'rekor2AndTsa'] as const) {
    const signed = await image(name.toLowerCase());
    await bench.ok('cosign', ['sign', '-y', ...config(name), ...token(), signed]);
    deepEqual(await verifies(signed, ...identity(), ...root()), [0, 'accepted'], name);
    deepEqual(
      await verifies(signed, ...identity('eve@sigstack.test'), ...root()),
      [1, 'trust.not-accepted'],
      name,
    );
    deepEqual(await verifies(signed, ...byKey(), ...root()), [1, 'trust.not-accepted'], name);
    await bench.ok('cosign', ['verify', ...identity(), ...root(), signed]);
  }
});

test('a key: with and without a log; another key; a log that is demanded', needed, async () => {
  const [logged, bare] = [await image('key-logged'), await image('key-bare')];
  const key = ['--key', bench.path('k.key')];
  await bench.ok('cosign', ['sign', '-y', ...config('rekor1'), ...key, logged], { env });
  await bench.ok('cosign', ['sign', '-y', ...config('none'), ...key, bare], { env });
  for (const flags of [[], root(), ['--require-log', ...root()]]) {
    deepEqual(await verifies(logged, ...byKey(), ...flags), [0, 'accepted'], flags.join(' '));
  }
  deepEqual(await verifies(bare, ...byKey()), [0, 'accepted']);
  deepEqual(await verifies(bare, ...byKey(), '--require-log', ...root()), [1, 'trust.not-accepted']);
  deepEqual(await verifies(logged, '--key', bench.path('other.pub')), [1, 'trust.not-accepted']);
});

test('keyless attachments of cosign 2 and of cosign 3, whose chain is empty', needed, async () => {
  const { rekor, fulcio } = stack.urls;
  const services = ['--rekor-url', rekor, '--fulcio-url', fulcio, ...token()];
  const [second, third] = [await image('old2'), await image('old3')];
  const pem = { SIGSTORE_CT_LOG_PUBLIC_KEY_FILE: '', SIGSTORE_REKOR_PUBLIC_KEY: '' };
  await bench.run('cosign2', ['sign', '-y', '--insecure-skip-verify', ...services, second], { env: pem });
  const old = ['--new-bundle-format=false', '--use-signing-config=false'];
  await bench.ok('cosign', ['sign', '-y', ...old, ...services, ...root(), third]);
  for (const signed of [second, third]) {
    deepEqual(await verifies(signed, ...identity(), ...root()), [0, 'accepted'], signed);
    deepEqual(
      await verifies(signed, ...identity('eve@sigstack.test'), ...root()),
      [1, 'trust.not-accepted'],
      signed,
    );
  }
});

test('attestations count for their own type alone, and never as a signature', needed, async () => {
  const attested = await image('attested');
  const predicate = ['--predicate', bench.path('predicate.json'), '--type', 'slsaprovenance1'];
  await bench.ok('cosign', ['attest', '-y', ...config('rekor1'), ...predicate, ...token(), attested]);
  const asks = (...flags: readonly string[]): Promise<readonly [number, string]> =>
    judged('verify-attestation', ['--tls-verify=false', ...identity(), ...root(), ...flags, attested]);
  deepEqual(await asks('--type', 'slsaprovenance1'), [0, 'accepted']);
  deepEqual(await asks('--type', 'any'), [0, 'accepted']);
  deepEqual(await asks('--type', 'slsaprovenance'), [1, 'trust.no-signature']);
  deepEqual(await verifies(attested, ...identity(), ...root()), [1, 'trust.no-signature']);
});

test('files: by bytes, by digest, by statement; another file', needed, async () => {
  const bundle = bench.path('file.json');
  const digest = `sha256:${Buffer.from(sha256(readFileSync(bench.path('file')))).toString('hex')}`;
  const keyed = ['--key', bench.path('k.key')];
  for (const [who, by] of [
    [token(), identity()],
    [keyed, byKey()],
  ] as const) {
    await bench.ok(
      'cosign',
      ['sign-blob', '-y', ...config('rekor1AndTsa'), ...who, '--bundle', bundle, bench.path('file')],
      { env },
    );
    const flags = [...by, ...root(), '--bundle', bundle];
    for (const subject of [bench.path('file'), digest]) {
      deepEqual(await judged('verify-blob', [...flags, subject]), [0, 'accepted']);
    }
    equal((await judged('verify-blob', [...flags, bench.path('predicate.json')]))[0], 1);
  }
});
