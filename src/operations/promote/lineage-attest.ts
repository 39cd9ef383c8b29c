/** The lineage record as a signed attestation beside the image, where that hides nobody's signature. */
import { textOf, utf8 } from '../../base/bytes.ts';
import type { Digest } from '../../base/digest.ts';
import type { Reference } from '../../base/reference.ts';
import { withDigest } from '../../base/reference.ts';
import type { Image } from '../../images/image.ts';
import { hiddenByBundle } from '../../stores/hides-attachment.ts';
import { inRegistry } from '../../stores/store.ts';
import { evaluateKeys } from '../../trust/evaluate.ts';
import { attest, type MadeAttestation } from '../attest.ts';
import { type Lineage, lineageSchema } from './lineage.ts';
import { keysOf, only } from './signed.ts';
import { isSigstore } from '../sign/places.ts';
import type { SigningPlan } from '../sign/plan.ts';
import { subjectOf } from '../subject.ts';
import type { World } from '../world.ts';

/** One is there, or why there is none. */
export type LineageAttestation =
  | (Pick<MadeAttestation, 'format' | 'keyId' | 'location' | 'added'> & { readonly note?: undefined })
  | { readonly note: string };

export type AttestedPlace = {
  /** The destination, for its stores. */
  readonly image: Image;
  readonly reference: Reference;
  readonly digest: Digest;
};

/**
 * Whether the record can be attested, before anything is signed or asked.
 * @returns why not; undefined: it can be
 * @throws BullaError `store.*`, `registry.*`
 */
export async function whyNoAttestation(
  plan: SigningPlan | undefined,
  { image, digest }: AttestedPlace,
  world: World,
): Promise<string | undefined> {
  if (plan === undefined) return 'not attested: no sigstore key signs here';
  if (plan.explicitFormat && !plan.formats.includes('bundle')) return undefined;
  const { attachments, referrers } = await world.stores(image);
  if (attachments === undefined || referrers === undefined) return 'not attested: there is no place for it';
  const id = inRegistry(world.imageId(image, digest));
  // one’s own signatures count, too: cosign 3 looks at no `.sig` once there is any bundle
  const hidden = await hiddenByBundle({ attachments, referrers }, id, () => false);
  return hidden === undefined
    ? undefined
    : `not attested: a first bundle would hide ${hidden} from cosign 3 [store.hides-attachment]`;
}

/**
 * Attests the record, unless one by the same key says the same already.
 * @throws BullaError `store.*`, `registry.*`, `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`
 */
export async function attestLineage(
  lineage: Lineage,
  { plan, isAgain }: { readonly plan: SigningPlan | undefined; readonly isAgain: boolean },
  place: AttestedPlace,
  world: World,
): Promise<LineageAttestation> {
  const told = withoutPaths(lineage);
  const before = plan === undefined ? undefined : await findAttested(told, plan, place, world);
  if (before !== undefined) return before;
  const why = await whyNoAttestation(plan, place, world);
  if (why !== undefined || plan === undefined) return { note: why ?? 'no key' };
  if (isAgain && isSigstore(plan.signer) && 'certificates' in plan.signer)
    return { note: 'not attested anew: nothing has changed' };
  const predicate = utf8(JSON.stringify(told));
  const { attestations } = await attest(
    {
      image: { transport: 'docker', reference: withDigest(place.reference, place.digest) },
      attested: { kind: 'predicate', type: lineageSchema, predicate },
      signers: [plan],
    },
    world,
  );
  const [made] = attestations;
  return made === undefined ? { note: 'not attested' } : made;
}

/** The first sigstore key that signs. */
export function attestingPlan(plans: readonly SigningPlan[]): SigningPlan | undefined {
  return plans.find(({ signer }) => isSigstore(signer));
}

/** What stands beside an image is for everybody: from which folder of whose machine something was read is not. */
function sideWithoutPaths<T extends Lineage['source']>(side: T): T {
  // a folder's signatures are in it, also where it is named from where one stands
  const isFolder = /^(?:dir|oci|oci-archive):/.test(side.reference);
  return {
    ...side,
    reference: withoutPath(side.reference),
    scopes: side.scopes.map(({ transport, name }) => ({
      transport,
      name: withoutPath(name),
    })),
    signers: side.signers.map((signer) => {
      const store = withoutPath(signer.store);
      return { ...signer, store: isFolder && store === signer.store ? 'a folder' : store };
    }),
  };
}

/** `oci:/home/alice/image:1` is an image in a folder, wherever that is. */
function withoutPath(text: string): string {
  const [, transport] = /^(dir|oci|oci-archive|docker-archive):/.exec(text) ?? [];
  return transport === undefined ? (text.startsWith('/') ? 'a folder' : text) : `${transport}:…`;
}

function withoutPaths(lineage: Lineage): Lineage {
  const { waiting: _waiting, ...destination } = sideWithoutPaths(lineage.destination);
  return { ...lineage, source: sideWithoutPaths(lineage.source), destination };
}

/** One that verifies by this very key and speaks of the same promotion. */
async function findAttested(
  lineage: Lineage,
  plan: SigningPlan,
  { image, digest }: AttestedPlace,
  world: World,
): Promise<LineageAttestation | undefined> {
  const keys = await keysOf(plan.signer, world);
  if (keys?.sigstore === undefined) return undefined;
  const hint = { predicateType: lineageSchema };
  const subject = await subjectOf({ image, digest, as: undefined, looks: 'for-statements', hint }, world);
  for await (const stored of subject.signatures()) {
    if (stored.signature.format !== 'bundle' && stored.signature.format !== 'attestation') continue;
    const { requirements } = await evaluateKeys({ ...keys, ...hint }, only(subject, stored), world.now());
    const found = requirements.flatMap(({ signatures }) => signatures).find(({ accepted }) => accepted);
    if (found?.statement === undefined || !saysTheSame(found.statement, lineage)) continue;
    const { format } = stored.signature;
    return { format, keyId: plan.signer.keyId, location: stored.location, added: false };
  }
  return undefined;
}

type Said = { readonly predicate?: Partial<Record<'mode' | 'source' | 'destination', unknown>> | null };

function isSide(said: unknown, side: Lineage['source']): boolean {
  return (
    typeof said === 'object' &&
    said !== null &&
    'reference' in said &&
    'digest' in said &&
    said.reference === side.reference &&
    said.digest === side.digest
  );
}

/** The time is another each time, and what the name meant before may be. */
function saysTheSame(statement: Uint8Array, { mode, source, destination }: Lineage): boolean {
  const { predicate } = JSON.parse(textOf(statement) ?? '{}') as Said;
  return (
    predicate?.mode === mode && isSide(predicate.source, source) && isSide(predicate.destination, destination)
  );
}
