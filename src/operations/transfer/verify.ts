/** `bundle verify`: is everything in this file as it was packed, and are its images to be believed on this side. Without any network. */
import type { JudgedBy } from '../judge.ts';
import { checkTransfer, type TransferProgress } from './check.ts';
import { judgeImages } from './judge.ts';
import { judgeWith } from './keys.ts';
import { openTransfer, type Transfer } from './open.ts';
import { transferName, transferWorld } from './world.ts';
import type { ImageVerdict } from '../verify.ts';
import type { World } from '../world.ts';

/** Whom this side believes. Nothing of it comes from the bundle but a key that `fingerprints` names. */
export type TransferTrust = {
  readonly by?: JudgedBy;
  /** Of keys that are in the bundle; see `findPinnedKeys`. */
  readonly fingerprints?: readonly string[];
  readonly requireSigned?: boolean;
};

export type VerifyTransferRequest = TransferTrust & {
  readonly file: string;
  readonly onProgress?: (progress: TransferProgress) => void;
};

/**
 * Judges each image of a bundle under the name it had, every instance that is there. Everything in the file is checked before.
 * @throws BullaError `transfer.untrusted` (nobody is named who judges), `transfer.*`, `image.*`, `manifest.*`, `policy.*`, `key.*`, `trusted-root.*`, `io.*`
 */
export async function verifyTransfer(
  request: VerifyTransferRequest,
  world: World,
): Promise<readonly ImageVerdict[]> {
  await using transfer = await openTransfer(request.file);
  return await judgeTransfer(transfer, request, world);
}

/** The same of a bundle that is open, and stays so. */
export async function judgeTransfer(
  transfer: Transfer,
  request: VerifyTransferRequest,
  world: World,
): Promise<readonly ImageVerdict[]> {
  const { by, fingerprints = [], requireSigned = false } = request;
  const judge = await judgeWith(by, fingerprints, transfer);
  await checkTransfer(transfer, world, request.onProgress);
  const images = transfer.index.images.map((each) => ({
    name: transferName(each),
    ...(each.platforms !== undefined && { platforms: each.platforms }),
  }));
  const verdicts = await judgeImages(images, { by: judge, requireSigned }, transferWorld(transfer, world));
  if (judge.kind !== 'insecure-accept-anything') warnOfNames(verdicts, world);
  return verdicts;
}

const mostNamed = 5;

/**
 * A sigstore bundle is of a digest and says no name: whoever made the file may have given a signed image the name of another.
 * In a registry the name is that of whom one asks; here it is the file's word alone.
 */
function warnOfNames(verdicts: readonly ImageVerdict[], { warn }: World): void {
  const unnamed = verdicts.filter(
    ({ accepted, requirements, instances }) =>
      accepted && !(instances ?? [{ requirements }]).every((each) => isNamed(each)),
  );
  if (unnamed.length === 0) return;
  const shown = unnamed.slice(0, mostNamed).map(({ image }) => image);
  const more = unnamed.length > mostNamed ? ` and ${unnamed.length - mostNamed} more` : '';
  warn(
    `that they have these names is the bundle's word alone, no signature says so: ${shown.join(', ')}${more}`,
  );
}

/** Whether what was accepted speaks of the image's name. */
function isNamed({ requirements }: Pick<ImageVerdict, 'requirements'>): boolean {
  return requirements.some(({ signatures }) =>
    signatures.some(
      ({ accepted, format, reference }) => accepted && (format === 'simple' || reference !== undefined),
    ),
  );
}
