/** Uploads of blobs in progress: where each stands, and its end by digest. */
import { algorithmOf, type Digest } from '../../base/digest.ts';
import { crypto } from '../../base/node.ts';
import type { RegistryStorage } from './storage.ts';

export type Upload = {
  readonly id: string;
  readonly repository: string;
  /** Where its bytes are in the storage. */
  readonly key: string;
  /** Bytes so far. */
  size: number;
  /** One request at a time may add to it. */
  busy: boolean;
  /** Milliseconds since the epoch. */
  touched: number;
};

export type Uploads = {
  /** Undefined where too many are open. */
  open(repository: string): Promise<Upload | undefined>;
  find(repository: string, id: string): Upload | undefined;
  /** Adds bytes. @throws BullaError `io.too-large`, `io.no-space` */
  append(upload: Upload, body: ReadableStream<Uint8Array> | null): Promise<void>;
  /** True when all its bytes have that digest. */
  hasDigest(upload: Upload, digest: Digest): Promise<boolean>;
  /** Forgets it; with `discard` its bytes too. */
  close(upload: Upload, discard: boolean): Promise<void>;
};

const mostOpen = 1000;
const idleMs = 3_600_000;

/** The uploads of one registry; they do not outlive the process. */
export function openUploads(storage: RegistryStorage, mostBlobBytes: number): Uploads {
  const uploads = new Map<string, Upload>();
  const close = async (upload: Upload, discard: boolean): Promise<void> => {
    uploads.delete(upload.id);
    if (discard) await storage.remove(upload.key);
  };
  return {
    open: async (repository) => {
      const now = Date.now();
      const idle = [...uploads.values()].filter((each) => !each.busy && now - each.touched > idleMs);
      for (const each of idle) await close(each, true);
      if (uploads.size >= mostOpen) return undefined;
      const id = crypto.randomUUID();
      const upload: Upload = { id, repository, key: `uploads/${id}`, size: 0, busy: false, touched: now };
      uploads.set(id, upload);
      await storage.write(upload.key, new Uint8Array());
      return upload;
    },
    find: (repository, id) => {
      const upload = uploads.get(id);
      return upload?.repository === repository ? upload : undefined;
    },
    append: async (upload, body) => {
      if (body !== null) await append(storage, upload, body, mostBlobBytes);
    },
    hasDigest: async (upload, digest) => {
      const hash = crypto.createHash(algorithmOf(digest));
      for await (const part of storage.read(upload.key)) hash.update(part);
      return `${algorithmOf(digest)}:${hash.digest('hex')}` === digest;
    },
    close,
  };
}

async function append(
  storage: RegistryStorage,
  upload: Upload,
  body: ReadableStream<Uint8Array>,
  mostBytes: number,
): Promise<void> {
  upload.busy = true;
  try {
    upload.size = await storage.append(upload.key, body, mostBytes);
  } catch (error) {
    // a client may ask how much arrived, and go on from there
    upload.size = (await storage.size(upload.key)) ?? 0;
    throw error;
  } finally {
    upload.busy = false;
    upload.touched = Date.now();
  }
}
