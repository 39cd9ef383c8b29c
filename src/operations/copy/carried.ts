/** What goes along with an image: its signatures, and whatever hangs on it, found at the source before anything is moved. */
import { type Descriptor, mediaTypes } from '../../base/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import { limits } from '../../base/limits.ts';
import { type ImageManifest, type Manifest, parseManifest } from '../../base/manifest.ts';
import type { Reference } from '../../base/reference.ts';
import type { Signature } from '../../formats/signature.ts';
import type { DockerImage } from '../../images/docker.ts';
import type { Image } from '../../images/image.ts';
import { kindOf, referrerAnnotations } from '../../stores/referrers-manifest.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import { cosignSignPredicateType } from '../../formats/statement.ts';
import { type Parts, readParts } from './image.ts';
import { isInLayout, layoutReferrers } from './layout.ts';
import { inParallel } from '../in-parallel.ts';
import type { World } from '../world.ts';

/** A manifest beside an image, in the same repository: what a tag of cosign's names, or what has the image as its subject. */
export type Satellite = {
  readonly of: Digest;
  readonly manifest: Manifest;
  readonly parts: Parts;
  /** cosign's tag. Undefined: it is a referrer. */
  readonly suffix?: '.sig' | '.att' | '.sbom';
  /** It is a signature, which a changed manifest would leave without an image. */
  readonly isSignature: boolean;
};

export type Carried = {
  /** Of the stores that hold signatures by themselves: lookaside, X-R-S-S, a dir: folder. */
  readonly signatures: readonly { readonly of: Digest; readonly signature: Signature }[];
  readonly satellites: readonly Satellite[];
};

export type CarryOptions = {
  /** Signatures stay behind. */
  readonly removeSignatures: boolean;
  /** False: only what skopeo takes along, signatures by registries.d. */
  readonly attachments: boolean;
};

const atOnce = 8;
/** Signatures of attestations of images: what is deeper hangs on nothing that anybody reads. */
const deepest = 4;

/** `sha256-<hex>.sig` */
export function satelliteTag({ of, suffix = '.sig' }: Pick<Satellite, 'of' | 'suffix'>): string {
  return `${algorithmOf(of)}-${hexOf(of)}${suffix}`;
}

/**
 * Reads everything that goes along with these manifests.
 * @throws BullaError `signature.*` (what stands where a signature should and is none), `store.*`, `registry.*`, `manifest.*`
 */
export async function findCarried(
  source: Image,
  digests: readonly Digest[],
  options: CarryOptions,
  world: World,
): Promise<Carried> {
  const stores = await world.stores(source);
  if (isInLayout(source)) return findInLayout(source, digests, options, stores, world);
  const [signatures, satellites] = await Promise.all([
    options.removeSignatures ? [] : readSignatures(source, digests, stores, world),
    isInRegistry(source) ? findInRegistry(source, digests, options, stores) : [],
  ]);
  return { signatures, satellites };
}

/** A layout's own store has everything that is a signature; what is a referrer elsewhere too goes along as it is. */
async function findInLayout(
  source: Image,
  digests: readonly Digest[],
  options: CarryOptions,
  stores: LocatedStores,
  world: World,
): Promise<Carried> {
  const { removeSignatures, attachments } = options;
  const referrers = attachments ? await layoutReferrers(source) : new Map<Digest, readonly Manifest[]>();
  const satellites = await findSatellites(source, digests, options, async (of) => {
    const read = await inParallel(referrers.get(of) ?? [], atOnce, (each) => satelliteOf(source, of, each));
    return read.filter((each) => each !== undefined);
  });
  const subjects = [...new Set([...digests, ...satellites.map(({ manifest }) => manifest.digest)])];
  const wanted: readonly Signature['format'][] = [
    ...(removeSignatures ? [] : (['simple', 'cosign'] as const)),
    ...(attachments ? (['attestation'] as const) : []),
  ];
  if (wanted.length === 0) return { signatures: [], satellites };
  const signatures = await readSignatures(source, subjects, stores, world, !removeSignatures);
  return { signatures: signatures.filter(({ signature }) => wanted.includes(signature.format)), satellites };
}

/** What of a registry's image is asked for what hangs on it. */
type InRegistry = Image & {
  readonly physical: Reference;
  readonly registry: Pick<DockerImage['registry'], 'manifest' | 'referrers'>;
};

function isInRegistry(image: Image): image is InRegistry {
  return image.physical !== undefined && 'registry' in image;
}

async function readSignatures(
  source: Image,
  digests: readonly Digest[],
  { readers, attachments }: LocatedStores,
  world: World,
  isStrict: boolean = true,
): Promise<Carried['signatures']> {
  const found = await inParallel(digests, atOnce, async (digest) => {
    const ofDigest: { readonly of: Digest; readonly signature: Signature }[] = [];
    for (const store of readers.filter((each) => each !== attachments)) {
      for await (const { signature, location } of store.list(world.imageId(source, digest))) {
        if (signature.format !== 'unreadable') ofDigest.push({ of: digest, signature });
        else if (isStrict) throw notCarried(signature.code, location, signature.message);
      }
    }
    return ofDigest;
  });
  return found.flat();
}

function notCarried(code: BullaError['code'], location: string, message: string): BullaError {
  return new BullaError(code, `${location} cannot be carried along: ${message}`, {
    hint: '--remove-signatures leaves all signatures behind',
  });
}

async function findInRegistry(
  source: InRegistry,
  digests: readonly Digest[],
  options: CarryOptions,
  { readers, attachments }: LocatedStores,
): Promise<readonly Satellite[]> {
  const suffixes = options.attachments
    ? (['.sig', '.att', '.sbom'] as const)
    : attachments !== undefined && readers.includes(attachments)
      ? (['.sig'] as const)
      : [];
  const wanted = suffixes.filter((each) => each !== '.sig' || !options.removeSignatures);
  return findSatellites(source, digests, options, (digest) =>
    satellitesOf(source, digest, wanted, options.attachments),
  );
}

/** Around the image, then around what was found there. */
async function findSatellites(
  source: Image,
  digests: readonly Digest[],
  options: CarryOptions,
  lookAround: (digest: Digest) => Promise<readonly Satellite[]>,
): Promise<readonly Satellite[]> {
  const found = new Map<string, Satellite>();
  let around: readonly Digest[] = digests;
  for (let depth = 0; depth < deepest && around.length > 0; depth += 1) {
    const next = await inParallel(around, atOnce, lookAround);
    const fresh = next
      .flat()
      .filter((each) => !options.removeSignatures || !each.isSignature)
      .filter((each) => !found.has(keyOf(each)));
    for (const each of fresh) found.set(keyOf(each), each);
    if (found.size > limits.referrers) throw tooMany(source);
    // what a `.sig` holds are signatures, and nobody signs those
    around = options.attachments
      ? fresh.filter(({ suffix }) => suffix !== '.sig').map((each) => each.manifest.digest)
      : [];
  }
  return [...found.values()];
}

function keyOf({ of, manifest, suffix }: Satellite): string {
  return `${of} ${suffix ?? 'referrer'} ${manifest.digest}`;
}

function tooMany({ name }: Image): BullaError {
  const message = `more than ${limits.referrers} manifests hang on ${formatImageName(name)}`;
  return new BullaError('registry.too-many-referrers', message, { hint: '--no-attachments leaves them' });
}

async function satellitesOf(
  source: InRegistry,
  of: Digest,
  suffixes: readonly NonNullable<Satellite['suffix']>[],
  withReferrers: boolean,
): Promise<readonly Satellite[]> {
  const [tagged, referring] = await Promise.all([
    Promise.all(suffixes.map((suffix) => taggedOf(source, of, suffix))),
    withReferrers ? referrersOf(source, of) : [],
  ]);
  return [...tagged.filter((each) => each !== undefined), ...referring];
}

async function taggedOf(
  source: InRegistry,
  of: Digest,
  suffix: NonNullable<Satellite['suffix']>,
): Promise<Satellite | undefined> {
  try {
    const manifest = await source.registry.manifest(source.physical.path, satelliteTag({ of, suffix }));
    const parts = await readParts(source, manifest);
    return { of, manifest, parts, suffix, isSignature: suffix === '.sig' };
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    throw error;
  }
}

async function referrersOf(source: InRegistry, of: Digest): Promise<readonly Satellite[]> {
  const { registry, physical } = source;
  const { manifests } = await registry.referrers(physical.path, of, { both: true });
  const read = await inParallel(manifests, atOnce, (entry) => referrerOf(source, of, entry));
  return read.filter((each) => each !== undefined);
}

/** Undefined for what only claims to refer to the image, or is gone. */
async function referrerOf(source: InRegistry, of: Digest, entry: Descriptor): Promise<Satellite | undefined> {
  if (entry.size > limits.manifestBytes) return undefined;
  try {
    return await satelliteOf(source, of, await source.manifest(entry.digest));
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    throw error;
  }
}

async function satelliteOf(source: Image, of: Digest, manifest: Manifest): Promise<Satellite | undefined> {
  const parsed = parseManifest(manifest);
  if (parsed.kind === 'schema1' || parsed.subject?.digest !== of) return undefined;
  const parts = await readParts(source, manifest);
  return { of, manifest, parts, isSignature: parsed.kind === 'image' && isSignature(parsed) };
}

/** An attestation says what it says of an image, and stays when signatures are removed. */
export function isNoAttestation({ signature }: Carried['signatures'][number]): boolean {
  return signature.format !== 'attestation';
}

/** An attestation is none: what it says of the image it says whoever signed that. */
function isSignature(manifest: ImageManifest): boolean {
  const kind = kindOf(manifest);
  if (kind !== 'bundle') return kind !== undefined;
  const type = manifest.annotations?.[referrerAnnotations.predicateType];
  return type === undefined || type === cosignSignPredicateType;
}

/** A referrer as the list of referrers has it (distribution specification 1.1, "Pushing Manifests with Subject"). */
export function referrerEntry(manifest: Manifest): Descriptor {
  const { digest, bytes } = manifest;
  const parsed = parseManifest(manifest);
  if (parsed.kind === 'schema1') throw new BullaError('manifest.malformed', `${digest} refers to nothing`);
  const ofConfig = parsed.kind === 'image' ? parsed.config.mediaType : '';
  const artifactType = parsed.artifactType ?? ofConfig;
  return {
    mediaType: parsed.kind === 'index' ? mediaTypes.ociIndex : manifest.mediaType,
    size: bytes.length,
    digest,
    ...(artifactType !== '' && { artifactType }),
    ...(parsed.annotations !== undefined && { annotations: parsed.annotations }),
  };
}
