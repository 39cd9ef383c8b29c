/**
 * A large body over a socket of its own, read into a few buffers that are used again and again. Node's HTTP client makes a new
 * buffer for each read, which costs a copy between two registries more than hashing does, and most of its memory. Only for
 * what needs nothing of it: GET over plain HTTP without a proxy, an answer of known length. All else goes the usual way.
 */
import type { Socket } from 'node:net';

import { BullaError } from '../base/errors.ts';
import type { Agents } from './http-agents.ts';
import { type Exchange, failureOf } from './http-exchange.ts';
import type { ConsumeBody, HttpResponse } from './http.ts';
import { displayUrl } from './http-url.ts';
import { Watch } from './http-watch.ts';

const bufferBytes = 262_144;
/** One is read into while the others are on their way out. */
const buffers = 4;
const headBytes = 65_536;

/**
 * Asks directly. Undefined: the answer is none for this way, and the usual one is to be asked for.
 * @throws BullaError `http.failed`, `http.timeout`
 */
export async function exchangeDirectly(agents: Agents, call: Exchange): Promise<HttpResponse | undefined> {
  const { url } = call;
  if (call.method !== 'GET' || url.protocol !== 'http:' || agents.proxyOf(url) !== undefined)
    return undefined;
  const connection = openConnection(call, agents.underWay);
  const head = await connection.head;
  const answer = parseHead(head);
  const isPlain = answer !== undefined && (answer.status === 200 || answer.status === 206);
  if (!isPlain || answer.length > call.maxBytes) {
    connection.close();
    return undefined;
  }
  const each = (consume: ConsumeBody): Promise<void> => connection.read(answer.length, consume);
  return {
    status: answer.status,
    headers: answer.headers,
    url,
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
  /** The bytes up to the empty line. */
  readonly head: Promise<Buffer>;
  /** Gives exactly so many bytes of the body. */
  read(length: number, consume: ConsumeBody): Promise<void>;
  close(): void;
};

/** What takes the bytes that come; undefined while nobody does, and nothing is read. */
type Taker = (chunk: Buffer) => Promise<void> | undefined;

/** Who hears of the bytes, and of the end of them. */
type Listener = { take: Taker; fail: (error: unknown) => void };

function openConnection(call: Exchange, underWay: Set<Watch>): Connection {
  // the silence of one that is not listened to says nothing
  const pool = openPool((isFull) => {
    if (isFull) watch.pause();
    else watch.touch();
    if (!isFull) socket.resume();
  });
  const listener: Listener = { take: () => undefined, fail: ignore };
  // between the head and the body nobody listens, and a connection that breaks then breaks once
  let broken: unknown;
  const fail = (error: unknown): void => {
    broken ??= error;
    listener.fail(error);
  };
  const socket = openSocket(call.url, pool, (chunk) => {
    watch.touch();
    return listener.take(chunk);
  });
  const watch = new Watch(call, underWay, (error) => socket.destroy(error));
  watch.touch();
  onEndOf(socket, watch, call.url, fail);
  socket.write(requestOf(call));
  const close = (): void => {
    watch.end();
    socket.destroy();
  };
  const { head, rest } = takeHead(listener, call.url, () => {
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

function openSocket(url: URL, pool: Pool, take: Taker): Socket {
  return process.getBuiltinModule('node:net').connect({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port === '' ? '80' : url.port),
    noDelay: true,
    onread: {
      buffer: () => pool.next(),
      callback: (count, buffer) =>
        pool.lend(buffer, take(Buffer.from(buffer.buffer, buffer.byteOffset, count))),
    },
  });
}

/** The bytes up to the empty line, and then those behind it that have come along until they are asked for. */
function takeHead(
  listener: Listener,
  url: URL,
  found: () => void,
): { readonly head: Promise<Buffer>; readonly rest: () => Buffer } {
  const { promise: head, resolve, reject } = Promise.withResolvers<Buffer>();
  let seen: Buffer = Buffer.alloc(0);
  let end = -1;
  listener.fail = reject;
  listener.take = (chunk) => {
    seen = Buffer.concat([seen, chunk]);
    if (end < 0) end = seen.indexOf('\r\n\r\n');
    if (end >= 0) {
      found();
      resolve(seen.subarray(0, end));
    } else if (seen.length > headBytes) {
      reject(new BullaError('http.failed', `${displayUrl(url)}: the response headers are too large`));
    }
    return undefined;
  };
  return { head, rest: () => seen.subarray(end + 4) };
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

/** @param tell hears when there is no buffer left, and when there is one again */
function openPool(tell: (isFull: boolean) => void): Pool {
  let lent = new Set<ArrayBufferLike>();
  const all: Buffer[] = [];
  const next = (): Buffer => {
    const free = all.find((each) => !lent.has(each.buffer));
    if (free !== undefined) return free;
    const made = Buffer.allocUnsafeSlow(bufferBytes);
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
          const wasFull = lending.size >= buffers - 1;
          lending.delete(buffer.buffer);
          if (wasFull) tell(false);
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
    if (/[\r\n\0]/.test(value))
      throw new BullaError('http.url-refused', `the header ${name} has a line break`);
    return `${name}: ${value}\r\n`;
  });
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** Undefined for what has to be read with more care: another encoding, no length or two. */
function parseHead(
  head: Buffer,
): { status: number; headers: Record<string, string>; length: number } | undefined {
  const [first = '', ...lines] = head.toString('latin1').split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1];
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || name.toLowerCase() in headers) return undefined;
    headers[name.toLowerCase()] = value;
  }
  const length = headers['content-length'] ?? '';
  if (status === undefined || !/^\d{1,15}$/.test(length) || headers['transfer-encoding'] !== undefined)
    return undefined;
  return { status: Number(status), headers, length: Number(length) };
}
