/** Puts a server, which is a function, on a port. */
import { createAdaptorServer } from '@hono/node-server';
import type { Server } from 'node:http';

import { BullaError } from '../base/errors.ts';

export type ListenOptions = {
  /** Default 127.0.0.1: who wants others to reach it says so. */
  readonly host?: string;
  /** Default 0: the system chooses a free one. */
  readonly port?: number;
};

/** A server that listens. */
export type Listening = AsyncDisposable & {
  /** `http://127.0.0.1:PORT`, with the real port. */
  readonly url: string;
  /** Ends every connection and frees the port. */
  close(): Promise<void>;
};

/**
 * Listens over plain HTTP.
 * @throws BullaError `server.cannot-listen` (port in use, no such address, no permission), `usage.invalid` (no port)
 */
export async function listen(
  handler: (request: Request) => Promise<Response>,
  options: ListenOptions = {},
): Promise<Listening> {
  const { host = '127.0.0.1', port = 0 } = options;
  if (port > 65_535) throw new BullaError('usage.invalid', `${port} is no port`);
  // the process's own Request and Response stay what they are: its client uses them too
  const server = createAdaptorServer({ fetch: handler, overrideGlobalObjects: false }) as Server;
  // a client that sends its headers by the drop holds a connection for this long
  server.headersTimeout = 20_000;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', (cause) => {
    const message = `cannot listen on ${host}:${port}: ${cause.message}`;
    reject(new BullaError('server.cannot-listen', message, { cause }));
  });
  server.listen(port, host, resolve);
  await promise;
  const address = server.address();
  const real = typeof address === 'object' && address !== null ? address.port : port;
  const close = async (): Promise<void> => {
    const closed = Promise.withResolvers<void>();
    server.close(() => closed.resolve());
    server.closeAllConnections();
    await closed.promise;
  };
  const authority = host.includes(':') ? `[${host}]` : host;
  return { url: `http://${authority}:${real}`, close, [Symbol.asyncDispose]: close };
}
