/** A web server for a folder, as a lookaside wants it: files as they are, 404 and nothing else where there is none. */
import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

export type WebServer = AsyncDisposable & {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Paths asked for so far, with the status of the answer. */
  readonly asked: readonly string[];
};

/** Serves a folder, which need not be there yet, on a port of its own choice. */
export async function serveFolder(root: string): Promise<WebServer> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '/').replace(/\?.*$/, ''));
    const file = normalize(path) === path ? statSync(join(root, path), { throwIfNoEntry: false }) : undefined;
    const status = file?.isFile() === true ? 200 : 404;
    asked.push(`${status} ${path}`);
    if (status === 404) response.writeHead(404).end();
    else {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': file?.size });
      createReadStream(join(root, path)).pipe(response);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
