/** Reading what refers to an image: the list, then each manifest, then the bundle or envelope that it holds. */
import type { Descriptor } from '../base/descriptor.ts';
import type { ErrorCode } from '../base/errors.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type ImageManifest, type Manifest, parseManifest } from '../base/manifest.ts';
import type { UnreadableSignature } from '../formats/signature.ts';
import type { Registry } from '../registry/registry.ts';
import { signatureAttachments } from './attachments-kind.ts';
import { type AttachmentRegistry, checkCount, readBlob, readLayers, unreadable } from './attachments-read.ts';
import { kindOf, mayBeSignature, onlyLayer, referrerAnnotations } from './referrers-manifest.ts';
import type { ListHint, RegistryImageId, StoredSignature } from './store.ts';

/** What the store needs of a registry client. */
export type ReferrerRegistry = AttachmentRegistry &
  Pick<Registry, 'referrers' | 'referrersByApi' | 'taggedManifest' | 'hasBlob' | 'headManifest'>;

/** `registry.example.com/ns/app@sha256:…`, of the referrer. */
export function referrerLocation(
  { reference }: RegistryImageId,
  { digest }: Pick<Descriptor, 'digest'>,
): string {
  return `${reference.domain}/${reference.path}@${digest}`;
}

/**
 * Bundles and other signatures that refer to an image. One that cannot be read stands as such among the others.
 * @throws BullaError `store.unreadable`, `store.too-many-signatures`, `registry.too-many-referrers`
 */
export async function* listReferrers(
  registry: ReferrerRegistry,
  image: RegistryImageId,
  hint: ListHint = {},
): AsyncGenerator<StoredSignature> {
  const where = `${image.reference.domain}/${image.reference.path}@${image.digest}`;
  let entries: readonly Descriptor[];
  try {
    const both = hint.everything === true;
    entries = (await registry.referrers(image.reference.path, image.digest, { both })).manifests;
  } catch (error) {
    if (isBullaError(error, 'registry.too-many-referrers')) throw error;
    if (!isBullaError(error) || !error.code.startsWith('manifest.'))
      throw unreadable(`the referrers of ${where}`, error);
    yield {
      signature: unreadableAs('signature.malformed', error.message),
      location: `referrers of ${where}`,
    };
    return;
  }
  const candidates = inOrder(entries.filter(mayBeSignature), hint);
  const width = hint.everything === true ? atOnce : 1;
  let bytes = 0;
  for await (const found of ahead(candidates, width, (each) => readReferrer(registry, image, each))) {
    bytes += found.reduce((sum, { signature }) => sum + bytesOf(signature), 0);
    if (bytes > limits.referrersBytes) {
      throw new BullaError(
        'store.too-many-signatures',
        `what refers to ${where} holds more than ${limits.referrersBytes} bytes`,
      );
    }
    yield* found;
  }
}

/** Held by the reader; the few hundred bytes of a payload are counted where they are read. */
function bytesOf(signature: StoredSignature['signature']): number {
  if (signature.format === 'bundle') return signature.json.length;
  return signature.format === 'notary' ? signature.envelope.length : 0;
}

/** What says it is wanted first, and of it the newest; the annotations only order, so they need not be true. */
function inOrder(entries: readonly Descriptor[], { predicateType }: ListHint): readonly Descriptor[] {
  if (predicateType === undefined) return entries;
  const rank = ({ annotations = {} }: Descriptor): number => {
    const said = annotations[referrerAnnotations.predicateType];
    return said === predicateType ? 0 : said === undefined ? 1 : 2;
  };
  const wanted = entries.filter((each) => rank(each) === 0).toSorted((a, b) => createdAt(b) - createdAt(a));
  const others = entries.filter((each) => rank(each) > 0).toSorted((a, b) => rank(a) - rank(b));
  return [...wanted, ...others];
}

/** Milliseconds since 1970; 0 where it does not say. */
function createdAt({ annotations = {} }: Descriptor): number {
  const time = Date.parse(annotations[referrerAnnotations.created] ?? '');
  return Number.isNaN(time) ? 0 : time;
}

/** Referrers under way at once. */
const atOnce = 8;

/**
 * Results in the items' order. The first is asked for alone, as it is mostly the one that is wanted;
 * the further the reader goes, the more is asked for ahead of it.
 */
async function* ahead<T, R>(
  items: readonly T[],
  first: number,
  read: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  const rest = items.values();
  let width = first;
  for (let taken = 0; taken < items.length; taken += 1) {
    while (underWay.length < width) {
      const next = rest.next();
      if (next.done === true) break;
      const reading = read(next.value);
      // the reader may stop before it comes to this one
      reading.catch(() => undefined);
      underWay.push(reading);
    }
    const [reading] = underWay.splice(0, 1);
    if (reading !== undefined) yield await reading;
    width = Math.min(width * 2, atOnce);
  }
}

/** Nothing for what is no signature; several only for cosign's experimental kind. */
async function readReferrer(
  registry: ReferrerRegistry,
  image: RegistryImageId,
  entry: Descriptor,
): Promise<readonly StoredSignature[]> {
  const location = referrerLocation(image, entry);
  try {
    const manifest = await readManifest(registry, image, entry);
    const parsed = parseManifest(manifest);
    return parsed.kind === 'image' ? await readContent(registry, image, entry, manifest, parsed) : [];
  } catch (error) {
    const code = codeOfBad(error);
    if (code === undefined) throw unreadable(location, error);
    const message = error instanceof Error ? error.message : '';
    return [{ signature: unreadableAs(code, message), location }];
  }
}

/** What is wrong with one entry. Undefined: it could not be read, and may be a signature. */
function codeOfBad(error: unknown): ErrorCode | undefined {
  if (!isBullaError(error)) return undefined;
  if (error.code === 'image.not-found') return 'signature.not-found';
  return /^(?:signature|manifest|blob)\./.test(error.code) ? error.code : undefined;
}

async function readManifest(
  registry: ReferrerRegistry,
  image: RegistryImageId,
  entry: Descriptor,
): Promise<Manifest> {
  if (entry.size <= limits.manifestBytes) return registry.manifest(image.reference.path, entry.digest);
  throw new BullaError(
    'manifest.too-large',
    `the manifest ${entry.digest} is said to be larger than ${limits.manifestBytes} bytes`,
  );
}

async function readContent(
  registry: ReferrerRegistry,
  image: RegistryImageId,
  entry: Descriptor,
  manifest: Manifest,
  parsed: ImageManifest,
): Promise<readonly StoredSignature[]> {
  const kind = kindOf(parsed);
  if (kind === undefined) return [];
  checkEntry(image, entry, manifest, parsed);
  const location = referrerLocation(image, entry);
  if (kind === 'cosign') return readCosign(registry, image, parsed.layers, location);
  const layer = onlyLayer(kind, parsed);
  if (layer === undefined) {
    throw new BullaError(
      'signature.malformed',
      `the ${kind} referrer has not the one layer that it should have`,
    );
  }
  const most = kind === 'bundle' ? limits.bundleBytes : limits.signatureBytes;
  if (layer.size > most)
    throw new BullaError('signature.too-large', `the ${kind} is larger than ${most} bytes`);
  const bytes = await readBlob(registry, image.reference.path, layer);
  const { mediaType } = layer;
  const signature =
    kind === 'bundle'
      ? ({ format: 'bundle', mediaType, json: bytes } as const)
      : ({ format: 'notary', mediaType, envelope: bytes } as const);
  return [{ signature, location }];
}

/** Anybody may put anything into the fallback tag, so the manifest has to say the same. */
function checkEntry(
  image: RegistryImageId,
  entry: Descriptor,
  manifest: Manifest,
  { subject }: ImageManifest,
): void {
  if (manifest.bytes.length !== entry.size) {
    throw new BullaError(
      'signature.wrong-size',
      `the list says ${entry.size} bytes of ${entry.digest}, which has ${manifest.bytes.length}`,
    );
  }
  if (subject?.digest !== image.digest) {
    throw new BullaError(
      'signature.wrong-subject',
      `${entry.digest} refers to ${subject?.digest ?? 'nothing'}, not to ${image.digest}`,
    );
  }
}

async function readCosign(
  registry: ReferrerRegistry,
  image: RegistryImageId,
  layers: readonly Descriptor[],
  location: string,
): Promise<readonly StoredSignature[]> {
  const place = { registry, kind: signatureAttachments, image };
  checkCount(layers, place);
  const found: StoredSignature[] = [];
  for await (const each of readLayers(place, layers, (index) => `${location} layer ${index + 1}`))
    found.push(each);
  return found;
}

function unreadableAs(code: ErrorCode, message: string): UnreadableSignature {
  return { format: 'unreadable', code, message };
}
