/** Manifests, tags and referrers (distribution specification 1.1). */
import type { Descriptor } from '../../base/descriptor.ts';
import { type Digest, hasDigest, tryParseDigest } from '../../base/digest.ts';
import { isBullaError } from '../../base/errors.ts';
import { type Manifest, type ParsedManifest, parseManifest, takeManifest } from '../../base/manifest.ts';
import { bare, fault, linkTo, pageOf } from './answers.ts';
import type { Content } from './content.ts';

export type ManifestRoutes = {
  get(repository: string, reference: string, request: Request): Promise<Response>;
  put(
    repository: string,
    reference: string,
    bytes: Uint8Array,
    contentType: string | null,
  ): Promise<Response>;
  remove(repository: string, reference: string): Promise<Response>;
  tags(repository: string, query: URLSearchParams): Promise<Response>;
  catalog(query: URLSearchParams): Promise<Response>;
  referrers(repository: string, digest: string, query: URLSearchParams): Promise<Response>;
};

const isTag = (text: string): boolean => /^\w[\w.-]{0,127}$/.test(text);
/** Of tags, and of repositories. */
const mostNames = 1000;
/** A page stays well under the 4 MiB that clients read of an index. */
const mostReferrers = 500;

/** The routes of manifests; `withReferrers`: subjects are indexed and reported. */
export function manifestRoutes(content: Content, withReferrers: boolean): ManifestRoutes {
  const find = async (repository: string, reference: string): Promise<Digest | undefined> =>
    tryParseDigest(reference) ?? (isTag(reference) ? content.tagged(repository, reference) : undefined);
  return {
    get: async (repository, reference, request) => {
      const digest = await find(repository, reference);
      const found = digest === undefined ? undefined : await content.manifest(repository, digest);
      if (found === undefined) return noManifest();
      const headers = {
        'content-type': found.mediaType,
        'content-length': String(found.bytes.length),
        'docker-content-digest': found.digest,
      };
      return request.method === 'HEAD'
        ? bare(200, headers)
        : new Response(Buffer.from(found.bytes), { headers });
    },
    put: (repository, reference, bytes, contentType) =>
      put(content, withReferrers, { repository, reference, bytes, contentType }),
    remove: async (repository, reference) => {
      if (isTag(reference))
        return (await content.removeTag(repository, reference)) ? bare(202) : noManifest();
      const digest = tryParseDigest(reference);
      const found = digest === undefined ? undefined : await content.manifest(repository, digest);
      if (found === undefined) return noManifest();
      await content.removeManifest(repository, found.digest, subjectOf(parseManifest(found))?.digest);
      return bare(202);
    },
    ...nameRoutes(content),
    referrers: (repository, digest, query) => listReferrers(content, repository, digest, query),
  };
}

/** Lists of names, in pages. */
function nameRoutes(content: Content): Pick<ManifestRoutes, 'tags' | 'catalog'> {
  return {
    tags: async (repository, query) => {
      const all = await content.tags(repository);
      if (all === undefined) return fault(404, 'NAME_UNKNOWN', 'there is no such repository');
      const page = pageOf(all, (tag) => tag, query, mostNames);
      if (page === undefined) return noNumber();
      const headers = linkTo(`/v2/${repository}/tags/list`, page.next);
      return Response.json({ name: repository, tags: page.items }, { headers });
    },
    catalog: async (query) => {
      const page = pageOf(await content.repositories(), (name) => name, query, mostNames);
      if (page === undefined) return noNumber();
      return Response.json({ repositories: page.items }, { headers: linkTo('/v2/_catalog', page.next) });
    },
  };
}

function noNumber(): Response {
  return fault(400, 'UNSUPPORTED', 'n is no number');
}

type Put = {
  readonly repository: string;
  readonly reference: string;
  readonly bytes: Uint8Array;
  readonly contentType: string | null;
};

async function put(content: Content, withReferrers: boolean, request: Put): Promise<Response> {
  const { repository, reference, bytes } = request;
  const taken = take(request);
  if (taken instanceof Response) return taken;
  const { manifest, parsed } = taken;
  const asDigest = tryParseDigest(reference);
  if (asDigest === undefined && !isTag(reference))
    return fault(400, 'MANIFEST_INVALID', 'not a tag or digest');
  if (asDigest !== undefined && !hasDigest(bytes, asDigest)) {
    return fault(400, 'DIGEST_INVALID', 'the manifest does not have that digest');
  }
  const missing = await missingBlob(content, repository, parsed);
  if (missing !== undefined)
    return fault(404, 'MANIFEST_BLOB_UNKNOWN', `${missing} is not in this repository`);
  const digest = asDigest ?? manifest.digest;
  await content.putManifest(repository, { bytes, digest, mediaType: manifest.mediaType });
  const subject = withReferrers ? subjectOf(parsed) : undefined;
  if (subject !== undefined) {
    await content.putReferrer(repository, subject.digest, referrerOf(manifest, digest, parsed));
  }
  if (asDigest === undefined) await content.putTag(repository, reference, digest);
  return bare(201, {
    location: `/v2/${repository}/manifests/${digest}`,
    'docker-content-digest': digest,
    ...(subject !== undefined && { 'oci-subject': subject.digest }),
  });
}

function take(request: Put): { manifest: Manifest; parsed: ParsedManifest } | Response {
  const carried = request.contentType?.split(';')[0]?.trim();
  try {
    const manifest = takeManifest(request.bytes, carried);
    if (carried !== undefined && carried !== manifest.mediaType) {
      return fault(400, 'MANIFEST_INVALID', `it says ${manifest.mediaType}, its Content-Type ${carried}`);
    }
    const parsed = parseManifest(manifest);
    if (parsed.kind === 'schema1') return fault(400, 'MANIFEST_INVALID', 'schema 1 is not stored here');
    return { manifest, parsed };
  } catch (error) {
    if (isBullaError(error)) return fault(400, 'MANIFEST_INVALID', error.message);
    throw error;
  }
}

function subjectOf(parsed: ParsedManifest): Descriptor | undefined {
  return parsed.kind === 'schema1' ? undefined : parsed.subject;
}

/** The first blob that an image needs and the repository lacks. An index may be sparse. */
async function missingBlob(
  content: Content,
  repository: string,
  parsed: ParsedManifest,
): Promise<Digest | undefined> {
  if (parsed.kind !== 'image') return undefined;
  for (const { digest, mediaType } of [parsed.config, ...parsed.layers]) {
    // layers that are not distributed live elsewhere (image-spec, layer.md)
    const elsewhere = /\.(?:nondistributable|foreign)\./.test(mediaType);
    if (!elsewhere && (await content.blobSize(repository, digest)) === undefined) return digest;
  }
  return undefined;
}

/** How a manifest is listed among its subject's referrers: artifactType, or failing that the config's type. */
function referrerOf(manifest: Manifest, digest: Digest, parsed: ParsedManifest): Descriptor {
  const { mediaType, bytes } = manifest;
  const descriptor: Descriptor = { mediaType, digest, size: bytes.length };
  if (parsed.kind === 'schema1') return descriptor;
  const artifactType = parsed.artifactType ?? (parsed.kind === 'image' ? parsed.config.mediaType : undefined);
  return {
    ...descriptor,
    ...(artifactType !== undefined && { artifactType }),
    ...(parsed.annotations !== undefined && { annotations: parsed.annotations }),
  };
}

async function listReferrers(
  content: Content,
  repository: string,
  text: string,
  query: URLSearchParams,
): Promise<Response> {
  const digest = tryParseDigest(text);
  if (digest === undefined) return fault(400, 'DIGEST_INVALID', 'not a digest');
  const type = query.get('artifactType');
  const all = await content.referrers(repository, digest);
  const wanted = type === null ? all : all.filter(({ artifactType }) => artifactType === type);
  const page = pageOf(wanted, (each) => each.digest, query, mostReferrers);
  if (page === undefined) return fault(400, 'UNSUPPORTED', 'n is no number');
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  return Response.json(
    { schemaVersion: 2, mediaType, manifests: page.items },
    {
      headers: {
        'content-type': mediaType,
        ...linkTo(`/v2/${repository}/referrers/${digest}`, page.next),
        ...(type !== null && { 'oci-filters-applied': 'artifactType' }),
      },
    },
  );
}

const noManifest = (): Response => fault(404, 'MANIFEST_UNKNOWN', 'there is no such manifest');
