/** Docker's API (version 1.24 and newer), over its Unix socket or TCP: what saving and loading an image needs. */
import type { ClientRequest, IncomingMessage } from 'node:http';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { http, https } from '../base/node.ts';
import type { DockerHost } from './docker-host.ts';

export type DockerRequest = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With its query, encoded. */
  readonly path: string;
  readonly body?: AsyncIterable<Uint8Array>;
};

/** An answer; its body is read, once, by one of the two. */
export type DockerAnswer = {
  readonly status: number;
  readonly body: AsyncIterable<Uint8Array>;
  /** The whole body, where it is small. @throws BullaError `engine.failed` */
  text(): Promise<string>;
};

/** @throws BullaError `engine.unavailable` where nobody answers; the body fails with `engine.failed` */
export async function askDocker(host: DockerHost, request: DockerRequest): Promise<DockerAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { tls, ...address } = 'tls' in host ? host : { ...host, tls: undefined };
  const outgoing = (tls === undefined ? http() : https()).request({
    ...address,
    ...tls,
    method: request.method,
    path: request.path,
    agent: false,
    headers: {
      // over TCP it is the address, which the certificate is for
      ...('socketPath' in host && { host: 'docker' }),
      ...(request.body !== undefined && { 'content-type': 'application/x-tar' }),
    },
    timeout: limits.engineMs,
  });
  outgoing.on('response', resolve);
  outgoing.on('timeout', () => outgoing.destroy(new Error('it did not answer in time')));
  outgoing.on('error', (cause) => reject(unavailable(host, cause)));
  send(outgoing, request.body).catch((error: unknown) => {
    reject(error);
    outgoing.destroy();
  });
  const incoming = await promise;
  const body = bodyOf(incoming);
  return { status: incoming.statusCode ?? 0, body, text: () => textOf(body) };
}

async function send(outgoing: ClientRequest, body: AsyncIterable<Uint8Array> | undefined): Promise<void> {
  for await (const chunk of body ?? []) {
    if (outgoing.destroyed) return;
    if (outgoing.write(chunk)) continue;
    await new Promise<void>((resolve) => void outgoing.once('drain', resolve).once('close', resolve));
  }
  outgoing.end();
}

async function* bodyOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BullaError('engine.failed', `Docker's answer broke off: ${printable(why)}`, { cause: error });
  }
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    if (length > limits.errorBodyBytes)
      throw new BullaError('engine.failed', 'Docker says more than there is to say');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function unavailable(host: DockerHost, cause: Error): BullaError {
  const where = 'socketPath' in host ? host.socketPath : `${host.hostname}:${host.port}`;
  const why = 'code' in cause ? String(cause.code) : cause.message;
  return new BullaError(
    'engine.unavailable',
    `Docker does not answer at ${printable(where)}: ${printable(why)}`,
    {
      hint: 'start the Docker daemon, or say by DOCKER_HOST where it listens; its socket is for root and the group docker',
      cause,
    },
  );
}
