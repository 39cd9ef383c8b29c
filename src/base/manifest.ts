/**
 * Manifests: bytes as served, their digest, and what Bulla reads of them. The bytes are never
 * re-serialised; the digest is taken of the bytes as received.
 */
import { textOrThrow } from './bytes.ts';
import { type Descriptor, isIndexType, mediaTypes, type Platform } from './descriptor.ts';
import { type Digest, digestOf, tryParseDigest } from './digest.ts';
import { BullaError } from './errors.ts';
import { limits } from './limits.ts';

/** A manifest as received. `mediaType` is what its bytes say, or failing that what its carrier said. */
export type Manifest = {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** sha256 of the bytes; for a signed schema 1 manifest, of the payload without its signatures. */
  readonly digest: Digest;
};

/** The parts of an image manifest that copying and inspecting need. */
export type ImageManifest = {
  readonly kind: 'image';
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
};
export type IndexManifest = {
  readonly kind: 'index';
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
};
/** Docker schema 1: old images; can be judged and named, not taken apart. */
export type Schema1Manifest = { readonly kind: 'schema1' };
export type ParsedManifest = ImageManifest | IndexManifest | Schema1Manifest;

/**
 * Takes manifest bytes: bounds them, finds their type and digest.
 * @param carried the Content-Type or descriptor media type they came with, if any
 * @throws BullaError `manifest.too-large`, `manifest.malformed`
 */
export function takeManifest(bytes: Uint8Array, carried?: string): Manifest {
  if (bytes.length > limits.manifestBytes) {
    throw new BullaError('manifest.too-large', `the manifest is larger than ${limits.manifestBytes} bytes`);
  }
  const value = parseObject(bytes);
  const mediaType = guessMediaType(value, carried);
  const digest = digestOf(isSignedSchema1(value) ? schema1Payload(bytes, value) : bytes);
  return { bytes, mediaType, digest };
}

type Untrusted = Readonly<Record<string, unknown>>;

function parseObject(bytes: Uint8Array): Untrusted {
  let value: unknown;
  try {
    value = JSON.parse(textOrThrow(bytes, 'the manifest'));
  } catch (cause) {
    throw new BullaError('manifest.malformed', 'the manifest is not JSON', { cause });
  }
  if (!isObject(value)) throw malformed('it is not a JSON object');
  return value;
}

function isObject(value: unknown): value is Untrusted {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The type in the bytes wins over what the carrier claims; a type that contradicts the shape is refused. */
function guessMediaType(value: Untrusted, carried: string | undefined): string {
  const known: readonly string[] = Object.values(mediaTypes);
  if (value['schemaVersion'] === 1) {
    return isSignedSchema1(value) ? mediaTypes.dockerSchema1Signed : mediaTypes.dockerSchema1;
  }
  const own = value['mediaType'];
  const hasManifests = 'manifests' in value;
  // CVE-2021-41190: a document that is both an image and an index means one thing to each reader
  if (hasManifests && ('layers' in value || 'config' in value || 'fsLayers' in value)) {
    throw malformed('it is an image and an index at once');
  }
  if (own !== undefined) {
    if (typeof own !== 'string') throw malformed('its mediaType is not a text');
    if (known.includes(own) && isIndexType(own) !== hasManifests) throw malformed(`it is not a ${own}`);
    return own;
  }
  if (carried !== undefined && known.includes(carried) && isIndexType(carried) === hasManifests)
    return carried;
  return hasManifests ? mediaTypes.ociIndex : mediaTypes.ociManifest;
}

function isSignedSchema1(value: Untrusted): boolean {
  return value['schemaVersion'] === 1 && Array.isArray(value['signatures']);
}

/**
 * The bytes that a signed schema 1 manifest's digest is taken of (libtrust's JSON signature):
 * the first `formatLength` bytes and the `formatTail` of the first signature's protected header.
 */
function schema1Payload(bytes: Uint8Array, value: Untrusted): Uint8Array {
  const signatures = value['signatures'];
  const first: unknown = Array.isArray(signatures) ? signatures[0] : undefined;
  const protectedText = isObject(first) ? first['protected'] : undefined;
  if (typeof protectedText !== 'string') throw malformed('its signature has no protected header');
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(protectedText, 'base64url').toString('utf8'));
  } catch (cause) {
    throw new BullaError('manifest.malformed', 'the manifest has a broken signature header', { cause });
  }
  const length = isObject(header) ? header['formatLength'] : undefined;
  const tail = isObject(header) ? header['formatTail'] : undefined;
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || typeof tail !== 'string') {
    throw malformed('its signature header is incomplete');
  }
  if (length < 0 || length > bytes.length) throw malformed('its formatLength is out of range');
  return new Uint8Array(Buffer.concat([bytes.subarray(0, length), Buffer.from(tail, 'base64url')]));
}

/**
 * Reads the parts of a manifest. Unknown fields are ignored, as the specification wants.
 * @throws BullaError `manifest.malformed`
 */
export function parseManifest(manifest: Manifest): ParsedManifest {
  if (
    manifest.mediaType === mediaTypes.dockerSchema1 ||
    manifest.mediaType === mediaTypes.dockerSchema1Signed
  ) {
    return { kind: 'schema1' };
  }
  const value = parseObject(manifest.bytes);
  const shared = {
    ...(value['subject'] !== undefined && { subject: parseDescriptor(value['subject'], 'subject') }),
    ...(typeof value['artifactType'] === 'string' && { artifactType: value['artifactType'] }),
    ...(value['annotations'] !== undefined && {
      annotations: parseAnnotations(value['annotations'], 'annotations'),
    }),
  };
  if (isIndexType(manifest.mediaType)) {
    return { kind: 'index', manifests: parseDescriptors(value['manifests'], 'manifests'), ...shared };
  }
  const layers = parseDescriptors(value['layers'], 'layers');
  return { kind: 'image', config: parseDescriptor(value['config'], 'config'), layers, ...shared };
}

function parseDescriptors(value: unknown, where: string): readonly Descriptor[] {
  if (!Array.isArray(value)) throw malformed(`${where} is not a list`);
  return value.map((each, index) => parseDescriptor(each, `${where}[${index}]`));
}

function parseDescriptor(value: unknown, where: string): Descriptor {
  if (!isObject(value)) throw malformed(`${where} is not an object`);
  const { mediaType, size, digest: digestText, platform, annotations, artifactType } = value;
  if (typeof mediaType !== 'string') throw malformed(`${where} has no mediaType`);
  const digest = typeof digestText === 'string' ? tryParseDigest(digestText) : undefined;
  if (digest === undefined) throw malformed(`${where} has no valid digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw malformed(`${where} has no valid size`);
  return {
    mediaType,
    digest,
    size,
    ...(isObject(platform) && { platform: parsePlatform(platform) }),
    ...(annotations !== undefined && { annotations: parseAnnotations(annotations, `${where}.annotations`) }),
    ...(typeof artifactType === 'string' && { artifactType }),
  };
}

function parsePlatform(value: Untrusted): Platform {
  const text = (key: string): string => (typeof value[key] === 'string' ? value[key] : '');
  const variant = text('variant');
  return { os: text('os'), architecture: text('architecture'), ...(variant !== '' && { variant }) };
}

function parseAnnotations(value: unknown, where: string): Readonly<Record<string, string>> {
  if (value === null) return {};
  if (!isObject(value)) throw malformed(`${where} is not an object`);
  const entries = Object.entries(value);
  if (entries.some(([, each]) => typeof each !== 'string')) throw malformed(`${where} holds more than texts`);
  return Object.fromEntries(entries) as Record<string, string>;
}

function malformed(why: string): BullaError {
  return new BullaError('manifest.malformed', `the manifest is malformed: ${why}`);
}
