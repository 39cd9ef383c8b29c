/** Asking Fulcio for a certificate: API v2 (/api/v2/signingCert, JSON) and v1 (/api/v1/signingCert, PEM). */
import { encodeBase64, printable, textOf, utf8 } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { limits } from '../../base/limits.ts';
import { displayUrl, type HttpClient, type HttpResponse } from '../../io/http.ts';
import { textMember, objectOf } from '../json-members.ts';
import type { IdentityToken } from '../oidc/identity-token.ts';
import { encodePem } from '../sigstore/pem.ts';

export type FulcioApi = 1 | 2;

export type CertificateRequest = {
  /** Fulcio's address without the API's path; path parts before it are kept. */
  readonly url: URL;
  readonly api: FulcioApi;
  readonly token: IdentityToken;
  /** SubjectPublicKeyInfo, DER, of an ECDSA key. */
  readonly spki: Uint8Array;
  /** The key's signature of `token.principal`. */
  readonly proof: Uint8Array;
};

export type FulcioClient = {
  readonly http: HttpClient;
  /** Waits between tries. Default: a timer. */
  readonly sleep?: (milliseconds: number) => Promise<void>;
  readonly signal?: AbortSignal;
};

/** The certificate is asked for again only where Fulcio says that it did nothing. */
const mostTries = 4;
const firstWaitMs = 1000;
/** Who asks for a longer wait than that is not waited for. */
const longestWaitMs = 30_000;
const deadlineMs = 60_000;

/**
 * One certificate chain as Fulcio answers it, unchecked: the bytes of JSON (v2) or of PEM (v1). The token goes where
 * cosign puts it, the Authorization header, and to no other address: a redirect is an error.
 * @throws BullaError `fulcio.refused`, `fulcio.rate-limited`, `fulcio.failed`, `io.offline`; no error holds the token
 */
export async function askFulcio(request: CertificateRequest, client: FulcioClient): Promise<Uint8Array> {
  const sleep = client.sleep ?? wait;
  for (let tried = 1; ; tried += 1) {
    const response = await send(request, client);
    if (response.status === 200 || response.status === 201) return readAnswer(request.url, response);
    const busy = response.status === 429 || response.status === 503;
    const pause = busy ? pauseOf(response, tried) : undefined;
    if (pause === undefined || pause > longestWaitMs || tried === mostTries)
      throw await answerError(request, response, pause);
    response.discard();
    await sleep(pause);
  }
}

async function send(
  { url, api, token, spki, proof }: CertificateRequest,
  client: FulcioClient,
): Promise<HttpResponse> {
  const body = api === 2 ? bodyOfV2(spki, proof) : bodyOfV1(spki, proof);
  try {
    return await client.http.request({
      method: 'POST',
      url: new URL(`${url.pathname.replace(/\/+$/, '')}/api/v${api}/signingCert`, url),
      headers: { authorization: `Bearer ${token.raw}`, 'content-type': 'application/json' },
      body: utf8(JSON.stringify(body)),
      maxBytes: limits.identityAnswerBytes,
      deadlineMs,
      ...(client.signal !== undefined && { signal: client.signal }),
    });
  } catch (error) {
    throw unreachable(url, error);
  }
}

/** SigningCertificate requests of fulcio.proto, with a signature as the proof of possession. */
function bodyOfV2(spki: Uint8Array, proof: Uint8Array): unknown {
  const content = Buffer.from(encodePem('PUBLIC KEY', spki)).toString('latin1');
  return {
    publicKeyRequest: { publicKey: { algorithm: 'ECDSA', content }, proofOfPossession: encodeBase64(proof) },
  };
}

/** `signedEmailAddress` is the proof for subjects of every kind (fulcio_legacy.proto). */
function bodyOfV1(spki: Uint8Array, proof: Uint8Array): unknown {
  return {
    publicKey: { content: encodeBase64(spki), algorithm: 'ecdsa' },
    signedEmailAddress: encodeBase64(proof),
  };
}

async function readAnswer(url: URL, response: HttpResponse): Promise<Uint8Array> {
  try {
    return await response.bytes();
  } catch (error) {
    throw unreachable(url, error);
  }
}

/** What `http.*` says, as Fulcio's failure; what forbids the connection (--offline) stays itself. */
function unreachable(url: URL, error: unknown): unknown {
  if (!isBullaError(error) || !error.code.startsWith('http.')) return error;
  return new BullaError(
    'fulcio.failed',
    `no certificate from Fulcio at ${displayUrl(url)}: ${error.message}`,
    {
      hint:
        error.hint ??
        'check --fulcio-url (or the signing configuration) and that the server is up; nothing was signed',
      cause: error,
    },
  );
}

/** Milliseconds to wait: what Retry-After says in seconds or as a date, else growing. */
function pauseOf(response: HttpResponse, tried: number): number {
  const header = response.headers['retry-after'];
  if (header !== undefined && /^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const date = header === undefined ? Number.NaN : Date.parse(header);
  if (!Number.isNaN(date)) return Math.max(0, date - Date.now());
  return firstWaitMs * 2 ** (tried - 1);
}

async function answerError(
  { url, token, api }: CertificateRequest,
  response: HttpResponse,
  pause: number | undefined,
): Promise<BullaError> {
  const { status } = response;
  const body = await response.bytes().catch(() => new Uint8Array());
  const said = messageOf(body, token);
  const what = `Fulcio at ${displayUrl(url)} answered ${status}${said === undefined ? '' : `: ${said}`}`;
  if (status === 429) {
    const seconds = Math.ceil((pause ?? 0) / 1000);
    return new BullaError('fulcio.rate-limited', what, {
      hint: `it limits how often certificates are made${seconds > 0 ? `; it asks to wait ${seconds} seconds` : ''}`,
    });
  }
  if (status === 400 || status === 401 || status === 403) {
    return new BullaError('fulcio.refused', what, {
      hint: 'the token is not accepted: is its issuer one that this Fulcio trusts, its audience "sigstore", and the token fresh?',
    });
  }
  if (status >= 300 && status < 400) {
    return new BullaError('fulcio.failed', `${what}, a redirect; an identity token is sent nowhere else`, {
      hint: 'give the address it leads to as --fulcio-url, if you trust it',
    });
  }
  return new BullaError('fulcio.failed', what, {
    hint:
      status < 500
        ? `there is no API v${api} at this address; is it a Fulcio?`
        : 'try again later; nothing was signed',
  });
}

/** The message of a gRPC gateway's error. Whatever could repeat the token is left out. */
function messageOf(body: Uint8Array, token: IdentityToken): string | undefined {
  try {
    const message = textMember(
      objectOf(parseJson(textOf(body) ?? '', 'the answer'), 'it', asError),
      'message',
      asError,
    );
    const secret = token.raw.split('.').some((part) => message?.includes(part.slice(0, 16)));
    return message === undefined || secret ? undefined : printable(message);
  } catch {
    return undefined;
  }
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

function asError(why: string): Error {
  return new Error(why);
}
