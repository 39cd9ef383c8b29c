/** Manifests: by tag hashed as received, by digest checked against it. */
import { acceptedManifests, mediaTypes } from '../base/descriptor.ts';
import { type Digest, hasDigest, tryParseDigest } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Manifest, takeManifest } from '../base/manifest.ts';
import type { HttpResponse } from '../io/http.ts';
import { answerError, isHtml, notARegistry, readRefusal } from './answer.ts';
import { type Client, pullScope, pushScope } from './client.ts';

const accept = acceptedManifests.join(', ');

function targetOf(path: string, tagOrDigest: string): string {
  return `/v2/${path}/manifests/${tagOrDigest}`;
}

export async function getManifest(client: Client, path: string, tagOrDigest: string): Promise<Manifest> {
  return (await getTaggedManifest(client, path, tagOrDigest)).manifest;
}

/** With the answer's strong entity tag (RFC 9110 section 8.8.3), for writing it back unless it changed. */
export async function getTaggedManifest(
  client: Client,
  path: string,
  tagOrDigest: string,
): Promise<{ readonly manifest: Manifest; readonly etag?: string }> {
  const response = await client.session.send({
    method: 'GET',
    target: targetOf(path, tagOrDigest),
    scopes: [pullScope(path)],
    headers: { accept },
    maxBytes: limits.manifestBytes,
  });
  if (response.status !== 200) throw await answerError(response, `read the manifest of ${path}`);
  const bytes = await manifestBytes(response);
  if (isHtml(response, bytes)) throw notARegistry(response);
  const digest = tryParseDigest(tagOrDigest);
  const manifest =
    digest === undefined ? takeManifest(bytes, mediaTypeOf(response)) : checked(bytes, response, digest);
  const etag = response.headers['etag'];
  return { manifest, ...(etag !== undefined && /^"[\x21\x23-\x7e]{1,500}"$/.test(etag) && { etag }) };
}

async function manifestBytes(response: HttpResponse): Promise<Uint8Array> {
  try {
    return await response.bytes();
  } catch (error) {
    if (!isBullaError(error, 'http.too-large')) throw error;
    const message = `the manifest is larger than ${limits.manifestBytes} bytes`;
    throw new BullaError('manifest.too-large', message, { cause: error });
  }
}

/** Bytes that do not have the digest are said to be so before anything else is said of them. */
function checked(bytes: Uint8Array, response: HttpResponse, digest: Digest): Manifest {
  // made only where it is thrown: the stack of an error costs a tenth of a millisecond
  const mismatch = (): BullaError =>
    new BullaError('manifest.digest-mismatch', `the registry gave other bytes for the manifest ${digest}`);
  if (hasDigest(bytes, digest)) {
    const manifest = takeManifest(bytes, mediaTypeOf(response));
    // a signed schema 1 manifest has the digest of its payload, never that of all its bytes
    if (manifest.mediaType === mediaTypes.dockerSchema1Signed && manifest.digest !== digest) throw mismatch();
    return manifest;
  }
  let manifest: Manifest;
  try {
    manifest = takeManifest(bytes, mediaTypeOf(response));
  } catch {
    throw mismatch();
  }
  if (manifest.digest !== digest) throw mismatch();
  return manifest;
}

function mediaTypeOf(response: HttpResponse): string | undefined {
  return response.headers['content-type']?.split(';')[0]?.trim();
}

export async function headManifest(
  client: Client,
  path: string,
  tagOrDigest: string,
): Promise<{ readonly digest?: Digest } | undefined> {
  const response = await client.session.send({
    method: 'HEAD',
    target: targetOf(path, tagOrDigest),
    scopes: [pullScope(path)],
    headers: { accept },
    maxBytes: 0,
  });
  if (response.status === 404) {
    response.discard();
    return undefined;
  }
  if (response.status !== 200) throw await answerError(response, `look for the manifest of ${path}`);
  response.discard();
  const digest = tryParseDigest(response.headers['docker-content-digest'] ?? '');
  return digest === undefined ? {} : { digest };
}

export async function putManifest(
  client: Client,
  path: string,
  tagOrDigest: string,
  manifest: Pick<Manifest, 'bytes' | 'mediaType'>,
  options: { readonly ifMatch?: string } = {},
): Promise<void> {
  const response = await sendManifest(client, path, tagOrDigest, manifest, options);
  response.discard();
  const claimed = tryParseDigest(response.headers['docker-content-digest'] ?? '');
  // a signed schema 1 manifest may be named by its payload; nothing else may come back changed
  if (claimed === undefined || manifest.mediaType === mediaTypes.dockerSchema1Signed) return;
  if (!hasDigest(manifest.bytes, claimed)) {
    throw new BullaError(
      'manifest.digest-mismatch',
      `the registry stored other bytes than those sent to ${path}`,
    );
  }
}

/** How often a manifest is sent anew for blobs that are said to be missing, and the first wait in milliseconds; each is twice the last. */
const blobRounds = 5;
const blobDelayMs = 40;

/**
 * docker-registry 2.8 notes a repository's blob in a file that it empties and writes again when the same blob is uploaded once
 * more: whoever refers to it at that moment hears that it is unknown. Signers of one image all upload the same empty configuration.
 */
async function sendManifest(
  client: Client,
  path: string,
  tagOrDigest: string,
  manifest: Pick<Manifest, 'bytes' | 'mediaType'>,
  { ifMatch }: { readonly ifMatch?: string },
): Promise<HttpResponse> {
  for (let round = 1; ; round += 1) {
    const response = await client.session.send({
      method: 'PUT',
      target: targetOf(path, tagOrDigest),
      scopes: [pushScope(path)],
      headers: {
        'content-type': manifest.mediaType,
        ...(ifMatch !== undefined && { 'if-match': ifMatch }),
      },
      body: manifest.bytes,
      maxBytes: limits.errorBodyBytes,
    });
    if (response.status === 201 || response.status === 200 || response.status === 202) return response;
    if (response.status === 412 && ifMatch !== undefined) {
      response.discard();
      throw new BullaError('registry.changed', `${path}:${tagOrDigest} changed before it was written`);
    }
    const { error, codes } = await readRefusal(response, `write the manifest of ${path}`);
    if (round === blobRounds || !codes.includes('MANIFEST_BLOB_UNKNOWN')) throw error;
    const delay = blobDelayMs * 2 ** (round - 1) * (0.5 + Math.random());
    await new Promise((resolve) => setTimeout(resolve, delay));
  }
}

export async function deleteManifest(client: Client, path: string, digest: Digest): Promise<void> {
  const response = await client.session.send({
    method: 'DELETE',
    target: targetOf(path, digest),
    scopes: [`repository:${path}:*`],
    maxBytes: limits.errorBodyBytes,
  });
  if (response.status !== 202 && response.status !== 200) {
    throw await answerError(response, `delete the manifest of ${path}`);
  }
  response.discard();
}
