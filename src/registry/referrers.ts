/** What refers to a manifest (distribution specification 1.1, listing referrers). */
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { type Digest, hexOf, algorithmOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { parseManifest, takeManifest, type Manifest } from '../base/manifest.ts';
import type { HttpResponse } from '../io/http.ts';
import { getManifest } from './manifests.ts';
import { readPages } from './pages.ts';
import { type Client, pullScope } from './client.ts';

export type Referrers = {
  /** `api`, or `tag` where the registry has no such API and the fallback tag is read. */
  readonly source: 'api' | 'tag';
  /** Claims of the registry: each manifest is to be read and its subject compared. */
  readonly manifests: readonly Descriptor[];
};

/** No image has this many; a registry that says so is not believed. */
const mostReferrers = 1_000;

export async function listReferrers(client: Client, path: string, digest: Digest): Promise<Referrers> {
  const manifests: Descriptor[] = [];
  const take = (more: readonly Descriptor[]): void => {
    manifests.push(...more);
    if (manifests.length > mostReferrers) {
      throw new BullaError('registry.failed', `${digest} has more than ${mostReferrers} referrers`);
    }
  };
  const found = await askApi(client, path, digest, take);
  if (found) return { source: 'api', manifests };
  take(await readFallback(client, path, digest));
  return { source: 'tag', manifests };
}

/** False: the registry has no referrers API. */
async function askApi(
  client: Client,
  path: string,
  digest: Digest,
  take: (more: readonly Descriptor[]) => void,
): Promise<boolean> {
  let supported = true;
  await readPages(
    `/v2/${path}/referrers/${digest}`,
    (target) =>
      client.session.send({
        method: 'GET',
        target,
        scopes: [pullScope(path)],
        headers: { accept: mediaTypes.ociIndex },
        maxBytes: limits.manifestBytes,
      }),
    async (response) => {
      if (response.status === 200 && isIndex(response)) {
        take(entriesOf(takeManifest(await response.bytes(), mediaTypes.ociIndex)));
        return;
      }
      response.discard();
      if (isFailure(response.status)) throw failure(response, digest);
      supported = false;
    },
  );
  return supported;
}

function isIndex(response: HttpResponse): boolean {
  return response.headers['content-type']?.split(';')[0]?.trim() === mediaTypes.ociIndex;
}

/** What says nothing about the API: trouble, or a client that may not look. Absent (404, 400, 406, a redirect) is an answer. */
function isFailure(status: number): boolean {
  return status >= 500 || status === 401 || status === 403 || status === 429;
}

function failure(response: HttpResponse, digest: Digest): BullaError {
  const code =
    response.status === 401
      ? 'registry.unauthorized'
      : response.status === 403
        ? 'registry.denied'
        : 'registry.failed';
  return new BullaError(code, `cannot list the referrers of ${digest}: status ${response.status}`);
}

function entriesOf(manifest: Manifest): readonly Descriptor[] {
  const parsed = parseManifest(manifest);
  if (parsed.kind === 'index') return parsed.manifests;
  throw new BullaError('manifest.malformed', 'the list of referrers is not an index');
}

async function readFallback(client: Client, path: string, digest: Digest): Promise<readonly Descriptor[]> {
  try {
    return entriesOf(await getManifest(client, path, fallbackTag(digest)));
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return [];
    throw error;
  }
}

/** The tag that stands in for the API: `sha256-<hex>` (a tag holds 128 characters at most). */
export function fallbackTag(digest: Digest): string {
  return `${algorithmOf(digest)}-${hexOf(digest)}`.slice(0, 128);
}
