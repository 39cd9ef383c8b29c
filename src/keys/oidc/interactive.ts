/**
 * A person logs in with a browser: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636), the answer
 * coming to a listener on this machine (RFC 8252 section 7.3).
 */
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { crypto, http as nodeHttp } from '../../base/node.ts';
import { textMember } from '../json-members.ts';
import { failed } from './ask.ts';
import type { IdentityToken } from './identity-token.ts';
import {
  askForToken,
  discoverIssuer,
  type Issuer,
  type LoginOptions,
  makeCodeProof,
  randomText,
  refused,
  scope,
  tokenOf,
} from './issuer.ts';
import { sigstoreAudience } from './identity-token.ts';
import type { TokenSource } from './token-source.ts';

export type InteractiveOptions = LoginOptions & {
  /** Shows a URL to the person; the URL is noted in any case. Default: nobody does. */
  readonly openBrowser?: (url: string) => Promise<void>;
  /** How long a login may take. Default: 180,000. */
  readonly timeoutMs?: number;
};

const defaultTimeoutMs = 180_000;
/** The path that sigstore's issuers have on their list. */
const callbackPath = '/auth/callback';

/** A source whose token is got by a login at the issuer, each time it is asked. */
export function interactiveToken(options: InteractiveOptions): TokenSource {
  return { description: `the login at ${options.issuer}`, token: () => logIn(options) };
}

async function logIn(options: InteractiveOptions): Promise<IdentityToken> {
  const issuer = await discoverIssuer(options);
  const { authorizationEndpoint } = issuer;
  if (authorizationEndpoint === undefined)
    throw failed(`the OpenID issuer ${options.issuer} lets nobody log in with a browser`);
  const state = randomText();
  await using listener = await listen(state);
  const nonce = randomText();
  const proof = makeCodeProof();
  const parameters = {
    response_type: 'code',
    client_id: options.clientId ?? sigstoreAudience,
    redirect_uri: listener.redirect,
    scope,
    state,
    nonce,
    code_challenge: proof.challenge,
    code_challenge_method: 'S256',
  };
  const url = withParameters(authorizationEndpoint, parameters);
  options.note(`Log in with a browser at:\n${url.href}`);
  // a browser that does not open leaves the URL to the person
  await options.openBrowser?.(url.href).catch(() => undefined);
  const code = await listener.code(options.timeoutMs ?? defaultTimeoutMs);
  return exchange(issuer, { code, redirect: listener.redirect, verifier: proof.verifier, nonce }, options);
}

function withParameters(endpoint: URL, parameters: Readonly<Record<string, string>>): URL {
  const url = new URL(endpoint);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

async function exchange(
  issuer: Issuer,
  { code, redirect, verifier, nonce }: { code: string; redirect: string; verifier: string; nonce: string },
  options: InteractiveOptions,
): Promise<IdentityToken> {
  const fields = { grant_type: 'authorization_code', code, redirect_uri: redirect, code_verifier: verifier };
  const token = tokenOf(await askForToken(issuer, fields, options), issuer, options);
  // OpenID Connect Core section 3.1.2.1: the token is of this login, not of another
  if (textMember(token.claims, 'nonce', failed) !== nonce)
    throw failed('the OpenID issuer sent a token of another login');
  return token;
}

interface Listener extends AsyncDisposable {
  readonly redirect: string;
  /** @throws BullaError `oidc.timeout`, `oidc.refused` */
  code(timeoutMs: number): Promise<string>;
}

/** On this machine alone, a free port, until the answer with the right state is there. */
async function listen(state: string): Promise<Listener> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  promise.catch(() => undefined);
  let strange = 0;
  const server = nodeHttp().createServer(
    { maxHeaderSize: 16_384, requestTimeout: 10_000 },
    (request, response) => {
      const answer = readCallback(request, state);
      const { status, text } = pages[answer.kind];
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
      response.end(`${text}\n`);
      if (answer.kind === 'code') resolve(answer.code);
      else if (answer.kind === 'refused') reject(refused(answer.said));
      else if (answer.kind === 'strange') strange += 1;
    },
  );
  const port = await start(server);
  return {
    redirect: `http://localhost:${port}${callbackPath}`,
    code: (timeoutMs) => withTimeout(promise, timeoutMs, () => nobodyCame(timeoutMs, strange)),
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeIdleConnections();
      server.unref();
    },
  };
}

type Callback =
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'refused'; readonly said: string }
  /** An answer to another login: not ours, so it changes nothing. */
  | { readonly kind: 'strange' }
  | { readonly kind: 'elsewhere' };

const pages: Readonly<Record<Callback['kind'], { readonly status: number; readonly text: string }>> = {
  code: { status: 200, text: 'Logged in. You may close this page and go back to the terminal.' },
  refused: { status: 200, text: 'The login was refused. Go back to the terminal.' },
  strange: { status: 400, text: 'This is the answer to another login.' },
  elsewhere: { status: 404, text: 'There is nothing here.' },
};

function readCallback(request: IncomingMessage, state: string): Callback {
  const url = URL.parse(request.url ?? '', 'http://localhost');
  if (request.method !== 'GET' || url?.pathname !== callbackPath || !isOurHost(request))
    return { kind: 'elsewhere' };
  const { searchParams: parameters } = url;
  if (!sameText(parameters.get('state') ?? '', state)) return { kind: 'strange' };
  const error = parameters.get('error');
  if (error !== null) {
    const said = [error, parameters.get('error_description') ?? ''].filter(Boolean).join(', ');
    return { kind: 'refused', said: printable(said) };
  }
  const code = parameters.get('code') ?? '';
  return code === '' ? { kind: 'strange' } : { kind: 'code', code };
}

/** A page elsewhere whose name leads to this machine is not the issuer's redirect. */
function isOurHost({ headers: { host } }: IncomingMessage): boolean {
  return /^(?:localhost|127\.0\.0\.1)(?::\d+)?$/.test(host ?? '');
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && crypto.timingSafeEqual(left, right);
}

async function start(server: Server): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', resolve);
  try {
    await promise;
  } catch (cause) {
    throw failed('no port on this machine to get the login’s answer on', cause);
  }
  return (server.address() as AddressInfo).port;
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number, late: () => BullaError): Promise<T> {
  const { promise: end, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(late()), timeoutMs);
  try {
    return await Promise.race([promise, end]);
  } finally {
    clearTimeout(timer);
  }
}

function nobodyCame(timeoutMs: number, strange: number): BullaError {
  const others = strange === 0 ? '' : '; answers to another login came and were not taken';
  return new BullaError(
    'oidc.timeout',
    `nobody logged in within ${Math.round(timeoutMs / 1000)} seconds${others}`,
    {
      hint: 'without a browser on this machine: --fulcio-auth-flow device',
    },
  );
}
