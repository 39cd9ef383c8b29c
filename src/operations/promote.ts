/**
 * `promote`: an image on to the next stage. Verified where it is, copied with its digest kept, signed anew or accepted as it is signed,
 * verified where it went, and only then named.
 */
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import type { Reference } from '../base/reference.ts';
import type { Signer } from '../keys/signer.ts';
import { copy, type CopyRequest, type CopySteps } from './copy.ts';
import type { BlobTold } from './copy/blobs.ts';
import type { ManifestFormat } from './copy/change.ts';
import type { JudgedBy } from './judge.ts';
import type { Lineage } from './promote/lineage.ts';
import type { LineageAttestation } from './promote/lineage-attest.ts';
import { arrive, type Arrival, type Promoting } from './promote/arrive.ts';
import type { CarryPolicy } from './promote/carry.ts';
import { foresee, type Forecast, planPromotion } from './promote/plan.ts';
import { findSigned } from './promote/signed.ts';
import { readingWritten, type WrittenWorld } from './promote/stores.ts';
import type { MadeSignature } from './sign.ts';
import type { SigningPlan } from './sign/plan.ts';
import type { ImageVerdict } from './verify.ts';
import type { World } from './world.ts';

/** `re-sign`: new signatures, for the destination's reference. `carry`: the old ones go along, and a policy that accepts them is written. */
export type PromotionMode = 're-sign' | 'carry';

type PolicyJudge = Extract<JudgedBy, { kind: 'policy' }>;

export type PromoteRequest = BlobTold & {
  readonly source: ImageName;
  /** A tag in a registry. */
  readonly destination: ImageName;
  readonly mode: PromotionMode;
  /** Judges the source; it must demand a signature. Default: the policy that containers/image's search path finds. */
  readonly sourceBy?: PolicyJudge;
  /** Judges the destination, under its name. Default: as of `sourceBy`, the one that is found; for carried signatures the policy made for them alone. */
  readonly destinationBy?: PolicyJudge;
  /** Keys, opened or on their way; at least one for `re-sign`, none for `carry`. */
  readonly signers?: readonly (Signer | SigningPlan)[] | Promise<readonly (Signer | SigningPlan)[]>;
  /** What is signed for, in place of the destination's reference. */
  readonly identities?: readonly Reference[];
  /** Tells everything, writes nothing, and asks no log. */
  readonly dryRun?: boolean;
  /** What the destination's name means now gets a tag of its own. */
  readonly keepPrevious?: boolean;
  /** Only what this changes may get another digest. */
  readonly format?: ManifestFormat;
  /** The source's signatures stay behind. */
  readonly removeSignatures?: boolean;
  /** False: what else hangs on the image stays behind. */
  readonly attachments?: boolean;
};

export type Promoted = {
  readonly promoted: true;
  /** False: everything was as it should be already, and nothing was written. */
  readonly changed: boolean;
  readonly lineage: Lineage;
  readonly signatures: readonly MadeSignature[];
  readonly carried: { readonly signatures: number; readonly attachments: number };
  readonly attestation: LineageAttestation;
  /** Carried signatures: the policy.json that was asked at the destination. */
  readonly carryPolicy?: string;
};

/** A policy refuses. The destination's name means what it meant. */
export type NotPromoted = {
  readonly promoted: false;
  readonly at: 'source' | 'destination';
  readonly verdict: ImageVerdict;
  readonly carryPolicy?: string;
};

/** What a dry run tells. */
export type Foreseen = Forecast & { readonly promoted: false; readonly dryRun: true };

/**
 * Promotes an image: every instance of a list, under its own digest, with all that hangs on it. The name comes last of all, when the new signatures
 * are stored and the destination verifies. Running it again does nothing, and completes what was cut off.
 * @throws BullaError `usage.invalid`, `promote.*`, `registry.changed`, and what `copy`, `verify` and `attest` throw
 */
export async function promote(
  request: PromoteRequest,
  worlds: { readonly from: World; readonly to: World },
): Promise<Promoted | NotPromoted | Foreseen> {
  checkRequest(request);
  const seen: Seen = {};
  const to = readingWritten(worlds.to);
  const steps = stepsOf(request, seen, { from: worlds.from, to });
  const outcome = await copy({ ...copyRequest(request), steps }, { from: worlds.from, to });
  const { forecast, arrival, promoting } = seen;
  if (forecast !== undefined) return { promoted: false, dryRun: true, ...forecast };
  const carryPolicy = textOf(promoting?.carry);
  if (!outcome.copied) {
    const at = promoting === undefined ? 'source' : 'destination';
    return { promoted: false, at, verdict: outcome.verdict, ...carryPolicy };
  }
  if (arrival?.kind !== 'arrived')
    throw new BullaError('internal.bug', 'it was named before it was verified');
  const { kind: _kind, ...rest } = arrival;
  const { signatures, carried } = outcome;
  return { promoted: true, ...rest, signatures, carried, ...carryPolicy };
}

/** What has become known on the way. */
type Seen = { promoting?: Promoting; forecast?: Forecast; arrival?: Arrival };

function stepsOf(
  request: PromoteRequest,
  seen: Seen,
  worlds: { readonly from: World; readonly to: WrittenWorld },
): CopySteps {
  const known = (): Promoting => seen.promoting ?? neverPlanned();
  const there: NonNullable<CopySteps['there']> = (task) => findSigned(task, known().before, worlds.to);
  return {
    planned: async (plan) => {
      seen.promoting = await planPromotion(plan, request, worlds);
      if (request.dryRun !== true) return true;
      seen.forecast = await foresee(seen.promoting, there, worlds);
      return false;
    },
    there,
    arrived: async (done) => {
      seen.arrival = await arrive(known(), done, worlds);
      return seen.arrival.kind === 'refused' ? seen.arrival.verdict : undefined;
    },
  };
}

function textOf(carry: CarryPolicy | undefined): Pick<Promoted, 'carryPolicy'> {
  return carry === undefined ? {} : { carryPolicy: carry.text };
}

function neverPlanned(): never {
  throw new BullaError('internal.bug', 'nothing was planned');
}

function checkRequest({ mode, destination, signers, removeSignatures, format }: PromoteRequest): void {
  if (destination.transport !== 'docker' || destination.reference.digest !== undefined) {
    throw new BullaError('usage.invalid', `cannot promote to ${formatImageName(destination)}`, {
      hint: 'a promotion gives a tag in a registry its meaning: docker://host/path:tag',
    });
  }
  if (mode === 're-sign' && signers === undefined) {
    throw new BullaError('usage.invalid', 'nothing to sign with', {
      hint: 'name a key by --sign-by or --key, or take the old signatures along: --mode carry',
    });
  }
  if (mode === 'carry' && (signers !== undefined || removeSignatures === true || format !== undefined)) {
    throw new BullaError(
      'usage.invalid',
      'signatures that are carried are neither made, left behind nor invalidated',
      {
        hint: 'leave out the keys, --remove-signatures and --format, or give --mode re-sign',
      },
    );
  }
}

/** All instances, their digests kept unless a format is asked for by name. */
function copyRequest(request: PromoteRequest): Omit<CopyRequest, 'steps'> {
  const { source, destination, sourceBy, format, removeSignatures, attachments, signers, identities } =
    request;
  const { onItem, onProgress, parallelBlobs } = request;
  return {
    source,
    destination,
    by: sourceBy ?? { kind: 'policy' },
    // what nobody had to sign is not promoted
    requireSigned: true,
    instances: { kind: 'all' },
    preserveDigests: format === undefined,
    ...(format !== undefined && { changes: { format } }),
    ...(removeSignatures !== undefined && { removeSignatures }),
    ...(attachments !== undefined && { attachments }),
    ...(signers !== undefined && { signers }),
    ...(identities !== undefined && { identities }),
    ...(onItem !== undefined && { onItem }),
    ...(onProgress !== undefined && { onProgress }),
    ...(parallelBlobs !== undefined && { parallelBlobs }),
  };
}
