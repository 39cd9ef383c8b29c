/** A small, valid image as an OCI layout folder, written without any of Bulla's own image code. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';

import tar from 'tar-stream';

export type OciImageOptions = {
  /** The name in index.json (org.opencontainers.image.ref.name); default `latest`. */
  readonly tag?: string;
  /** The files of the one layer, path to content; different content gives a different digest. */
  readonly files?: Readonly<Record<string, string>>;
};

export type WrittenImage = {
  /** `sha256:…` of the manifest. */
  readonly digest: string;
  readonly manifest: Uint8Array;
};

/** Writes an image of one layer for linux/amd64 to a folder that does not exist yet. */
export async function writeOciImage(folder: string, options: OciImageOptions = {}): Promise<WrittenImage> {
  const { tag = 'latest', files = { 'hello.txt': 'hello\n' } } = options;
  const blobs = join(folder, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array, mediaType: string): { mediaType: string; digest: string; size: number } => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const layer = await tarOf(files);
  const config = json({
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: put(config, 'application/vnd.oci.image.config.v1+json'),
    layers: [put(gzipSync(layer), 'application/vnd.oci.image.layer.v1.tar+gzip')],
  });
  const descriptor = put(manifest, 'application/vnd.oci.image.manifest.v1+json');
  const annotations = { 'org.opencontainers.image.ref.name': tag };
  writeFileSync(
    join(folder, 'index.json'),
    json({ schemaVersion: 2, manifests: [{ ...descriptor, annotations }] }),
  );
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return { digest: descriptor.digest, manifest };
}

async function tarOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const pack = tar.pack();
  for (const [name, content] of Object.entries(files)) {
    pack.entry({ name, mode: 0o644, mtime: new Date(0) }, content);
  }
  pack.finalize();
  return buffer(pack);
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
