/** Everything is at the destination under its digests: it is verified there, recorded, and may then be named. */
import { BullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import type { Manifest } from '../../base/manifest.ts';
import type { Reference } from '../../base/reference.ts';
import { openImage } from '../../images/open.ts';
import { type Brought, type CopyPlan, signedDigests } from '../copy.ts';
import { inParallel } from '../in-parallel.ts';
import type { JudgedBy } from '../judge.ts';
import { type Lineage, lineageOf } from './lineage.ts';
import { attestLineage, type LineageAttestation } from './lineage-attest.ts';
import type { CarryPolicy } from './carry.ts';
import { judgeAt, sourceDigest } from './plan.ts';
import { checkUnmoved, keepPrevious, type NamedPlace } from './previous.ts';
import type { BeforeSigning } from './signed.ts';
import { findWaiting, type WrittenWorld } from './stores.ts';
import type { PromoteRequest } from '../promote.ts';
import type { SigningPlan } from '../sign/plan.ts';
import { type ImageVerdict, warnOfUnread } from '../verify.ts';
import type { World } from '../world.ts';

/** A promotion under way. */
export type Promoting = {
  readonly plan: CopyPlan;
  readonly request: PromoteRequest;
  readonly place: NamedPlace;
  readonly reference: Reference;
  /** What the destination's name meant when it began. */
  readonly previous: Manifest | undefined;
  /** All of them must accept the destination. */
  readonly judges: readonly JudgedBy[];
  readonly before: BeforeSigning;
  /** Who attests the record. */
  readonly attesting: SigningPlan | undefined;
  readonly carry?: CarryPolicy;
};

export type Arrival =
  | { readonly kind: 'refused'; readonly verdict: ImageVerdict }
  | {
      readonly kind: 'arrived';
      readonly changed: boolean;
      readonly lineage: Lineage;
      readonly attestation: LineageAttestation;
    };

type Worlds = { readonly from: World; readonly to: WrittenWorld };

/**
 * Verifies the destination by digest, looks whether both names mean what they meant, keeps the previous image and records the promotion.
 * @throws BullaError `promote.source-moved`, `promote.tag-taken`, `registry.*`, `manifest.*`, `store.*`, `policy.*`, and what attesting can
 */
export async function arrive(promoting: Promoting, done: Brought, worlds: Worlds): Promise<Arrival> {
  const { plan, judges, place, reference, previous, request } = promoting;
  const { digest } = plan.top;
  await checkThere(plan, place);
  const verdict = await judgeAt(plan, judges, worlds.to);
  if (!verdict.accepted) {
    await warnOfUnread(plan.destination.image, verdict, worlds.to);
    return { kind: 'refused', verdict };
  }
  await checkSource(plan, worlds.from);
  // a name that meant it when the copy began is not written again, so that is what it must mean
  const before = (await plan.destination.meant) === digest ? digest : previous?.digest;
  await checkUnmoved(place, before, digest);
  const isNew = previous?.digest !== digest;
  const kept =
    request.keepPrevious === true && isNew && previous !== undefined
      ? { tag: await keepPrevious(place, previous) }
      : {};
  const lineage = lineageOf({
    mode: request.mode,
    time: worlds.to.now(),
    source: { digest: sourceDigest(plan), verdict: plan.verdict },
    destination: { reference: place.name, digest, verdict },
    ...(isNew && previous !== undefined && { previous: { digest: previous.digest, ...kept } }),
    waiting: await findWaiting(plan.destination.image, signedDigests(plan), worlds.to),
    ...(plan.isList && { instances: plan.judged }),
    ...changeOf(plan, request),
  });
  const isAgain = !isNew && !done.isNew;
  const spot = { image: plan.destination.image, reference, digest };
  const attestation = await attestLineage(lineage, { plan: promoting.attesting, isAgain }, spot, worlds.to);
  const isAttested = attestation.note === undefined && attestation.added;
  return { kind: 'arrived', changed: !isAgain || isAttested, lineage, attestation };
}

/** Manifests at once. */
const atOnce = 8;

/** The destination has the very manifests under their digests, whatever it answered when it got them. */
async function checkThere({ top, parts }: CopyPlan, { registry, path }: NamedPlace): Promise<void> {
  const manifests = [...parts.images, ...parts.indexes, top];
  await inParallel(manifests, atOnce, ({ digest }) => registry.manifest(path, digest));
}

/**
 * What was judged is what was promoted, whatever the tag means now; but who promotes by a tag means what it means.
 * @throws BullaError `promote.source-moved`
 */
async function checkSource(plan: CopyPlan, from: World): Promise<void> {
  const { name } = plan.source;
  if (name.transport !== 'docker' || name.reference.digest !== undefined) return;
  await using source = await openImage(name, from);
  const { digest } = await source.manifest();
  const judged = sourceDigest(plan);
  if (digest === judged) return;
  throw new BullaError(
    'promote.source-moved',
    `${formatImageName(name)} meant ${judged} when it was judged, and means ${digest} now`,
    { hint: 'nothing was promoted: run it again, or name the source by its digest' },
  );
}

function changeOf(plan: CopyPlan, { format }: PromoteRequest): Pick<Lineage, 'digestChanged'> {
  const [from, to] = [sourceDigest(plan), plan.top.digest];
  if (from === to || format === undefined) return {};
  return { digestChanged: { from, to, why: `--format ${format} was asked for` } };
}
