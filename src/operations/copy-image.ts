/** The one way in which image data moves: blobs, then instances, then the manifest that names them. */
import { type Descriptor, isIndexType, mediaTypes, type Platform } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { type ImageManifest, type Manifest, parseManifest } from '../base/manifest.ts';
import { chooseInstance, hostPlatform } from '../images/choose-instance.ts';
import type { Image, ImageSink } from '../images/image.ts';

export type CopyOptions = {
  /** Of an index: the platform's instance alone (default), or everything. */
  readonly instances?: 'system' | 'all';
  /** Default: this machine's. */
  readonly platform?: Platform;
  /** Told of each blob and manifest when it is at the destination. */
  readonly onItem?: (item: CopiedItem) => void;
  /** Told of bytes as they pass; what is there already counts as passed. */
  readonly onProgress?: (progress: CopyProgress) => void;
};

/** Bytes of blobs; the total grows as the instances of an index become known. */
export type CopyProgress = { readonly passed: number; readonly total: number };

export type CopiedItem = {
  readonly kind: 'blob' | 'manifest';
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** False: it was there already. */
  readonly sent: boolean;
};

/** What the destination's name means afterwards. */
export type CopyReceipt = { readonly digest: Digest; readonly mediaType: string; readonly size: number };

/** Blobs under way at the same time; the peers have the same figure. */
const blobsAtOnce = 6;
/** Indexes within indexes. */
const deepestIndex = 8;

/**
 * Copies an image, its bytes unchanged. The manifest comes last, so the destination's name never
 * means something incomplete; what failed leaves nothing but unnamed blobs.
 * @throws BullaError `image.no-such-platform`, `image.unsupported` (a manifest the destination cannot hold),
 * `manifest.digest-mismatch` (the destination's name has another digest), `blob.digest-mismatch`, `registry.*`, `io.*`
 */
export async function copyImage(
  source: Image,
  sink: ImageSink,
  options: CopyOptions = {},
): Promise<CopyReceipt> {
  const top = await source.manifest();
  const chosen = options.instances === 'all' ? top : await instanceOf(source, top, options.platform);
  checkDestination(chosen, sink);
  const copier: Copier = {
    source,
    sink,
    known: new Map(),
    report: options.onItem ?? (() => undefined),
    count: counter(options.onProgress),
  };
  await copyParts(copier, chosen, 0);
  await putManifest(copier, chosen, false);
  return { digest: chosen.digest, mediaType: chosen.mediaType, size: chosen.bytes.length };
}

async function instanceOf(source: Image, top: Manifest, platform: Platform | undefined): Promise<Manifest> {
  const parsed = parseManifest(top);
  if (parsed.kind !== 'index') return top;
  const { digest } = chooseInstance(parsed, platform ?? hostPlatform());
  return source.manifest(digest);
}

/** Before anything is sent: the name's own digest holds, and the transport takes such manifests. */
function checkDestination(manifest: Manifest, { name }: ImageSink): void {
  const wanted = name.transport === 'docker' ? name.reference.digest : undefined;
  if (wanted !== undefined && wanted !== manifest.digest) {
    throw new BullaError(
      'manifest.digest-mismatch',
      `${formatImageName(name)} names another manifest than ${manifest.digest}`,
      { hint: 'leave the digest out of the destination, or give --all where it is that of the whole index' },
    );
  }
  checkType(manifest, name);
}

function checkType(manifest: Manifest, name: ImageName): void {
  const oci: readonly string[] = [mediaTypes.ociManifest, mediaTypes.ociIndex];
  if (name.transport === 'oci' && !oci.includes(manifest.mediaType)) {
    throw new BullaError(
      'image.unsupported',
      `an OCI layout holds OCI manifests, not ${manifest.mediaType}`,
      {
        hint: 'converting would change the digest; use dir: to keep the image as it is',
      },
    );
  }
}

type Copier = {
  readonly source: Image;
  readonly sink: ImageSink;
  /** Blobs that are at the destination or on their way, so that none is sent twice. */
  readonly known: Map<Digest, Promise<void>>;
  readonly report: (item: CopiedItem) => void;
  readonly count: (passed: number, more: number) => void;
};

function counter(tell: CopyOptions['onProgress']): Copier['count'] {
  let [passed, total] = [0, 0];
  return (bytes, more) => {
    passed += bytes;
    total += more;
    tell?.({ passed, total });
  };
}

/** What a manifest points to: blobs, or the instances of an index with theirs. */
async function copyParts(copier: Copier, manifest: Manifest, depth: number): Promise<void> {
  const parsed = parseManifest(manifest);
  if (parsed.kind === 'schema1') {
    throw new BullaError('image.unsupported', 'Docker schema 1 images are too old to be copied');
  }
  if (parsed.kind === 'image') return copyBlobs(copier, blobsOf(parsed));
  if (depth >= deepestIndex)
    throw new BullaError('image.unsupported', 'the image’s indexes are nested too deep');
  for (const descriptor of parsed.manifests) {
    const instance = await copier.source.manifest(descriptor.digest);
    checkInstance(instance, descriptor);
    checkType(instance, copier.sink.name);
    await copyParts(copier, instance, depth + 1);
    await putManifest(copier, instance, true);
  }
}

function checkInstance(instance: Manifest, descriptor: Descriptor): void {
  const isSameKind = isIndexType(instance.mediaType) === isIndexType(descriptor.mediaType);
  if (isSameKind && instance.bytes.length === descriptor.size) return;
  throw new BullaError(
    'manifest.malformed',
    `the index does not describe its manifest ${descriptor.digest} rightly`,
  );
}

/** Layers that may not be distributed stay where they are, as the peers leave them. */
function blobsOf(manifest: ImageManifest): readonly Descriptor[] {
  const layers = manifest.layers.filter(({ mediaType }) => !/nondistributable|\.foreign\./.test(mediaType));
  return [...layers, manifest.config];
}

/** A few at a time; the first failure ends the rest before their next blob. */
async function copyBlobs(copier: Copier, blobs: readonly Descriptor[]): Promise<void> {
  const waiting = [...blobs];
  const worker = async (): Promise<void> => {
    for (let blob = waiting.shift(); blob !== undefined; blob = waiting.shift()) {
      try {
        await copyBlobOnce(copier, blob);
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(blobsAtOnce, blobs.length) }, worker));
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
}

function copyBlobOnce(copier: Copier, blob: Descriptor): Promise<void> {
  const known = copier.known.get(blob.digest) ?? copyBlob(copier, blob);
  copier.known.set(blob.digest, known);
  return known;
}

async function copyBlob({ source, sink, report, count }: Copier, blob: Descriptor): Promise<void> {
  count(0, blob.size);
  const isThere = await sink.hasBlob(blob);
  if (isThere) count(blob.size, 0);
  else await sink.putBlob(blob, counted(await source.blob(blob), count));
  report({ kind: 'blob', digest: blob.digest, size: blob.size, sent: !isThere });
}

function counted(content: ReadableStream<Uint8Array>, count: Copier['count']): ReadableStream<Uint8Array> {
  return content.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        count(chunk.length, 0);
        controller.enqueue(chunk);
      },
    }),
  );
}

async function putManifest({ sink, report }: Copier, manifest: Manifest, instance: boolean): Promise<void> {
  await sink.putManifest(manifest, { instance });
  report({ kind: 'manifest', digest: manifest.digest, size: manifest.bytes.length, sent: true });
}
