/** Bearer tokens (distribution token authentication): fetched once, kept until they expire. */
import { encodeBase64, printable, textOf, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { displayUrl, type HttpClient, type HttpResponse } from '../io/http.ts';
import { answerError } from './answer.ts';
import type { Challenge } from './challenge.ts';
import type { Credentials } from './credentials.ts';
import { type RetryOptions, retrying } from './retry.ts';

export type TokenOptions = {
  readonly http: HttpClient;
  readonly credentials: Credentials;
  readonly retry: RetryOptions;
  readonly deadlineMs: number;
  readonly idleMs: number;
};

export type Tokens = {
  /**
   * A token for these scopes, fetched only if none is held; several callers share one fetch.
   * @param root the registry, whose scheme decides which realms are allowed
   * @param stale a token that was just refused, so that it is not given again
   * @throws BullaError `registry.challenge-refused`, `registry.unauthorized`, `registry.*`, `http.*`
   */
  get(root: URL, challenge: Challenge, scopes: readonly string[], stale?: string): Promise<string>;
};

/** The least life a token is given, whatever its server says (distribution's rule). */
const shortestLifeSeconds = 60;
const longestLifeSeconds = 86_400;
/** What a request may still need to arrive. */
const marginMs = 5_000;
const longestRealm = 2_048;
/** One token, as a header; registries with many groups make ones of 20 KiB. */
const longestToken = 131_072;

type Held = { readonly token: string; readonly until: number };

export function openTokens(options: TokenOptions): Tokens {
  const held = new Map<string, Promise<Held>>();
  return {
    async get(root, challenge, scopes, stale) {
      const realm = realmOf(root, challenge);
      const service = challenge.parameters.get('service');
      const key = JSON.stringify([realm.href, service, [...scopes].sort()]);
      const before = held.get(key);
      if (before !== undefined) {
        const { token, until } = await before;
        if (token !== stale && options.retry.clock.now() < until) return token;
        // another caller may have replaced it while this one waited
        if (held.get(key) === before) held.delete(key);
      }
      const fetched = held.get(key) ?? fetchToken(options, realm, root, service, scopes);
      held.set(key, fetched);
      try {
        return (await fetched).token;
      } catch (error) {
        if (held.get(key) === fetched) held.delete(key);
        throw error;
      }
    },
  };
}

/** A realm gets credentials: it is https, unless the registry itself is reached without TLS. */
function realmOf(root: URL, challenge: Challenge): URL {
  const text = challenge.parameters.get('realm') ?? '';
  const realm = text.length > longestRealm ? null : URL.parse(text);
  if (realm === null || (realm.protocol !== 'https:' && realm.protocol !== 'http:')) {
    throw refused(
      root,
      `names no token server that can be asked: "${printable(text.split('?')[0] ?? '', 80)}"`,
    );
  }
  if (realm.protocol === 'http:' && root.protocol === 'https:') {
    throw refused(root, `asks to send credentials to ${displayUrl(realm)} without TLS`);
  }
  if (realm.username !== '' || realm.password !== '') throw refused(root, 'has credentials in its token URL');
  return realm;
}

function refused(root: URL, why: string): BullaError {
  return new BullaError('registry.challenge-refused', `${displayUrl(root)} ${why}`);
}

async function fetchToken(
  options: TokenOptions,
  realm: URL,
  root: URL,
  service: string | undefined,
  scopes: readonly string[],
): Promise<Held> {
  const { credentials } = options;
  const request =
    credentials.kind === 'identity-token'
      ? refreshRequest(realm, service, scopes, credentials.token)
      : tokenRequest(realm, service, scopes, credentials);
  const response = await retrying(options.retry, 'always', () =>
    options.http.request({
      ...request,
      maxBytes: limits.tokenBytes,
      deadlineMs: options.deadlineMs,
      idleMs: options.idleMs,
      clientCertificate: realm.origin === root.origin,
      ...(options.retry.signal !== undefined && { signal: options.retry.signal }),
    }),
  );
  if (response.status !== 200) throw await answerError(response, 'get a token');
  return heldToken(response, await response.bytes(), options.retry.clock.now());
}

type TokenRequest = {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
};

function tokenRequest(
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  credentials: Credentials,
): TokenRequest {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  if (credentials.kind !== 'password') return { method: 'GET', url, headers: {} };
  url.searchParams.set('account', credentials.username);
  return {
    method: 'GET',
    url,
    headers: { authorization: basic(credentials.username, credentials.password) },
  };
}

function refreshRequest(
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  refreshToken: string,
): TokenRequest {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'bulla',
    refresh_token: refreshToken,
    ...(service !== undefined && { service }),
    scope: scopes.join(' '),
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return { method: 'POST', url: realm, headers, body: utf8(form.toString()) };
}

/** An Authorization header with a user name and password (RFC 7617). */
export function basic(username: string, password: string): string {
  return `Basic ${encodeBase64(utf8(`${username}:${password}`))}`;
}

function heldToken(response: HttpResponse, body: Uint8Array, now: number): Held {
  let value: unknown;
  try {
    value = JSON.parse(textOf(body) ?? '');
  } catch {
    throw malformed(response, 'is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw malformed(response, 'is not an object');
  const fields = value as Readonly<Record<string, unknown>>;
  const token = fields['token'] ?? fields['access_token'];
  // what goes into a header must not be able to end it
  if (typeof token !== 'string' || !/^[\u0021-\u007e]+$/.test(token))
    throw malformed(response, 'holds no token');
  if (token.length > longestToken) throw malformed(response, 'holds a token that is too long');
  const claimed = typeof fields['expires_in'] === 'number' ? fields['expires_in'] : 0;
  const seconds = Math.min(Math.max(claimed, shortestLifeSeconds), longestLifeSeconds);
  return { token, until: now + seconds * 1000 - marginMs };
}

function malformed(response: HttpResponse, why: string): BullaError {
  return new BullaError('registry.failed', `the token server's answer ${why} (${displayUrl(response.url)})`);
}
