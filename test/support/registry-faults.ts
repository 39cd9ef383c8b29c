/** A registry that does as a test tells it, faults included, and remembers every request. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { RetryClock } from '../../src/registry/retry.ts';

export type Recorded = {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

export type Answer = (request: Recorded, response: ServerResponse) => void;

export type FaultyRegistry = AsyncDisposable & {
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly requests: Recorded[];
  /** `METHOD /path?query` of each request, in order. */
  readonly lines: readonly string[];
};

export async function serveAnswers(answer: Answer): Promise<FaultyRegistry> {
  const requests: Recorded[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const recorded = { method, url, headers, body: Buffer.concat(chunks) };
      requests.push(recorded);
      answer(recorded, response);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get lines() {
      return requests.map((each) => `${each.method} ${each.url}`);
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** A clock that a test moves; sleeping moves it too and is remembered. */
export function testClock(): RetryClock & { readonly slept: number[]; time: number } {
  const clock = {
    slept: [] as number[],
    time: 1_000_000_000_000,
    now: () => clock.time,
    random: () => 1,
    sleep: (milliseconds: number) => {
      clock.slept.push(milliseconds);
      clock.time += milliseconds;
      return Promise.resolve();
    },
  };
  return clock;
}
