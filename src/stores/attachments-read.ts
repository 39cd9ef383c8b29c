/** Reading sigstore attachments: what the tag `sha256-<hex>.sig` names, then its layers' blobs. */
import { concatBytes } from '../base/bytes.ts';
import type { Descriptor } from '../base/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Manifest } from '../base/manifest.ts';
import type { UnreadableSignature } from '../formats/signature.ts';
import type { Registry } from '../registry/registry.ts';
import { type AttachmentManifest, parseAttachmentManifest } from './attachments-manifest.ts';
import type { RegistryImageId, StoredSignature } from './store.ts';

/** What the store needs of a registry client. */
export type AttachmentRegistry = Pick<Registry, 'domain' | 'manifest' | 'blob' | 'putBlob' | 'putManifest'>;

/** `sha256-<hex>.sig` */
export function attachmentTag(digest: Digest): string {
  return `${algorithmOf(digest)}-${hexOf(digest)}.sig`;
}

/** `registry.example.com/ns/app:sha256-….sig layer 2`; without `index` the whole. */
export function attachmentLocation({ reference, digest }: RegistryImageId, index?: number): string {
  const tag = `${reference.domain}/${reference.path}:${attachmentTag(digest)}`;
  return index === undefined ? tag : `${tag} layer ${index + 1}`;
}

/**
 * What the tag names. Undefined: nobody signed.
 * @throws BullaError `store.unreadable`; `signature.malformed` for what holds no signatures
 */
export async function readAttachments(
  registry: AttachmentRegistry,
  image: RegistryImageId,
): Promise<AttachmentManifest | undefined> {
  let manifest: Manifest;
  try {
    manifest = await registry.manifest(image.reference.path, attachmentTag(image.digest));
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    if (isBullaError(error) && error.code.startsWith('manifest.')) throw malformed(error);
    throw unreadable(image, error);
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
export async function* listAttachments(
  registry: AttachmentRegistry,
  image: RegistryImageId,
): AsyncGenerator<StoredSignature> {
  let there: AttachmentManifest | undefined;
  try {
    there = await readAttachments(registry, image);
  } catch (error) {
    if (!isBullaError(error, 'signature.malformed')) throw error;
    const { code, message } = error;
    yield { signature: { format: 'unreadable', code, message }, location: attachmentLocation(image) };
    return;
  }
  if (there === undefined) return;
  checkCount(there.layers, image);
  yield* readLayers(registry, image, there.layers);
}

/** @throws BullaError `store.too-many-signatures` past cosign's own limit */
export function checkCount(layers: readonly Descriptor[], image: RegistryImageId): void {
  const bytes = layers.reduce((sum, { size }) => sum + Math.min(size, limits.signatureBytes), 0);
  if (layers.length <= limits.attachments && bytes <= limits.attachmentsBytes) return;
  throw new BullaError(
    'store.too-many-signatures',
    `${attachmentLocation(image)} has ${layers.length} layers of ${bytes} bytes; at most ${limits.attachments} and ${limits.attachmentsBytes} bytes are read`,
  );
}

/** Payloads under way at once; each is a few hundred bytes, and the way to them is what takes time. */
const atOnce = 8;

type Payload = Uint8Array | UnreadableSignature;

/** In the order of the layers, some ahead of the reader. Several keys often sign one payload: it is read once. */
async function* readLayers(
  registry: AttachmentRegistry,
  image: RegistryImageId,
  layers: readonly Descriptor[],
): AsyncGenerator<StoredSignature> {
  const payloads = new Map<string, Promise<Payload>>();
  const payloadOf = (layer: Descriptor): Promise<Payload> => {
    const key = `${layer.digest} ${layer.size}`;
    const known = payloads.get(key);
    if (known !== undefined) return known;
    const reading = readPayload(registry, image, layer);
    // the reader may stop before it comes to this one
    reading.catch(() => undefined);
    payloads.set(key, reading);
    return reading;
  };
  for (const [index, layer] of layers.entries()) {
    for (const ahead of layers.slice(index, index + atOnce)) void payloadOf(ahead);
    const payload = await payloadOf(layer);
    const location = attachmentLocation(image, index);
    if (!(payload instanceof Uint8Array)) yield { signature: payload, location };
    else {
      const { mediaType, annotations = {} } = layer;
      yield { signature: { format: 'cosign', mediaType, payload, annotations }, location };
    }
  }
}

/** Bytes that are not what the manifest says are no signature; bytes that cannot be had may be one. */
async function readPayload(
  registry: AttachmentRegistry,
  image: RegistryImageId,
  layer: Descriptor,
): Promise<Payload> {
  if (layer.size > limits.signatureBytes) {
    const message = `the payload ${layer.digest} is larger than ${limits.signatureBytes} bytes`;
    return { format: 'unreadable', code: 'signature.too-large', message };
  }
  try {
    return await readBlob(registry, image.reference.path, layer);
  } catch (error) {
    if (!isBullaError(error, 'blob.digest-mismatch')) throw unreadable(image, error);
    return { format: 'unreadable', code: error.code, message: error.message };
  }
}

/** A small blob; its size and digest are checked as it comes. */
export async function readBlob(
  registry: AttachmentRegistry,
  path: string,
  descriptor: Descriptor,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of await registry.blob(path, descriptor)) parts.push(part);
  return concatBytes(...parts);
}

/** What is no BullaError is a bug and stays one. */
export function unreadable(image: RegistryImageId, cause: unknown): unknown {
  if (!isBullaError(cause)) return cause;
  const { hint } = cause;
  return new BullaError('store.unreadable', `cannot read ${attachmentLocation(image)}: ${cause.message}`, {
    cause,
    ...(hint !== undefined && { hint }),
  });
}

function malformed(cause: BullaError): BullaError {
  return new BullaError('signature.malformed', cause.message, { cause });
}
