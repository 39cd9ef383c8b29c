/** `sync`: many images from one place to another, each as `copy` does it, several at once, what is there already hardly asked for. */
import { BullaError, isBullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { formatReference, isNameOnly, type Reference } from '../base/reference.ts';
import { openDockerSink } from '../images/docker.ts';
import { type Copied, copy, type CopyRequest } from './copy.ts';
import { inParallel } from './in-parallel.ts';
import { openJudge } from './judge.ts';
import {
  type PlanRequest,
  planSync,
  referenceFor,
  type SyncItem,
  type SyncPlan,
  type WorldFor,
} from './sync/plan.ts';
import { inTurns } from './sync/signers.ts';
import { keepAnswers } from './sync/source.ts';
import { type KnownDestination, rememberDestination } from './sync/destination.ts';
import type { ImageVerdict } from './verify.ts';
import type { World } from './world.ts';

export type SyncRequest = PlanRequest &
  Pick<
    CopyRequest,
    | 'by'
    | 'requireSigned'
    | 'instances'
    | 'platform'
    | 'removeSignatures'
    | 'attachments'
    | 'preserveDigests'
    | 'changes'
    | 'signers'
  > & {
    /**
     * What is signed for in place of the destination. Without tag and digest it stands for the target: an image's name is made of it as
     * its destination's is; with one it is for a single image.
     */
    readonly identities?: readonly Reference[];
    /** Nothing is judged, moved or written; the receipt says what would be. */
    readonly dryRun?: boolean;
    /** Images under way at once. Default: 8. */
    readonly parallelImages?: number;
    /** Told of each image when it is done; `of` is how many there are. */
    readonly onImage?: (image: SyncedImage, done: number, of: number) => void;
  };

/** What became of one image. */
export type SyncedImage = {
  readonly source: string;
  /** Undefined: what is to be copied could not be listed. */
  readonly destination?: string;
} & (
  | { readonly state: 'copied' | 'there'; readonly receipt: Copied }
  /** By the policy; nothing of it was written. */
  | { readonly state: 'refused'; readonly verdict: ImageVerdict }
  | { readonly state: 'failed'; readonly error: BullaError }
  /** A dry run would copy it. */
  | { readonly state: 'planned' }
  /** It was not begun, as another one failed before. */
  | { readonly state: 'left' }
);

export type SyncReceipt = { readonly images: readonly SyncedImage[] };

export type SyncWorlds = {
  readonly from: World;
  readonly to: World;
  /** A world for a registry of a YAML file that is reached otherwise; whoever gives it closes it. */
  readonly fromWith?: WorldFor;
};

const imagesAtOnce = 8;

/**
 * Copies all images of a source that are not at their destination already, with what belongs to them. Where each goes is known
 * and free of contradiction before the first is begun. What was cut off is completed by the next run.
 * @throws BullaError what `planSync` throws, `policy.*`, `key.*`; what goes wrong with one image is in its row
 */
export async function sync(request: SyncRequest, worlds: SyncWorlds): Promise<SyncReceipt> {
  const opening = inTurns(request.signers);
  // heard of once it is waited for
  opening.catch(() => undefined);
  const plan = await planSync(request, worlds.from, worldsFor(worlds));
  checkIdentities(request, plan);
  if (request.dryRun === true) return { images: [...plan.items.map(plannedRow), ...unlistedRows(plan)] };
  const judge = await openJudge(
    request.by ?? { kind: 'policy' },
    request.requireSigned === true,
    worlds.from,
  );
  const place = rememberDestination(worlds.to);
  // keys open while tags are listed; one that does not is nobody's image's fault
  const [signers] = await Promise.all([opening, learnDestinations(plan.items, place)]);
  const copyItem = async (item: SyncItem): Promise<SyncedImage> => {
    const { source, destination } = item;
    const identities = (request.identities ?? []).map((each) => identityFor(each, item, request));
    const asked = { ...request, source, destination, judge, identities, signers };
    return syncOne(asked, { from: keepAnswers(item), to: place.world });
  };
  return { images: [...(await runAll(plan, request, copyItem)), ...unlistedRows(plan)] };
}

/** @throws BullaError `usage.unsupported` where nobody can open a world for what a file says of a registry */
export function worldsFor({ from, fromWith }: SyncWorlds): WorldFor {
  return (settings) => {
    if (Object.keys(settings).length === 0) return from;
    if (fromWith !== undefined) return fromWith(settings);
    throw new BullaError(
      'usage.unsupported',
      'the file says how a registry is reached, and nobody opens it so',
    );
  };
}

/** A list of tags is worth its request for so many images. */
const worthAList = 4;

async function learnDestinations(items: readonly SyncItem[], place: KnownDestination): Promise<void> {
  const repositories = Map.groupBy(items, ({ destination }) =>
    destination.transport === 'docker' ? `${destination.reference.domain}/${destination.reference.path}` : '',
  );
  const worth = [...repositories.values()].filter(({ length }) => length >= worthAList);
  await inParallel(worth, imagesAtOnce, async ([first]) => {
    if (first?.destination.transport !== 'docker') return;
    const { reference } = first.destination;
    const { registry } = await openDockerSink(reference, place.world.registries);
    await place.learn(registry, reference.path);
  });
}

/** In their order; after a failure nothing new is begun, unless the sync is to go on. */
export async function runAll(
  { items }: SyncPlan,
  {
    keepGoing = false,
    parallelImages = imagesAtOnce,
    onImage,
  }: Pick<SyncRequest, 'keepGoing' | 'parallelImages' | 'onImage'>,
  work: (item: SyncItem) => Promise<SyncedImage>,
): Promise<readonly SyncedImage[]> {
  let isStopped = false;
  let done = 0;
  return inParallel(items, parallelImages, async (item) => {
    if (isStopped) return { ...namesOf(item), state: 'left' };
    const row = await work(item);
    done += 1;
    if (row.state === 'failed' || row.state === 'refused') isStopped = !keepGoing;
    onImage?.(row, done, items.length);
    return row;
  });
}

async function syncOne(request: CopyRequest, worlds: Pick<SyncWorlds, 'from' | 'to'>): Promise<SyncedImage> {
  const names = namesOf(request);
  try {
    const outcome = await copy(request, worlds);
    if (!outcome.copied) return { ...names, state: 'refused', verdict: outcome.verdict };
    return { ...names, state: outcome.written ? 'copied' : 'there', receipt: outcome };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { ...names, state: 'failed', error };
  }
}

export function namesOf({
  source,
  destination,
}: {
  readonly source: ImageName;
  readonly destination: ImageName;
}): { readonly source: string; readonly destination: string } {
  return { source: formatImageName(source), destination: formatImageName(destination) };
}

function plannedRow(item: SyncItem): SyncedImage {
  return { ...namesOf(item), state: 'planned' };
}

export function unlistedRows({ unlisted }: SyncPlan): readonly SyncedImage[] {
  return unlisted.map(({ source, error }) => ({ source, state: 'failed', error }));
}

function checkIdentities({ identities = [] }: SyncRequest, { items }: SyncPlan): void {
  const single = identities.find((each) => !isNameOnly(each));
  if (single === undefined || items.length < 2) return;
  throw new BullaError(
    'usage.invalid',
    `--sign-identity ${formatReference(single)} is for one image, and there are ${items.length}`,
    {
      hint: 'leave tag and digest out: each image is signed for its name there, as it is named in the destination',
    },
  );
}

function identityFor(identity: Reference, { name }: SyncItem, request: SyncRequest): Reference {
  return isNameOnly(identity) ? referenceFor(formatReference(identity), name, request) : identity;
}
