/** `push`: an image from a folder to a registry or another folder, its bytes unchanged. */
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { openImage, openSink } from '../images/open.ts';
import { copyImage, type CopyOptions, type CopyReceipt } from './copy-image.ts';
import type { World } from './world.ts';

export type PushRequest = CopyOptions & { readonly source: ImageName; readonly destination: ImageName };

/**
 * Pushes an image. Signatures that a dir: image holds stay behind, with a warning.
 * @throws BullaError `usage.unsupported` for a source that is no folder, and what `copyImage` throws
 */
export async function push(request: PushRequest, world: World): Promise<CopyReceipt> {
  const { source, destination } = request;
  refuseUnsupported(source);
  await using image = await openImage(source, world);
  await using sink = await openSink(destination, world);
  const receipt = await copyImage(image, sink, request);
  if (source.transport === 'dir' && (await hasSignatures(source.path))) {
    world.warn(
      `the signatures in ${formatImageName(source)} were not pushed; sign the image where it is now`,
    );
  }
  return receipt;
}

async function hasSignatures(folder: string): Promise<boolean> {
  const { readdir } = await import('node:fs/promises');
  return (await readdir(folder)).some((name) => /(?:^|\.)signature-\d+$/.test(name));
}

function refuseUnsupported(source: ImageName): void {
  if (source.transport === 'oci' || source.transport === 'dir') return;
  const name =
    source.transport === 'containers-storage' || source.transport === 'docker-daemon' ? source.name : '';
  throw new BullaError(
    'usage.unsupported',
    `push takes oci: and dir: images, not ${formatImageName(source)}`,
    {
      hint: `make one first: podman save --format oci-dir -o DIR ${name === '' ? 'NAME' : name}; then bulla push oci:DIR DST`,
    },
  );
}
