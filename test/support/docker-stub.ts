/**
 * A stub of Docker's HTTP API on a Unix socket: the documented endpoints that saving and loading take
 * (https://docs.docker.com/reference/api/engine/, ImageGet, ImageLoad, ImageInspect, ImageDelete), and nothing behind them.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import tar from 'tar-stream';

export type DockerFaults = {
  /** What it says of images in place of their ID. */
  readonly id?: string;
  /** What loading ends with, after a 200. */
  readonly loadError?: string;
  /** It keeps this archive, whatever it is given. */
  readonly keeps?: Buffer;
  /** Saving breaks off after so many bytes. */
  readonly cutAt?: number;
};

export interface DockerStub extends AsyncDisposable {
  /** By name. */
  readonly images: Map<string, Buffer>;
  readonly requests: string[];
  faults: DockerFaults;
}

type Item = { readonly Config: string; readonly RepoTags: readonly string[] | null };

async function filesOf(archive: Buffer): Promise<ReadonlyMap<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const extract = tar.extract();
  Readable.from([archive]).pipe(extract);
  for await (const entry of extract) files.set(entry.header.name, await buffer(entry));
  return files;
}

/** Docker's own store calls an image by the digest of its configuration. */
async function idOf(archive: Buffer): Promise<string> {
  const files = await filesOf(archive);
  const [item] = JSON.parse(files.get('manifest.json')?.toString() ?? '[]') as Item[];
  const config = files.get(item?.Config ?? '');
  return `sha256:${createHash('sha256')
    .update(config ?? '')
    .digest('hex')}`;
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

async function load(stub: DockerStub, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const archive = await buffer(request);
  response.writeHead(200, { 'content-type': 'application/json' });
  const { loadError, keeps } = stub.faults;
  if (loadError !== undefined) {
    response.end(`${JSON.stringify({ errorDetail: { message: loadError }, error: loadError })}\n`);
    return;
  }
  const files = await filesOf(archive);
  const items = JSON.parse(files.get('manifest.json')?.toString() ?? '[]') as Item[];
  for (const tag of items.flatMap(({ RepoTags: tags }) => tags ?? [])) {
    stub.images.set(tag, keeps ?? archive);
    response.write(`${JSON.stringify({ stream: `Loaded image: ${tag}\n` })}\n`);
  }
  response.end();
}

async function answer(stub: DockerStub, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://docker');
  stub.requests.push(`${request.method} ${pathname}`);
  if (request.method === 'POST' && pathname === '/images/load') return load(stub, request, response);
  const match = /^\/images\/(.+?)(\/get|\/json)?$/.exec(pathname);
  const name = match?.[1] ?? '';
  const archive = stub.images.get(name);
  if (match === null || archive === undefined)
    return json(response, 404, { message: `No such image: ${name}` });
  if (request.method === 'DELETE') {
    stub.images.delete(name);
    return json(response, 200, [{ Untagged: name }]);
  }
  if (match[2] === '/json')
    return json(response, 200, { Id: stub.faults.id ?? (await idOf(archive)), RepoTags: [name] });
  response.writeHead(200, { 'content-type': 'application/x-tar' });
  const { cutAt } = stub.faults;
  if (cutAt === undefined) response.end(archive);
  else response.write(archive.subarray(0, cutAt), () => response.destroy());
}

/** Listens at a socket until it is disposed. */
export async function startDockerStub(socketPath: string): Promise<DockerStub> {
  const server = createServer((request, response) => {
    answer(stub, request, response).catch((error: unknown) =>
      json(response, 500, { message: String(error) }),
    );
  });
  const stub: DockerStub = {
    images: new Map(),
    requests: [],
    faults: {},
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
  await new Promise<void>((resolve) => void server.listen(socketPath, resolve));
  return stub;
}
