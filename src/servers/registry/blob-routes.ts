/** Blobs: read, delete, and the three ways of uploading (distribution specification 1.1, "Pushing blobs"). */
import { type Digest, tryParseDigest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { bare, fault } from './answers.ts';
import type { Content } from './content.ts';
import type { ByteRange } from './storage.ts';
import type { Upload, Uploads } from './uploads.ts';

export type BlobRoutes = {
  get(repository: string, digest: string, request: Request): Promise<Response>;
  remove(repository: string, digest: string): Promise<Response>;
  startUpload(repository: string, query: URLSearchParams, request: Request): Promise<Response>;
  addChunk(repository: string, id: string, request: Request): Promise<Response>;
  finishUpload(repository: string, id: string, query: URLSearchParams, request: Request): Promise<Response>;
  uploadStatus(repository: string, id: string): Response;
  cancelUpload(repository: string, id: string): Promise<Response>;
};

export type BlobParts = {
  readonly content: Content;
  readonly uploads: Uploads;
  readonly isRepository: (name: string) => boolean;
};

/** The routes of blobs. */
export function blobRoutes(parts: BlobParts): BlobRoutes {
  const { content, uploads } = parts;
  return {
    get: (repository, digest, request) => getBlob(content, repository, digest, request),
    remove: async (repository, text) => {
      const digest = tryParseDigest(text);
      if (digest === undefined) return badDigest();
      return (await content.removeBlob(repository, digest)) ? bare(202) : noBlob();
    },
    startUpload: (repository, query, request) => startUpload(parts, repository, query, request),
    addChunk: async (repository, id, request) => {
      const upload = uploads.find(repository, id);
      if (upload === undefined) return noUpload();
      return (await append(uploads, upload, request)) ?? progress(upload, 202);
    },
    finishUpload: async (repository, id, query, request) => {
      const upload = uploads.find(repository, id);
      if (upload === undefined) return noUpload();
      const digest = tryParseDigest(query.get('digest') ?? '');
      if (digest === undefined) return badDigest();
      return (await append(uploads, upload, request)) ?? finish(parts, upload, digest);
    },
    uploadStatus: (repository, id) => {
      const upload = uploads.find(repository, id);
      return upload === undefined ? noUpload() : progress(upload, 204);
    },
    cancelUpload: async (repository, id) => {
      const upload = uploads.find(repository, id);
      if (upload === undefined) return noUpload();
      if (upload.busy) return busyUpload();
      await uploads.close(upload, true);
      return bare(204);
    },
  };
}

async function getBlob(
  content: Content,
  repository: string,
  text: string,
  request: Request,
): Promise<Response> {
  const digest = tryParseDigest(text);
  if (digest === undefined) return badDigest();
  const size = await content.blobSize(repository, digest);
  if (size === undefined) return noBlob();
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
  };
  if (request.method === 'HEAD') return bare(200, { ...headers, 'content-length': String(size) });
  const range = rangeOf(request.headers.get('range'), size);
  if (range === 'unsatisfiable') return bare(416, { 'content-range': `bytes */${size}` });
  if (range === undefined) {
    return new Response(content.readBlob(digest), {
      headers: { ...headers, 'content-length': String(size) },
    });
  }
  return new Response(content.readBlob(digest, range), {
    status: 206,
    headers: {
      ...headers,
      'content-length': String(range.end - range.start + 1),
      'content-range': `bytes ${range.start}-${range.end}/${size}`,
    },
  });
}

/** One range of bytes (RFC 9110 section 14.1.2); several, or none that is understood: the whole blob. */
function rangeOf(header: string | null, size: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start >= size || start > end ? 'unsatisfiable' : { start, end };
}

async function startUpload(
  parts: BlobParts,
  repository: string,
  query: URLSearchParams,
  request: Request,
): Promise<Response> {
  const mounted = tryParseDigest(query.get('mount') ?? '');
  const from = query.get('from') ?? '';
  if (mounted !== undefined && parts.isRepository(from)) {
    if (await parts.content.mountBlob(from, repository, mounted)) return created(repository, mounted);
  }
  const asked = query.get('digest');
  const digest = asked === null ? undefined : tryParseDigest(asked);
  if (asked !== null && digest === undefined) return badDigest();
  const upload = await parts.uploads.open(repository);
  if (upload === undefined) return fault(429, 'TOOMANYREQUESTS', 'too many uploads are open');
  if (digest === undefined) return progress(upload, 202);
  const failed = await append(parts.uploads, upload, request);
  if (failed === undefined) return finish(parts, upload, digest);
  await parts.uploads.close(upload, true);
  return failed;
}

/** Adds a request's body to an upload; gives the answer where that fails. */
async function append(uploads: Uploads, upload: Upload, request: Request): Promise<Response | undefined> {
  if (upload.busy) return busyUpload();
  const range = request.headers.get('content-range');
  if (range !== null) {
    const match = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/.*)?$/.exec(range);
    if (match === null) return fault(400, 'BLOB_UPLOAD_INVALID', 'malformed Content-Range');
    if (Number(match[1]) !== upload.size) return progress(upload, 416);
  }
  try {
    await uploads.append(upload, request.body);
    return undefined;
  } catch (error) {
    if (!(error instanceof BullaError)) throw error;
    if (error.code === 'io.too-large') return fault(413, 'SIZE_INVALID', error.message);
    return fault(507, 'BLOB_UPLOAD_INVALID', error.message);
  }
}

async function finish(parts: BlobParts, upload: Upload, digest: Digest): Promise<Response> {
  upload.busy = true;
  if (!(await parts.uploads.hasDigest(upload, digest))) {
    await parts.uploads.close(upload, true);
    return fault(400, 'DIGEST_INVALID', 'the content does not have that digest');
  }
  await parts.content.adoptBlob(upload.repository, digest, upload.key);
  await parts.uploads.close(upload, false);
  return created(upload.repository, digest);
}

function created(repository: string, digest: Digest): Response {
  return bare(201, { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest });
}

/** Where an upload stands. The specification has `0-0` for an upload that is still empty. */
function progress(upload: Upload, status: number): Response {
  return bare(status, {
    location: `/v2/${upload.repository}/blobs/uploads/${upload.id}`,
    range: `0-${Math.max(upload.size - 1, 0)}`,
    'docker-upload-uuid': upload.id,
  });
}

const noBlob = (): Response => fault(404, 'BLOB_UNKNOWN', 'this repository has no such blob');
const noUpload = (): Response => fault(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload');
const busyUpload = (): Response => fault(409, 'BLOB_UPLOAD_INVALID', 'another request adds to this upload');
const badDigest = (): Response => fault(400, 'DIGEST_INVALID', 'not a digest');
