/** Servers that answer byte by byte as a test wants it, plain or over TLS, and what an answer of theirs comes to by Bulla's client. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

import { isBullaError } from '../../src/base/errors.ts';
import type { HttpClient, HttpRequest } from '../../src/io/http.ts';

export type RawSite = AsyncDisposable & {
  readonly url: URL;
  readonly sockets: Socket[];
  /** What was asked, whole heads. */
  readonly asked: string[];
};

/** @param answer is called with each whole head */
export async function serveRaw(
  answer: (socket: Socket, head: string) => void,
  tls?: TlsOptions,
): Promise<RawSite> {
  const sockets: Socket[] = [];
  const asked: string[] = [];
  const onSocket = (socket: Socket): void => {
    sockets.push(socket);
    let head = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      asked.push(head);
      answer(socket, head);
      head = '';
    });
  };
  const server: Server = tls === undefined ? createServer(onSocket) : createTlsServer(tls, onSocket);
  server.on('tlsClientError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/blob`),
    sockets,
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A large body. */
export const directly = { maxBytes: 20_000_000, direct: true, deadlineMs: 20_000, idleMs: 5000 } as const;

/** What a request comes to: all of the answer, or the code of the error. */
export async function outcomeOf(http: HttpClient, request: HttpRequest): Promise<unknown> {
  try {
    const response = await http.request(request);
    const chunks: Uint8Array[] = [];
    await response.each((chunk) => void chunks.push(new Uint8Array(chunk)));
    return {
      status: response.status,
      headers: { ...response.headers },
      body: Buffer.concat(chunks).toString('latin1'),
    };
  } catch (error) {
    if (isBullaError(error)) return error.code;
    throw error;
  }
}
