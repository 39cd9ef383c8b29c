/** Referrers on their way into a layout: as they are. */
import type { ImageSink } from '../../images/image.ts';
import type { BlobMover } from './blobs.ts';
import { type Carried, referrerEntry, type Satellite } from './carried.ts';
import { moveParts } from './image.ts';

/** It names its image itself; what a tag names does not. */
export function isReferrer({ suffix }: Satellite): boolean {
  return suffix === undefined;
}

/**
 * Brings the referrers into a layout and lists them there.
 * @throws BullaError `image.unsupported`, `blob.digest-mismatch`, `io.*`
 */
export async function putReferrers(
  { satellites }: Carried,
  mover: BlobMover,
  sink: ImageSink,
): Promise<void> {
  for (const { manifest, parts } of satellites.filter(isReferrer)) {
    await moveParts(mover, sink, parts);
    // a layout's entries have annotations for names alone
    const { annotations: _annotations, ...listed } = referrerEntry(manifest);
    await sink.putManifest(manifest, { instance: true, listed });
    mover.report({ kind: 'manifest', digest: manifest.digest, size: manifest.bytes.length, sent: true });
  }
}
