/** An image as Docker's archives keep it. */
import { utf8 } from '../../src/base/bytes.ts';
import { mediaTypes } from '../../src/base/descriptor.ts';
import { digestOf } from '../../src/base/digest.ts';
import { takeManifest } from '../../src/base/manifest.ts';
import type { SampleImage } from '../../src/images/image-contract.ts';

export const dockerLayer = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

/** As an archive keeps it: Docker's schema 2, the layer not compressed. */
export function dockerSample(
  text: string,
  pack: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): SampleImage {
  const layer = new Uint8Array(700_000).fill(text.length);
  const config = utf8(
    JSON.stringify({ os: 'linux', text, rootfs: { type: 'layers', diff_ids: [digestOf(layer)] } }),
  );
  const order = (bytes: Uint8Array, mediaType: string) => ({
    mediaType,
    size: bytes.length,
    digest: digestOf(bytes),
  });
  const packed = pack(layer);
  const value = {
    schemaVersion: 2,
    mediaType: mediaTypes.dockerManifest,
    config: order(config, 'application/vnd.docker.container.image.v1+json'),
    layers: [order(packed, dockerLayer)],
  };
  return {
    blobs: [
      [value.config, config],
      [order(packed, dockerLayer), packed],
    ],
    manifest: takeManifest(utf8(JSON.stringify(value))),
  };
}
