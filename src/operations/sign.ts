/** `sign`: a new signature for an image that is already there. One manifest is read, nothing is moved. */
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import type { Manifest } from '../base/manifest.ts';
import { formatReference, type Reference } from '../base/reference.ts';
import type { Signature } from '../formats/signature.ts';
import type { Image } from '../images/image.ts';
import { openImage } from '../images/open.ts';
import type { Signer } from '../keys/signer.ts';
import type { LocatedStores } from '../stores/locate.ts';
import type { AddResult, ImageId, SignatureStore } from '../stores/store.ts';
import type { hiddenBy as HiddenBy } from './sign/hidden-by.ts';
import { inParallel } from './in-parallel.ts';
import { makeSignature, planOf } from './sign/formats.ts';
import { type Place, placesOf } from './sign/places.ts';
import type { Witnessed } from './sign/sigstore.ts';
import { identitiesOf, type TargetOptions, targetsOf } from './sign/targets.ts';
import type { SigningFormat, SigningPlan } from './sign/plan.ts';
import type { World } from './world.ts';

export type { SignedInstances } from './sign/targets.ts';

export type SignRequest = TargetOptions & {
  readonly image: ImageName;
  /**
   * Keys, opened or on their way, each with what it is to make; a key alone makes what podman and skopeo make. At least one.
   */
  readonly signers: readonly (Signer | SigningPlan)[] | Promise<readonly (Signer | SigningPlan)[]>;
  /** The formats that the keys on their way will most likely make: their stores get ready meanwhile. */
  readonly expected?: readonly SigningFormat[];
  /** What is signed for, in place of the image's own reference; each with a tag or a digest. A bundle names no reference. */
  readonly identities?: readonly Reference[];
  /** Said in sigstore signatures, and signed with them (cosign's -a). */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Does everything but store the signatures; no log, timestamp authority or Fulcio is asked either. */
  readonly dryRun?: boolean;
  /** False: signatures are made, and seen, and not stored. Default: true. */
  readonly upload?: boolean;
  /** Is given each signature before any is stored. */
  readonly made?: (signature: Signature, digest: Digest) => Promise<void>;
};

export type MadeSignature = {
  readonly format: Signature['format'];
  readonly digest: Digest;
  /** The reference that is signed for; of a bundle the one that it was found by. */
  readonly identity: string;
  /** `Signer.keyId`: of OpenPGP the fingerprint, of sigstore the SHA-256 of the public key. */
  readonly keyId: string;
  /** Where it is stored; where it is not, the store's description. */
  readonly location: string;
  /** False: it was there already, or this is a dry run. */
  readonly added: boolean;
  /** `SigningChoices.there` knew of one: none was made. */
  readonly there?: true;
} & Witnessed;

export type SignReceipt = {
  readonly image: string;
  /** What the name meant when it was signed. */
  readonly digest: Digest;
  readonly signatures: readonly MadeSignature[];
};

/**
 * Signs an image where it is and stores each signature where registries.d says, beside those that are
 * there: GPG ones (containers-signature.5) in the lookaside, sigstore ones as attachments and bundles. Nothing is
 * signed, logged or written unless every signature has its place, and nothing is written unless every one is made.
 * @throws BullaError `usage.*`, `image.*`, `registry.*`, `store.*`, `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`
 */
export async function sign(request: SignRequest, world: World): Promise<SignReceipt> {
  const identities = identitiesOf(request.image, request.identities ?? []);
  // what a mirror serves is not what is signed: a signature goes to the name's own registry
  await using image = await openImage(request.image, world, { mirrors: false, stores: true });
  const isStored = request.upload !== false;
  const [{ manifest, stores, targets }, signers] = await Promise.all([
    makeReady(image, request, world),
    request.signers,
  ]);
  const plans = signers.map(planOf);
  if (plans.length === 0)
    throw new BullaError('usage.invalid', 'nothing to sign with', {
      hint: 'name a key by --sign-by or --key',
    });
  const places = placesOf(isStored ? plans : plans.map(bundleOf), { image, stores }, world);
  const signatures = await signTargets({ image, stores, places, targets, identities }, request, world);
  return { image: formatImageName(request.image), digest: manifest.digest, signatures };
}

/** What is to be signed, by what, for whom, and where it is kept; each place is known to take its signature. */
export type SigningJob = {
  readonly image: Image;
  readonly stores: LocatedStores;
  readonly places: readonly Place[];
  readonly targets: readonly Digest[];
  readonly identities: readonly Reference[];
};

/**
 * Makes every signature, then stores them.
 * @throws BullaError `store.*`, `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`
 */
export async function signTargets(
  { image, stores, places, targets, identities }: SigningJob,
  request: SigningChoices,
  world: World,
): Promise<readonly MadeSignature[]> {
  const idOf = (digest: Digest): ImageId => world.imageId(image, digest);
  const tasks = await tasksOf(targets, identities, { places, stores, idOf }, world);
  const made = await makeAll(tasks, request, world);
  return storeAll(made, idOf, request);
}

type Ready = {
  readonly manifest: Manifest;
  readonly stores: LocatedStores;
  readonly targets: readonly Digest[];
};

/** What can be done while the keys are on their way. */
async function makeReady(image: Image, request: SignRequest, world: World): Promise<Ready> {
  const [manifest, stores] = await Promise.all([image.manifest(), world.stores(image)]);
  const targets = targetsOf(manifest, request, world);
  const [target] = targets;
  const { readers, attachments } = stores;
  const { expected = [], dryRun, upload } = request;
  // an attachment alone: what hides others is known only when the key is
  const isKept = expected.includes('cosign') && attachments !== undefined && readers.includes(attachments);
  if (isKept && target !== undefined && targets.length === 1 && dryRun !== true && upload !== false) {
    attachments.prepare?.(world.imageId(image, target));
  }
  return { manifest, stores, targets };
}

/** What is not stored is a file, and that is a bundle, which hides nothing there. */
function bundleOf(plan: SigningPlan): SigningPlan {
  return { ...plan, formats: ['bundle'], explicitFormat: true };
}

/** What is made of a signature, and what becomes of it. */
export type SigningChoices = Pick<SignRequest, 'annotations' | 'dryRun' | 'upload' | 'made'> & {
  /** Where a signature is already that makes another one needless. Undefined: nowhere. */
  readonly there?: (task: SigningTask) => Promise<string | undefined>;
};

/** One signature to make. */
export type SigningTask = Place & { readonly digest: Digest; readonly identity: Reference };

/** In the order in which they are stored: a list's own last, all of a manifest before the next. */
async function tasksOf(
  targets: readonly Digest[],
  identities: readonly [Reference, ...Reference[]] | readonly Reference[],
  {
    places,
    stores,
    idOf,
  }: { places: readonly Place[]; stores: LocatedStores; idOf: (digest: Digest) => ImageId },
  world: World,
): Promise<readonly SigningTask[]> {
  const ofEach = await inParallel(
    targets,
    requestsAtOnce,
    async (digest): Promise<readonly SigningTask[]> => {
      const kept = await withoutHiding(places, stores, idOf(digest), world);
      return identities.flatMap((identity, index) =>
        // a bundle speaks of a digest alone: one does for all references
        kept
          .filter(({ format }) => format !== 'bundle' || index === 0)
          .map((place) => ({ ...place, digest, identity })),
      );
    },
  );
  return ofEach.flat();
}

async function hiddenBy(...question: Parameters<typeof HiddenBy>): ReturnType<typeof HiddenBy> {
  return (await import('./sign/hidden-by.ts')).hiddenBy(...question);
}

/** Leaves out the bundles that nobody asked for by name and that would hide a `.sig` from cosign 3. */
async function withoutHiding(
  places: readonly Place[],
  stores: LocatedStores,
  id: ImageId,
  world: World,
): Promise<readonly Place[]> {
  const kept: Place[] = [];
  for (const place of places) {
    const { plan, format } = place;
    const isDefault = format === 'bundle' && !plan.explicitFormat;
    const hidden = isDefault ? await hiddenBy(plan.signer, stores, id) : undefined;
    if (hidden === undefined) {
      kept.push(place);
      continue;
    }
    world.warn(
      `no bundle is added to ${id.digest}: it would hide ${hidden}, which is somebody else’s, from cosign 3 [store.hides-attachment]; --signature-format bundle adds one all the same`,
    );
  }
  return kept;
}

type Made = {
  readonly task: SigningTask;
  readonly signature: Signature | undefined;
  readonly witnessed?: Witnessed;
  /** Where it was before. */
  readonly before?: string;
};

/** So many at once: each waits for its log, which may be seconds. */
const requestsAtOnce = 8;

async function makeAll(
  tasks: readonly SigningTask[],
  request: SigningChoices,
  world: World,
): Promise<readonly Made[]> {
  // keys that ask nobody are done at once, or ask one person; one after another is as fast, and kind to agents
  const isAlone = tasks.every(
    ({ plan }) => plan.witnesses.logs.length + plan.witnesses.timestamps.length === 0,
  );
  const made = await inParallel(tasks, isAlone ? 1 : requestsAtOnce, (task) => makeOne(task, request, world));
  for (const { signature, task } of made) {
    if (signature !== undefined) await request.made?.(signature, task.digest);
  }
  return made;
}

async function makeOne(task: SigningTask, request: SigningChoices, world: World): Promise<Made> {
  const { digest, identity, format } = task;
  const before = await request.there?.(task);
  if (before !== undefined) return { task, signature: undefined, before };
  const plan = request.dryRun === true ? withoutWitnesses(task.plan) : task.plan;
  if (plan === undefined) return { task, signature: undefined };
  const claim = {
    manifestDigest: digest,
    dockerReference: formatReference(identity),
    timestamp: Math.floor(world.now().getTime() / 1000),
    ...(request.annotations !== undefined && { annotations: request.annotations }),
  };
  return { task, ...(await makeSignature(format, plan, claim, world)) };
}

/** For a dry run: what a log or Fulcio sees is published. Undefined for a key that cannot sign without. */
function withoutWitnesses(plan: SigningPlan): SigningPlan | undefined {
  if ('certificates' in plan.signer) return undefined;
  return { ...plan, witnesses: { logs: [], timestamps: [] } };
}

/** Manifest after manifest; the stores of one beside each other, each in order. */
async function storeAll(
  made: readonly Made[],
  idOf: (digest: Digest) => ImageId,
  request: SigningChoices,
): Promise<readonly MadeSignature[]> {
  const isStored = request.dryRun !== true && request.upload !== false;
  const results = new Map<Made, AddResult>();
  for (const ofDigest of Map.groupBy(made, ({ task }) => task.digest).values()) {
    const lanes = Map.groupBy(ofDigest, ({ task }) => task.store);
    await Promise.all(
      [...lanes].map(([store, lane]) => storeInTurn(lane, store, { idOf, isStored, results })),
    );
  }
  return made.map((each) => receiptOf(each, results.get(each)));
}

async function storeInTurn(
  lane: readonly Made[],
  store: SignatureStore,
  to: { idOf: (digest: Digest) => ImageId; isStored: boolean; results: Map<Made, AddResult> },
): Promise<void> {
  for (const each of lane) {
    const { signature, task } = each;
    if (!to.isStored || signature === undefined) continue;
    to.results.set(each, await store.add(to.idOf(task.digest), signature));
  }
}

function receiptOf(
  { task, signature, witnessed, before }: Made,
  stored: AddResult | undefined,
): MadeSignature {
  const { digest, identity, plan, format, store } = task;
  return {
    format: signature?.format ?? format,
    digest,
    identity: formatReference(identity),
    keyId: plan.signer.keyId,
    location: before ?? stored?.location ?? store.description,
    added: stored?.added ?? false,
    ...(before !== undefined && { there: true as const }),
    ...witnessed,
  };
}
