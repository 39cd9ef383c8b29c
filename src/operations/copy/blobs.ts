/** Blobs on their way from one image to another: each once, a few at a time, checked as they pass. */
import type { Descriptor } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import type { DockerImage, DockerSink } from '../../images/docker.ts';
import type { Image, ImageSink } from '../../images/image.ts';
import type { BlobFeed } from '../../registry/feed-blob.ts';
import { inParallel } from '../in-parallel.ts';

/** Bytes of blobs; the total grows as more of them become known. */
export type CopyProgress = { readonly passed: number; readonly total: number };

export type CopiedItem = {
  /** `packed`: a layer has been packed anew, and is still to be sent. */
  readonly kind: 'blob' | 'manifest' | 'packed';
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** False: it was there already. */
  readonly sent: boolean;
  /** It was taken from another repository of the same registry. */
  readonly mounted?: boolean;
  /** Of what is packed anew: what it was. */
  readonly from?: Digest;
};

export type BlobTold = {
  /** Told of each blob and manifest when it is at the destination. */
  readonly onItem?: (item: CopiedItem) => void;
  /** Told of bytes as they pass; what is there already counts as passed. */
  readonly onProgress?: (progress: CopyProgress) => void;
  /** Blobs under way at the same time, at most 20. Default: 6, as the peers have it. */
  readonly parallelBlobs?: number;
};

/** Moves blobs between one source and one destination, and remembers which it has moved. */
export type BlobMover = {
  /** All of them are at the destination afterwards. A few at a time; after the first failure nothing new is begun. */
  move(blobs: readonly Descriptor[]): Promise<void>;
  /** These are known to be there. */
  skip(blobs: readonly Descriptor[]): void;
  readonly report: (item: CopiedItem) => void;
};

const blobsAtOnce = 6;
/** Each takes memory, and registries limit what one client may do. */
const mostBlobsAtOnce = 20;

/**
 * @throws BullaError (from `move`) `blob.digest-mismatch`, `image.not-found`, `registry.*`, `http.*`, `io.*`
 */
export function openBlobMover(source: Image, sink: ImageSink, told: BlobTold = {}): BlobMover {
  const moved = new Map<Digest, Promise<void>>();
  const report = told.onItem ?? ((): void => undefined);
  const count = counter(told.onProgress);
  const moveOnce = (blob: Descriptor): Promise<void> => {
    const known = moved.get(blob.digest) ?? moveBlob({ source, sink, report, count }, blob);
    moved.set(blob.digest, known);
    return known;
  };
  return {
    report,
    skip: (blobs) => {
      for (const { digest, size } of blobs) {
        moved.set(digest, Promise.resolve());
        count(size, size);
        report({ kind: 'blob', digest, size, sent: false });
      }
    },
    move: async (blobs) => {
      const fresh = blobs.filter(({ digest }) => !moved.has(digest));
      count(
        0,
        fresh.reduce((sum, { size }) => sum + size, 0),
      );
      await inParallel(blobs, Math.min(told.parallelBlobs ?? blobsAtOnce, mostBlobsAtOnce), moveOnce);
    },
  };
}

type Count = (passed: number, more: number) => void;

/** Counts bytes for whoever is told of them. */
export function counter(tell: BlobTold['onProgress']): Count {
  if (tell === undefined) return () => undefined;
  let [passed, total] = [0, 0];
  return (bytes, more) => {
    passed += bytes;
    total += more;
    tell({ passed, total });
  };
}

type Moving = {
  readonly source: Image;
  readonly sink: ImageSink;
  readonly report: (item: CopiedItem) => void;
  readonly count: Count;
};

async function moveBlob({ source, sink, report, count }: Moving, blob: Descriptor): Promise<void> {
  const { digest, size } = blob;
  if (await sink.hasBlob(blob)) {
    count(size, 0);
    report({ kind: 'blob', digest, size, sent: false });
    return;
  }
  const feed = counted(feedOf(source, blob), count);
  if (!isDockerSink(sink)) {
    await (sink.take === undefined ? sink.putBlob(blob, streamOf(feed)) : sink.take(blob, feed));
    report({ kind: 'blob', digest, size, sent: true });
    return;
  }
  const mounted = (await sink.send(blob, feed, mountableFrom(source, sink))) === 'mounted';
  if (mounted) count(size, 0);
  report({ kind: 'blob', digest, size, sent: !mounted, ...(mounted && { mounted }) });
}

/** The source's repository, where it is in the same registry as the destination. */
function mountableFrom(source: Image, sink: DockerSink): string | undefined {
  if (!isDockerImage(source)) return undefined;
  return source.registry.domain === sink.registry.domain ? source.physical.path : undefined;
}

function isDockerImage(image: Image): image is DockerImage {
  return 'registry' in image;
}

function isDockerSink(sink: ImageSink): sink is DockerSink {
  return 'send' in sink;
}

/** The bytes of a blob, each time from its first; a registry's are asked for again only where the connection broke. */
export function feedOf(source: Image, blob: Descriptor): BlobFeed {
  const { feed } = source;
  if (feed !== undefined) return (consume) => feed(blob, consume);
  return async (consume) => {
    for await (const chunk of await source.blob(blob)) await consume(chunk);
  };
}

/** A feed that begins anew takes back what it had counted. */
function counted(feed: BlobFeed, count: Count): BlobFeed {
  let passed = 0;
  return (consume) => {
    count(-passed, 0);
    passed = 0;
    return feed((chunk) => {
      passed += chunk.length;
      count(chunk.length, 0);
      return consume(chunk);
    });
  };
}

/** Chunks held between the two sides. */
const held = 2;

/** A feed as a stream of the web, for what wants one. */
export function streamOf(feed: BlobFeed): ReadableStream<Uint8Array> {
  // one for all chunks that wait: the feed may give several
  let waiting: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  let isCancelled = false;
  const wanted = (): Promise<void> => (waiting ??= Promise.withResolvers<void>()).promise;
  const wake = (): void => {
    waiting?.resolve();
    waiting = undefined;
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const fed = feed((chunk) => {
          if (isCancelled) throw new BullaError('io.failed', 'nobody reads on');
          // the feed uses its bytes again
          controller.enqueue(new Uint8Array(chunk));
          return (controller.desiredSize ?? 0) > 0 ? undefined : wanted();
        });
        fed.then(
          () => {
            if (!isCancelled) controller.close();
          },
          (error: unknown) => {
            if (!isCancelled) controller.error(error);
          },
        );
      },
      pull: wake,
      cancel() {
        isCancelled = true;
        wake();
      },
    },
    { highWaterMark: held },
  );
}
