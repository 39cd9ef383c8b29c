/** A small image built in memory: one layer with one file, as an OCI layout that `bulla push` takes. */
import { join } from 'node:path';

import { utf8 } from '../../base/bytes.ts';
import { mediaTypes } from '../../base/descriptor.ts';
import { digestOf, hexOf } from '../../base/digest.ts';
import { zlib } from '../../base/node.ts';
import { makeFolder, replaceFile } from '../../io/files.ts';

/** Writes an OCI layout (image-layout.md) whose one image greets with `greeting`. */
export async function buildImage(folder: string, greeting: string): Promise<void> {
  const layer = tarOf('greeting.txt', utf8(`${greeting}\n`));
  const packed = new Uint8Array(zlib().gzipSync(layer));
  const config = utf8(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/bin/cat', '/greeting.txt'] },
      rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    }),
  );
  const manifest = utf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: describe(mediaTypes.ociConfig, config),
      layers: [describe(mediaTypes.ociLayerGzip, packed)],
    }),
  );
  const index = { schemaVersion: 2, manifests: [describe(mediaTypes.ociManifest, manifest)] };
  await makeFolder(join(folder, 'blobs', 'sha256'));
  for (const blob of [packed, config, manifest]) {
    await replaceFile(join(folder, 'blobs', 'sha256', hexOf(digestOf(blob))), blob);
  }
  await replaceFile(join(folder, 'oci-layout'), utf8('{"imageLayoutVersion":"1.0.0"}'));
  await replaceFile(join(folder, 'index.json'), utf8(JSON.stringify(index)));
}

function describe(mediaType: string, bytes: Uint8Array): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/** One file as a POSIX ustar archive: header, content padded to 512 bytes, two empty blocks. */
function tarOf(name: string, content: Uint8Array): Uint8Array {
  const header = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number): void => {
    header.write(value.toString(8).padStart(length - 1, '0'), at, 'ascii');
  };
  header.write(name, 0, 'utf8');
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content.length, 124, 12);
  octal(0, 136, 12);
  header.write('        0', 148, 'ascii');
  header.write('ustar\u000000', 257, 'latin1');
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  header.write('\u0000 ', 154, 'latin1');
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return new Uint8Array(Buffer.concat([header, content, padding, Buffer.alloc(1024)]));
}
