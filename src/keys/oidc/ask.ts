/** Requests to an OpenID issuer: small JSON answers, bounded; nothing secret in an error. */
import { printable, textOf } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { type JsonObject, parseJson } from '../../base/json.ts';
import { limits } from '../../base/limits.ts';
import { displayUrl, type HttpClient, type HttpRequest } from '../../io/http.ts';
import { objectOf, textMember } from '../json-members.ts';

export type JsonAnswer = { readonly status: number; readonly body: JsonObject };

/** An issuer answers at once; who logs in does so elsewhere. */
const deadlineMs = 30_000;

/**
 * Asks for JSON; redirects are answers like any other.
 * @param who for errors, e.g. `the OpenID issuer`
 * @throws BullaError `oidc.failed` (unreachable, or what it answers is no JSON object), `io.offline`
 */
export async function askJson(
  http: HttpClient,
  who: string,
  request: Omit<HttpRequest, 'maxBytes'>,
): Promise<JsonAnswer> {
  const where = `${who} at ${displayUrl(request.url)}`;
  try {
    const response = await http.request({ deadlineMs, maxBytes: limits.identityAnswerBytes, ...request });
    const { status } = response;
    const bytes = await response.bytes();
    return { status, body: parseBody(bytes, `${where} answered ${status} and`) };
  } catch (error) {
    if (!isBullaError(error) || !error.code.startsWith('http.')) throw error;
    throw failed(`no answer from ${where}: ${error.message}`, error);
  }
}

/** POST of a form (RFC 6749 appendix B). */
export function formRequest(
  url: URL,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Omit<HttpRequest, 'maxBytes'> {
  return {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json', ...headers },
    body: new Uint8Array(Buffer.from(new URLSearchParams(fields).toString())),
  };
}

/** The error of an answer (RFC 6749 section 5.2): its code, and words made printable. */
export function errorOf({ status, body }: JsonAnswer): { readonly code: string; readonly said: string } {
  const code = textMember(body, 'error', failed) ?? '';
  const description =
    textMember(body, 'error_description', failed) ?? textMember(body, 'message', failed) ?? '';
  return {
    code,
    said: [`status ${status}`, printable(code, 60), printable(description)].filter(Boolean).join(', '),
  };
}

export function failed(message: string, cause?: unknown, hint?: string): BullaError {
  return new BullaError('oidc.failed', message, {
    ...(cause !== undefined && { cause }),
    hint: hint ?? 'nothing was signed; is it the issuer that you meant?',
  });
}

function parseBody(bytes: Uint8Array, where: string): JsonObject {
  const text = textOf(bytes);
  if (text === undefined) throw failed(`${where} sent no text`);
  try {
    return objectOf(parseJson(text, 'the answer'), 'the answer', failed);
  } catch {
    // the parser's words could name a part of a token
    throw failed(`${where} sent no usable JSON object`);
  }
}
