/** What a promotion goes by, known before anything is written; and what it would come to. */
import type { Digest } from '../../base/digest.ts';
import type { Manifest } from '../../base/manifest.ts';
import type { Reference } from '../../base/reference.ts';
import type { CopyPlan, CopySteps } from '../copy.ts';
import type { JudgedBy } from '../judge.ts';
import { judgeInstances } from '../judge/instances.ts';
import { instancesOf, type LineageSigner, signersOf } from './lineage.ts';
import { attestingPlan, whyNoAttestation } from './lineage-attest.ts';
import { type CarryPolicy, carryPolicy } from './carry.ts';
import type { Promoting } from './arrive.ts';
import { preview } from './preview.ts';
import { checkPreviousTag, meaningOf, type NamedPlace, placeNamed } from './previous.ts';
import { type BeforeSigning, rememberKeys } from './signed.ts';
import type { PromoteRequest } from '../promote.ts';
import type { MadeSignature } from '../sign.ts';
import type { ImageVerdict } from '../verify.ts';
import type { World } from '../world.ts';

type Worlds = {
  readonly from: World;
  /** Reads what was written, too. */
  readonly to: World;
};

/**
 * Reads what the destination's name means, and finds the policies that will be asked there.
 * @throws BullaError `promote.*`, `policy.*`, `registry.*`, `store.*`
 */
export async function planPromotion(
  plan: CopyPlan,
  request: PromoteRequest,
  worlds: Worlds,
): Promise<Promoting> {
  const place = placeNamed(plan.destination);
  const reference = referenceOf(request);
  const previous = await meaningOf(place, place.tag);
  const { sourceBy = { kind: 'policy' }, destinationBy } = request;
  const carry =
    request.mode === 'carry'
      ? await carryPolicy(plan, { by: sourceBy, destination: reference }, worlds.from)
      : undefined;
  const judges = judgesAt(carry, destinationBy);
  if (request.keepPrevious === true && previous !== undefined && previous.digest !== plan.top.digest)
    await checkPreviousTag(place, previous.digest);
  return {
    plan,
    request,
    place,
    reference,
    previous,
    judges,
    before: await standingBefore(plan, { previous, judges }, worlds.to),
    attesting: attestingPlan([...new Set(plan.signing.places.map((each) => each.plan))]),
    ...(carry !== undefined && { carry }),
  };
}

function referenceOf({ destination }: PromoteRequest): Reference {
  if (destination.transport === 'docker') return destination.reference;
  throw new RangeError('checked before');
}

/** All of them must accept. The source's own policy is never asked: what it believes is believed of the source. */
function judgesAt(carry: CarryPolicy | undefined, by: JudgedBy | undefined): readonly JudgedBy[] {
  if (carry === undefined) return [by ?? { kind: 'policy' }];
  const made = { kind: 'policy', given: carry.policy } as const;
  return by === undefined ? [made] : [made, by];
}

/** Where the name means the image already, whose signatures its policy accepts. */
async function standingBefore(
  plan: CopyPlan,
  { previous, judges }: { readonly previous: Manifest | undefined; readonly judges: readonly JudgedBy[] },
  to: World,
): Promise<BeforeSigning> {
  const { image } = plan.destination;
  const keysFor = rememberKeys(to);
  if (previous?.digest !== plan.top.digest) return { image, keysFor, verdicts: [] };
  const verdict = await judgeAt(plan, judges, to);
  return { image, keysFor, verdicts: verdict.accepted ? instancesOf(verdict) : [] };
}

/**
 * The destination's verdict, under its own name; the first refusal, else the last acceptance.
 * @throws BullaError `policy.*`, `store.*`, `registry.*`, `trust.key-unavailable`
 */
export async function judgeAt(
  { destination, judged, isList, top }: Pick<CopyPlan, 'destination' | 'judged' | 'isList' | 'top'>,
  judges: readonly JudgedBy[],
  to: World,
): Promise<ImageVerdict> {
  const instances = { image: destination.image, judged, ...(isList && { list: top.digest }) };
  const [first = { kind: 'policy' }, ...others] = judges;
  let verdict = await judgeInstances(instances, { by: first, requireSigned: true }, to);
  for (const by of others) {
    if (!verdict.accepted) return verdict;
    verdict = await judgeInstances(instances, { by, requireSigned: true }, to);
  }
  return verdict;
}

/** What a promotion would do, and what the policies would say. */
export type Forecast = {
  readonly source: {
    readonly reference: string;
    readonly digest: Digest;
    readonly signers: readonly LineageSigner[];
  };
  readonly destination: { readonly reference: string; readonly digest: Digest };
  /** What would go along. */
  readonly carried: { readonly signatures: number; readonly attachments: number };
  /** What would be made; `there`: it is there already. */
  readonly signatures: readonly MadeSignature[];
  /** The destination's; undefined where a log, an authority or Fulcio has its part in it and was not asked. */
  readonly verdict: ImageVerdict | undefined;
  /** What the destination's name means now; `tag`: where it would stay reachable. */
  readonly previous?: { readonly digest: Digest; readonly tag?: string };
  /** Why the record would not be attested. */
  readonly note?: string;
  readonly carryPolicy?: string;
};

/**
 * Tells all of it. Nothing is written and no log is asked.
 * @throws BullaError `promote.*`, `policy.*`, `store.*`, `registry.*`, `key.*`
 */
export async function foresee(
  promoting: Promoting,
  there: NonNullable<CopySteps['there']>,
  worlds: Worlds,
): Promise<Forecast> {
  const { plan, judges, carry, attesting, place, reference, request } = promoting;
  const would = await preview(plan, there, worlds);
  const verdict = would.isWhole ? await judgeAt(plan, judges, would.world) : undefined;
  const { digest } = plan.top;
  const spot = { image: plan.destination.image, reference, digest };
  const note = await whyNoAttestation(attesting, spot, would.world);
  const { signatures, satellites } = plan.carried;
  return {
    source: { reference: plan.verdict.image, digest: sourceDigest(plan), signers: signersOf(plan.verdict) },
    destination: { reference: place.name, digest },
    carried: { signatures: signatures.length, attachments: satellites.length },
    signatures: would.signatures,
    verdict,
    ...(await previousOf(promoting.previous, digest, request.keepPrevious === true, place)),
    ...(note !== undefined && { note }),
    ...(carry !== undefined && { carryPolicy: carry.text }),
  };
}

async function previousOf(
  previous: Manifest | undefined,
  promoted: Digest,
  isKept: boolean,
  place: NamedPlace,
): Promise<Pick<Forecast, 'previous'>> {
  if (previous === undefined || previous.digest === promoted) return {};
  const tag = isKept ? { tag: await checkPreviousTag(place, previous.digest) } : {};
  return { previous: { digest: previous.digest, ...tag } };
}

/** Of the list, or of the one image. */
export function sourceDigest({ verdict, top }: Pick<CopyPlan, 'verdict' | 'top'>): Digest {
  return verdict.index ?? verdict.digest ?? top.digest;
}
