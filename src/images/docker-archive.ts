/**
 * `docker-archive:` images as `docker save` and skopeo write them: manifest.json lists images, each with a
 * configuration and layers. There is no manifest inside; the one served is made of what is there, byte for
 * byte as containers/image makes it, so that its digest is what skopeo and podman call the image.
 */
import { printable, textOf, utf8 } from '../base/bytes.ts';
import type { Descriptor } from '../base/descriptor.ts';
import { mediaTypes } from '../base/descriptor.ts';
import { type Digest, digestOf, tryParseDigest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Manifest, takeManifest } from '../base/manifest.ts';
import { formatReference, isNameOnly, type Reference, tryParseReference } from '../base/reference.ts';
import { type ByteSource, checkedStream, feedSource, piecesOf, sourceOf } from './blob-file.ts';
import type { Image } from './image.ts';
import { openTarArchive, type TarArchive, type TarFile } from './tar-read.ts';
import { compressionIn, magicBytes, unpacked } from './unpack.ts';

export const dockerConfigType = 'application/vnd.docker.container.image.v1+json';
/** Also of layers that are not compressed, as here: containers/image says so, and the digest hangs on it. */
export const dockerLayerType = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

/** More layers than any engine can mount. */
const mostLayers = 4096;

/**
 * Opens one image of an archive: by a reference among its RepoTags, by `@N` its place in manifest.json, or the only one.
 * @throws BullaError `image.not-found`, `image.ambiguous`, `image.malformed`, `image.too-large`, `image.unsupported`, `io.*`
 */
export async function openDockerArchiveImage(path: string, name?: string): Promise<Image> {
  const archive = await openTarArchive(path, { links: 'keep' });
  try {
    const item = findItem(await readItems(archive), name, path);
    const { manifest, blobs } = await assemble(archive, item);
    return {
      name: { transport: 'docker-archive', path, ...(name !== undefined && { name }) },
      physical: undefined,
      manifest: async (digest) => {
        if (digest === undefined || digest === manifest.digest) return manifest;
        throw new BullaError('image.not-found', `${printable(path)} holds no manifest ${digest}`);
      },
      blob: async (descriptor) => {
        const blob = blobs.get(descriptor.digest);
        if (blob !== undefined) return checkedStream(blob(), descriptor, path);
        throw new BullaError('image.not-found', `the blob ${descriptor.digest} is missing`);
      },
      feed: async (descriptor, consume) => {
        const blob = blobs.get(descriptor.digest);
        if (blob !== undefined) return feedSource(blob(), descriptor, path, consume);
        throw new BullaError('image.not-found', `the blob ${descriptor.digest} is missing`);
      },
      [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
    };
  } catch (error) {
    await archive[Symbol.asyncDispose]();
    throw error;
  }
}

/** One image of manifest.json. */
type Item = { readonly config: string; readonly tags: readonly string[]; readonly layers: readonly string[] };

async function readItems(archive: TarArchive): Promise<readonly Item[]> {
  const file = archive.files.get('manifest.json');
  if (file === undefined) throw malformed(archive, 'manifest.json is missing');
  const value = await readJson(archive, file, 'manifest.json');
  if (!Array.isArray(value)) throw malformed(archive, 'manifest.json is no list');
  return value.map((each: unknown) => itemOf(archive, each));
}

function itemOf(archive: TarArchive, value: unknown): Item {
  const item = isObject(value) ? value : {};
  const { Config: config, RepoTags: tags, Layers: layers } = item;
  if (typeof config !== 'string' || config === '') throw malformed(archive, 'an image has no Config');
  return { config, tags: texts(archive, tags, 'RepoTags'), layers: texts(archive, layers, 'Layers') };
}

/** A list of texts; Go writes null for an empty one. */
function texts(archive: TarArchive, value: unknown, what: string): readonly string[] {
  const list = value ?? [];
  if (Array.isArray(list) && list.length <= mostLayers && list.every((each) => typeof each === 'string'))
    return list;
  throw malformed(archive, `${what} is no list of texts`);
}

function findItem(items: readonly Item[], name: string | undefined, path: string): Item {
  const fitting =
    name === undefined ? items : items.filter((item, index) => isNamed(item, index, name, path));
  const [first, another] = fitting;
  const tags = items.flatMap((item) => item.tags);
  const hint = tags.length === 0 ? {} : { hint: `its images are named ${printable(tags.join(', '), 500)}` };
  const what = name === undefined ? '' : ` named "${printable(name)}"`;
  if (first === undefined)
    throw new BullaError('image.not-found', `${printable(path)} holds no image${what}`, hint);
  if (another !== undefined)
    throw new BullaError('image.ambiguous', `${printable(path)} holds several images${what}`, hint);
  return first;
}

function isNamed({ tags }: Item, index: number, name: string, path: string): boolean {
  const place = /^@(\d+)$/.exec(name)?.[1];
  if (place !== undefined) return index === Number(place);
  const wanted = formatReference(archiveReference(name, path));
  return tags.some((tag) => {
    const reference = tryParseReference(tag);
    return reference !== undefined && formatReference(reference) === wanted;
  });
}

/**
 * The reference in a docker-archive's name; a name alone means its tag `latest`.
 * @throws BullaError `image-name.malformed`
 */
export function archiveReference(name: string, path: string): Reference {
  const reference = tryParseReference(name);
  if (reference !== undefined && reference.digest === undefined)
    return isNameOnly(reference) ? { ...reference, tag: 'latest' } : reference;
  throw new BullaError(
    'image-name.malformed',
    `docker-archive:${printable(path)}:${printable(name)} names no repository and tag`,
    {
      hint: 'write docker-archive:FILE:NAME:TAG; of several images without names docker-archive:FILE:@0 is the first',
    },
  );
}

type Assembled = { readonly manifest: Manifest; readonly blobs: ReadonlyMap<Digest, () => ByteSource> };

/** The manifest of an image, and where its blobs come from. A layer is named by what its configuration says it unpacks to. */
async function assemble(archive: TarArchive, item: Item): Promise<Assembled> {
  const file = fileOf(archive, item.config);
  const config = await archive.read(file, limits.configBytes);
  const diffIds = diffIdsOf(archive, config);
  if (diffIds.length !== item.layers.length)
    throw malformed(archive, `it has ${item.layers.length} layers, its configuration ${diffIds.length}`);
  const configDescriptor = { mediaType: dockerConfigType, size: config.length, digest: digestOf(config) };
  const blobs = new Map<Digest, () => ByteSource>([[configDescriptor.digest, () => archive.source(file)]]);
  const layers: Descriptor[] = [];
  // several layers may be one file, which is unpacked once
  const sizes: Sizes = { byOffset: new Map(), together: 0 };
  for (const [index, digest] of diffIds.entries()) {
    const layer = await layerOf(archive, fileOf(archive, item.layers[index] ?? ''), sizes);
    layers.push({ mediaType: dockerLayerType, size: layer.size, digest });
    blobs.set(digest, layer.open);
  }
  return { manifest: schema2(configDescriptor, layers), blobs };
}

function inOrder({ mediaType, size, digest }: Descriptor): Descriptor {
  return { mediaType, size, digest };
}

/** The members in containers/image's order: the digest is of these bytes. */
export function schema2(config: Descriptor, layers: readonly Descriptor[]): Manifest {
  const value = {
    schemaVersion: 2,
    mediaType: mediaTypes.dockerManifest,
    config: inOrder(config),
    layers: layers.map(inOrder),
  };
  return takeManifest(utf8(JSON.stringify(value)));
}

/**
 * What a configuration says of its layers, unpacked.
 * @returns undefined where it says nothing valid
 */
export function readDiffIds(config: Uint8Array): readonly Digest[] | undefined {
  const value = jsonOf(config);
  const rootfs = isObject(value) ? value['rootfs'] : undefined;
  const listed = isObject(rootfs) ? (rootfs['diff_ids'] ?? []) : undefined;
  if (!Array.isArray(listed) || listed.length > mostLayers) return undefined;
  const digests = listed.map((each: unknown) =>
    typeof each === 'string' ? tryParseDigest(each) : undefined,
  );
  return digests.every((each) => each !== undefined) ? digests : undefined;
}

function diffIdsOf(archive: TarArchive, config: Uint8Array): readonly Digest[] {
  const digests = readDiffIds(config);
  if (digests === undefined) throw malformed(archive, 'its configuration names no layers');
  return digests;
}

/** A name in the archive, a link followed once. */
function fileOf(archive: TarArchive, name: string): TarFile {
  const file = archive.files.get(name) ?? archive.files.get(archive.links.get(name) ?? '');
  if (file === undefined) throw malformed(archive, `${printable(name)} is missing`);
  return file;
}

type Layer = { readonly size: number; readonly open: () => ByteSource };

/** What the compressed layers of an archive unpack to. */
type Sizes = { readonly byOffset: Map<number, number>; together: number };

async function unpackedSize(
  { path }: TarArchive,
  content: AsyncIterable<Uint8Array>,
  sizes: Sizes,
): Promise<number> {
  let size = 0;
  for await (const { length } of content) {
    size += length;
    sizes.together += length;
    if (sizes.together > limits.unpackedBytes) {
      const what = `the layers in ${printable(path)} unpack to more than ${limits.unpackedBytes} bytes`;
      throw new BullaError('image.too-large', what);
    }
  }
  return size;
}

/** Layers may be compressed inside; what is served never is. Its size takes a look at all of it. */
async function layerOf(archive: TarArchive, file: TarFile, sizes: Sizes): Promise<Layer> {
  const start = await archive.read(
    { offset: file.offset, size: Math.min(file.size, magicBytes) },
    magicBytes,
  );
  const compression = compressionIn(start, archive.path);
  if (compression === undefined) return { size: file.size, open: () => archive.source(file) };
  const open = (): AsyncGenerator<Uint8Array> =>
    unpacked(piecesOf(archive.source(file)), compression, file.size, archive.path);
  const size = sizes.byOffset.get(file.offset) ?? (await unpackedSize(archive, open(), sizes));
  sizes.byOffset.set(file.offset, size);
  return { size, open: () => sourceOf(open()) };
}

async function readJson(archive: TarArchive, file: TarFile, what: string): Promise<unknown> {
  const value = jsonOf(await archive.read(file, limits.manifestBytes));
  if (value === undefined) throw malformed(archive, `${what} is no JSON`);
  return value;
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(bytes) ?? '');
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed({ path }: TarArchive, why: string): BullaError {
  return new BullaError('image.malformed', `${printable(path)} is no docker-archive: ${why}`);
}
