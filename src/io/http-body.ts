/** The body of an answer: read once, bounded, never decompressed. */
import type { ClientRequest, IncomingMessage } from 'node:http';

import { BullaError } from '../base/errors.ts';
import { type Exchange, failureOf } from './http-exchange.ts';
import type { ConsumeBody, HttpResponse } from './http.ts';
import { displayUrl } from './http-url.ts';
import type { Watch } from './http-watch.ts';

/** A rest of this size is read and dropped, for that is cheaper than a new connection. */
const worthReading = 65_536;

export function openBody(
  incoming: IncomingMessage,
  outgoing: ClientRequest,
  watch: Watch,
  call: Exchange,
): HttpResponse {
  watch.pause();
  incoming.on('close', () => watch.end());
  // without a listener an error after the last reader would end the process
  incoming.on('error', () => undefined);
  const source: Source = { incoming, outgoing, watch, call };
  return {
    status: incoming.statusCode ?? 0,
    headers: plainHeaders(incoming),
    url: call.url,
    bytes: () => readAll(source),
    stream: () => streamOf(source),
    each: (consume) => eachOf(source, consume),
    discard: () => discard(source),
  };
}

type Source = {
  readonly incoming: IncomingMessage;
  readonly outgoing: ClientRequest;
  readonly watch: Watch;
  readonly call: Exchange;
};

function plainHeaders(incoming: IncomingMessage): Readonly<Record<string, string | undefined>> {
  const headers: Record<string, string | undefined> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

function readAll(source: Source): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const chunks: Buffer[] = [];
  receive(source, {
    chunk: (chunk) => {
      chunks.push(chunk);
    },
    end: () => {
      const only = chunks.length === 1 ? chunks[0] : undefined;
      const whole = only ?? Buffer.concat(chunks);
      resolve(new Uint8Array(whole.buffer, whole.byteOffset, whole.length));
    },
    error: reject,
  });
  return promise;
}

function streamOf(source: Source): ReadableStream<Uint8Array> {
  const { incoming, outgoing, watch } = source;
  let over = false;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      receive(source, {
        chunk: (chunk) => {
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) > 0) return;
          incoming.pause();
          watch.pause();
        },
        end: () => {
          over = true;
          controller.close();
        },
        error: (error) => {
          over = true;
          controller.error(error);
        },
      });
    },
    pull() {
      if (over) return;
      watch.touch();
      incoming.resume();
    },
    cancel() {
      over = true;
      watch.end();
      outgoing.destroy();
    },
  });
}

/** What may be under way to a slow consumer before nothing more is read. */
const mostUnconsumed = 524_288;

function eachOf(source: Source, consume: ConsumeBody): Promise<void> {
  const { incoming, outgoing, watch } = source;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let [under, isOver] = [0, false];
  const fail = (error: unknown): void => {
    watch.end();
    outgoing.destroy();
    reject(error instanceof Error ? error : new Error('the consumer failed'));
  };
  const consumed = (bytes: number): void => {
    const wasFull = under > mostUnconsumed;
    under -= bytes;
    if (isOver && under === 0) resolve();
    if (isOver || !wasFull || under > mostUnconsumed) return;
    watch.touch();
    incoming.resume();
  };
  receive(source, {
    chunk: (chunk) => {
      try {
        const slow = consume(chunk);
        if (slow === undefined) return;
        under += chunk.length;
        slow.then(() => consumed(chunk.length), fail);
        if (under <= mostUnconsumed) return;
        incoming.pause();
        watch.pause();
      } catch (error) {
        fail(error);
      }
    },
    end: () => {
      isOver = true;
      if (under === 0) resolve();
    },
    error: reject,
  });
  return promise;
}

type Receiver = {
  chunk(chunk: Buffer): void;
  end(): void;
  error(error: BullaError): void;
};

/** Feeds a receiver until the end or the first failure, after which it hears nothing more. */
function receive({ incoming, outgoing, watch, call }: Source, to: Receiver): void {
  let length = 0;
  let over = false;
  const fail = (error: BullaError): void => {
    if (over) return;
    over = true;
    watch.end();
    outgoing.destroy();
    to.error(error);
  };
  if (Number(incoming.headers['content-length'] ?? 0) > call.maxBytes && call.method !== 'HEAD') {
    fail(tooLarge(call));
    return;
  }
  watch.touch();
  incoming.on('data', (chunk: Buffer) => {
    if (over) return;
    watch.touch();
    length += chunk.length;
    if (length > call.maxBytes) fail(tooLarge(call));
    else to.chunk(chunk);
  });
  incoming.on('end', () => {
    if (over) return;
    over = true;
    watch.end();
    to.end();
  });
  const broken = (cause: Error): void => fail(watch.failure ?? failureOf(cause, call.url));
  incoming.on('error', broken);
  incoming.on('close', () => {
    // the usual end, and an error with its stack would be made for nobody
    if (!over) broken(new Error('closed'));
  });
  if (incoming.destroyed && !incoming.complete) broken(new Error('closed'));
}

function discard({ incoming, outgoing, watch }: Source): void {
  let length = 0;
  watch.touch();
  incoming.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > worthReading) outgoing.destroy();
  });
  incoming.on('end', () => watch.end());
}

/** The error of a body that holds more than may be. */
export function tooLarge(call: Exchange): BullaError {
  return new BullaError(
    'http.too-large',
    `${displayUrl(call.url)}: the answer exceeds ${call.maxBytes} bytes`,
  );
}
