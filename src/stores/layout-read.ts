/** Reading the signatures in an OCI layout: what index.json lists, and refers to the image. */
import { concatBytes, printable } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type ImageManifest, parseManifest } from '../base/manifest.ts';
import type { LayoutFiles } from '../images/layout-files.ts';
import { isLayout, readLayoutIndex, readLayoutManifest } from '../images/oci-layout.ts';
import {
  contentLayers,
  type LayoutKind,
  layoutKindOf,
  saysSignature,
  signatureIn,
} from './layout-referrer.ts';
import type { StoredSignature } from './store.ts';

/** `oci:DIR@sha256:…`, of the manifest that holds the signature. */
export function layoutLocation(where: string, digest: Digest): string {
  return `${where}@${digest}`;
}

/** One manifest that refers to an image. */
export type LayoutSignature = {
  readonly entry: Descriptor;
  readonly kind: LayoutKind;
  readonly manifest: ImageManifest;
};

/**
 * The signatures of an image, in the order of index.json. One that cannot be read stands as such among the others.
 * @throws BullaError `store.unreadable`, `store.too-many-signatures`
 */
export async function* listLayout(
  files: LayoutFiles,
  where: string,
  digest: Digest,
): AsyncGenerator<StoredSignature> {
  let bytes = 0;
  for await (const found of findSignatures(files, where, digest)) {
    if ('signature' in found) {
      yield found;
      continue;
    }
    for (const stored of await readSignature(files, where, found)) {
      bytes += 'code' in stored.signature ? 0 : sizeOf(found.manifest);
      if (bytes > limits.referrersBytes) throw tooMany(where, `${limits.referrersBytes} bytes`);
      yield stored;
    }
  }
}

function sizeOf({ layers }: ImageManifest): number {
  return layers.reduce((sum, { size }) => sum + size, 0);
}

/** What refers to the image and says that it is a signature; what says so and cannot be read, as unreadable. */
export async function* findSignatures(
  files: LayoutFiles,
  where: string,
  digest: Digest,
): AsyncGenerator<LayoutSignature | StoredSignature> {
  let count = 0;
  for (const entry of await listedIn(files, where)) {
    if (entry.mediaType !== mediaTypes.ociManifest) continue;
    const found = await findSignature(files, where, entry, digest);
    if (found === undefined) continue;
    count += 1;
    if (count > limits.referrers) throw tooMany(where, `${limits.referrers} signatures`);
    yield found;
  }
}

async function listedIn(files: LayoutFiles, where: string): Promise<readonly Descriptor[]> {
  try {
    return ((await isLayout(files)) ? await readLayoutIndex(files) : undefined) ?? [];
  } catch (error) {
    throw unreadable(where, error);
  }
}

async function findSignature(
  files: LayoutFiles,
  where: string,
  entry: Descriptor,
  digest: Digest,
): Promise<LayoutSignature | StoredSignature | undefined> {
  try {
    const manifest = parseManifest(await readLayoutManifest(files, entry.digest, entry));
    if (manifest.kind !== 'image' || manifest.subject?.digest !== digest) return undefined;
    const kind = layoutKindOf(manifest);
    return kind === undefined ? undefined : { entry, kind, manifest };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    // of whatever image: what cannot be read does not say
    return saysSignature(entry) ? bad(where, entry, error) : undefined;
  }
}

async function readSignature(
  files: LayoutFiles,
  where: string,
  { entry, kind, manifest }: LayoutSignature,
): Promise<readonly StoredSignature[]> {
  const location = layoutLocation(where, entry.digest);
  try {
    const layers = contentLayers(kind, manifest);
    if (layers.length > limits.attachments) throw tooMany(location, `${limits.attachments} layers`);
    const found: StoredSignature[] = [];
    for (const [layer, most] of layers) {
      if (layer.size > most)
        throw new BullaError('signature.too-large', `the ${kind} is larger than ${most} bytes`);
      const parts: Uint8Array[] = [];
      for await (const part of await files.blob(layer)) parts.push(part);
      found.push({ signature: signatureIn(kind, layer, concatBytes(...parts)), location });
    }
    return found;
  } catch (error) {
    if (!isBullaError(error) || error.code.startsWith('store.')) throw error;
    return [bad(where, entry, error)];
  }
}

function bad(where: string, { digest }: Descriptor, { code, message }: BullaError): StoredSignature {
  const known: ErrorCode =
    code === 'image.not-found'
      ? 'signature.not-found'
      : /^(?:signature|manifest|blob)\./.test(code)
        ? code
        : 'signature.malformed';
  return {
    signature: { format: 'unreadable', code: known, message },
    location: layoutLocation(where, digest),
  };
}

function tooMany(where: string, what: string): BullaError {
  return new BullaError('store.too-many-signatures', `${printable(where)} has more than ${what}`);
}

function unreadable(where: string, cause: unknown): unknown {
  if (!isBullaError(cause)) return cause;
  return new BullaError('store.unreadable', `cannot read ${printable(where)}: ${cause.message}`, { cause });
}
