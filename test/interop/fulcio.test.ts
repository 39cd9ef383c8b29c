/** Keyless signing from the command line against a real Fulcio, and what cosign, skopeo and podman make of it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { type ErrorCode, isBullaError } from '../../src/base/errors.ts';
import { parseCertificate } from '../../src/keys/certificates/certificate.ts';
import { fulcioIssuerOf } from '../../src/keys/certificates/extensions.ts';
import { type FulcioOptions, openFulcioSigner } from '../../src/keys/fulcio/open-fulcio-signer.ts';
import { deviceToken } from '../../src/keys/oidc/device.ts';
import { interactiveToken } from '../../src/keys/oidc/interactive.ts';
import { givenToken, type TokenSource } from '../../src/keys/oidc/token-source.ts';
import { parseTrustedRoots } from '../../src/keys/trusted-root/parse.ts';
import { verifySct } from '../../src/witnesses/sct.ts';
import { openOidcIssuer } from '../support/oidc-issuer.ts';
import { needs, type PeerResult } from '../support/peers.ts';
import { serveAnswers } from '../support/registry-faults.ts';
import { openSigstack } from '../support/sigstack.ts';
import { ciClaims } from '../support/sigstack-issuer.ts';
import {
  askCosign,
  askPodmanFor,
  askSkopeoFor,
  openStage,
  type Row,
  type Stage,
} from './sign-sigstore-peers.ts';

const needed = needs(
  'sigstack',
  'cosign',
  'cosign2',
  'skopeo',
  'podman',
  'crane',
  'docker-registry',
  'openssl',
);
const isSkipped = needed.skip !== undefined;
let stage: Stage;
before(async () => {
  if (!isSkipped) stage = await openStage();
});
after(async () => {
  if (!isSkipped) await stage[Symbol.asyncDispose]();
});

const logged: Row = { name: 'keyless', keyless: true, log: 1, timestamp: false };
const stamped: Row = { ...logged, timestamp: true };
const message = Buffer.from('the message');
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

function bullaSigns(
  image: string,
  flags: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<PeerResult> {
  return stage.bench.bulla(['sign', '--tls-verify=false', ...flags, image], { env });
}

async function signs(image: string, flags: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await bullaSigns(image, flags, env);
  assert.equal(exitCode, 0, stderr);
  return stdout;
}

async function tagsOf(image: string): Promise<readonly string[]> {
  const repository = image.replace(/:v1$/, '');
  return (await stage.bench.ok('crane', ['ls', '--insecure', repository])).trim().split('\n');
}

async function cosignAccepts(
  row: Row,
  image: string,
  formats: readonly ('cosign' | 'bundle')[],
): Promise<void> {
  for (const format of formats) {
    const answer = await askCosign(stage, row, image, format);
    assert.ok(answer.accepted, `${format}: ${answer.said}`);
  }
}

test('a token in a file, services from a signing configuration: a .sig and a bundle', needed, async () => {
  const image = await stage.push('cli/config');
  const { stack } = stage;
  const flags = ['--identity-token', stack.tokenFile(), '--signing-config', stack.signingConfigs.rekor1];
  await signs(image, [...flags, '--trusted-root', stack.trustedRoot]);
  await cosignAccepts(logged, image, ['cosign', 'bundle']);
  for (const ask of [askSkopeoFor, askPodmanFor]) {
    const answer = await ask(stage, logged, image);
    assert.ok(answer.accepted, answer.said);
  }
});

test('a token in SIGSTORE_ID_TOKEN, services by their flags', needed, async () => {
  const image = await stage.push('cli/flags');
  const { stack } = stage;
  const { urls } = stack;
  const flags = ['--fulcio-url', urls.fulcio, '--rekor-url', urls.rekor, '--timestamp-server-url', urls.tsa];
  await signs(image, ['--keyless', ...flags, '--signature-format', 'bundle'], {
    SIGSTORE_ID_TOKEN: stack.token(),
  });
  await cosignAccepts(stamped, image, ['bundle']);
  assert.deepEqual(
    (await tagsOf(image)).filter((tag) => tag.endsWith('.sig')),
    [],
  );
});

test('a token on standard input; in argv with a warning', needed, async () => {
  const { stack } = stage;
  const { signingConfigs } = stack;
  const config = ['--signing-config', signingConfigs.rekor1, '--signature-format', 'bundle'];
  const piped = await stage.push('cli/stdin');
  const args = ['sign', '--tls-verify=false', '--identity-token', '-', ...config, piped];
  const { exitCode, stderr } = await stage.bench.bulla(args, { input: Buffer.from(stack.token()) });
  assert.equal(exitCode, 0, stderr);
  const named = await stage.push('cli/argv');
  const result = await bullaSigns(named, ['--identity-token', stack.token(), ...config]);
  assert.equal(result.exitCode, 0, result.stderr);
  assert.match(result.stderr, /^warning: --identity-token /m);
  assert.ok(!result.stderr.includes('eyJ'));
});

test('a job of GitHub’s: its service is asked, Fulcio names the workflow', needed, async () => {
  await using github = await serveAnswers((_, response) => {
    response.end(JSON.stringify({ value: stage.stack.token({ ci: true }) }));
  });
  const image = await stage.push('cli/github');
  const env = {
    ACTIONS_ID_TOKEN_REQUEST_URL: `http://${github.host}/token?v=2`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'job',
  };
  const { stack } = stage;
  await signs(image, ['--keyless', '--signing-config', stack.signingConfigs.rekor1], env);
  assert.deepEqual(github.lines, ['GET /token?v=2&audience=sigstore']);
  assert.equal(github.requests[0]?.headers.authorization, 'Bearer job');
  const identity = ['--certificate-identity', `https://github.com/${ciClaims['job_workflow_ref']}`];
  const issuer = ['--certificate-oidc-issuer', stack.urls.ciOidc, '--trusted-root', stack.trustedRoot];
  await stage.bench.ok('cosign', ['verify', ...identity, ...issuer, image]);
});

/** A parameter file that skopeo takes as well. */
function writeParams(lines: readonly string[]): string {
  const path = stage.bench.path(`params-${Math.random()}.yaml`);
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  return path;
}

test(
  'podman’s parameter file with Fulcio: a .sig alone, which podman, skopeo and cosign accept',
  needed,
  async () => {
    const { stack } = stage;
    const { urls } = stack;
    const lines = [
      'fulcio:',
      `  fulcioURL: ${urls.fulcio}`,
      '  oidcMode: staticToken',
      `  oidcIDToken: ${stack.token()}`,
    ];
    const params = writeParams([...lines, `rekorURL: ${urls.rekor}`]);
    const image = await stage.push('cli/params');
    await signs(image, ['--sign-by-sigstore', params]);
    for (const ask of [askSkopeoFor, askPodmanFor]) {
      const answer = await ask(stage, logged, image);
      assert.ok(answer.accepted, answer.said);
    }
    await cosignAccepts(logged, image, ['cosign']);
    // a fallback tag would be a bundle
    assert.deepEqual((await tagsOf(image)).length, 2);
    const theirs = await stage.push('cli/params-of-skopeo');
    const copy = ['copy', '--src-tls-verify=false', '--dest-tls-verify=false', '--sign-by-sigstore', params];
    await stage.bench.ok('skopeo', [
      '--insecure-policy',
      ...copy,
      `docker://${theirs}`,
      `docker://${theirs}`,
    ]);
  },
);

test('podman’s parameter file with a key and a Rekor', needed, async () => {
  const { bench, stack, publicKey } = stage;
  writeFileSync(bench.path('empty'), '\n');
  const key = [
    `privateKeyFile: ${bench.path('key.key')}`,
    `privateKeyPassphraseFile: ${bench.path('empty')}`,
  ];
  const params = writeParams([...key, `rekorURL: ${stack.urls.rekor}`]);
  const image = await stage.push('cli/params-key');
  await signs(image, ['--sign-by-sigstore', params]);
  assert.ok(publicKey.endsWith('key.pub'));
  await cosignAccepts({ ...logged, keyless: false }, image, ['cosign']);
});

test('what Fulcio refuses, or cannot be asked, is not signed: nothing is written', needed, async () => {
  const image = await stage.push('cli/refused');
  const { stack } = stage;
  await using stranger = await openOidcIssuer();
  const unknown = stage.bench.path('unknown-token');
  // its issuer is one that Fulcio does not know
  writeFileSync(unknown, stranger.token({ iss: 'https://issuer.invalid' }));
  const config = ['--signing-config', stack.signingConfigs.rekor1];
  const gone = ['--fulcio-url', 'http://127.0.0.1:9', '--rekor-url', stack.urls.rekor];
  const cases: readonly (readonly [number, string, readonly string[]])[] = [
    [4, 'fulcio.refused', ['--identity-token', unknown, ...config]],
    [4, 'oidc.token-expired', ['--identity-token', stack.tokenFile({ expiresIn: -5 }), ...config]],
    [4, 'oidc.token-wrong-audience', ['--identity-token', stack.tokenFile({ audience: 'x' }), ...config]],
    [4, 'oidc.token-missing', ['--keyless', ...config]],
    [3, 'fulcio.failed', ['--identity-token', stack.tokenFile(), ...gone]],
    [3, 'io.offline', ['--identity-token', stack.tokenFile(), '--offline', ...config]],
    [
      2,
      'usage.invalid',
      ['--identity-token', stack.tokenFile(), '--signing-config', stack.signingConfigs.none],
    ],
    [2, 'usage.invalid', ['--identity-token', stack.tokenFile(), '--rekor-url', stack.urls.rekor]],
  ];
  for (const [exit, wanted, flags] of cases) {
    const { exitCode, stderr } = await bullaSigns(image, flags);
    assert.equal(exitCode, exit, stderr);
    assert.ok(stderr.includes(`[${wanted}]`), stderr);
    assert.ok(!stderr.includes('eyJ'), stderr);
  }
  assert.deepEqual(await tagsOf(image), ['v1']);
});

function fulcioOf(token: TokenSource, options: Partial<FulcioOptions> = {}): FulcioOptions {
  return { url: stage.stack.urls.fulcio, token, http: stage.world.http, ...options };
}

test('a login with a browser, and one with a device, at an issuer that Fulcio trusts', needed, async () => {
  await using issuer = await openOidcIssuer({
    email: 'person@sigstack.test',
    device: ['authorization_pending'],
  });
  const options = { issuer: issuer.url, http: stage.world.http, note: () => undefined };
  const browser = interactiveToken({
    ...options,
    openBrowser: (url) => issuer.browse(url),
    timeoutMs: 10_000,
  });
  const device = deviceToken({ ...options, sleep: async () => undefined });
  for (const source of [browser, device]) {
    await using signer = await openFulcioSigner(fulcioOf(source));
    await signer.sign(message);
    const { extensions } = parseCertificate(signer.certificates?.[0] ?? new Uint8Array());
    assert.deepEqual(extensions.names.emails, ['person@sigstack.test']);
    assert.equal(fulcioIssuerOf(extensions), issuer.url);
  }
});

test('a login with a device, from the command line', needed, async () => {
  await using issuer = await openOidcIssuer({ interval: 1, clientSecret: 's3cret' });
  const image = await stage.push('cli/device');
  const { stack, bench } = stage;
  const { urls } = stack;
  writeFileSync(bench.path('secret'), 's3cret\n', { mode: 0o600 });
  const client = ['--oidc-issuer', issuer.url, '--oidc-client-secret-file', bench.path('secret')];
  const services = [
    '--fulcio-url',
    urls.fulcio,
    '--rekor-url',
    urls.rekor,
    '--trusted-root',
    stack.trustedRoot,
  ];
  const { exitCode, stderr } = await bullaSigns(image, [
    '--fulcio-auth-flow',
    'device',
    ...client,
    ...services,
  ]);
  assert.equal(exitCode, 0, stderr);
  assert.match(stderr, /BDWP-HQPK/);
  assert.ok(!/s3cret|eyJ/.test(stderr));
  const identity = ['--certificate-identity', 'dev@sigstack.test', '--certificate-oidc-issuer', issuer.url];
  await bench.ok('cosign', ['verify', ...identity, '--trusted-root', stack.trustedRoot, image]);
});

test('a certificate and its timestamp are checked by the trusted root', needed, async () => {
  const read = (path: string): ReturnType<typeof parseTrustedRoots> =>
    parseTrustedRoots(new Uint8Array(readFileSync(path)), path);
  const checks = (path: string): Partial<FulcioOptions> => {
    const roots = read(path);
    const logs = roots.flatMap(({ certificateLogs }) => certificateLogs);
    return {
      authorities: roots.flatMap(({ certificateAuthorities }) => certificateAuthorities),
      verifySct: (leaf, parent) => verifySct(leaf, parent, logs),
    };
  };
  const token = givenToken(stage.stack.token(), 'the stack');
  for (const apiVersion of [1, 2] as const) {
    await using signer = await openFulcioSigner(
      fulcioOf(token, { apiVersion, ...checks(stage.stack.trustedRoot) }),
    );
    await signer.sign(message);
  }
  await using other = await openSigstack({ ctLog: false });
  const { authorities, verifySct: check } = checks(other.trustedRoot);
  for (const foreign of [
    { ...(authorities !== undefined && { authorities }) },
    { ...(check !== undefined && { verifySct: check }) },
  ]) {
    await using signer = await openFulcioSigner(fulcioOf(token, foreign));
    await assert.rejects(signer.sign(message), code('fulcio.answer-refused'));
  }
  // a Fulcio without a certificate log
  const theirs = fulcioOf(givenToken(other.token(), 'the stack'), { url: other.urls.fulcio });
  await using signer = await openFulcioSigner(theirs);
  await assert.rejects(signer.sign(message), code('fulcio.answer-refused'));
  await using lenient = await openFulcioSigner({ ...theirs, needSct: false });
  await lenient.sign(message);
});
