/** The images that are copied: four layers of random bytes, in a registry. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Bench } from '../../test/support/peers.ts';

export const launcher: string = join(import.meta.dirname, '..', '..', 'bin', 'bulla.js');

/** Puts an image of four layers of so many bytes into a plain registry, as `NAME:1`. */
export async function pushLayers(bench: Bench, host: string, name: string, bytes: number): Promise<void> {
  const folder = bench.path(name);
  writeImage(folder, 4, bytes);
  const flags = ['--quiet', '--preserve-digests', '--dest-tls-verify=false'];
  await bench.ok('skopeo', ['copy', ...flags, `oci:${folder}:v1`, `docker://${host}/${name}:1`]);
  rmSync(folder, { recursive: true });
}

/** An OCI layout whose layers are random bytes: nothing of it compresses. */
function writeImage(folder: string, layers: number, bytes: number): void {
  const blobs = join(folder, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (content: Uint8Array, mediaType: string): object => {
    const hex = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(blobs, hex), content);
    return { mediaType, digest: `sha256:${hex}`, size: content.length };
  };
  const type = 'application/vnd.oci.image.layer.v1.tar';
  const list = Array.from({ length: layers }, () => put(randomBytes(bytes), type));
  const config = put(
    Buffer.from('{"os":"linux","architecture":"amd64"}'),
    'application/vnd.oci.image.config.v1+json',
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: list }));
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' };
  const index = { schemaVersion: 2, manifests: [{ ...put(manifest, mediaType), annotations }] };
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}
