/** How layers are to be packed at the destination, and what that makes of a manifest. */
import { utf8 } from '../../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { type ImageManifest, type Manifest, parseManifest, takeManifest } from '../../base/manifest.ts';
import type { Compression } from '../../images/unpack.ts';

/** What `Changes.packing` asks for. */
export type Packing =
  /** Every layer unpacked. */
  | { readonly kind: 'plain' }
  /** Every layer packed: by this, or without it by what packs it already, and by gzip what is not packed. */
  | { readonly kind: 'packed'; readonly by?: Compression; readonly level?: number };

/** A layer as it is at the destination. */
export type Repacked = {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly packing: Compression | undefined;
};

export const dockerLayer = 'application/vnd.docker.image.rootfs.diff.tar';

type Names = Readonly<Record<Compression | 'plain', string>>;
const oci: Names = {
  plain: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: `${mediaTypes.ociLayer}+zstd`,
};
const docker: Names = { plain: dockerLayer, gzip: `${dockerLayer}.gzip`, zstd: `${dockerLayer}.zstd` };

function namesOf(mediaType: string): Names | undefined {
  return [oci, docker].find((names) => Object.values(names).includes(mediaType));
}

/** True for layers of files; what else an image may carry (an attestation, an encrypted layer) stays as it is. */
export function isPackable({ mediaType }: Descriptor): boolean {
  return namesOf(mediaType) !== undefined;
}

/** What a layer is to be packed by. */
export function packingFor(packing: Packing, now: Compression | undefined): Compression | undefined {
  return packing.kind === 'plain' ? undefined : (packing.by ?? now ?? 'gzip');
}

/** Docker's format has no name for zstd, as containers/image sees it too. */
export function needsOci(packing: Packing | undefined): boolean {
  return packing?.kind === 'packed' && packing.by === 'zstd';
}

/** Of these manifests the container images: what an artifact's layers are, only its maker knows. */
export function containerImages(manifests: readonly Manifest[]): readonly ImageManifest[] {
  const images = manifests.map(parseManifest).filter((each) => each.kind === 'image');
  return images.filter(isContainer);
}

export function isContainer({ config }: ImageManifest): boolean {
  return (
    config.mediaType === mediaTypes.ociConfig ||
    config.mediaType === 'application/vnd.docker.container.image.v1+json'
  );
}

/** What zstd:chunked says of a layer's bytes, which are others now. */
const ofBytes = 'io.github.containers.zstd-chunked.';

/**
 * The manifest with its layers as they are now; all else in it stays. The very manifest where none of its layers changed.
 * @throws BullaError `manifest.too-large`
 */
export function withLayers(manifest: Manifest, repacked: ReadonlyMap<Digest, Repacked>): Manifest {
  const parsed = parseManifest(manifest);
  if (parsed.kind !== 'image' || !parsed.layers.some(({ digest }) => repacked.has(digest))) return manifest;
  const value = JSON.parse(Buffer.from(manifest.bytes).toString('utf8')) as {
    readonly layers: readonly Readonly<Record<string, unknown>>[];
  };
  const layers = value.layers.map((entry, index) => {
    const layer = parsed.layers[index];
    const now = layer === undefined ? undefined : repacked.get(layer.digest);
    return layer === undefined || now === undefined ? entry : entryOf(entry, layer, now);
  });
  return takeManifest(utf8(JSON.stringify({ ...value, layers })), manifest.mediaType);
}

function entryOf(
  { data: _inlined, annotations: _said, ...entry }: Readonly<Record<string, unknown>>,
  { mediaType, annotations }: Descriptor,
  { digest, size, packing }: Repacked,
): object {
  const names = namesOf(mediaType);
  if (names === undefined) throw new BullaError('internal.bug', `${mediaType} was packed anew`);
  const kept = Object.entries(annotations ?? {}).filter(([name]) => !name.startsWith(ofBytes));
  return {
    ...entry,
    mediaType: names[packing ?? 'plain'],
    digest,
    size,
    ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }),
  };
}

const zstdNote = 'io.github.containers.compression.zstd';

/** A list's entry says of an image whose layers zstd packs that it is one: engines choose by it among images for one platform. */
export function notedPacking(
  { annotations: _said, ...entry }: Readonly<Record<string, unknown>>,
  { annotations }: Descriptor,
  manifest: Manifest,
): Readonly<Record<string, unknown>> {
  const parsed = parseManifest(manifest);
  const isZstd = parsed.kind === 'image' && parsed.layers.some(({ mediaType }) => mediaType === oci.zstd);
  const { [zstdNote]: _note, ...kept } = annotations ?? {};
  const said = isZstd ? { ...kept, [zstdNote]: 'true' } : kept;
  return { ...entry, ...(Object.keys(said).length > 0 && { annotations: said }) };
}
