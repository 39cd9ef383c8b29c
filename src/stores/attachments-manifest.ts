/**
 * The manifest of a `.sig` tag: an OCI image whose layers are signatures, each layer's blob a payload
 * and its annotations the rest. cosign, skopeo and podman append to one and the same; what they put
 * there and Bulla does not know stays as it is.
 */
import { textOrThrow, utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { type Manifest, parseManifest } from '../base/manifest.ts';

export type AttachmentManifest = {
  readonly bytes: Uint8Array;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
};

type Untrusted = Readonly<Record<string, unknown>>;

/**
 * Reads the manifest of a `.sig` tag. As in containers/image it is an OCI image manifest and nothing like it.
 * @throws BullaError `signature.malformed`
 */
export function parseAttachmentManifest(manifest: Manifest): AttachmentManifest {
  if (manifest.mediaType !== mediaTypes.ociManifest)
    throw malformed(`it is a ${manifest.mediaType}, not an OCI image manifest`);
  const parsed = parseManifest(manifest);
  if (parsed.kind !== 'image') throw malformed('it is no image manifest');
  return { bytes: manifest.bytes, config: parsed.config, layers: parsed.layers };
}

/** The place of a layer among those that are there, its annotations included. -1: it is not there. */
export function indexOfLayer(layers: readonly Descriptor[], layer: Descriptor): number {
  return layers.findIndex(
    (each) =>
      each.mediaType === layer.mediaType &&
      each.digest === layer.digest &&
      each.size === layer.size &&
      sameAnnotations(each.annotations ?? {}, layer.annotations ?? {}),
  );
}

function sameAnnotations(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** The bytes of a new manifest and of the configuration that it names. */
export type Appended = {
  readonly manifest: Uint8Array;
  readonly config: Uint8Array;
  readonly configDigest: Digest;
};

/** A first signature: what containers/image writes, an image configuration with nothing but the layers. */
export function firstLayer(layer: Descriptor): Appended {
  const config = encode({
    architecture: '',
    os: '',
    config: {},
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const descriptor = { mediaType: mediaTypes.ociConfig, size: config.length, digest: digestOf(config) };
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: descriptor,
    layers: [layer],
  };
  return { manifest: encode(manifest), config, configDigest: descriptor.digest };
}

/**
 * One more signature behind those that are there. Payloads are not compressed, so a layer's own digest
 * is its diff ID. Members that nobody here knows are kept, in the manifest and in its configuration.
 * @param oldConfig the bytes that `there.config` names
 * @throws BullaError `signature.malformed` where the configuration is no image's
 */
export function appendLayer(there: AttachmentManifest, oldConfig: Uint8Array, layer: Descriptor): Appended {
  const config = encode(withDiffId(parseConfig(oldConfig), layer.digest));
  const configDigest = digestOf(config);
  const value = parseObject(there.bytes, 'the manifest');
  const layers: unknown = value['layers'];
  const manifest = encode({
    ...value,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: there.config.mediaType, size: config.length, digest: configDigest },
    layers: [...(Array.isArray(layers) ? (layers as readonly unknown[]) : []), layer],
  });
  return { manifest, config, configDigest };
}

function withDiffId(config: Untrusted, digest: Digest): Untrusted {
  const rootfs = config['rootfs'] ?? {};
  const diffIds: unknown = isObject(rootfs) ? (rootfs['diff_ids'] ?? []) : undefined;
  if (!isObject(rootfs) || !Array.isArray(diffIds))
    throw malformed('its configuration has no list of layers');
  return {
    ...config,
    rootfs: { ...rootfs, type: 'layers', diff_ids: [...(diffIds as readonly unknown[]), digest] },
  };
}

function parseConfig(bytes: Uint8Array): Untrusted {
  return parseObject(bytes, 'its configuration');
}

function parseObject(bytes: Uint8Array, what: string): Untrusted {
  let value: unknown;
  try {
    value = JSON.parse(textOrThrow(bytes, what));
  } catch {
    throw malformed(`${what} is not JSON`);
  }
  if (!isObject(value)) throw malformed(`${what} is no JSON object`);
  return value;
}

function isObject(value: unknown): value is Untrusted {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function encode(value: unknown): Uint8Array {
  return utf8(JSON.stringify(value));
}

function malformed(why: string): BullaError {
  return new BullaError(
    'signature.malformed',
    `what the signature tag names is no list of signatures: ${why}`,
  );
}
