/**
 * An OpenID issuer with logins: discovery, keys, authorization code with PKCE, device grant, and a token service as
 * GitHub's jobs have it. It checks what a real issuer checks. A Fulcio of openSigstack() trusts it as it stands.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Claims = Readonly<Record<string, unknown>>;

export type OidcIssuerOptions = {
  /** Who logs in. Default: `dev@sigstack.test`. */
  readonly email?: string;
  /** Put over the claims of each token. */
  readonly claims?: Claims;
  /** A secret that the token endpoint wants (HTTP Basic). */
  readonly clientSecret?: string;
  /** What the person does at the login. Default: agrees. */
  readonly person?: 'agrees' | 'refuses';
  /** What the device endpoint answers to each question before the token, by the error's code. */
  readonly device?: readonly string[];
  readonly interval?: number;
  readonly expiresIn?: number;
  /** Put over the discovery document. */
  readonly discovery?: Claims;
  /** Handles a request in place of the issuer where it gives true. */
  readonly instead?: (request: IncomingMessage, response: ServerResponse) => boolean;
};

export type OidcIssuer = AsyncDisposable & {
  readonly url: string;
  /** The variables of a GitHub job that this issuer serves. */
  readonly githubVariables: Readonly<Record<string, string>>;
  /** Path with query, of each request in order. */
  readonly requests: readonly string[];
  /** The forms that the token endpoint got. */
  readonly forms: readonly URLSearchParams[];
  /** A signed token. */
  token(claims?: Claims): string;
  /** What a browser does with the address that it is given: goes there and follows where it is sent. */
  browse(url: string): Promise<void>;
};

/** Default claims of a person's token. */
function personClaims(issuer: string, email: string): Claims {
  const now = Math.floor(Date.now() / 1000);
  return { iss: issuer, aud: 'sigstore', sub: email, email, email_verified: true, iat: now, exp: now + 600 };
}

type Keys = { readonly key: KeyObject; readonly jwk: object; readonly id: string };

function newKeys(): Keys {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const id = randomUUID();
  const jwk = { ...pair.publicKey.export({ format: 'jwk' }), kid: id, alg: 'ES256', use: 'sig' };
  return { key: pair.privateKey, jwk, id };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function signToken({ key, id }: Keys, claims: Claims): string {
  const head = `${encode({ alg: 'ES256', kid: id, typ: 'JWT' })}.${encode(claims)}`;
  return `${head}.${sign('sha256', Buffer.from(head), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** A login that waits for its code to be used. */
type Login = { readonly redirect: string; readonly challenge: string; readonly nonce: string | null };

type State = {
  readonly options: OidcIssuerOptions;
  readonly logins: Map<string, Login>;
  /** Challenges of device grants by their code. */
  readonly devices: Map<string, string>;
  readonly forms: URLSearchParams[];
  readonly bearer: string;
  polls: number;
  url: string;
  readonly token: (claims?: Claims) => string;
};

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function authorize(state: State, url: URL, response: ServerResponse): void {
  const asked = (name: string): string => url.searchParams.get(name) ?? '';
  const isGood =
    asked('response_type') === 'code' &&
    asked('client_id') === 'sigstore' &&
    asked('code_challenge_method') === 'S256' &&
    asked('scope') === 'openid email' &&
    /^http:\/\/localhost:\d+\/auth\/callback$/.test(asked('redirect_uri'));
  if (!isGood) return send(response, 400, { error: 'invalid_request' });
  const back = new URL(asked('redirect_uri'));
  back.searchParams.set('state', asked('state'));
  if (state.options.person === 'refuses') {
    back.searchParams.set('error', 'access_denied');
    back.searchParams.set('error_description', 'the person said no');
  } else {
    const code = randomUUID();
    const login = {
      redirect: asked('redirect_uri'),
      challenge: asked('code_challenge'),
      nonce: asked('nonce'),
    };
    state.logins.set(code, login);
    back.searchParams.set('code', code);
  }
  response.writeHead(302, { location: back.href }).end();
}

function fits(challenge: string | undefined, verifier: string | null): boolean {
  return (
    challenge !== undefined &&
    createHash('sha256')
      .update(verifier ?? '')
      .digest('base64url') === challenge
  );
}

function answerToken(
  state: State,
  form: URLSearchParams,
  authorization: string | undefined,
  to: ServerResponse,
): void {
  state.forms.push(form);
  const { clientSecret, device = [] } = state.options;
  const basic = `Basic ${Buffer.from(`sigstore:${clientSecret}`).toString('base64')}`;
  const known = clientSecret === undefined ? form.get('client_id') === 'sigstore' : authorization === basic;
  if (!known) return send(to, 401, { error: 'invalid_client' });
  const give = (claims: Claims): void =>
    send(to, 200, { access_token: 'x', token_type: 'Bearer', id_token: state.token(claims) });
  if (form.get('grant_type') === 'authorization_code') {
    const login = state.logins.get(form.get('code') ?? '');
    state.logins.delete(form.get('code') ?? '');
    const isGood =
      fits(login?.challenge, form.get('code_verifier')) && login?.redirect === form.get('redirect_uri');
    return isGood ? give({ nonce: login.nonce }) : send(to, 400, { error: 'invalid_grant' });
  }
  const challenge = state.devices.get(form.get('device_code') ?? '');
  if (!fits(challenge, form.get('code_verifier'))) return send(to, 400, { error: 'invalid_grant' });
  const error = device[state.polls];
  state.polls += 1;
  return error === undefined ? give({}) : send(to, 400, { error });
}

function answerDevice(state: State, form: URLSearchParams, response: ServerResponse): void {
  const code = randomUUID();
  state.devices.set(code, form.get('code_challenge') ?? '');
  const { interval, expiresIn = 300 } = state.options;
  send(response, 200, {
    device_code: code,
    user_code: 'BDWP-HQPK',
    verification_uri: `${state.url}/device`,
    verification_uri_complete: `${state.url}/device?user_code=BDWP-HQPK`,
    expires_in: expiresIn,
    ...(interval !== undefined && { interval }),
  });
}

function answerGithub(state: State, request: IncomingMessage, url: URL, response: ServerResponse): void {
  if (request.headers.authorization !== `Bearer ${state.bearer}`)
    return send(response, 401, { message: 'no' });
  const sub = 'repo:acme/app:ref:refs/heads/main';
  send(response, 200, {
    count: 1,
    value: state.token({
      aud: url.searchParams.get('audience'),
      sub,
      email: undefined,
      email_verified: undefined,
    }),
  });
}

function discoveryOf({ url, options }: State): object {
  return {
    issuer: url,
    jwks_uri: `${url}/keys`,
    authorization_endpoint: `${url}/auth`,
    token_endpoint: `${url}/token`,
    device_authorization_endpoint: `${url}/device/code`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    code_challenge_methods_supported: ['S256'],
    ...options.discovery,
  };
}

async function bodyOf(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

async function answer(
  state: State,
  keys: Keys,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (state.options.instead?.(request, response) === true) return;
  const url = new URL(request.url ?? '/', state.url);
  const form = await bodyOf(request);
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /.well-known/openid-configuration':
      return send(response, 200, discoveryOf(state));
    case 'GET /keys':
      return send(response, 200, { keys: [keys.jwk] });
    case 'GET /auth':
      return authorize(state, url, response);
    case 'POST /token':
      return answerToken(state, form, request.headers.authorization, response);
    case 'POST /device/code':
      return answerDevice(state, form, response);
    case 'GET /github/token':
      return answerGithub(state, request, url, response);
    default:
      return send(response, 404, { error: 'not_found' });
  }
}

/** Starts an issuer on a free port of this machine. */
export async function openOidcIssuer(options: OidcIssuerOptions = {}): Promise<OidcIssuer> {
  const keys = newKeys();
  const requests: string[] = [];
  const state: State = {
    options,
    logins: new Map(),
    devices: new Map(),
    forms: [],
    bearer: randomUUID(),
    polls: 0,
    url: '',
    token: (claims = {}) => {
      const whole = {
        ...personClaims(state.url, options.email ?? 'dev@sigstack.test'),
        ...claims,
        ...options.claims,
      };
      return signToken(keys, whole);
    },
  };
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    void answer(state, keys, request, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: state.url,
    githubVariables: {
      ACTIONS_ID_TOKEN_REQUEST_URL: `${state.url}/github/token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: state.bearer,
    },
    requests,
    forms: state.forms,
    token: state.token,
    browse: async (url) => {
      await (await fetch(url)).arrayBuffer();
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
