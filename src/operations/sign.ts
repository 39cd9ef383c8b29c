/** `sign`: a new signature for an image that is already there. One manifest is read, nothing is moved. */
import type { Platform } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { type Manifest, parseManifest } from '../base/manifest.ts';
import { formatReference, isNameOnly, type Reference } from '../base/reference.ts';
import type { Signature } from '../formats/signature.ts';
import { chooseInstance, hostPlatform } from '../images/choose-instance.ts';
import type { Image } from '../images/image.ts';
import type { Signer } from '../keys/signer.ts';
import type { SignatureStore } from '../stores/store.ts';
import { openImage } from '../images/open.ts';
import { formatOf, makeSignature } from './sign-formats.ts';
import type { World } from './world.ts';

/** Which manifests of a list are signed; an image that is no list is signed itself. */
export type SignedInstances =
  /** The host's (or `platform`'s) instance alone. */
  | { readonly kind: 'system' }
  /** Each instance, then the list. */
  | { readonly kind: 'all' }
  /** The list alone, which containers/image never checks. */
  | { readonly kind: 'index-only' }
  | { readonly kind: 'platforms'; readonly platforms: readonly Platform[] };

export type SignRequest = {
  readonly image: ImageName;
  /** Keys, opened or on their way; each makes a signature for each identity. At least one. */
  readonly signers: readonly Signer[] | Promise<readonly Signer[]>;
  /** What is signed for, in place of the image's own reference; each with a tag or a digest. */
  readonly identities?: readonly Reference[];
  /** Default: all. */
  readonly instances?: SignedInstances;
  /** For `system`. Default: the host's. */
  readonly platform?: Platform;
  /** Does everything but store the signatures. */
  readonly dryRun?: boolean;
};

export type MadeSignature = {
  readonly format: Signature['format'];
  readonly digest: Digest;
  readonly identity: string;
  /** `Signer.keyId`: of OpenPGP the fingerprint, of sigstore the SHA-256 of the public key. */
  readonly keyId: string;
  /** Where it is stored; under a dry run the store's description. */
  readonly location: string;
  /** False: it was there already, or this is a dry run. */
  readonly added: boolean;
};

export type SignReceipt = {
  readonly image: string;
  /** What the name meant when it was signed. */
  readonly digest: Digest;
  readonly signatures: readonly MadeSignature[];
};

/**
 * Signs an image where it is and stores each signature where registries.d says, beside those that are
 * there: GPG ones (containers-signature.5) in the lookaside, sigstore ones as attachments. Nothing is written
 * unless every signature has its place.
 * @throws BullaError `usage.*`, `image.*`, `registry.*`, `store.*`, `key.*`
 */
export async function sign(request: SignRequest, world: World): Promise<SignReceipt> {
  const identities = identitiesOf(request);
  // what a mirror serves is not what is signed: a signature goes to the name's own registry
  await using image = await openImage(request.image, world, { mirrors: false, stores: true });
  const [manifest, stores, signers] = await Promise.all([
    image.manifest(),
    world.stores(image),
    request.signers,
  ]);
  if (signers.length === 0)
    throw new BullaError('usage.invalid', 'nothing to sign with', {
      hint: 'name a key by --sign-by or --sign-by-sigstore-private-key',
    });
  const targets = targetsOf(manifest, request, world);
  const placed = signers.map((signer) => ({ signer, store: stores.writerFor(formatOf[signer.kind]) }));
  const signatures: MadeSignature[] = [];
  for (const digest of targets) {
    for (const identity of identities) {
      for (const each of placed) {
        signatures.push(await signOne({ digest, identity, image, ...each }, request, world));
      }
    }
  }
  return { image: formatImageName(request.image), digest: manifest.digest, signatures };
}

function identitiesOf(request: SignRequest): readonly Reference[] {
  const given = request.identities ?? [];
  const nameOnly = given.find(isNameOnly);
  if (nameOnly !== undefined) {
    throw new BullaError(
      'usage.invalid',
      `cannot sign for ${formatReference(nameOnly)}: it has neither a tag nor a digest`,
    );
  }
  if (given.length > 0) return given;
  if (request.image.transport === 'docker') return [request.image.reference];
  throw new BullaError(
    'usage.invalid',
    `${formatImageName(request.image)} has no Docker reference to sign for`,
    {
      hint: 'say by --sign-identity what the signature speaks of',
    },
  );
}

/** The digests to sign, the list's own last: it stands for its instances only once they are signed. */
function targetsOf(manifest: Manifest, request: SignRequest, world: World): readonly Digest[] {
  const parsed = parseManifest(manifest);
  if (parsed.kind !== 'index') return [manifest.digest];
  const instances = request.instances ?? { kind: 'all' };
  switch (instances.kind) {
    case 'system':
      return [chooseInstance(parsed, request.platform ?? hostPlatform()).digest];
    case 'platforms':
      return instances.platforms.map((platform) => chooseInstance(parsed, platform).digest);
    case 'index-only':
      world.warn(
        'only the list is signed: podman, skopeo and CRI-O judge instances and never check a list’s signature',
      );
      return [manifest.digest];
    case 'all':
      return [...new Set(parsed.manifests.map((each) => each.digest)), manifest.digest];
  }
}

type Target = {
  readonly digest: Digest;
  readonly identity: Reference;
  readonly signer: Signer;
  readonly image: Image;
  readonly store: SignatureStore;
};

async function signOne(target: Target, request: SignRequest, world: World): Promise<MadeSignature> {
  const { digest, identity, signer, image, store } = target;
  const dockerReference = formatReference(identity);
  const timestamp = Math.floor(world.now().getTime() / 1000);
  const signature = await makeSignature(signer, { manifestDigest: digest, dockerReference, timestamp });
  const { format } = signature;
  const made = { format, digest, identity: dockerReference, keyId: signer.keyId };
  if (request.dryRun === true) return { ...made, location: store.description, added: false };
  const { location, added } = await store.add(world.imageId(image, digest), signature);
  return { ...made, location, added };
}
