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
  /** `api`, or `tag` where the fallback tag is what was found. */
  readonly source: 'api' | 'tag';
  /** Claims of the registry: each manifest is to be read and its subject compared. */
  readonly manifests: readonly Descriptor[];
};

export type ReferrersOptions = {
  readonly both?: boolean;
  readonly byApi?: Promise<readonly Descriptor[] | undefined>;
};

/**
 * What refers to a manifest, by the API; where there is none, or it knows of nothing, by the fallback
 * tag: what was pushed before a registry gained the API may stand there alone.
 * @param options.both reads the tag too where the API has something: some programs write nothing else
 * @param options.byApi the API's answer, where it was asked for before
 */
export async function listReferrers(
  client: Client,
  path: string,
  digest: Digest,
  options: ReferrersOptions = {},
): Promise<Referrers> {
  const byApi = await (options.byApi ?? listReferrersByApi(client, path, digest));
  if (byApi !== undefined && byApi.length > 0 && options.both !== true)
    return { source: 'api', manifests: byApi };
  const byTag = await readFallback(client, path, digest);
  if (byApi === undefined || byApi.length === 0) {
    const source = byApi !== undefined && byTag.length === 0 ? 'api' : 'tag';
    return { source, manifests: bounded(byTag, digest) };
  }
  const known = new Set(byApi.map((each) => each.digest));
  const more = byTag.filter((each) => !known.has(each.digest));
  return { source: 'api', manifests: bounded([...byApi, ...more], digest) };
}

/** Undefined: the registry has no referrers API. */
export async function listReferrersByApi(
  client: Client,
  path: string,
  digest: Digest,
): Promise<readonly Descriptor[] | undefined> {
  const manifests: Descriptor[] = [];
  let supported = true;
  await readPages(
    `/v2/${path}/referrers/${digest}`,
    (target) => ask(client, path, target),
    async (response) => {
      if (response.status === 200 && isIndex(response)) {
        manifests.push(...entriesOf(takeManifest(await response.bytes(), mediaTypes.ociIndex)));
        bounded(manifests, digest);
        return;
      }
      response.discard();
      if (isFailure(response.status)) throw failure(response, digest);
      supported = false;
    },
  );
  return supported ? manifests : undefined;
}

/**
 * A redirect to another server is what a registry does with a path that it does not know (GHCR sends
 * to a web site, which then limits its rate): it is not followed, and not tried again either.
 */
async function ask(client: Client, path: string, target: string | URL): Promise<HttpResponse> {
  let next = target;
  for (let hop = 0; ; hop += 1) {
    const response = await client.session.send({
      method: 'GET',
      target: next,
      scopes: [pullScope(path)],
      headers: { accept: mediaTypes.ociIndex },
      maxBytes: limits.manifestBytes,
      redirects: 'none',
      unlessLimited: true,
    });
    const location = response.headers['location'];
    if (response.status < 300 || response.status > 399 || location === undefined) return response;
    const url = URL.parse(location, response.url);
    if (url === null || url.origin !== response.url.origin || hop === 3) return response;
    response.discard();
    next = url;
  }
}

function bounded(manifests: readonly Descriptor[], digest: Digest): readonly Descriptor[] {
  if (manifests.length <= limits.referrers) return manifests;
  throw new BullaError(
    'registry.too-many-referrers',
    `${digest} has more than ${limits.referrers} referrers`,
  );
}

function isIndex(response: HttpResponse): boolean {
  return response.headers['content-type']?.split(';')[0]?.trim() === mediaTypes.ociIndex;
}

/**
 * What says nothing about the API: trouble, or a client that may not look. Absent (404, 400, 406, a
 * redirect) is an answer; so is 429, which a registry with the API gives to the manifest before it.
 */
function isFailure(status: number): boolean {
  return status >= 500 || status === 401 || status === 403;
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

/** Of a long digest there is as much as has room, or, as the specification counts, 64 characters. */
const attachmentPattern =
  /^sha(?:256-[0-9a-f]{64}|384-[0-9a-f]{64,96}|512-[0-9a-f]{64,128})(?:\.(?:sig|att|sbom))?$/;

/** Tags that nobody gave to an image: cosign's for what belongs to one, and the one that stands in for the referrers API. */
export function isAttachmentTag(tag: string): boolean {
  return attachmentPattern.test(tag);
}
