/** Reading attachments: what the tag `sha256-<hex>.sig` or `.att` names, then its layers' blobs. */
import { concatBytes } from '../base/bytes.ts';
import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf, hexOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Manifest } from '../base/manifest.ts';
import type { UnreadableSignature } from '../formats/signature.ts';
import type { Registry } from '../registry/registry.ts';
import type { AttachmentKind } from './attachments-kind.ts';
import { type AttachmentManifest, parseAttachmentManifest } from './attachments-manifest.ts';
import type { RegistryImageId, StoredSignature } from './store.ts';

/** What the store needs of a registry client. */
export type AttachmentRegistry = Pick<Registry, 'domain' | 'manifest' | 'blob' | 'putBlob' | 'putManifest'> &
  Partial<Pick<Registry, 'wholeBlob' | 'beginUpload'>>;

/** Attachments of one kind to one image. */
export type AttachmentPlace = {
  readonly registry: AttachmentRegistry;
  readonly kind: AttachmentKind;
  readonly image: RegistryImageId;
};

/** `sha256-<hex>.sig` */
export function attachmentTag({ kind, image: { digest } }: Omit<AttachmentPlace, 'registry'>): string {
  return `${algorithmOf(digest)}-${hexOf(digest)}${kind.suffix}`;
}

/** `registry.example.com/ns/app:sha256-….sig layer 2`; without `index` the whole. */
export function attachmentLocation(place: Omit<AttachmentPlace, 'registry'>, index?: number): string {
  const { domain, path } = place.image.reference;
  const tag = `${domain}/${path}:${attachmentTag(place)}`;
  return index === undefined ? tag : `${tag} layer ${index + 1}`;
}

/**
 * What the tag names. Undefined: nobody attached anything.
 * @throws BullaError `store.unreadable`; `signature.malformed` for what holds no signatures
 */
export async function readAttachments(place: AttachmentPlace): Promise<AttachmentManifest | undefined> {
  let manifest: Manifest;
  try {
    manifest = await place.registry.manifest(place.image.reference.path, attachmentTag(place));
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    if (isBullaError(error) && error.code.startsWith('manifest.')) throw malformed(error);
    throw unreadable(attachmentLocation(place), error);
  }
  try {
    return parseAttachmentManifest(manifest);
  } catch (error) {
    if (isBullaError(error, 'manifest.malformed')) throw malformed(error);
    throw error;
  }
}

/**
 * All signatures of an image, in the order in which they were added; layers of other kinds too.
 * @throws BullaError `store.unreadable`, `store.too-many-signatures`
 */
export async function* listAttachments(place: AttachmentPlace): AsyncGenerator<StoredSignature> {
  let there: AttachmentManifest | undefined;
  try {
    there = await readAttachments(place);
  } catch (error) {
    if (!isBullaError(error, 'signature.malformed')) throw error;
    const { code, message } = error;
    yield { signature: { format: 'unreadable', code, message }, location: attachmentLocation(place) };
    return;
  }
  if (there === undefined) return;
  checkCount(there.layers, place);
  yield* readLayers(place, there.layers, (index) => attachmentLocation(place, index));
}

/** @throws BullaError `store.too-many-signatures` past cosign's own limit of layers, or ours of bytes */
export function checkCount(layers: readonly Descriptor[], place: AttachmentPlace): void {
  const { mostBytes, mostTogether } = place.kind;
  const bytes = layers.reduce((sum, { size }) => sum + Math.min(size, mostBytes), 0);
  if (layers.length <= limits.attachments && bytes <= mostTogether) return;
  throw new BullaError(
    'store.too-many-signatures',
    `${attachmentLocation(place)} has ${layers.length} layers of ${bytes} bytes; at most ${limits.attachments} and ${mostTogether} bytes are read`,
  );
}

/** Payloads under way at once; each is a few hundred bytes, and the way to them is what takes time. */
const atOnce = 8;

type Content = Uint8Array | UnreadableSignature;

/** In the order of the layers, some ahead of the reader. Several keys often sign one payload: it is read once. */
export async function* readLayers(
  place: AttachmentPlace,
  layers: readonly Descriptor[],
  locationOf: (index: number) => string,
): AsyncGenerator<StoredSignature> {
  const contents = new Map<string, Promise<Content>>();
  const contentOf = (layer: Descriptor): Promise<Content> => {
    const key = `${layer.digest} ${layer.size}`;
    const known = contents.get(key);
    if (known !== undefined) return known;
    const reading = readContent(place, layer);
    // the reader may stop before it comes to this one
    reading.catch(() => undefined);
    contents.set(key, reading);
    return reading;
  };
  for (const [index, layer] of layers.entries()) {
    for (const ahead of layers.slice(index, index + atOnce)) void contentOf(ahead);
    const content = await contentOf(layer);
    const { mediaType, annotations = {} } = layer;
    const signature =
      content instanceof Uint8Array ? place.kind.signatureOf({ mediaType, content, annotations }) : content;
    yield { signature, location: locationOf(index) };
  }
}

/** Bytes that are not what the manifest says are no signature; bytes that cannot be had may be one. */
async function readContent({ registry, kind, image }: AttachmentPlace, layer: Descriptor): Promise<Content> {
  if (layer.size > kind.mostBytes) {
    const message = `the payload ${layer.digest} is larger than ${kind.mostBytes} bytes`;
    return { format: 'unreadable', code: 'signature.too-large', message };
  }
  const { path } = image.reference;
  try {
    return await readBlob(registry, path, layer);
  } catch (error) {
    if (!isBullaError(error, 'blob.digest-mismatch'))
      throw unreadable(attachmentLocation({ kind, image }), error);
    return { format: 'unreadable', code: error.code, message: error.message };
  }
}

/** A small blob; its size and digest are checked as it comes. */
export async function readBlob(
  registry: Pick<AttachmentRegistry, 'blob' | 'wholeBlob'>,
  path: string,
  descriptor: Descriptor,
): Promise<Uint8Array> {
  if (registry.wholeBlob !== undefined) return registry.wholeBlob(path, descriptor);
  const parts: Uint8Array[] = [];
  for await (const part of await registry.blob(path, descriptor)) parts.push(part);
  return concatBytes(...parts);
}

/** What is no BullaError is a bug and stays one. */
export function unreadable(where: string, cause: unknown): unknown {
  if (!isBullaError(cause)) return cause;
  const { hint } = cause;
  return new BullaError('store.unreadable', `cannot read ${where}: ${cause.message}`, {
    cause,
    ...(hint !== undefined && { hint }),
  });
}

function malformed(cause: BullaError): BullaError {
  return new BullaError('signature.malformed', cause.message, { cause });
}
