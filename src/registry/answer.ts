/** What a registry's unwanted answers mean (distribution specification, error codes). */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError, type ErrorCode } from '../base/errors.ts';
import { displayUrl, type HttpResponse } from '../io/http.ts';

/**
 * Turns an answer into an error that says what was wanted; reads its body, bounded.
 * @param what what was asked for, as in `cannot read <what>`
 */
export async function answerError(response: HttpResponse, what: string): Promise<BullaError> {
  return (await readRefusal(response, what)).error;
}

/** As answerError, with the codes of the answer, in capitals: some say more than the error's own. */
export async function readRefusal(
  response: HttpResponse,
  what: string,
): Promise<{ readonly error: BullaError; readonly codes: readonly string[] }> {
  const body = await response.bytes().catch(() => new Uint8Array());
  const reasons = errorsOf(textOf(body) ?? '');
  const said = reasons.map((each) => each.message).join('; ');
  const where = displayUrl(response.url);
  const { status } = response;
  const code = codeFor(status, reasons, isHtml(response, body));
  const codes = reasons.map((each) => each.code.toUpperCase());
  if (code === 'registry.not-a-registry') return { error: notARegistry(response), codes };
  const detail = said === '' ? '' : `: ${printable(said)}`;
  const message = `cannot ${what}: ${where} answered ${status}${detail}`;
  return { error: new BullaError(code, message, hintFor(code)), codes };
}

/** The error for an answer that is a web page where a registry was expected. */
export function notARegistry(response: HttpResponse): BullaError {
  return new BullaError(
    'registry.not-a-registry',
    `${displayUrl(response.url)} does not answer like a registry (status ${response.status})`,
    { hint: 'check the host and port; a web page or proxy may be there instead of the registry' },
  );
}

/** True for a web page: a login portal or a proxy's error page. */
export function isHtml(response: HttpResponse, body: Uint8Array): boolean {
  if (/^\s*(?:text\/html|application\/xhtml)/i.test(response.headers['content-type'] ?? '')) return true;
  return /^\s*</.test(
    Buffer.from(body.buffer, body.byteOffset, Math.min(body.length, 64)).toString('latin1'),
  );
}

type Reason = { readonly code: string; readonly message: string };

/** The `errors` of an OCI error body; none where it is something else. */
function errorsOf(text: string): readonly Reason[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  const errors: unknown = isRecord(value) ? value['errors'] : undefined;
  if (!Array.isArray(errors)) return [];
  return errors.slice(0, 5).flatMap((each: unknown): Reason[] => {
    if (!isRecord(each)) return [];
    const code = typeof each['code'] === 'string' ? each['code'] : '';
    const message = typeof each['message'] === 'string' && each['message'] !== '' ? each['message'] : code;
    return [{ code, message }];
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

const missing = new Set(['MANIFEST_UNKNOWN', 'NAME_UNKNOWN', 'NOT_FOUND', 'BLOB_UNKNOWN', 'NAME_INVALID']);

/** registry.redhat.io and Harbor say `UNKNOWN`, and only in words that it is not there (containers/image). */
function isMissing({ code, message }: Reason): boolean {
  return missing.has(code.toUpperCase()) || (/^unknown$/i.test(code) && /not found/i.test(message));
}

function codeFor(status: number, reasons: readonly Reason[], html: boolean): ErrorCode {
  if (status === 401) return 'registry.unauthorized';
  if (status === 403) return 'registry.denied';
  if (status === 429) return 'registry.rate-limited';
  if (html) return 'registry.not-a-registry';
  if (status === 404 || (status < 500 && reasons.some(isMissing))) return 'image.not-found';
  return 'registry.failed';
}

const hints: Partial<Readonly<Record<ErrorCode, string>>> = {
  'registry.unauthorized': 'log in with bulla login, or give --creds',
  'registry.denied': 'these credentials may not do this; log in as somebody who may',
  'registry.rate-limited': 'wait, or log in: many registries allow more to those who do',
};

function hintFor(code: ErrorCode): { hint?: string } {
  const hint = hints[code];
  return hint === undefined ? {} : { hint };
}
