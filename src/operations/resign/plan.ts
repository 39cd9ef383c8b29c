/** What a rotation makes of one image: nothing is written here. */
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import {
  formatReference,
  isNameOnly,
  type Reference,
  repositoryOf,
  tryParseReference,
} from '../../base/reference.ts';
import { type DockerImage, openDockerDigest } from '../../images/docker.ts';
import { judgeBy } from '../../trust/given-keys.ts';
import { asBeforeItsEnd } from '../../trust/key-view.ts';
import type { SignatureVerdict, StoredLike, Verdict } from '../../trust/verdict.ts';
import type { DigestRecord } from './digest-record.ts';
import type { FoundImage } from '../find-images.ts';
import type { PolicyJudge } from '../judge.ts';
import { type RememberingWorld, rememberSignatures } from './remember-signatures.ts';
import { type Annotations, annotationsOf, sameAnnotations } from './annotations.ts';
import type { KnownKeys } from './keys.ts';
import { findOldSignatures, type OldSignature, type OldSignatures, type Reason } from './old.ts';
import { placesOf } from '../sign/places.ts';
import type { SigningFormat, SigningPlan } from '../sign/plan.ts';
import { subjectOf } from '../subject.ts';
import type { World } from '../world.ts';
import { checkSimpleWritable } from '../writable.ts';

/** What one command asks of every image. */
export type Rotation = {
  readonly old: KnownKeys;
  readonly next: KnownKeys;
  readonly plan: SigningPlan;
  readonly policy: PolicyJudge;
  readonly record?: DigestRecord;
  /** When the old key was compromised, milliseconds since 1970. */
  readonly since: number | undefined;
};

/** A signature to make. */
export type PlannedSignature = {
  readonly format: SigningFormat;
  /** What it is made for; a bundle says no name. */
  readonly identity: Reference;
  /** The name under which the image was found, whose stores take it. */
  readonly name: Reference;
  /** Where it goes. */
  readonly store: string;
  /** What else it says, as the old one did. */
  readonly annotations: Annotations;
  /** The new key has made it already. */
  readonly isThere: boolean;
};

export type PlannedImage = FoundImage & {
  readonly signatures: readonly PlannedSignature[];
  /** Why there are none, or why the image is not believed under some of its names. */
  readonly reason?: Reason;
  readonly isByOld: boolean;
};

/**
 * Decides what to sign. The old key's signatures must hold today, or the record must have the digest, or a trusted time must be before
 * the compromise; and the policy must accept the image by them. Each new signature is for what an old one was accepted for.
 * @throws BullaError `store.*`, `registry.*`, `trust.key-unavailable`, `usage.unsupported`: nothing is decided
 */
export async function planImage(found: FoundImage, rotation: Rotation, outer: World): Promise<PlannedImage> {
  await using world = rememberSignatures(outer);
  const { names, digest } = found;
  const images = await Promise.all(names.map((name) => openDockerDigest(name, digest, world.registries)));
  const old = await findOldSignatures(images, digest, rotation, world);
  const passedOver = (reason: Reason): PlannedImage => ({
    ...found,
    signatures: [],
    reason,
    isByOld: old.signatures.length > 0 || old.fault !== undefined,
  });
  if (old.signatures.length === 0) return passedOver(old.fault ?? notByOld(old, rotation));
  const known = rotation.record?.namesOf(repositoryOf(found.repository), [digest, ...found.lists]);
  const counting = old.signatures.filter(({ doubt }) => known !== undefined || doubt === undefined);
  if (counting.length === 0) return passedOver(old.signatures[0]?.doubt ?? notByOld(old, rotation));
  const wanted = new Map<string, Wanted>();
  const refusals: Reason[] = [];
  for (const image of images) {
    const verdict = await judgeNamed(image, digest, known !== undefined, rotation, world);
    const accepted = verdict.accepted ? acceptedOf(verdict, counting, rotation) : [];
    for (const each of accepted) {
      const refusal = addWanted(each, image, known, wanted);
      if (refusal !== undefined) refusals.push(refusal);
    }
    if (accepted.length === 0) refusals.push(refusalOf(verdict, image));
  }
  const [image] = images;
  if (wanted.size === 0 || image === undefined) return passedOver(refusals[0] ?? notByOld(old, rotation));
  // a bundle says nothing that a policy.json reads, and hides the others from cosign 3: it goes with them
  for (const { format, annotations } of counting) {
    if (format === 'bundle') addBundle(image, annotations, wanted);
  }
  const signatures = await placeAll([...wanted.values()], digest, rotation, world);
  const [reason] = refusals;
  return { ...found, signatures, isByOld: true, ...(reason !== undefined && { reason }) };
}

function notByOld({ count }: OldSignatures, { old: { names } }: Rotation): Reason {
  const kind = names.openpgp.size > 0 ? 'GPG' : 'sigstore';
  const message =
    count === 0 ? `it has no ${kind} signature` : `none of its ${count} signatures is by the old key`;
  return { code: 'resign.not-by-old', message };
}

async function judgeNamed(
  image: DockerImage,
  digest: Digest,
  isKnown: boolean,
  { policy, old }: Rotation,
  world: RememberingWorld,
): Promise<Verdict> {
  const subject = await subjectOf({ image, digest, as: undefined, looks: policy.looks }, world);
  // the policy's copy of the key may have been revoked, or be as it was: for what is known to be good neither matters
  return policy.judge(subject, { everySignature: true, ...(isKnown && { view: asBeforeItsEnd(old.names) }) });
}

type Accepted = { readonly verdict: SignatureVerdict; readonly old: OldSignature };

/** The accepted signatures by the old key. Both must say so: the policy, and the old key alone. */
function acceptedOf(
  { requirements }: Verdict,
  counting: OldSignatures['signatures'],
  { old: { names } }: Rotation,
): readonly Accepted[] {
  // a place is of one signature, and who is behind it must be the same for both
  const known = new Map(counting.map((each) => [`${each.key} ${each.store}`, each]));
  return requirements
    .flatMap(({ signatures }) => signatures)
    .flatMap((signature) => {
      const { accepted, key = '', store } = signature;
      const isOld = names.openpgp.has(key) || names.sigstore.has(key);
      const old = known.get(`${key} ${store}`);
      return accepted && isOld && old !== undefined ? [{ verdict: signature, old }] : [];
    });
}

function refusalOf({ accepted, requirements }: Verdict, { name }: DockerImage): Reason {
  const refusal = requirements.at(-1);
  const as = name.transport === 'docker' ? `as ${formatReference(name.reference)}` : '';
  if (!accepted) {
    const message = `${refusal?.message ?? 'the policy refuses it'} (${as})`;
    return { code: refusal?.code ?? 'trust.not-accepted', message };
  }
  return {
    code: 'resign.not-believed',
    message: `the policy accepts it ${as}, but by no signature of the old key`,
    hint: 'give the policy that believed the old key: --policy FILE',
  };
}

type Wanted = Pick<PlannedSignature, 'format' | 'identity' | 'annotations'> & { readonly image: DockerImage };

/**
 * @param known for which names the record vouches; whoever has the old key could give a good image the name of a newer one
 * @returns why not
 */
function addWanted(
  { verdict, old: { annotations, doubt } }: Accepted,
  image: DockerImage,
  known: ReturnType<DigestRecord['namesOf']>,
  wanted: Map<string, Wanted>,
): Reason | undefined {
  const { format } = verdict;
  if (format === 'bundle') addBundle(image, annotations, wanted);
  if (format !== 'simple' && format !== 'cosign') return undefined;
  const claimed = format === 'simple' ? verdict.identity : verdict.reference;
  const identity = identityOf(tryParseReference(claimed ?? ''), image.physical);
  const text = formatReference(identity);
  if (doubt !== undefined && known !== 'any' && known?.has(text) !== true) {
    const message = `the record has the image by other names than ${text}`;
    return { code: 'resign.name-not-recorded', message };
  }
  const key = JSON.stringify([format, text, annotations]);
  if (!wanted.has(key)) wanted.set(key, { format, identity, annotations, image });
  return undefined;
}

function addBundle(image: DockerImage, annotations: Annotations, wanted: Map<string, Wanted>): void {
  const key = JSON.stringify(['bundle', annotations]);
  if (!wanted.has(key)) wanted.set(key, { format: 'bundle', identity: image.physical, annotations, image });
}

/** cosign's names say a repository alone, which cannot be signed for: the tag or digest is that of the name it was found under. */
function identityOf(claimed: Reference | undefined, found: Reference): Reference {
  if (claimed === undefined) throw new BullaError('internal.bug', 'an accepted signature names no image');
  if (!isNameOnly(claimed)) return claimed;
  const { tag, digest } = found;
  return { ...claimed, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

async function placeAll(
  wanted: readonly Wanted[],
  digest: Digest,
  rotation: Rotation,
  world: RememberingWorld,
): Promise<readonly PlannedSignature[]> {
  const placed: PlannedSignature[] = [];
  for (const each of wanted) {
    const { format, identity, annotations, image } = each;
    const isThere = await hasNew(each, digest, rotation, world);
    const [place] = placesOf(
      [planFor(rotation.plan, format)],
      { image, stores: await world.stores(image) },
      world,
    );
    if (place === undefined) throw new BullaError('internal.bug', `no place for ${format}`);
    if (format === 'simple' && !isThere)
      await checkSimpleWritable(image.name, await world.stores(image), image.registry);
    const store = place.store.description;
    placed.push({ format, identity, annotations, name: image.physical, store, isThere });
  }
  return placed;
}

/** One format of the new key. An old `.sig` is made anew where it is; a bundle only where it hides nobody's (sign.ts). */
export function planFor(plan: SigningPlan, format: SigningFormat): SigningPlan {
  return { ...plan, formats: [format], explicitFormat: format === 'cosign' };
}

/** Whether the new key has signed for the very same already, so that what was cut off goes on where it was. */
async function hasNew(
  { format, identity, annotations, image }: Wanted,
  digest: Digest,
  { next }: Rotation,
  world: RememberingWorld,
): Promise<boolean> {
  const judge = judgeBy(next.keys, { manifestDigest: digest, dockerReference: identity }, world.now());
  const isSame = async (stored: StoredLike): Promise<boolean> => {
    if (stored.signature.format !== format) return false;
    const verdict = await judge(stored);
    if (!verdict.accepted || !sameAnnotations(annotationsOf(stored, digest), annotations)) return false;
    if (format === 'bundle') return true;
    const claimed = tryParseReference((format === 'simple' ? verdict.identity : verdict.reference) ?? '');
    return claimed !== undefined && formatReference(claimed) === formatReference(identity);
  };
  for (const store of await world.storesFor(image, format)) {
    for await (const stored of store.list(world.imageId(image, digest)))
      if (await isSame(stored)) return true;
  }
  return false;
}
