import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  type OidcIssuer,
  type OidcIssuerOptions,
  openOidcIssuer,
} from '../../../test/support/oidc-issuer.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { openHttp } from '../../io/http.ts';
import { type DeviceOptions, deviceToken } from './device.ts';
import type { IdentityToken } from './identity-token.ts';
import { type InteractiveOptions, interactiveToken } from './interactive.ts';

const http = openHttp();
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

type Run<Options> = { readonly wish?: OidcIssuerOptions } & Partial<Options>;

/** A login with a browser that goes where it is sent. */
async function byBrowser({ wish, ...options }: Run<InteractiveOptions> = {}): Promise<IdentityToken> {
  await using issuer = await openOidcIssuer(wish);
  return await interactiveToken({
    issuer: issuer.url,
    http,
    note: () => undefined,
    openBrowser: (url) => issuer.browse(url),
    timeoutMs: 5000,
    ...options,
  }).token();
}

test('with a browser: code, PKCE, state and nonce; the URL is shown', async () => {
  await using issuer = await openOidcIssuer({ email: 'bob@example.com' });
  const notes: string[] = [];
  const source = interactiveToken({
    issuer: `${issuer.url}/`,
    http,
    note: (line) => notes.push(line),
    openBrowser: (url) => issuer.browse(url),
    timeoutMs: 5000,
  });
  assert.deepEqual(issuer.requests, []);
  assert.equal((await source.token()).principal, 'bob@example.com');
  assert.equal(notes.length, 1);
  const shown = new URL(notes[0]?.split('\n')[1] ?? '');
  assert.equal(shown.origin + shown.pathname, `${issuer.url}/auth`);
  assert.ok((shown.searchParams.get('state') ?? '').length >= 43);
  const [form] = issuer.forms;
  assert.ok((form?.get('code_verifier') ?? '').length >= 43);
  // the verifier is nowhere but in the last request
  assert.ok(!notes.join().includes(form?.get('code_verifier') ?? ''));
});

test('two logins share nothing', async () => {
  const seen = new Set<string>();
  await using issuer = await openOidcIssuer();
  const source = interactiveToken({
    issuer: issuer.url,
    http,
    note: (line) => {
      const { searchParams } = new URL(line.split('\n')[1] ?? '');
      for (const name of ['state', 'nonce', 'code_challenge']) seen.add(searchParams.get(name) ?? '');
    },
    openBrowser: (url) => issuer.browse(url),
    timeoutMs: 5000,
  });
  await source.token();
  await source.token();
  assert.equal(seen.size, 6);
});

test('the person refuses', async () => {
  await assert.rejects(byBrowser({ wish: { person: 'refuses' } }), code('oidc.refused'));
});

test('a client secret goes into the Authorization header', async () => {
  await byBrowser({ wish: { clientSecret: 's3cret' }, clientSecret: 's3cret' });
  await assert.rejects(byBrowser({ wish: { clientSecret: 's3cret' }, clientSecret: 'wrong' }), (error) => {
    return isBullaError(error, 'oidc.refused') && !error.message.includes('wrong');
  });
  await assert.rejects(byBrowser({ wish: { clientSecret: 's3cret' } }), code('oidc.refused'));
});

test('nobody comes', async () => {
  await assert.rejects(
    byBrowser({ openBrowser: async () => undefined, timeoutMs: 50 }),
    code('oidc.timeout'),
  );
  const openBrowser = (): Promise<void> => Promise.reject(new Error('no browser'));
  await assert.rejects(byBrowser({ openBrowser, timeoutMs: 50 }), code('oidc.timeout'));
});

test('answers with another state, from another host or to another path are not taken, and change nothing', async () => {
  await using issuer = await openOidcIssuer();
  const statuses: number[] = [];
  const openBrowser = async (url: string): Promise<void> => {
    const asked = new URL(url).searchParams;
    const back = new URL(asked.get('redirect_uri') ?? '');
    const state = asked.get('state') ?? '';
    const attempts = [
      [`${back.pathname}?state=guessed&code=evil`, {}],
      [`${back.pathname}?code=evil`, {}],
      [`${back.pathname}?state=${state}&code=`, {}],
      [`/?state=${state}&code=evil`, {}],
      [`${back.pathname}?state=${state}&code=evil`, { method: 'POST' }],
    ] as const;
    for (const [path, init] of attempts) {
      const answer = await fetch(new URL(path, back), init);
      await answer.arrayBuffer();
      statuses.push(answer.status);
    }
    await issuer.browse(url);
  };
  const source = interactiveToken({
    issuer: issuer.url,
    http,
    note: () => undefined,
    openBrowser,
    timeoutMs: 5000,
  });
  assert.equal((await source.token()).principal, 'dev@sigstack.test');
  assert.deepEqual(statuses, [400, 400, 400, 404, 404]);
});

test('a token of another login, issuer or program', async () => {
  const lies: readonly (readonly [Record<string, unknown>, ErrorCode])[] = [
    [{ nonce: 'another' }, 'oidc.failed'],
    [{ nonce: undefined }, 'oidc.failed'],
    [{ iss: 'https://evil.example' }, 'oidc.failed'],
    [{ aud: 'another' }, 'oidc.token-wrong-audience'],
    [{ exp: 1 }, 'oidc.token-expired'],
    [{ email_verified: false }, 'oidc.token-malformed'],
  ];
  for (const [claims, wanted] of lies) {
    await assert.rejects(byBrowser({ wish: { claims } }), code(wanted), JSON.stringify(claims));
  }
});

test('an issuer that calls itself otherwise, or leads elsewhere', async () => {
  const lies: readonly Record<string, unknown>[] = [
    { issuer: 'https://evil.example' },
    { issuer: undefined },
    { authorization_endpoint: undefined },
    { authorization_endpoint: 'javascript:alert(1)' },
    { authorization_endpoint: 'file:///etc/passwd' },
    { token_endpoint: undefined },
    { token_endpoint: 5 },
  ];
  for (const discovery of lies) {
    await assert.rejects(byBrowser({ wish: { discovery } }), code('oidc.failed'), JSON.stringify(discovery));
  }
  await assert.rejects(
    byBrowser({ wish: { instead: (_, to) => Boolean(to.writeHead(302, { location: '/x' }).end()) } }),
    code('oidc.failed'),
  );
  await assert.rejects(
    byBrowser({ wish: { instead: (_, to) => Boolean(to.end(Buffer.alloc(300_000, 32))) } }),
    code('oidc.failed'),
  );
  await assert.rejects(
    byBrowser({ wish: { instead: (request) => Boolean(request.socket.destroy()) } }),
    code('oidc.failed'),
  );
});

/** A login on another device; waits are counted, not waited. */
async function byDevice(
  { wish, ...options }: Run<DeviceOptions> = {},
  slept: number[] = [],
): Promise<{ token: IdentityToken; issuer: OidcIssuer }> {
  await using issuer = await openOidcIssuer(wish);
  const sleep = async (milliseconds: number): Promise<void> => void slept.push(milliseconds / 1000);
  const token = await deviceToken({
    issuer: issuer.url,
    http,
    note: () => undefined,
    sleep,
    ...options,
  }).token();
  return { token, issuer };
}

test('with a device: the code is shown, the interval kept, slow_down slows down', async () => {
  const slept: number[] = [];
  const notes: string[] = [];
  const device = ['authorization_pending', 'slow_down', 'authorization_pending'];
  const { token } = await byDevice(
    { wish: { device, interval: 2 }, note: (line) => notes.push(line) },
    slept,
  );
  assert.equal(token.principal, 'dev@sigstack.test');
  assert.deepEqual(slept, [2, 2, 7, 7]);
  assert.match(notes[0] ?? '', /\/device\?user_code=BDWP-HQPK\n.*BDWP-HQPK$/);
});

test('five seconds where the issuer names no interval; never less than one', async () => {
  const slept: number[] = [];
  await byDevice({}, slept);
  await byDevice({ wish: { interval: 0 } }, slept);
  assert.deepEqual(slept, [5, 1]);
});

test('the device grant ends: refused, expired, unused, and with an unknown error', async () => {
  await assert.rejects(byDevice({ wish: { device: ['access_denied'] } }), code('oidc.refused'));
  await assert.rejects(byDevice({ wish: { device: ['expired_token'] } }), code('oidc.timeout'));
  await assert.rejects(byDevice({ wish: { device: ['something_else'] } }), code('oidc.refused'));
  const slept: number[] = [];
  const device = Array.from({ length: 1000 }, () => 'authorization_pending');
  await assert.rejects(byDevice({ wish: { device, expiresIn: 1e9 } }, slept), code('oidc.timeout'));
  assert.equal(
    slept.reduce((sum, each) => sum + each, 0),
    900,
  );
});

test('an issuer without device logins, and one that shows an odd address', async () => {
  await assert.rejects(
    byDevice({ wish: { discovery: { device_authorization_endpoint: undefined } } }),
    code('oidc.failed'),
  );
  const instead: OidcIssuerOptions['instead'] = (request, response) => {
    if (request.url !== '/device/code') return false;
    response.end(
      JSON.stringify({
        device_code: 'a',
        user_code: 'b',
        verification_uri: 'javascript:alert(1)',
        expires_in: 5,
      }),
    );
    return true;
  };
  await assert.rejects(byDevice({ wish: { instead } }), code('oidc.failed'));
});
