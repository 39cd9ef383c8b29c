/** `bundle create`: images with all that belongs to them into one file, judged before. */
import { stat } from 'node:fs/promises';

import type { Platform } from '../../base/descriptor.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import { writeTarArchive } from '../../images/tar-write.ts';
import { inParallel } from '../in-parallel.ts';
import type { JudgedBy } from '../judge.ts';
import type { TransferProgress } from './check.ts';
import { gatherContents, openPacking, type PackedInstances, type Packing } from './contents.ts';
import { referenceText, type TransferImage } from './format.ts';
import { judgeImages } from './judge.ts';
import { type PackedTrust, packTrust } from './trust.ts';
import type { ImageVerdict } from '../verify.ts';
import type { World } from '../world.ts';

export type CreateTransferRequest = {
  /** In registries; each once, in any order. */
  readonly images: readonly ImageName[];
  /** The file to be. One that is there is replaced once the new one is whole. */
  readonly output: string;
  /** Who judges the images. Default: the policy that containers/image's search path finds. */
  readonly by?: JudgedBy;
  readonly requireSigned?: boolean;
  /** Of lists. Default: all. */
  readonly instances?: PackedInstances;
  /** For `system`. Default: this machine's. */
  readonly platform?: Platform;
  /** What is sent along for the far side to look at. */
  readonly trust?: PackedTrust;
  readonly onProgress?: (progress: TransferProgress) => void;
};

export type TransferCreated = {
  readonly created: true;
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  readonly images: readonly TransferImage[];
  /** Names of the policy, keys, roots and registries.d in it. */
  readonly trust: readonly string[];
};

/** One of the images is refused; nothing was written. */
export type TransferNotCreated = { readonly created: false; readonly verdicts: readonly ImageVerdict[] };

const atOnce = 4;

/**
 * Packs images. What was judged is what goes in, by digest. The same images and files give the same bytes.
 * @throws BullaError `usage.invalid`, `image.*`, `manifest.*`, `blob.*`, `registry.*`, `http.*`, `store.*`, `signature.*`, `policy.*`, `key.*`, `io.*`
 */
export async function createTransfer(
  request: CreateTransferRequest,
  world: World,
): Promise<TransferCreated | TransferNotCreated> {
  const { output, instances = { kind: 'all' }, platform, trust = {} } = request;
  const files = await packTrust(trust, world);
  const packings = await inParallel(distinct(request.images), atOnce, (name) =>
    openPacking(name, instances, platform, world),
  );
  const verdicts = await judgeImages(packings, request, judging(packings, world));
  if (!verdicts.every(({ accepted }) => accepted)) return { created: false, verdicts };

  const progress = { passed: 0, total: 0 };
  const contents = await gatherContents(packings, files, world, (bytes) => {
    progress.passed += bytes;
    request.onProgress?.(progress);
  });
  progress.total = streamedBytes(contents.entries);
  await writeTarArchive(output, contents.entries, 'replace');
  const { size } = await stat(output);
  return {
    created: true,
    file: output,
    size,
    images: contents.images,
    trust: files.map(({ name }) => name).toSorted(),
  };
}

function streamedBytes(entries: Parameters<typeof writeTarArchive>[1]): number {
  return entries.reduce((sum, { size, content }) => sum + (content instanceof Uint8Array ? 0 : size), 0);
}

/** The same name twice is the same image. */
function distinct(names: readonly ImageName[]): readonly ImageName[] {
  const found = new Map(names.map((each) => [formatImageName(each), each]));
  if (found.size > 0) return [...found.values()];
  throw new BullaError('usage.invalid', 'no image is named');
}

/** A world in which the images are those that are held: what is judged is what is packed. */
function judging(packings: readonly Packing[], world: World): World {
  const known = new Map(packings.map((each) => [referenceText(each.reference), each.image]));
  return {
    ...world,
    known: (name) => (name.transport === 'docker' ? known.get(referenceText(name.reference)) : undefined),
  };
}
