/** A registry client of the tests, and what its faulty registries say. */
import assert from 'node:assert/strict';

import { type Digest, digestOf } from '../../src/base/digest.ts';
import { type ErrorCode, isBullaError } from '../../src/base/errors.ts';
import type { Credentials } from '../../src/registry/credentials.ts';
import { openRegistry, type Registry, type RegistryOptions } from '../../src/registry/registry.ts';
import type { Answer } from './registry-faults.ts';

export const ociManifest: string = 'application/vnd.oci.image.manifest.v1+json';
export const ociIndex: string = 'application/vnd.oci.image.index.v1+json';
export const manifest: Buffer = Buffer.from(`{"schemaVersion":2,"mediaType":"${ociManifest}","layers":[]}`);
export const digest: Digest = digestOf(manifest);
export const anna = {
  kind: 'password',
  username: 'anna',
  password: 'hunter2',
} as const satisfies Credentials;

/** Nothing is tried again unless the options say so. */
export function open(host: string, options: Partial<RegistryOptions> = {}): Registry {
  return openRegistry(host, {
    credentials: { kind: 'none' },
    tls: {},
    insecure: true,
    userAgent: 'bulla/test',
    retryTimes: 0,
    env: {},
    ...options,
  });
}

/** For `assert.rejects`. */
export function code(expected: ErrorCode, text?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    if (text !== undefined) assert.match(error.message, text);
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  };
}

/** Answers everything with the manifest. */
export const serveManifest: Answer = (_request, response) =>
  response.setHeader('content-type', ociManifest).end(manifest);

/** A registry and its token server in one; `accepts` judges the Authorization header. */
export function bearer(
  accepts: (authorization: string | undefined) => boolean,
  tokenBody: () => unknown,
): Answer {
  return (request, response) => {
    if (request.url.startsWith('/token')) {
      response.end(JSON.stringify(tokenBody()));
      return;
    }
    if (accepts(request.headers.authorization)) {
      serveManifest(request, response);
      return;
    }
    const realm = `http://${request.headers.host}/token?x=1`;
    response
      .writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="the, registry"` })
      .end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}');
  };
}
