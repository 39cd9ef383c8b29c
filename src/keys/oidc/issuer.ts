/** An OpenID issuer: its addresses by discovery (OpenID Connect Discovery 1.0 section 4), and its token endpoint. */
import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { type HttpClient, parseHttpUrl } from '../../io/http.ts';
import type { JsonObject } from '../../base/json.ts';
import { neededText, textMember } from '../json-members.ts';
import { askJson, type JsonAnswer, errorOf, failed, formRequest } from './ask.ts';
import { type IdentityToken, sigstoreAudience } from './identity-token.ts';
import { readToken } from './token-source.ts';

/** Whom a person logs in at, and as which program. */
export type LoginOptions = {
  /** The issuer's URL, exactly as its tokens name it. */
  readonly issuer: string;
  /** Default: `sigstore`. */
  readonly clientId?: string;
  /** A secret of the program's, for issuers that want one. */
  readonly clientSecret?: string;
  readonly http: HttpClient;
  /** Tells the person what to do. */
  readonly note: (line: string) => void;
  /** Default: the clock. */
  readonly now?: () => Date;
};

export type Issuer = {
  /** As its tokens name it. */
  readonly name: string;
  readonly tokenEndpoint: URL;
  readonly authorizationEndpoint?: URL;
  readonly deviceEndpoint?: URL;
};

/** What is asked for: who it is, with the mail address. */
export const scope = 'openid email';

/** @throws BullaError `oidc.failed`, `http.url-refused` */
export async function discoverIssuer({ issuer, http }: LoginOptions): Promise<Issuer> {
  const base = parseHttpUrl(issuer, 'the OpenID issuer');
  const url = new URL(`${base.pathname.replace(/\/+$/, '')}/.well-known/openid-configuration`, base);
  const { status, body } = await askJson(http, 'the OpenID issuer', { url });
  if (status !== 200)
    throw failed(
      `the OpenID issuer ${printable(issuer)} answered ${status} where its configuration should be`,
    );
  const name = neededText(body, 'issuer', failed);
  // the one rule of section 4.3: else a server could speak for another
  if (name.replace(/\/$/, '') !== issuer.replace(/\/$/, '')) {
    throw failed(`the OpenID issuer ${printable(issuer)} calls itself ${printable(name)}`);
  }
  const authorizationEndpoint = endpointOf(body, 'authorization_endpoint', base);
  const deviceEndpoint = endpointOf(body, 'device_authorization_endpoint', base);
  const tokenEndpoint = endpointOf(body, 'token_endpoint', base);
  if (tokenEndpoint === undefined)
    throw failed(`the OpenID issuer ${printable(issuer)} names no token endpoint`);
  return {
    name,
    tokenEndpoint,
    ...(authorizationEndpoint !== undefined && { authorizationEndpoint }),
    ...(deviceEndpoint !== undefined && { deviceEndpoint }),
  };
}

function endpointOf(body: JsonObject, name: string, base: URL): URL | undefined {
  const text = textMember(body, name, failed);
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== base.protocol)) {
    throw failed(
      `the OpenID issuer’s ${name} is no ${base.protocol === 'https:' ? 'https' : 'http or https'} URL`,
    );
  }
  return url;
}

/** A verifier and its challenge (RFC 7636, S256): who has the code cannot use it without the first. */
export type CodeProof = { readonly verifier: string; readonly challenge: string };

export function makeCodeProof(): CodeProof {
  const verifier = randomText();
  return { verifier, challenge: crypto.createHash('sha256').update(verifier).digest('base64url') };
}

/** 256 bits nobody guesses. */
export function randomText(): string {
  return crypto.randomBytes(32).toString('base64url');
}

/** One request to the token endpoint; the caller judges the answer. */
export function askForToken(
  issuer: Issuer,
  fields: Readonly<Record<string, string>>,
  options: LoginOptions,
): Promise<JsonAnswer> {
  const { clientId = sigstoreAudience, clientSecret, http } = options;
  // RFC 6749 section 2.3.1: Basic is what every issuer with secrets must know
  const headers = clientSecret === undefined ? undefined : { authorization: basic(clientId, clientSecret) };
  const named = clientSecret === undefined ? { ...fields, client_id: clientId } : fields;
  return askJson(http, 'the OpenID issuer', formRequest(issuer.tokenEndpoint, named, headers));
}

function basic(user: string, secret: string): string {
  return `Basic ${Buffer.from(`${formEncode(user)}:${formEncode(secret)}`).toString('base64')}`;
}

function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}

/**
 * The identity token of a good answer, for this program and by this issuer.
 * @throws BullaError `oidc.refused`, `oidc.failed`, `oidc.token-*`
 */
export function tokenOf(
  answer: JsonAnswer,
  issuer: Issuer,
  { clientId = sigstoreAudience, now }: LoginOptions,
): IdentityToken {
  if (answer.status !== 200) throw refused(errorOf(answer).said);
  const text = neededText(answer.body, 'id_token', () => failed('the OpenID issuer sent no identity token'));
  const audiences = [clientId, sigstoreAudience];
  const token = readToken(text, 'the OpenID issuer', { audiences, ...(now !== undefined && { now }) });
  if (token.issuer !== issuer.name) throw failed('the OpenID issuer sent a token of another issuer');
  return token;
}

export function refused(said: string): BullaError {
  return new BullaError('oidc.refused', `the OpenID issuer gives no identity token: ${said}`, {
    hint: 'nothing was signed; check --oidc-client-id and log in again',
  });
}
