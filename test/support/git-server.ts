/** git's own smart HTTP server (`git http-backend`) behind TLS and a password, as a git host has it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import type { Certificates } from './docker-registry.ts';
import type { Bench } from './peers.ts';

export type GitServer = AsyncDisposable & {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  /** Requests so far: `401 GET /sigs.git/info/refs`. */
  readonly asked: readonly string[];
};

/** The one user who may come in. */
export const gitUser = { name: 'user', password: 'correct-horse' } as const;

/** Serves the repositories in a folder of the bench. */
export async function serveGit(bench: Bench, root: string, certificates: Certificates): Promise<GitServer> {
  const asked: string[] = [];
  const wanted = `Basic ${Buffer.from(`${gitUser.name}:${gitUser.password}`).toString('base64')}`;
  const server = createServer(
    { key: readFileSync(certificates.serverKey), cert: readFileSync(certificates.serverCertificate) },
    (request, response) => {
      const isUser = request.headers.authorization === wanted;
      const [path = ''] = (request.url ?? '').split('?');
      asked.push(`${isUser ? 200 : 401} ${request.method ?? ''} ${path}`);
      if (isUser) runBackend(bench, root, request, response);
      else response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One request as CGI (RFC 3875). */
function runBackend(bench: Bench, root: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '', 'https://host');
  const child = spawn('git', ['http-backend'], {
    env: {
      ...bench.env,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      REMOTE_USER: gitUser.name,
      CONTENT_TYPE: request.headers['content-type'],
      CONTENT_LENGTH: request.headers['content-length'],
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
      GIT_PROTOCOL: request.headers['git-protocol'] as string | undefined,
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  // it may end before it has read everything
  child.stdin.on('error', () => undefined);
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  child.stdout.on('data', function read(chunk: Buffer) {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    child.stdout.off('data', read);
    const lines = head.toString('latin1', 0, end).split('\r\n');
    const headers = lines.map((line) => /^([^:]+): *(.*)$/.exec(line)?.slice(1) ?? ['x', '']);
    const status = headers.find(([name]) => name === 'Status')?.[1]?.slice(0, 3) ?? '200';
    response.writeHead(Number(status), headers.filter(([name]) => name !== 'Status').flat());
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  });
}
