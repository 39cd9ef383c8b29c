/** `bundle load`: the images of a transfer bundle to a registry or folder of this side, once all of them are believed. */
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import { copy } from '../copy.ts';
import type { BlobTold } from '../copy/blobs.ts';
import { packedInstances } from './check.ts';
import { referenceText } from './format.ts';
import {
  type Loading,
  type LoadTarget,
  nameLoadings,
  type NameRules,
  type Remap,
  remapsOf,
} from './names.ts';
import { openTransfer } from './open.ts';
import { describeTransfer, type TransferShown } from './show.ts';
import { judgeTransfer, type VerifyTransferRequest } from './verify.ts';
import { transferName, transferWorld } from './world.ts';
import type { ImageVerdict } from '../verify.ts';
import type { World } from '../world.ts';

export type LoadTransferRequest = VerifyTransferRequest &
  NameRules &
  BlobTold & {
    readonly target: LoadTarget;
    /** Told of each image that is there. */
    readonly onLoaded?: (image: LoadedImage) => void;
    /** Tells what would be done, and does nothing. */
    readonly dryRun?: boolean;
  };

export type LoadedImage = {
  readonly reference: string;
  readonly destination: string;
  readonly digest: Digest;
  readonly carried: { readonly signatures: number; readonly attachments: number };
};

export type TransferLoaded = {
  readonly loaded: true;
  readonly verdicts: readonly ImageVerdict[];
  /** With `dryRun` what would be loaded. */
  readonly images: readonly LoadedImage[];
  /** What a policy must say where names have changed. */
  readonly remaps: readonly Remap[];
  /** What came along and was not installed. */
  readonly bundle: TransferShown;
};

/** One of the images is refused; nothing was written. */
export type TransferNotLoaded = { readonly loaded: false; readonly verdicts: readonly ImageVerdict[] };

/**
 * Loads a bundle: all images or, where one of them is refused, none. Digests stay as they are; signatures go to this side's
 * stores. A second run writes nothing twice, and completes one that was cut off. Keys and policies of the bundle are not installed.
 * @throws BullaError as `verifyTransfer` and `copy`; `transfer.name-clash`, `usage.invalid`
 */
export async function loadTransfer(
  request: LoadTransferRequest,
  world: World,
): Promise<TransferLoaded | TransferNotLoaded> {
  await using transfer = await openTransfer(request.file);
  const loadings = nameLoadings(transfer.index.images, request.target, request);
  const verdicts = await judgeTransfer(transfer, request, world);
  if (!verdicts.every(({ accepted }) => accepted)) return { loaded: false, verdicts };

  const from = transferWorld(transfer, world);
  const images: LoadedImage[] = [];
  for (const loading of loadings) {
    const image =
      request.dryRun === true ? planned(loading) : await loadOne(loading, request, { from, to: world });
    images.push(image);
    request.onLoaded?.(image);
  }
  return {
    loaded: true,
    verdicts,
    images,
    remaps: remapsOf(loadings),
    bundle: await describeTransfer(transfer),
  };
}

/** The file is open and was checked; what was judged is copied by its digest, so there is nothing left to judge. */
async function loadOne(
  { image, destination }: Loading,
  { onItem, onProgress, parallelBlobs }: LoadTransferRequest,
  worlds: { readonly from: World; readonly to: World },
): Promise<LoadedImage> {
  const outcome = await copy(
    {
      source: transferName(image),
      destination,
      by: { kind: 'insecure-accept-anything' },
      instances: packedInstances(image),
      preserveDigests: true,
      ...(onItem !== undefined && { onItem }),
      ...(onProgress !== undefined && { onProgress }),
      ...(parallelBlobs !== undefined && { parallelBlobs }),
    },
    worlds,
  );
  if (!outcome.copied) throw new BullaError('internal.bug', 'what was accepted is refused');
  return { ...planned({ image, destination }), digest: outcome.digest, carried: outcome.carried };
}

function planned({ image, destination }: Loading): LoadedImage {
  return {
    reference: referenceText(image.reference),
    destination: formatImageName(destination),
    digest: image.digest,
    carried: { signatures: image.signatures.length, attachments: image.attachments.length },
  };
}
