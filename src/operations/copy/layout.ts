/** What hangs on an image in an OCI layout: referrers, which its index.json lists. */
import type { Digest } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import { type Manifest, parseManifest } from '../../base/manifest.ts';
import type { Image } from '../../images/image.ts';
import { layoutInArchive, layoutInFolder, type LayoutFiles } from '../../images/layout-files.ts';
import { readLayoutIndex } from '../../images/oci-layout.ts';
import { openTarArchive } from '../../images/tar-read.ts';
import { layoutKindOf } from '../../stores/layout-referrer.ts';

type Layout = Extract<ImageName, { transport: 'oci' | 'oci-archive' }>;

/** An image or a destination in a layout, be it a folder or an archive. */
export function isInLayout<Place extends { readonly name: ImageName }>(
  place: Place,
): place is Place & { readonly name: Layout } {
  return place.name.transport === 'oci' || place.name.transport === 'oci-archive';
}

/**
 * The manifests in a layout that are referrers wherever they are, by their subject. A GPG signature and what a registry has under
 * the tags `.sig` and `.att` are none: the layout's store gives those.
 * @throws BullaError `image.*`, `io.*`
 */
export async function layoutReferrers(source: Image): Promise<ReadonlyMap<Digest, readonly Manifest[]>> {
  await using files = await filesOf(source);
  const found = new Map<Digest, readonly Manifest[]>();
  const listed = new Set(((await readLayoutIndex(files)) ?? []).map(({ digest }) => digest));
  for (const digest of listed) {
    const manifest = await manifestOf(source, digest);
    const subject = manifest === undefined ? undefined : subjectOf(manifest);
    if (manifest !== undefined && subject !== undefined)
      found.set(subject, [...(found.get(subject) ?? []), manifest]);
  }
  return found;
}

async function filesOf(source: Image): Promise<LayoutFiles> {
  if (!isInLayout(source))
    throw new BullaError('internal.bug', `${formatImageName(source.name)} is no layout`);
  const { transport, path, blobs } = source.name;
  return transport === 'oci' ? layoutInFolder(path, blobs) : layoutInArchive(await openTarArchive(path));
}

/** Undefined for what cannot be read: whether it is one of this image's signatures, the layout's store decides. */
async function manifestOf(source: Image, digest: Digest): Promise<Manifest | undefined> {
  try {
    return await source.manifest(digest);
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}

function subjectOf(manifest: Manifest): Digest | undefined {
  try {
    const parsed = parseManifest(manifest);
    if (parsed.kind === 'schema1') return undefined;
    const kind = parsed.kind === 'image' ? layoutKindOf(parsed) : undefined;
    return kind === undefined || kind === 'bundle' || kind === 'notary' ? parsed.subject?.digest : undefined;
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}
