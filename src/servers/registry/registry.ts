/**
 * A small OCI registry (distribution specification 1.1: pull, push, discovery and management) as a
 * function from Request to Response, for the demo, the tests and `bulla serve registry`. It knows no
 * users: it belongs on loopback. Digests are checked as content arrives; sizes are bounded.
 */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';

import { limits } from '../../base/limits.ts';
import { bare, fault } from './answers.ts';
import { type BlobRoutes, blobRoutes } from './blob-routes.ts';
import { openContent } from './content.ts';
import { type ManifestRoutes, manifestRoutes } from './manifest-routes.ts';
import { memoryStorage } from './memory-storage.ts';
import type { RegistryStorage } from './storage.ts';
import { openUploads } from './uploads.ts';

export type RegistryOptions = {
  /** Default: in memory, 1 GiB at most. */
  readonly storage?: RegistryStorage;
  /** The referrers API; off, clients fall back to the tag `sha256-<hex>`. Default on. */
  readonly referrers?: boolean;
  /** Deleting manifests, tags and blobs. Default on. */
  readonly deletes?: boolean;
  /** The most bytes of one blob. Default 2 GiB. */
  readonly mostBlobBytes?: number;
};

export type Handler = (request: Request) => Promise<Response>;

const gibibyte = 2 ** 30;

/** A repository's name (distribution specification 1.1, "Pulling manifests"), at most 255 characters. */
export function isRepository(name: string): boolean {
  const path = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
  return name.length <= 255 && path.test(name);
}

/** Makes a registry. */
export function createRegistry(options: RegistryOptions = {}): Handler {
  const { storage = memoryStorage(gibibyte), deletes = true, referrers = true } = options;
  const content = openContent(storage);
  const uploads = openUploads(storage, options.mostBlobBytes ?? 2 * gibibyte);
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.res.headers.set('docker-distribution-api-version', 'registry/2.0');
  });
  app.get('/v2/', () => Response.json({}));
  app.get('/v2', () => Response.json({}));
  addManifests(app, manifestRoutes(content, referrers), { deletes, referrers });
  addBlobs(app, blobRoutes({ content, uploads, isRepository }), deletes);
  app.notFound((context) =>
    context.req.path.startsWith('/v2/') ? fault(404, 'UNSUPPORTED', 'there is no such endpoint') : bare(404),
  );
  app.onError((error) => fault(500, 'UNSUPPORTED', error.message));
  return async (request) => app.fetch(request);
}

/** What a route gets: a checked repository name, the path's last part, the query, the request. */
type Asked = {
  readonly name: string;
  readonly last: string;
  readonly query: URLSearchParams;
  readonly request: Request;
};

/** A route that is reached only with a repository's name: names become folders. */
function named(route: (asked: Asked) => Promise<Response>): (context: Context) => Promise<Response> {
  return async ({ req }) => {
    const name = req.param('name') ?? '';
    if (!isRepository(name)) return fault(400, 'NAME_INVALID', 'not a repository name');
    const query = new URL(req.url).searchParams;
    return route({ name, last: req.param('last') ?? '', query, request: req.raw });
  };
}

const notDeleted = named(async () => fault(405, 'UNSUPPORTED', 'nothing is deleted here'));

type Switches = { readonly deletes: boolean; readonly referrers: boolean };

function addManifests(app: Hono, routes: ManifestRoutes, { deletes, referrers }: Switches): void {
  const path = '/v2/:name{.+}/manifests/:last';
  app.get(
    path,
    named(({ name, last, request }) => routes.get(name, last, request)),
  );
  const limited = bodyLimit({
    maxSize: limits.manifestBytes,
    onError: () => fault(413, 'SIZE_INVALID', `a manifest has at most ${limits.manifestBytes} bytes`),
  });
  app.put(
    path,
    limited,
    named(async ({ name, last, request }) => {
      const bytes = new Uint8Array(await request.arrayBuffer());
      return routes.put(name, last, bytes, request.headers.get('content-type'));
    }),
  );
  app.delete(path, deletes ? named(({ name, last }) => routes.remove(name, last)) : notDeleted);
  app.get(
    '/v2/:name{.+}/tags/list',
    named(({ name, query }) => routes.tags(name, query)),
  );
  // distribution's own, which the specification does not ask for
  app.get('/v2/_catalog', ({ req }) => routes.catalog(new URL(req.url).searchParams));
  if (!referrers) return;
  app.get(
    '/v2/:name{.+}/referrers/:last',
    named(({ name, last, query }) => routes.referrers(name, last, query)),
  );
}

function addBlobs(app: Hono, routes: BlobRoutes, deletes: boolean): void {
  const uploads = '/v2/:name{.+}/blobs/uploads';
  const start = named(({ name, query, request }) => routes.startUpload(name, query, request));
  app.post(uploads, start);
  app.post(`${uploads}/`, start);
  const upload = `${uploads}/:last`;
  app.patch(
    upload,
    named(({ name, last, request }) => routes.addChunk(name, last, request)),
  );
  app.put(
    upload,
    named(({ name, last, query, request }) => routes.finishUpload(name, last, query, request)),
  );
  app.get(
    upload,
    named(async ({ name, last }) => routes.uploadStatus(name, last)),
  );
  app.delete(
    upload,
    named(({ name, last }) => routes.cancelUpload(name, last)),
  );
  const blob = '/v2/:name{.+}/blobs/:last';
  app.get(
    blob,
    named(({ name, last, request }) => routes.get(name, last, request)),
  );
  app.delete(blob, deletes ? named(({ name, last }) => routes.remove(name, last)) : notDeleted);
}
