/**
 * An OpenID Connect identity token (a JWT in compact form, RFC 7519): what it says is read here so that a bad one
 * fails before anything is asked of anybody. Its signature is for Fulcio to check, which knows the issuer's keys.
 */
import { bytesEqual, printable, textOf } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { type JsonObject, parseJson } from '../../base/json.ts';
import { limits } from '../../base/limits.ts';
import { listMember, memberOf, neededText, objectOf, textMember } from '../json-members.ts';

/** The audience that Fulcio wants, and cosign's client ID. */
export const sigstoreAudience = 'sigstore';

/** Nothing of it is proved here. `raw` is a secret as long as it is valid. */
export type IdentityToken = {
  readonly raw: string;
  readonly issuer: string;
  readonly subject: string | undefined;
  /** Only where the issuer says that it was verified. */
  readonly email: string | undefined;
  /** What the proof of possession signs: the mail address, else the subject (Fulcio's principal). */
  readonly principal: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
  readonly claims: JsonObject;
};

export type TokenOptions = {
  readonly now: Date;
  /** The token must be for one of them. Default: `sigstore`. */
  readonly audiences?: readonly string[];
  /** Where the token came from, for errors. */
  readonly source: string;
};

/** Clocks differ: a token is taken as valid up to so much before it begins. */
const skewMs = 60_000;

/**
 * Reads a token; blanks around it do not count.
 * @throws BullaError `oidc.token-malformed`, `oidc.token-expired`, `oidc.token-wrong-audience`; no error holds a part of the token
 */
export function parseIdentityToken(text: string, options: TokenOptions): IdentityToken {
  const raw = text.trim();
  const { source, now } = options;
  const fault = (why: string): BullaError => malformed(source, why);
  if (raw.length > limits.identityTokenBytes) throw fault('it is too large');
  const [header, payload, signature, ...more] = raw.split('.');
  if (signature === undefined || more.length > 0) throw fault('three parts between dots are wanted');
  neededText(readPart(header ?? '', 'its header', fault), 'alg', fault);
  const claims = readPart(payload ?? '', 'its claims', fault);
  if (signature === '' || decodePart(signature) === undefined)
    throw fault('its signature is missing or no base64url');
  const issuer = neededText(claims, 'iss', fault);
  const expires = timeOf(claims, 'exp', fault);
  if (expires === undefined) throw fault('exp is missing');
  if (expires <= now.getTime()) throw expired(source, expires);
  const notBefore = timeOf(claims, 'nbf', fault);
  if (notBefore !== undefined && notBefore - skewMs > now.getTime()) throw fault('it is not valid yet');
  checkAudience(audiencesOf(claims, fault), options);
  return { raw, issuer, expires, claims, ...principalOf(claims, fault) };
}

/** @throws BullaError `oidc.token-expired` where a token that was read earlier has expired since */
export function checkNotExpired(token: IdentityToken, now: Date, source: string): void {
  if (token.expires <= now.getTime()) throw expired(source, token.expires);
}

function readPart(part: string, what: string, fault: (why: string) => BullaError): JsonObject {
  const bytes = decodePart(part);
  const text = bytes === undefined ? undefined : textOf(bytes);
  if (text === undefined) throw fault(`${what} is no base64url of text`);
  let value;
  try {
    value = parseJson(text, what);
  } catch {
    // the parser's message could name a part of the token
    throw fault(`${what} is no JSON`);
  }
  return objectOf(value, what, fault);
}

/** base64url without padding (RFC 7515 section 2), in its one spelling. */
function decodePart(part: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) return undefined;
  const bytes = Buffer.from(part, 'base64url');
  return bytesEqual(Buffer.from(bytes.toString('base64url')), Buffer.from(part))
    ? new Uint8Array(bytes)
    : undefined;
}

/** NumericDate (RFC 7519 section 2): seconds, which may have a fraction. */
function timeOf(claims: JsonObject, name: string, fault: (why: string) => BullaError): number | undefined {
  const value = memberOf(claims, name);
  if (value === undefined) return undefined;
  const seconds = value.kind === 'number' ? Number(value.text) : Number.NaN;
  if (!(seconds >= 0 && seconds <= 8.64e12)) throw fault(`${name} is no time`);
  return seconds * 1000;
}

function audiencesOf(claims: JsonObject, fault: (why: string) => BullaError): readonly string[] {
  if (memberOf(claims, 'aud')?.kind !== 'array') return [neededText(claims, 'aud', fault)];
  return listMember(claims, 'aud', fault).map((item) => {
    if (item.kind !== 'string') throw fault('aud holds something that is no text');
    return item.value;
  });
}

function checkAudience(
  found: readonly string[],
  { audiences = [sigstoreAudience], source }: TokenOptions,
): void {
  if (found.some((audience) => audiences.includes(audience))) return;
  const named = found.slice(0, 3).map((each) => `"${printable(each, 80)}"`);
  throw new BullaError(
    'oidc.token-wrong-audience',
    `the identity token from ${source} is for ${named.join(', ') || 'nobody'}, not for ${audiences.map((each) => `"${each}"`).join(' or ')}`,
    { hint: 'ask its issuer for a token with the audience sigstore' },
  );
}

/** As sigstore's clients choose it, which Fulcio's own choice matches. */
function principalOf(
  claims: JsonObject,
  fault: (why: string) => BullaError,
): Pick<IdentityToken, 'subject' | 'email' | 'principal'> {
  const subject = textMember(claims, 'sub', fault);
  const email = textMember(claims, 'email', fault);
  if (email !== undefined) {
    const verified = memberOf(claims, 'email_verified');
    // some issuers write the word instead of the value
    const yes =
      verified?.kind === 'boolean'
        ? verified.value
        : verified?.kind === 'string' && verified.value === 'true';
    if (!yes) throw fault('its issuer has not verified the mail address');
    return { subject, email, principal: email };
  }
  if (subject === undefined) throw fault('it names neither a mail address nor a subject');
  return { subject, email, principal: subject };
}

function malformed(source: string, why: string): BullaError {
  return new BullaError('oidc.token-malformed', `what ${source} gives is no usable identity token: ${why}`);
}

function expired(source: string, at: number): BullaError {
  return new BullaError(
    'oidc.token-expired',
    `the identity token from ${source} expired at ${new Date(at).toISOString()}`,
    { hint: 'identity tokens live some minutes: fetch a new one right before signing' },
  );
}
