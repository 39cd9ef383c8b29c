/** `attest`: a signed statement about an image or a file. */
import { digestOf, hexOf } from '../base/digest.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { repositoryOf } from '../base/reference.ts';
import type { Signature } from '../formats/signature.ts';
import { openImage } from '../images/open.ts';
import type { Image } from '../images/image.ts';
import type { LocatedStores } from '../stores/locate.ts';
import type { SignatureStore } from '../stores/store.ts';
import { type Attested, type ReadyStatement, statementFor } from './attest-statement.ts';
import { digestsOf } from './sign/formats.ts';
import { hiddenBy } from './sign/hidden-by.ts';
import { isSigstore } from './sign/places.ts';
import {
  type Made,
  makeOldAttestation,
  makeStatementBundle,
  type SigstorePlan,
  type Witnessed,
} from './sign/sigstore.ts';
import type { SigningPlan } from './sign/plan.ts';
import type { World } from './world.ts';

export type { Attested } from './attest-statement.ts';

export type AttestRequest = {
  /** Of a list the list itself is meant; an instance is named by its digest. */
  readonly image: ImageName;
  readonly attested: Attested;
  /** Sigstore keys. A bundle is made, and a layer of `.att` where `cosign` is among explicit formats. */
  readonly signers: readonly SigningPlan[] | Promise<readonly SigningPlan[]>;
  /** False: made and not stored. Default: true. */
  readonly upload?: boolean;
  /** Is given each attestation before any is stored. */
  readonly made?: (signature: Signature, digest: Digest) => Promise<void>;
};

export type MadeAttestation = {
  readonly format: 'bundle' | 'attestation';
  readonly predicateType: string;
  readonly keyId: string;
  readonly location: string;
  readonly added: boolean;
} & Witnessed;

export type AttestReceipt = {
  readonly image: string;
  readonly digest: Digest;
  readonly attestations: readonly MadeAttestation[];
};

type Place = {
  readonly plan: SigstorePlan;
  readonly format: 'bundle' | 'attestation';
  readonly store: SignatureStore;
};

/**
 * Attests something of an image and hangs it on it. Nothing is signed, logged or written unless it has its place.
 * @throws BullaError `usage.*`, `image.*`, `registry.*`, `store.*`, `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`
 */
export async function attest(request: AttestRequest, world: World): Promise<AttestReceipt> {
  await using image = await openImage(request.image, world, { mirrors: false });
  const [manifest, stores, plans] = await Promise.all([
    image.manifest(),
    world.stores(image),
    request.signers,
  ]);
  const { digest } = manifest;
  const name = request.image.transport === 'docker' ? repositoryOf(request.image.reference) : undefined;
  const subject = { ...(name !== undefined && { name }), digests: digestsOf(digest) };
  const statement = statementFor(request.attested, subject, world.now());
  const isStored = request.upload !== false;
  const places = await placesOf(plans, { image, stores, digest, isStored }, world);
  const made = await Promise.all(places.map((place) => makeOne(place, statement, world)));
  for (const { signature } of made) await request.made?.(signature, digest);
  const attestations: MadeAttestation[] = [];
  for (const [index, { plan, format, store }] of places.entries()) {
    const one = made[index];
    if (one === undefined) continue;
    const stored = isStored
      ? await store.add(world.imageId(image, digest), one.signature)
      : { location: 'not stored', added: false };
    const { predicateType } = statement;
    attestations.push({ format, predicateType, keyId: plan.signer.keyId, ...stored, ...one.witnessed });
  }
  return { image: formatImageName(request.image), digest, attestations };
}

async function placesOf(
  plans: readonly SigningPlan[],
  {
    image,
    stores,
    digest,
    isStored,
  }: { image: Image; stores: LocatedStores; digest: Digest; isStored: boolean },
  world: World,
): Promise<readonly Place[]> {
  if (plans.length === 0)
    throw new BullaError('usage.invalid', 'nothing to sign with', { hint: 'name a key by --key' });
  if (image.physical === undefined) {
    throw new BullaError('store.none', `${formatImageName(image.name)} has no place for attestations`, {
      hint: 'copy it to a registry, and attest it there',
    });
  }
  const places: Place[] = [];
  for (const plan of plans) {
    const sigstore = sigstorePlanOf(plan);
    // what is not stored is a file, and that is a bundle
    for (const format of isStored ? formatsOf(plan) : ['bundle' as const]) {
      places.push({ plan: sigstore, format, store: stores.writerFor(format) });
      if (format !== 'bundle' || plan.explicitFormat || !isStored) continue;
      const hidden = await hiddenBy(plan.signer, stores, world.imageId(image, digest));
      if (hidden !== undefined) throw hides(hidden);
    }
  }
  return places;
}

/** @throws BullaError `usage.invalid` for a GPG key */
export function sigstorePlanOf({ signer, witnesses }: SigningPlan): SigstorePlan {
  if (isSigstore(signer)) return { signer, witnesses };
  throw new BullaError('usage.invalid', 'a GPG key signs images, and no statements and files', {
    hint: 'use a sigstore key: --key, --sign-by-sigstore-private-key or --keyless',
  });
}

function formatsOf({ formats, explicitFormat }: SigningPlan): readonly Place['format'][] {
  if (!explicitFormat) return ['bundle'];
  return formats.map((format) => (format === 'cosign' ? 'attestation' : 'bundle'));
}

function hides(hidden: string): BullaError {
  return new BullaError(
    'store.hides-attachment',
    `a bundle would hide ${hidden}, which is somebody else’s, from cosign 3`,
    {
      hint: 'add it all the same by --signature-format bundle, or write what cosign 2 reads: --signature-format cosign',
    },
  );
}

function makeOne(
  { plan, format }: Place,
  { bytes, predicateType }: ReadyStatement,
  world: World,
): Promise<Made> {
  return format === 'bundle'
    ? makeStatementBundle(bytes, plan, world)
    : makeOldAttestation(bytes, predicateType, plan, world);
}

/**
 * A bundle with a statement about a file.
 * @param file its name in the statement, and its bytes
 * @throws BullaError `usage.*`, `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`
 */
export async function attestBlob(
  {
    attested,
    file,
    signer,
  }: { attested: Attested; file: { name: string; bytes: Uint8Array }; signer: SigningPlan },
  world: World,
): Promise<{ readonly bundle: Uint8Array; readonly predicateType: string; readonly witnessed: Witnessed }> {
  const subject = { name: file.name, digests: new Map([['sha256', hexOf(digestOf(file.bytes))]]) };
  const { bytes, predicateType } = statementFor(attested, subject, world.now());
  const { signature, witnessed } = await makeStatementBundle(bytes, sigstorePlanOf(signer), world);
  if (signature.format !== 'bundle') throw new BullaError('internal.bug', 'no bundle was made');
  return { bundle: signature.json, predicateType, witnessed };
}
