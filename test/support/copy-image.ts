/** The moving part of a copy alone: nothing is judged, and nothing goes along. */
import { type BlobTold, openBlobMover } from '../../src/operations/copy/blobs.ts';
import { checkDestination, moveParts, putManifest } from '../../src/operations/copy/image.ts';
import { chooseParts, type CopiedInstances } from '../../src/operations/copy/selection.ts';
import type { Platform } from '../../src/base/descriptor.ts';
import type { Digest } from '../../src/base/digest.ts';
import type { Image, ImageSink } from '../../src/images/image.ts';

export type CopyOptions = BlobTold & {
  readonly instances?: CopiedInstances;
  readonly platform?: Platform;
};

/** Blobs, images, lists, and under the sink's own name what it is to mean. */
export async function copyImage(
  source: Image,
  sink: ImageSink,
  options: CopyOptions = {},
): Promise<{ readonly digest: Digest; readonly mediaType: string; readonly size: number }> {
  const { top, parts } = await chooseParts(source, options);
  checkDestination(top, sink.name);
  const mover = openBlobMover(source, sink, options);
  await moveParts(mover, sink, parts);
  await putManifest(mover, sink, top, false);
  return { digest: top.digest, mediaType: top.mediaType, size: top.bytes.length };
}
