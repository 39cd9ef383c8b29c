/**
 * A large body over a socket of its own, read into a few buffers that are used again and again. Node's HTTP client makes a new
 * buffer for each read, which costs a copy between two registries more than hashing does, and most of its memory. The socket is made
 * by the very agent that would have been asked, so that certificates are checked as ever. Only GET without a proxy, and an answer whose
 * head is plain (http-head.ts): all else goes the usual way, and so does what the same origin is asked for later.
 */
import type { OnReadOpts, Socket } from 'node:net';

import { BullaError } from '../base/errors.ts';
import type { Agents } from './http-agents.ts';
import { tooLarge } from './http-body.ts';
import { type Exchange, failureOf } from './http-exchange.ts';
import { findEmptyLine, type Head, parseHead } from './http-head.ts';
import type { ConsumeBody, HttpResponse } from './http.ts';
import { Watch } from './http-watch.ts';

/** One is read into while the others are on their way out. TLS gives no more than a record at once. */
const pools = { 'http:': { bytes: 262_144, buffers: 4 }, 'https:': { bytes: 16_384, buffers: 16 } } as const;
/** As Node is told to take, or a little less. */
const headBytes = 65_536;

/**
 * Asks directly. Undefined: the answer is none for this way, and the usual one is to be asked for.
 * @throws BullaError `http.failed`, `http.certificate-refused`, `http.timeout`
 */
export async function exchangeDirectly(agents: Agents, call: Exchange): Promise<HttpResponse | undefined> {
  const { url } = call;
  const { protocol, origin } = url;
  if (call.method !== 'GET' || agents.indirect.has(origin) || agents.proxyOf(url) !== undefined)
    return undefined;
  const connection = openConnection(agents, call, pools[protocol === 'https:' ? protocol : 'http:']);
  const answer = await connection.head;
  if (answer === undefined) {
    connection.close();
    agents.indirect.add(origin);
    return undefined;
  }
  return responseOf(answer, connection, call);
}

function responseOf({ status, headers, length }: Head, connection: Connection, call: Exchange): HttpResponse {
  const each = async (consume: ConsumeBody): Promise<void> => {
    if (length <= call.maxBytes) return connection.read(length, consume);
    connection.close();
    throw tooLarge(call);
  };
  return {
    status,
    headers,
    url: call.url,
    each,
    bytes: async () => {
      const chunks: Uint8Array[] = [];
      await each((chunk) => void chunks.push(new Uint8Array(chunk)));
      return new Uint8Array(Buffer.concat(chunks));
    },
    stream: () => {
      throw new BullaError('internal.bug', 'a direct answer is read by each');
    },
    discard: () => connection.close(),
  };
}

type Connection = {
  /** Undefined where it is odd. */
  readonly head: Promise<Head | undefined>;
  /** Gives exactly so many bytes of the body. */
  read(length: number, consume: ConsumeBody): Promise<void>;
  close(): void;
};

/** What takes the bytes that come; undefined while nobody does, and nothing is read. */
type Taker = (chunk: Buffer) => Promise<void> | undefined;

/** Who hears of the bytes, and of the end of them. */
type Listener = { take: Taker; fail: (error: unknown) => void };

function openConnection(agents: Agents, call: Exchange, size: PoolSize): Connection {
  // the silence of one that is not listened to says nothing
  const pool = openPool(size, (isFull) => {
    if (isFull) return watch.pause();
    watch.touch();
    socket.resume();
  });
  const listener: Listener = { take: () => undefined, fail: ignore };
  // between the head and the body nobody listens, and a connection that breaks then breaks once
  let broken: unknown;
  const fail = (error: unknown): void => {
    broken ??= error;
    listener.fail(error);
  };
  const request = requestOf(call);
  const take: Taker = (chunk) => {
    watch.touch();
    return listener.take(chunk);
  };
  const socket = agents.connect(call.url, call.withCertificate, intoPool(pool, take));
  const watch = new Watch(call, agents.underWay, (error) => socket.destroy(error));
  watch.touch();
  onEndOf(socket, watch, call.url, fail);
  sendWhenConnected(socket, call.url, request);
  const close = (): void => {
    watch.end();
    socket.destroy();
  };
  const { head, rest } = takeHead(listener, () => {
    watch.pause();
    socket.pause();
  });
  head.catch(close);
  const read: Connection['read'] = (length, consume) => {
    if (broken !== undefined && rest().length < length) return Promise.reject(broken);
    pool.reset();
    const done = takeBody(listener, rest(), length, consume);
    socket.resume();
    return done.finally(close);
  };
  return { head, close, read };
}

/** Over TLS once the certificate has been checked: nothing is said before. */
function sendWhenConnected(socket: Socket, { protocol }: URL, request: string): void {
  socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => socket.write(request, 'latin1'));
}

/** However the socket ends, who listens hears of it. */
function onEndOf(socket: Socket, watch: Watch, url: URL, fail: (error: unknown) => void): void {
  socket.on('error', (cause) => fail(watch.failure ?? failureOf(cause, url)));
  socket.on('close', () => {
    watch.end();
    fail(failureOf(new Error('closed'), url));
  });
}

function takeBody(listener: Listener, rest: Buffer, length: number, consume: ConsumeBody): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const whole = (): void => {
    listener.fail = ignore;
  };
  const take = taking({ length, consume, resolve, reject, whole });
  listener.fail = reject;
  listener.take = take;
  void take(rest);
  return promise;
}

function ignore(): void {
  // nobody waits for anything
}

/** What comes is read into the pool's buffers, until none is left. */
function intoPool(pool: Pool, take: Taker): OnReadOpts {
  return {
    buffer: () => pool.next(),
    callback: (count, buffer) =>
      pool.lend(buffer, take(Buffer.from(buffer.buffer, buffer.byteOffset, count))),
  };
}

/** What is in the bytes up to the empty line, and then those behind it that have come along until they are asked for. */
function takeHead(
  listener: Listener,
  found: () => void,
): { readonly head: Connection['head']; readonly rest: () => Buffer } {
  const { promise: head, resolve, reject } = Promise.withResolvers<Head | undefined>();
  let seen: Buffer = Buffer.alloc(0);
  let end: number | undefined;
  listener.fail = reject;
  listener.take = (chunk) => {
    const from = Math.max(0, seen.length - 3);
    seen = Buffer.concat([seen, chunk]);
    if (end !== undefined) return undefined;
    const line = findEmptyLine(seen, from);
    if (line === undefined && seen.length <= headBytes) return undefined;
    found();
    end = line?.at ?? seen.length;
    resolve(line?.isPlain === true && end <= headBytes ? parseHead(seen.subarray(0, end)) : undefined);
    return undefined;
  };
  return { head, rest: () => seen.subarray((end ?? 0) + 4) };
}

type Taking = {
  readonly length: number;
  readonly consume: ConsumeBody;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Called with the last byte, which may be on its way to the consumer: the connection has done its part. */
  readonly whole: () => void;
};

/** Counts what comes and ends with the last byte's consumption. */
function taking({ length, consume, resolve, reject, whole: isWhole }: Taking): Taker {
  let left = length;
  let under = 0;
  const settle = (): void => {
    if (left === 0 && under === 0) resolve();
  };
  return (whole) => {
    const chunk = whole.subarray(0, left);
    left -= chunk.length;
    if (left === 0) isWhole();
    try {
      const slow = chunk.length === 0 ? undefined : consume(chunk);
      if (slow === undefined) {
        settle();
        return undefined;
      }
      under += 1;
      return slow.then(() => {
        under -= 1;
        settle();
      }, reject);
    } catch (error) {
      reject(error);
      return undefined;
    }
  };
}

type Pool = {
  /** A buffer that nobody uses. */
  next(): Buffer;
  /** @returns false: nothing more is to be read until one comes back */
  lend(buffer: Uint8Array, until: Promise<void> | undefined): boolean;
  /** All that was lent is forgotten. */
  reset(): void;
};

type PoolSize = { readonly bytes: number; readonly buffers: number };

/** @param tell hears when there is no buffer left, and when there is one again */
function openPool({ bytes, buffers }: PoolSize, tell: (isFull: boolean) => void): Pool {
  let lent = new Set<ArrayBufferLike>();
  const all: Buffer[] = [];
  const next = (): Buffer => {
    const free = all.find((each) => !lent.has(each.buffer));
    if (free !== undefined) return free;
    const made = Buffer.allocUnsafeSlow(bytes);
    all.push(made);
    return made;
  };
  return {
    next,
    lend: (buffer, until) => {
      if (until === undefined) return true;
      const lending = lent;
      lending.add(buffer.buffer);
      until.then(
        () => {
          lending.delete(buffer.buffer);
          // not before, though over TLS more may be lent: what had been read already came after the pause
          if (lending.size === buffers - 2) tell(false);
        },
        () => undefined,
      );
      const isFull = lending.size >= buffers - 1;
      if (isFull) tell(true);
      return !isFull;
    },
    reset: () => {
      lent = new Set();
    },
  };
}

function requestOf({ url, headers }: Exchange): string {
  const lines = Object.entries({ ...headers, host: url.host, connection: 'close' }).map(([name, value]) => {
    // what goes into a line must not be able to end it
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
      throw new BullaError('http.url-refused', `the header ${name} has a line break`);
    return `${name}: ${value}\r\n`;
  });
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
