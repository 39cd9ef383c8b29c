/** A small OIDC issuer: discovery, keys, and tokens for whoever asks. Loopback only. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type TokenOptions = {
  /** Default: `dev@sigstack.test`; undefined with `subject`: a token without e-mail. */
  readonly email?: string;
  readonly subject?: string;
  /** Default: `sigstore`. */
  readonly audience?: string;
  /** Seconds from now; may be negative. Default: 600. */
  readonly expiresIn?: number;
  /** Default: RS256. */
  readonly algorithm?: 'RS256' | 'ES256';
  /** Added to the claims, or replacing them. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** By the issuer of CI-shaped identities instead (its claims: `ciClaims`). */
  readonly ci?: boolean;
};

/** What Fulcio wants of a GitHub workflow's token. */
export const ciClaims: Readonly<Record<string, string>> = {
  sha: '0123456789abcdef0123456789abcdef01234567',
  event_name: 'push',
  repository: 'acme/app',
  workflow: 'build',
  ref: 'refs/heads/main',
  job_workflow_ref: 'acme/app/.github/workflows/build.yml@refs/heads/main',
  job_workflow_sha: '0123456789abcdef0123456789abcdef01234567',
  runner_environment: 'self-hosted',
  repository_id: '1',
  repository_owner: 'acme',
  repository_owner_id: '2',
  repository_visibility: 'private',
  workflow_ref: 'acme/app/.github/workflows/build.yml@refs/heads/main',
  workflow_sha: '0123456789abcdef0123456789abcdef01234567',
  run_id: '7',
  run_attempt: '1',
};

export type Issuer = AsyncDisposable & {
  readonly url: string;
  /** The second issuer, for CI-shaped identities. */
  readonly ciUrl: string;
  /** An ID token (JWT). */
  token(options?: TokenOptions): string;
};

type SigningKey = { readonly key: KeyObject; readonly id: string; readonly jwk: object };

function newSigningKey(algorithm: 'RS256' | 'ES256'): SigningKey {
  const pair =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = pair.publicKey.export({ format: 'jwk' });
  const id = createHash('sha256').update(JSON.stringify(jwk)).digest('hex').slice(0, 16);
  return { key: pair.privateKey, id, jwk: { ...jwk, kid: id, alg: algorithm, use: 'sig' } };
}

function claimsOf(options: TokenOptions, iss: string): object {
  const now = Math.floor(Date.now() / 1000);
  const { subject, audience = 'sigstore', expiresIn = 600 } = options;
  const workflow = options.ci === true ? ciClaims : {};
  const email =
    options.email ?? (subject === undefined && options.ci !== true ? 'dev@sigstack.test' : undefined);
  const sub = subject ?? email ?? 'repo:acme/app:ref:refs/heads/main';
  const mail = email === undefined ? {} : { email, email_verified: true };
  const times = { iat: now, nbf: now, exp: now + expiresIn };
  return { iss, aud: audience, sub, ...times, ...mail, ...workflow, ...options.claims };
}

function discovery(url: string): object {
  return {
    issuer: url,
    jwks_uri: `${url}/keys`,
    authorization_endpoint: `${url}/auth`,
    token_endpoint: `${url}/token`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256', 'ES256'],
  };
}

/**
 * Starts the issuer; port 0: any port.
 * @throws where the port is taken
 */
export async function startIssuer(port: number): Promise<Issuer> {
  const keys = { RS256: newSigningKey('RS256'), ES256: newSigningKey('ES256') };
  let url = '';
  const server = createServer((request, response) => {
    const ci = request.url?.startsWith('/ci/') === true;
    const path = ci ? request.url?.slice(3) : request.url;
    const answers: Readonly<Record<string, object>> = {
      '/.well-known/openid-configuration': discovery(ci ? `${url}/ci` : url),
      '/keys': { keys: Object.values(keys).map(({ jwk }) => jwk) },
    };
    const answer = answers[path ?? ''];
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (options: TokenOptions = {}): string => {
    const algorithm = options.algorithm ?? 'RS256';
    const { key, id } = keys[algorithm];
    const claims = claimsOf(options, options.ci === true ? `${url}/ci` : url);
    const head = `${encode({ alg: algorithm, kid: id, typ: 'JWT' })}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(head), { key, dsaEncoding: 'ieee-p1363' });
    return `${head}.${signature.toString('base64url')}`;
  };
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url, ciUrl: `${url}/ci`, token, [Symbol.asyncDispose]: close };
}
