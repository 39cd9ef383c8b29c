/** `push`: an image from a folder, an archive or an engine to a registry or another place, its bytes unchanged. */
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { formatReference } from '../base/reference.ts';
import type { Image } from '../images/image.ts';
import { openImage, openSink } from '../images/open.ts';
import { copyImage, type CopyOptions, type CopyReceipt } from './copy-image.ts';
import type { World } from './world.ts';

export type PushRequest = CopyOptions & { readonly source: ImageName; readonly destination: ImageName };

/**
 * Pushes an image. Signatures that the place holds stay behind, with a warning.
 * @throws BullaError `usage.unsupported` for a source in a registry, and what `copyImage` throws
 */
export async function push(request: PushRequest, world: World): Promise<CopyReceipt> {
  const { source, destination } = request;
  refuseUnsupported(source);
  await using image = await openImage(source, world);
  await using sink = await openSink(destination, world);
  const receipt = await copyImage(image, sink, request);
  if (await leavesSignatures(image, receipt, world)) {
    world.warn(
      `the signatures in ${formatImageName(source)} were not pushed; sign the image where it is now`,
    );
  }
  return receipt;
}

/** Folders and layouts may hold signatures, of any instance. */
async function leavesSignatures(image: Image, { digest }: CopyReceipt, world: World): Promise<boolean> {
  const { name } = image;
  if (name.transport === 'dir') {
    const { readdir } = await import('node:fs/promises');
    return (await readdir(name.path)).some((each) => /(?:^|\.)signature-\d+$/.test(each));
  }
  for (const store of (await world.stores(image)).readers) {
    for await (const _ of store.list(world.imageId(image, digest))) return true;
  }
  return false;
}

function refuseUnsupported(source: ImageName): void {
  if (source.transport !== 'docker') return;
  const name = formatReference(source.reference);
  throw new BullaError(
    'usage.unsupported',
    `push takes images of this machine, not ${formatImageName(source)}`,
    {
      hint: `bulla push containers-storage:${name} DST pushes podman's image of that name; bulla copy takes images from registries`,
    },
  );
}
