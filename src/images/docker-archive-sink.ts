/**
 * Writing a docker-archive, as `docker load` and `podman load` take it. It has no manifest of its own and no
 * compressed layers, so what is read from it has another digest than what was written to it, as with skopeo.
 */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { printable, utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { type Digest, hexOf } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type ImageManifest, type Manifest, parseManifest } from '../base/manifest.ts';
import { crypto } from '../base/node.ts';
import { formatReference, type Reference } from '../base/reference.ts';
import { readFileIfThere } from '../io/files.ts';
import { openTemporary } from '../io/temporary-file.ts';
import { archiveReference, dockerConfigType, readDiffIds } from './docker-archive.ts';
import type { FileSink } from './image.ts';
import { blobName } from './layout-files.ts';
import { contentOf, feedFile, openStaging, type Staging } from './staging.ts';
import { occupied, type TarEntry, writeTarArchive } from './tar-write.ts';
import { compressionOf, unpacked } from './unpack.ts';

/**
 * Opens an archive as a destination; it is written with the manifest, whole or not at all. One that is there is
 * never changed; an empty file (mktemp) counts as none.
 * @throws BullaError `image.occupied`, `image-name.malformed`; `image.unsupported` for what is no single image
 */
export async function openDockerArchiveSink(path: string, name?: string): Promise<FileSink> {
  const reference = name === undefined ? undefined : archiveReference(name, path);
  const isEmpty = await isEmptyFile(path);
  let staging: Promise<Staging> | undefined;
  const opened = (): Promise<Staging> => (staging ??= openStaging(path, undefined));
  return {
    name: { transport: 'docker-archive', path, ...(name !== undefined && { name }) },
    hasBlob: async (descriptor) => (staging === undefined ? false : (await staging).sink.hasBlob(descriptor)),
    putBlob: async (descriptor, content) => (await opened()).sink.putBlob(descriptor, content),
    take: async (descriptor, feed) => (await opened()).sink.take(descriptor, feed),
    putManifest: async (manifest, options) => {
      const image = singleImage(manifest, options?.instance === true);
      const entries = await entriesOf((await opened()).folder, image, reference);
      await writeTarArchive(path, entries, isEmpty ? 'replace' : 'refuse');
    },
    [Symbol.asyncDispose]: async () => (await staging)?.[Symbol.asyncDispose](),
  };
}

async function isEmptyFile(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) return false;
  if (status.isFile() && status.size === 0) return true;
  throw occupied(path);
}

function singleImage(manifest: Manifest, isInstance: boolean): ImageManifest {
  const parsed = parseManifest(manifest);
  const configTypes: readonly string[] = [mediaTypes.ociConfig, dockerConfigType];
  if (!isInstance && parsed.kind === 'image' && configTypes.includes(parsed.config.mediaType)) return parsed;
  throw new BullaError(
    'image.unsupported',
    `a docker-archive holds images of one platform, not ${isInstance ? 'lists of images' : manifest.mediaType}`,
    { hint: 'oci-archive: takes everything; of a list one image can be chosen by its platform' },
  );
}

async function entriesOf(
  folder: string,
  { config, layers }: ImageManifest,
  reference: Reference | undefined,
): Promise<readonly TarEntry[]> {
  const content = await readFileIfThere(join(folder, blobName(config.digest)), limits.configBytes);
  const diffIds = content === undefined ? undefined : readDiffIds(content);
  if (content === undefined || diffIds === undefined || diffIds.length !== layers.length) {
    throw new BullaError(
      'image.malformed',
      `the configuration ${config.digest} does not name the image's layers`,
    );
  }
  const files = new Map<string, TarEntry>();
  for (const [index, diffId] of diffIds.entries()) {
    const layer = layers[index];
    if (layer === undefined) continue;
    const entry = await layerEntry(folder, layer, diffId);
    files.set(entry.name, entry);
  }
  const item = {
    Config: `${hexOf(config.digest)}.json`,
    RepoTags: reference === undefined ? [] : [formatReference(reference)],
    Layers: diffIds.map((each) => `${hexOf(each)}.tar`),
  };
  const list = utf8(JSON.stringify([item]));
  return [
    { name: item.Config, size: content.length, content },
    { name: 'manifest.json', size: list.length, content: list },
    ...files.values(),
  ];
}

async function layerEntry(folder: string, layer: Descriptor, diffId: Digest): Promise<TarEntry> {
  const packed = join(folder, blobName(layer.digest));
  const path = join(folder, `${hexOf(diffId)}.tar`);
  const hash = crypto.createHash('sha256');
  await using file = await open(packed).catch(() => undefined);
  if (file === undefined) throw new BullaError('image.not-found', `the layer ${layer.digest} is missing`);
  const compression = await compressionOf(file, `the layer ${layer.digest}`);
  if (compression === undefined) {
    if (layer.digest !== diffId) throw wrongLayer(layer, diffId);
    return {
      name: `${hexOf(diffId)}.tar`,
      size: layer.size,
      content: (write) => feedFile(packed, layer.size, write),
    };
  }
  await using temporary = await openTemporary(path);
  let size = 0;
  for await (const chunk of unpacked(
    await contentOf(packed),
    compression,
    layer.size,
    `the layer ${layer.digest}`,
  )) {
    size += chunk.length;
    hash.update(chunk);
    await temporary.write(chunk);
  }
  if (`sha256:${hash.digest('hex')}` !== diffId) throw wrongLayer(layer, diffId);
  await temporary.replace();
  return { name: `${hexOf(diffId)}.tar`, size, content: (write) => feedFile(path, size, write) };
}

function wrongLayer({ digest }: Descriptor, diffId: Digest): BullaError {
  return new BullaError(
    'blob.digest-mismatch',
    `the layer ${digest} does not unpack to ${printable(diffId)}, which the configuration says`,
  );
}
