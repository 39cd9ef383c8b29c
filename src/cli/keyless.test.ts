import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { serveAnswers } from '../../test/support/registry-faults.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { freeKeyFiles, writeKeyFiles } from '../keys/sigstore/key-files.ts';
import { makeKeyPair } from '../keys/sigstore/private-key.ts';
import { signingConfigMediaType } from '../keys/signing-config.ts';
import type { SigningPlan } from '../operations/sign/plan.ts';
import { openSigners } from './signers.ts';
import type { Terminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-keyless-'));
const path = (name: string): string => join(folder, name);
const key = makeKeyPair('ecdsa-p256');
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

function token(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 600;
  return `${part({ alg: 'RS256' })}.${part({ iss: 'https://i.example', aud: 'sigstore', sub: 'u', exp })}.c2ln`;
}

function service(url: string, majorApiVersion = 1): readonly object[] {
  return [{ url, majorApiVersion, validFor: { start: '2020-01-01T00:00:00Z' }, operator: 'one' }];
}

before(async () => {
  await writeKeyFiles(await freeKeyFiles(path('k')), key, '');
  writeFileSync(path('empty'), '\n');
  writeFileSync(path('token'), token());
  const config = {
    mediaType: signingConfigMediaType,
    caUrls: service('https://f.example'),
    oidcUrls: service('https://i.example'),
    rekorTlogUrls: service('https://r2.example', 2),
    tsaUrls: service('https://t.example/api/v1/timestamp'),
  };
  writeFileSync(path('config'), JSON.stringify(config));
  writeFileSync(path('params'), `privateKeyFile: ${path('k.private')}\nrekorURL: https://r.example\n`);
  const fulcio = 'fulcio: {fulcioURL: "https://f.example", oidcMode: staticToken, oidcIDToken: "%"}';
  writeFileSync(path('fulcio'), `${fulcio.replace('%', token())}\nrekorURL: https://r.example\n`);
});
after(() => rmSync(folder, { recursive: true, force: true }));

type Told = Terminal & { readonly warnings: string[] };

function terminal(env: NodeJS.ProcessEnv = {}, more: Partial<Terminal> = {}): Told {
  const warnings: string[] = [];
  const fake: Partial<Terminal> = {
    env: { COSIGN_PASSWORD: '', ...env },
    interactive: false,
    warn: (line) => void warnings.push(line),
    note: () => undefined,
    ...more,
  };
  return { ...(fake as Terminal), warnings };
}

async function plansOf(parsed: object, at: Terminal = terminal()): Promise<readonly SigningPlan[]> {
  await using signers = openSigners({ ...parsed }, at);
  return await signers.all;
}

/** Formats, logs and timestamp authorities, in a line for each plan. */
async function shown(parsed: object, at?: Terminal): Promise<readonly string[]> {
  const plans = await plansOf(parsed, at);
  return plans.map(({ formats, witnesses, explicitFormat }) => {
    const logs = witnesses.logs.map(({ url, version }) => `${url} v${version}`);
    const stamps = witnesses.timestamps.map(({ url }) => url);
    return [formats.join('+') + (explicitFormat ? '!' : ''), ...logs, ...stamps].join(' ');
  });
}

const byKey = { key: [path('k.private')] };
const byToken = { identityToken: path('token') };
const flags = { fulcioUrl: 'https://f.example', rekorUrl: ['https://r.example'] };

test('podman’s flags make what podman makes; --key and keyless make both formats', async () => {
  deepEqual(await shown({ signBySigstorePrivateKey: [path('k.private')] }), ['cosign']);
  deepEqual(await shown({ signBySigstore: [path('params')] }), ['cosign https://r.example v1']);
  deepEqual(await shown({ signBySigstore: [path('fulcio')] }), ['cosign https://r.example v1']);
  deepEqual(await shown(byKey), ['cosign+bundle']);
  deepEqual(await shown({ ...byToken, ...flags }), ['cosign+bundle https://r.example v1']);
  deepEqual(await shown({ ...byToken, signingConfig: path('config') }), [
    'cosign+bundle https://r2.example v2 https://t.example/api/v1/timestamp',
  ]);
});

test('several at once, each with its own witnesses; formats as they are named', async () => {
  const all = { ...byKey, ...byToken, ...flags, signBySigstore: [path('params')] };
  deepEqual(await shown({ ...all, timestampServerUrl: ['https://t.example'] }), [
    'cosign https://r.example v1',
    'cosign+bundle https://r.example v1 https://t.example',
    'cosign+bundle https://r.example v1 https://t.example',
  ]);
  const keyless = { ...byToken, ...flags };
  deepEqual(await shown({ ...keyless, signatureFormat: ['bundle', 'bundle'] }), [
    'bundle! https://r.example v1',
  ]);
  const three = { ...keyless, signatureFormat: ['bundle', 'simple', 'cosign'] };
  deepEqual(await shown(three), ['bundle+cosign! https://r.example v1']);
  await rejects(plansOf({ ...keyless, signatureFormat: ['simple'] }), code('usage.invalid'));
  await rejects(plansOf({ ...keyless, signatureFormat: ['notary'] }), code('usage.invalid'));
});

test('a passphrase file for --key comes last, and may be missing', async () => {
  const both = { ...byKey, signBySigstorePrivateKey: [path('k.private')] };
  equal((await plansOf({ ...both, signPassphraseFile: [path('empty')] })).length, 2);
  const nobody = terminal({ COSIGN_PASSWORD: undefined });
  equal((await plansOf({ ...byKey, signPassphraseFile: [path('empty')] }, nobody)).length, 1);
  const three = { ...both, signPassphraseFile: [path('empty'), path('empty'), path('empty')] };
  await rejects(plansOf(three), code('usage.invalid'));
});

test('services: one way to name them, and all that keyless signing needs', async () => {
  const config = { signingConfig: path('config') };
  for (const more of [
    { fulcioUrl: 'https://f.example' },
    { rekorUrl: ['https://r'] },
    { timestampServerUrl: ['https://t'] },
  ]) {
    await rejects(plansOf({ ...byToken, ...config, ...more }), code('usage.invalid'));
  }
  await rejects(plansOf({ ...byToken, rekorUrl: ['https://r.example'] }), code('usage.invalid'));
  await rejects(plansOf({ ...byToken, fulcioUrl: 'https://f.example' }), code('usage.invalid'));
  await rejects(plansOf({ ...byToken, ...flags, rekorUrl: ['nowhere'] }), code('usage.invalid'));
  await rejects(plansOf({ ...byToken, ...flags, fulcioUrl: 'https://u:p@f.example' }), code('usage.invalid'));
  await rejects(plansOf({ ...byToken, signingConfig: path('token') }), code('signing-config.malformed'));
  await rejects(plansOf({ ...byToken, signingConfig: path('none') }), code('io.not-found'));
  // logs without anybody whose signatures they would see
  const podman = { signBySigstorePrivateKey: [path('k.private')] };
  await rejects(plansOf({ ...podman, rekorUrl: ['https://r.example'] }), code('usage.invalid'));
  await rejects(plansOf({}), code('usage.invalid'));
});

test('one way to a token', async () => {
  for (const more of [{ oidcProvider: 'envvar' }, { fulcioAuthFlow: 'device' }]) {
    await rejects(plansOf({ ...byToken, ...flags, ...more }), code('usage.invalid'));
  }
  await rejects(plansOf({ keyless: true, ...flags, fulcioAuthFlow: 'magic' }), code('usage.invalid'));
  await rejects(plansOf({ keyless: true, ...flags, oidcProvider: 'nobody' }), code('usage.invalid'));
  const env = { SIGSTORE_ID_TOKEN: token() };
  equal((await shown({ keyless: true, ...flags }, terminal(env))).length, 1);
  const off = { keyless: true, ...flags, oidcDisableAmbientProviders: true };
  await rejects(plansOf(off, terminal(env)), code('oidc.token-missing'));
});

test('a login needs an issuer, and somebody who asks for one or can be asked', async () => {
  const keyless = { keyless: true, ...flags };
  await rejects(plansOf(keyless), code('oidc.token-missing'));
  await rejects(
    plansOf({ ...keyless, fulcioAuthFlow: 'token', oidcIssuer: 'https://i.example' }),
    code('oidc.token-missing'),
  );
  await rejects(plansOf(keyless, terminal({}, { interactive: true })), code('usage.invalid'));
  await rejects(plansOf({ ...keyless, fulcioAuthFlow: 'device' }), code('usage.invalid'));
  equal((await shown({ ...keyless, fulcioAuthFlow: 'device', oidcIssuer: 'https://i.example' })).length, 1);
  equal(
    (await shown({ keyless: true, signingConfig: path('config') }, terminal({}, { interactive: true })))
      .length,
    1,
  );
});

test('a token in argv works with a warning, one on standard input without', async () => {
  const at = terminal();
  equal((await shown({ ...flags, identityToken: token() }, at)).length, 1);
  equal(at.warnings.length, 1);
  ok(!at.warnings.join().includes('eyJ'));
  const readInput = async (): Promise<Uint8Array> => Buffer.from(`${token()}\n`);
  const piped = terminal({}, { readInput });
  equal((await shown({ ...flags, identityToken: '-' }, piped)).length, 1);
  deepEqual(piped.warnings, []);
  await rejects(plansOf({ ...flags, identityToken: path('none') }), code('oidc.token-missing'));
});

test('what weakens is said: a token over plain http, a certificate in no log', async () => {
  const at = terminal();
  await shown({ ...byToken, ...flags, fulcioUrl: 'http://f.example', insecureSkipVerify: true }, at);
  equal(at.warnings.length, 2);
  const here = terminal();
  await shown({ ...byToken, ...flags, fulcioUrl: 'http://127.0.0.1:5' }, here);
  deepEqual(here.warnings, []);
});

test('nobody is asked before the first signature, and under --offline nobody at all', async () => {
  await using server = await serveAnswers((_, response) => void response.writeHead(500).end());
  const url = `http://${server.host}`;
  const github = { ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/t`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x' };
  equal((await plansOf({ keyless: true, fulcioUrl: url, rekorUrl: [url] }, terminal(github))).length, 1);
  equal((await plansOf({ ...byKey, rekorUrl: [url] })).length, 1);
  equal(server.requests.length, 0);
  const offline = { offline: true };
  for (const parsed of [
    { ...byToken, ...flags },
    { ...byKey, rekorUrl: [url] },
    { signBySigstore: [path('params')] },
    { signBySigstore: [path('fulcio')] },
  ]) {
    await rejects(plansOf({ ...parsed, ...offline }), code('io.offline'));
  }
});
