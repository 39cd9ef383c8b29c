/** One request and its answer on one connection, under a deadline and an idle limit. */
import type { ClientRequest, IncomingMessage } from 'node:http';

import { BullaError, type ErrorCode } from '../base/errors.ts';
import { http, https } from '../base/node.ts';
import type { Agents } from './http-agents.ts';
import { openBody } from './http-body.ts';
import type { BodyWriter, HttpBody, HttpResponse } from './http.ts';
import { displayUrl } from './http-url.ts';
import { Watch } from './http-watch.ts';

export type Exchange = {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: HttpBody;
  /** On monotonicMs()'s clock. */
  readonly endsAt: number;
  readonly idleMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
  readonly withCertificate: boolean;
  /** A socket of its own is worth it. */
  readonly direct: boolean;
};

/** All of a response's header lines together. */
const headerBytes = 65_536;

export async function exchange(agents: Agents, call: Exchange): Promise<HttpResponse> {
  try {
    return await send(agents, call);
  } catch (error) {
    // A kept-alive connection that the server was just closing never carried the request: a fresh
    // connection is no retry in the sense of the protocol (RFC 9110 section 9.2.2; Go does the same).
    if (error instanceof StaleConnection && (call.method === 'GET' || call.method === 'HEAD')) {
      return await send(agents, call).catch(asReported);
    }
    return asReported(error);
  }
}

function asReported(error: unknown): never {
  throw error instanceof StaleConnection ? error.reported : error;
}

/** Only inside this file: tells a reused connection that broke before any answer from other failures. */
class StaleConnection extends Error {
  readonly reported: BullaError;

  constructor(reported: BullaError) {
    super(reported.message);
    this.reported = reported;
  }
}

function send(agents: Agents, call: Exchange): Promise<HttpResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
  const outgoing = startRequest(agents, call);
  const watch = new Watch(call, agents.underWay, (error) => outgoing.destroy(error));
  // a request may wait for its turn among the sockets: silence counts from when it has one
  outgoing.on('socket', () => watch.touch());
  let answered = false;
  outgoing.on('response', (incoming: IncomingMessage) => {
    answered = true;
    resolve(openBody(incoming, outgoing, watch, call));
  });
  // the listener stays: an error after the answer reaches the reader of the body instead
  outgoing.on('error', (cause) => {
    if (answered) return;
    watch.end();
    const error = watch.failure ?? failureOf(cause, call.url);
    const stale = outgoing.reusedSocket && 'code' in cause && cause.code === 'ECONNRESET';
    reject(stale && watch.failure === undefined ? new StaleConnection(error) : error);
  });
  sendBody(outgoing, call, watch).catch((error: unknown) => {
    outgoing.destroy(error instanceof Error ? error : new Error('the body could not be read'));
  });
  return promise;
}

function startRequest(agents: Agents, call: Exchange): ClientRequest {
  const { url } = call;
  // never from the URL as a whole: Node would turn a user name in it into an Authorization header
  return (url.protocol === 'https:' ? https() : http()).request({
    protocol: url.protocol,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.port !== '' && { port: url.port }),
    path: `${url.pathname}${url.search}`,
    method: call.method,
    headers: call.headers,
    agent: agents.agentFor(url, call.withCertificate),
    maxHeaderSize: headerBytes,
  });
}

async function sendBody(outgoing: ClientRequest, call: Exchange, watch: Watch): Promise<void> {
  const { body } = call;
  if (body === undefined || body instanceof Uint8Array) {
    outgoing.end(body);
    return;
  }
  if (typeof body === 'function') {
    await writeBody(outgoing, body, watch);
    return;
  }
  const reader = body.getReader();
  try {
    for (;;) {
      watch.pause();
      const { done, value } = await reader.read();
      watch.touch();
      if (done) break;
      if (outgoing.destroyed || outgoing.writableFinished) return;
      if (!outgoing.write(value)) await drained(outgoing);
    }
    outgoing.end();
  } finally {
    // whoever feeds the stream learns that nobody reads on
    await reader.cancel().catch(() => undefined);
  }
}

/** Silence counts while the server takes its time, not while the writer does. */
async function writeBody(outgoing: ClientRequest, body: BodyWriter, watch: Watch): Promise<void> {
  // of those under way; a request that never got a connection calls none of them back
  const unsent = new Set<(why: GoneRequest) => void>();
  outgoing.on('close', () => {
    for (const reject of unsent) reject(new GoneRequest());
  });
  watch.pause();
  const write = (chunk: Uint8Array): Promise<void> => {
    if (outgoing.destroyed) throw new GoneRequest();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    unsent.add(reject);
    watch.touch();
    outgoing.write(chunk, (error) => {
      unsent.delete(reject);
      if (unsent.size === 0) watch.pause();
      else watch.touch();
      if (error === null || error === undefined) resolve();
      else reject(new GoneRequest());
    });
    return promise;
  };
  await body(write).catch((error: unknown) => {
    // the request failed before: that is what counts
    if (!(error instanceof GoneRequest)) throw error;
  });
  watch.touch();
  if (!outgoing.destroyed) outgoing.end();
}

/** Tells a writer that there is nobody to write to any more; the request has its own error. */
export class GoneRequest extends Error {}

function drained(outgoing: ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const go = (): void => {
    outgoing.off('drain', go).off('close', go);
    resolve();
  };
  outgoing.on('drain', go).on('close', go);
  return promise;
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was dropped',
  EPIPE: 'the connection was dropped',
  ENOTFOUND: 'the host name is unknown',
  EAI_AGAIN: 'the host name could not be looked up',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  EPROTO: 'the server does not speak TLS',
  HPE_HEADER_OVERFLOW: 'the response headers are too large',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed and not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate has an unknown issuer',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate has an unknown issuer',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate has an unknown issuer',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate has an unknown issuer',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
};
const hints: Readonly<Record<string, { readonly hint: string }>> = {
  ECONNREFUSED: { hint: 'check the host and port, and that the server runs' },
  ENOTFOUND: { hint: 'check the spelling of the host' },
  EPROTO: { hint: 'a registry without TLS wants --tls-verify=false, or insecure = true in registries.conf' },
};
const unknownIssuer = /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_.*)$/;

/** A connection's error as a BullaError that names the URL without its secrets. */
export function failureOf(cause: Error, url: URL): BullaError {
  if (cause instanceof BullaError) return cause;
  const system = 'code' in cause ? String(cause.code) : '';
  const certificate = /^(?:CERT_|ERR_TLS_CERT)/.test(system) || unknownIssuer.test(system);
  const code: ErrorCode = certificate ? 'http.certificate-refused' : 'http.failed';
  const reason =
    reasons[system] ?? (system === '' ? 'the connection failed' : `the connection failed (${system})`);
  const hint = certificate
    ? { hint: 'put its CA certificate into certs.d, or name a folder with --cert-dir' }
    : (hints[system] ?? {});
  return new BullaError(code, `${displayUrl(url)}: ${reason}`, { ...hint, cause });
}

/** True where a certificate was refused because its issuer is not known. */
export function isUnknownIssuer(error: unknown): boolean {
  if (!(error instanceof BullaError) || error.code !== 'http.certificate-refused') return false;
  const { cause } = error;
  return cause instanceof Error && 'code' in cause && unknownIssuer.test(String(cause.code));
}
