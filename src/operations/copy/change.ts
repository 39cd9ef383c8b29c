/**
 * Manifests that are to change on the way: another format, fewer platforms. A changed manifest has another digest, so nothing
 * may hang on the old one that would be lost, as in containers/image: what is signed stays as it is.
 */
import { utf8 } from '../../base/bytes.ts';
import { type Descriptor, isIndexType, mediaTypes } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import { type ImageManifest, type Manifest, parseManifest, takeManifest } from '../../base/manifest.ts';
import type { Image } from '../../images/image.ts';
import type { BlobTold } from './blobs.ts';
import { type Carried, isNoAttestation } from './carried.ts';
import { blobsOf, checkType, type Parts } from './image.ts';
import { dockerLayer, isContainer, needsOci, notedPacking, type Packing, withLayers } from './packing.ts';
import { planRepacking, repack, type Repacking } from './repack.ts';
import type { Chosen } from './selection.ts';

export type ManifestFormat = 'oci' | 'v2s2';

/** What is to be different at the destination. */
export type Changes = {
  readonly format?: ManifestFormat;
  /** Default: layers keep their bytes. */
  readonly packing?: Packing;
  /** A list loses the platforms that are not copied. */
  readonly stripRemovedPlatforms?: boolean;
};

export type Changing = {
  readonly source: Image;
  readonly chosen: Chosen;
  readonly carried: Carried;
  readonly request: BlobTold & {
    readonly destination: ImageName;
    readonly changes?: Changes;
    readonly preserveDigests?: boolean;
  };
};

/** Disposing lets go of layers that were packed anew. */
export type Changed = AsyncDisposable & {
  /** Has the blobs of the changed manifests too. */
  readonly source: Image;
  readonly top: Manifest;
  readonly parts: Parts;
  readonly carried: Carried;
};

/**
 * The manifests to write: those of the source, byte for byte, unless something is to change and may.
 * @throws BullaError `copy.signatures-freeze`, `copy.digest-freezes`, `copy.preserve-digests`, `copy.attachments-freeze`;
 *   `image.unsupported` for what the other format cannot say; what `planRepacking` and `repack` throw
 */
export async function changeManifests(changing: Changing): Promise<Changed> {
  const { source, chosen, carried, request } = changing;
  const { top, parts } = chosen;
  const plan = await planOf(changing);
  if (plan.length > 0) refuseFrozen(changing);
  await using opened = new AsyncDisposableStack();
  const repacked = opened.use(await repack(source, plan, request));
  const format = formatOf(request.changes, plan);
  const change = (image: Manifest): Manifest => convertImage(withLayers(image, repacked.layers), format);
  const images = new Map(parts.images.map((each) => [each.digest, change(each)]));
  const converted = chosen.isList
    ? changeList(top, parts, images, { ...request.changes, ...(format !== undefined && { format }) })
    : change(top);
  if (converted.digest === top.digest)
    return { source, top, parts, carried, [Symbol.asyncDispose]: async () => undefined };
  refuseFrozen(changing);
  const changed = [...images.values()];
  const kept = opened.move();
  return {
    source: repacked.source,
    top: converted,
    parts: { ...parts, images: changed, blobs: blobsIn(chosen.isList ? changed : [converted]) },
    carried,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** What is packed anew, once it is clear that the manifests made of it can be at the destination. */
async function planOf({ source, chosen, request }: Changing): Promise<readonly Repacking[]> {
  const { changes: { packing, format } = {}, destination } = request;
  if (packing === undefined) return [];
  if (format === 'v2s2' && needsOci(packing))
    throw new BullaError('image.unsupported', 'layers packed by zstd have no name in the format v2s2', {
      hint: 'leave --format out, or give --format oci',
    });
  const { top, parts } = chosen;
  if (format === undefined && !needsOci(packing)) checkType(top, destination);
  return planRepacking(source, chosen.isList ? parts.images : [top], packing);
}

/** Docker's manifests with layers packed by zstd become OCI ones, as skopeo has it. */
function formatOf(
  { format, packing }: Changes = {},
  plan: readonly Repacking[] = [],
): ManifestFormat | undefined {
  return plan.length > 0 && needsOci(packing) ? 'oci' : format;
}

function blobsIn(manifests: readonly Manifest[]): readonly Descriptor[] {
  const images = manifests.map(parseManifest).filter((each) => each.kind === 'image');
  const blobs = images.flatMap(blobsOf);
  return [...new Map(blobs.map((each) => [each.digest, each])).values()];
}

/** skopeo's reasons, each a refusal of its own. */
function refuseFrozen({ carried, request }: Changing): void {
  const { destination, preserveDigests = false } = request;
  const what = 'the manifest would have to change';
  if (carried.signatures.some(isNoAttestation) || carried.satellites.some(({ isSignature }) => isSignature)) {
    throw new BullaError('copy.signatures-freeze', `${what}, which would invalidate the image’s signatures`, {
      hint: 'leave the format and the platforms as they are, or give --remove-signatures',
    });
  }
  if (destination.transport === 'docker' && destination.reference.digest !== undefined) {
    throw new BullaError(
      'copy.digest-freezes',
      `${what}, and ${formatImageName(destination)} specifies a digest`,
      {
        hint: 'name the destination by a tag',
      },
    );
  }
  if (preserveDigests) {
    throw new BullaError('copy.preserve-digests', `${what}, and --preserve-digests forbids it`);
  }
  if (carried.satellites.length > 0 || carried.signatures.length > 0) {
    throw new BullaError(
      'copy.attachments-freeze',
      `${what}, which would leave what hangs on the image without it`,
      {
        hint: '--no-attachments leaves it behind',
      },
    );
  }
}

type Types = {
  readonly manifest: string;
  readonly list: string;
  readonly config: string;
  readonly layers: Readonly<Record<string, string>>;
};

const dockerConfig = 'application/vnd.docker.container.image.v1+json';

const typesOf: Readonly<Record<ManifestFormat, Types>> = {
  oci: {
    manifest: mediaTypes.ociManifest,
    list: mediaTypes.ociIndex,
    config: mediaTypes.ociConfig,
    layers: {
      [dockerLayer]: mediaTypes.ociLayer,
      [`${dockerLayer}.gzip`]: mediaTypes.ociLayerGzip,
      [`${dockerLayer}.zstd`]: `${mediaTypes.ociLayer}+zstd`,
    },
  },
  v2s2: {
    manifest: mediaTypes.dockerManifest,
    list: mediaTypes.dockerList,
    config: dockerConfig,
    layers: { [mediaTypes.ociLayer]: dockerLayer, [mediaTypes.ociLayerGzip]: `${dockerLayer}.gzip` },
  },
};

function convertImage(manifest: Manifest, format: ManifestFormat | undefined): Manifest {
  const parsed = parseManifest(manifest);
  if (format === undefined || parsed.kind !== 'image' || manifest.mediaType === typesOf[format].manifest)
    return manifest;
  const { config, layers, subject, annotations } = parsed;
  refuseArtifact(parsed);
  const types = typesOf[format];
  const value = {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: plain(config, types.config),
    layers: layers.map((each) => plain(each, layerType(each, types))),
    // Docker's format has no place for either
    ...(format === 'oci' && subject !== undefined && { subject }),
    ...(format === 'oci' && annotations !== undefined && { annotations }),
  };
  return takeManifest(utf8(JSON.stringify(value)));
}

function plain({ digest, size }: Descriptor, mediaType: string): Descriptor {
  return { mediaType, size, digest };
}

function layerType({ mediaType }: Descriptor, types: Types): string {
  const type =
    types.layers[mediaType] ?? (Object.values(types.layers).includes(mediaType) ? mediaType : undefined);
  if (type !== undefined) return type;
  throw new BullaError(
    'image.unsupported',
    `a layer of the type ${mediaType} has no name in the other format`,
  );
}

function refuseArtifact(image: ImageManifest): void {
  if (isContainer(image)) return;
  throw new BullaError(
    'image.unsupported',
    `only container images change their format, and this is a ${image.config.mediaType}`,
  );
}

/** The list with the images that it has now. Members that nobody here knows are kept. */
function changeList(
  top: Manifest,
  parts: Parts,
  images: ReadonlyMap<Digest, Manifest>,
  { format, stripRemovedPlatforms = false }: Changes,
): Manifest {
  const parsed = parseManifest(top);
  if (parsed.kind !== 'index') return top;
  const isKept = ({ digest }: Descriptor): boolean =>
    images.has(digest) || parts.indexes.some((each) => each.digest === digest);
  const isSame = [...images].every(([digest, manifest]) => manifest.digest === digest);
  const isRetyped = format !== undefined && top.mediaType !== typesOf[format].list;
  if (isSame && !isRetyped && (!stripRemovedPlatforms || parsed.manifests.every(isKept))) return top;
  if (!isSame && parts.indexes.length > 0) {
    throw new BullaError('image.unsupported', 'a list within a list does not change its format');
  }
  const value = JSON.parse(Buffer.from(top.bytes).toString('utf8')) as {
    readonly manifests: readonly Record<string, unknown>[];
  };
  const manifests = value.manifests.flatMap((entry, index) => {
    const descriptor = parsed.manifests[index];
    if (descriptor === undefined || (stripRemovedPlatforms && !isKept(descriptor))) return [];
    const now = images.get(descriptor.digest);
    if (now === undefined || isIndexType(descriptor.mediaType)) return [entry];
    const { mediaType, digest, bytes } = now;
    return [{ ...notedPacking(entry, descriptor, now), mediaType, digest, size: bytes.length }];
  });
  const mediaType = format === undefined ? top.mediaType : typesOf[format].list;
  return takeManifest(utf8(JSON.stringify({ ...value, mediaType, manifests })), mediaType);
}
