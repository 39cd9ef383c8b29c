/** The commands attest, sign-blob, attest-blob and sign, with real services; what they make is judged by real cosign. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { needs, type PeerResult } from '../support/peers.ts';
import { openStage, type Stage } from './sign-sigstore-peers.ts';

const needed = needs('sigstack', 'cosign', 'cosign2', 'skopeo', 'crane', 'docker-registry', 'openssl');
const isSkipped = needed.skip !== undefined;
let stage: Stage;
before(async () => {
  if (isSkipped) return;
  stage = await openStage();
  writeFileSync(stage.bench.path('hello.txt'), 'hello\n');
  writeFileSync(stage.bench.path('predicate.json'), '{"builder":{"id":"x"},"n":1.50,"z":[{}]}');
});
after(async () => {
  if (!isSkipped) await stage[Symbol.asyncDispose]();
});

async function bulla(args: readonly string[]): Promise<PeerResult> {
  const result = await stage.bench.bulla(args);
  assert.equal(result.exitCode, 0, result.stderr);
  return result;
}

type Services = { readonly config: string; readonly keyless: boolean; readonly time?: boolean };

/** Flags of Bulla, and of cosign's verification, by services. */
function flagsOf({ config, keyless, time = false }: Services): { ours: string[]; theirs: string[] } {
  const { stack, bench, publicKey } = stage;
  const trust = ['--trusted-root', stack.trustedRoot];
  const who = keyless ? ['--identity-token', stack.tokenFile()] : ['--key', bench.path('key.key')];
  const identity = [
    '--certificate-identity',
    'dev@sigstack.test',
    '--certificate-oidc-issuer',
    stack.urls.oidc,
  ];
  const whose = keyless ? identity : ['--key', publicKey];
  return {
    ours: ['--signing-config', config, ...trust, ...who],
    theirs: [...trust, ...whose, ...(time ? ['--use-signed-timestamps'] : [])],
  };
}

function servicesOf(): readonly (readonly [string, Services])[] {
  const { rekor1, rekor1AndTsa, rekor2AndTsa } = stage.stack.signingConfigs;
  return [
    ['key, Rekor v1', { config: rekor1, keyless: false }],
    ['key, Rekor v2', { config: rekor2AndTsa, keyless: false, time: true }],
    ['Fulcio, Rekor v1', { config: rekor1, keyless: true }],
    ['Fulcio, Rekor v1, timestamp', { config: rekor1AndTsa, keyless: true, time: true }],
    ['Fulcio, Rekor v2, timestamp', { config: rekor2AndTsa, keyless: true, time: true }],
  ];
}

test('sign by a signing configuration: both formats where both can be', needed, async () => {
  for (const [name, services] of servicesOf()) {
    const image = await stage.push(`cli/${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`);
    const { ours, theirs } = flagsOf(services);
    const { stdout, stderr } = await bulla(['sign', '--tls-verify=false', '--json', ...ours, image]);
    const [receipt] = JSON.parse(stdout) as [{ signatures: { format: string }[] }];
    assert.deepEqual(
      receipt.signatures.map(({ format }) => format),
      ['cosign', 'bundle'],
      `${name}: ${stderr}`,
    );
    const answer = await stage.bench.run('cosign', ['verify', ...theirs, image]);
    assert.equal(answer.exitCode, 0, `${name}: ${answer.stderr}`);
  }
});

test('sign --bundle --upload=false leaves the registry as it was', needed, async () => {
  const image = await stage.push('cli/upload');
  const { ours } = flagsOf({ config: stage.stack.signingConfigs.rekor1, keyless: false });
  const to = ['--bundle', stage.bench.path('made.json'), '--upload=false'];
  await bulla(['sign', '--tls-verify=false', ...ours, ...to, image]);
  const bundle = JSON.parse(readFileSync(stage.bench.path('made.json'), 'utf8')) as { mediaType: string };
  assert.equal(bundle.mediaType, 'application/vnd.dev.sigstore.bundle.v0.3+json');
  const tags = await stage.bench.ok('crane', ['ls', '--insecure', image.replace(/:v1$/, '')]);
  assert.equal(tags.trim(), 'v1');
});

test('attest: cosign 3 verifies the bundle, cosign 2 the .att', needed, async () => {
  const { bench, stack, publicKey } = stage;
  for (const [name, services] of servicesOf()) {
    const image = await stage.push(`att/${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`);
    const { ours, theirs } = flagsOf(services);
    const what = ['--type', 'slsaprovenance1', '--predicate', bench.path('predicate.json')];
    await bulla(['attest', '--tls-verify=false', ...ours, ...what, image]);
    const verify = ['verify-attestation', ...theirs, '--type', 'slsaprovenance1', image];
    const answer = await bench.run('cosign', verify);
    assert.equal(answer.exitCode, 0, `${name}: ${answer.stderr}`);
    const other = await bench.run('cosign', [...verify.slice(0, -3), '--type', 'vuln', image]);
    assert.notEqual(other.exitCode, 0);
  }
  const image = await stage.push('att/old');
  const { ours } = flagsOf({ config: stack.signingConfigs.rekor1, keyless: false });
  for (const type of ['custom', 'slsaprovenance', 'spdxjson', 'https://example.com/p']) {
    const what = ['--type', type, '--predicate', bench.path('predicate.json')];
    await bulla(['attest', '--tls-verify=false', ...ours, ...what, '--signature-format', 'cosign', image]);
    const verify = ['verify-attestation', '--key', publicKey, '--type', type, image];
    const env = { SIGSTORE_REKOR_PUBLIC_KEY: stack.keys.rekor };
    const old = await bench.run('cosign2', verify, { env });
    assert.equal(old.exitCode, 0, `${type}: ${old.stderr}`);
  }
});

test('attest --statement signs it byte for byte, and only about this image', needed, async () => {
  const { bench, stack, digest } = stage;
  const image = await stage.push('att/statement');
  const { ours, theirs } = flagsOf({ config: stack.signingConfigs.rekor1, keyless: false });
  const statement = (hex: string): string =>
    `{ "_type": "https://in-toto.io/Statement/v0.1", "predicateType":"https://example.com/p","subject":[{"name":"x","digest":{"sha256":"${hex}"}}], "predicate": {"a": 1.0} }`;
  const file = bench.path('statement.json');
  const args = ['attest', '--tls-verify=false', ...ours, '--statement', file, image];
  writeFileSync(file, statement('0'.repeat(64)));
  const refused = await bench.bulla(args);
  assert.equal(refused.exitCode, 2);
  assert.match(refused.stderr, /\[usage\.invalid\]/);
  writeFileSync(file, statement(digest.slice(7)));
  await bulla(args);
  const shown = await bench.ok('cosign', [
    'verify-attestation',
    ...theirs,
    '--type',
    'https://example.com/p',
    image,
  ]);
  const { payload } = JSON.parse(shown) as { payload: string };
  assert.equal(Buffer.from(payload, 'base64').toString(), statement(digest.slice(7)));
});

test('an attestation that would hide somebody’s .sig is not made', needed, async () => {
  const { bench, stack } = stage;
  const image = await stage.push('att/hides');
  await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', 'other']);
  const by = ['--sign-by-sigstore-private-key', bench.path('other.key')];
  await bulla(['sign', '--tls-verify=false', ...by, image]);
  const { ours } = flagsOf({ config: stack.signingConfigs.rekor1, keyless: false });
  const args = ['attest', '--tls-verify=false', ...ours, '--predicate', bench.path('predicate.json'), image];
  const refused = await bench.bulla(args);
  assert.equal(refused.exitCode, 2);
  assert.match(refused.stderr, /\[store\.hides-attachment\]/);
  await bulla([...args.slice(0, -1), '--signature-format', 'bundle', image]);
});

test('sign-blob and attest-blob: cosign verifies the bundles', needed, async () => {
  const { bench } = stage;
  const file = bench.path('hello.txt');
  for (const [name, services] of servicesOf()) {
    const { ours, theirs } = flagsOf(services);
    const out = bench.path('blob.json');
    const bare = bench.path('blob.sig');
    await bulla(['sign-blob', ...ours, '--bundle', out, '--output-signature', bare, file]);
    const answer = await bench.run('cosign', ['verify-blob', ...theirs, '--bundle', out, file]);
    assert.equal(answer.exitCode, 0, `${name}: ${answer.stderr}`);
    const bundle = JSON.parse(readFileSync(out, 'utf8')) as { messageSignature: { signature: string } };
    assert.equal(readFileSync(bare, 'utf8'), bundle.messageSignature.signature);
    const what = ['--type', 'cyclonedx', '--predicate', bench.path('predicate.json')];
    await bulla(['attest-blob', ...ours, ...what, '--bundle', out, file]);
    const attested = await bench.run('cosign', [
      ...['verify-blob-attestation', ...theirs],
      ...['--type', 'cyclonedx', '--bundle', out, file],
    ]);
    assert.equal(attested.exitCode, 0, `${name}: ${attested.stderr}`);
  }
});

test('sign-blob without a log: cosign verifies by the key', needed, async () => {
  const { bench, publicKey } = stage;
  const file = bench.path('hello.txt');
  const [out, bare] = [bench.path('alone.json'), bench.path('alone.sig')];
  await bulla([
    'sign-blob',
    '--key',
    bench.path('key.key'),
    '--bundle',
    out,
    '--output-signature',
    bare,
    file,
  ]);
  const by = ['verify-blob', '--key', publicKey, '--insecure-ignore-tlog=true'];
  await bench.ok('cosign', [...by, '--bundle', out, file]);
  await bench.ok('cosign2', [...by, '--signature', bare, file]);
});
