/**
 * The signature store inside some registries: the OpenShift extension that announces itself with
 * `X-Registry-Supports-Signatures: 1` (containers/image, signature-protocols.md). Simple signatures
 * only. The registry gives content without any framing check, and so does this store: what is no
 * binary OpenPGP signed message is refused when it is verified.
 */
import {
  bytesEqual,
  decodeBase64,
  encodeBase64,
  hexOfBytes,
  printable,
  textOrThrow,
  utf8,
} from '../base/bytes.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { crypto } from '../base/node.ts';
import { formatReference, withDigest } from '../base/reference.ts';
import type { Signature } from '../formats/signature.ts';
import {
  type AddResult,
  inRegistry,
  type RegistryImageId,
  type SignatureStore,
  type StoredSignature,
} from './store.ts';

/** What the store needs of a registry client. */
export interface SignatureExtension {
  readonly domain: string;
  /** The JSON list for a manifest. @throws BullaError for every status but 200 */
  getSignatureList(path: string, digest: Digest): Promise<Uint8Array>;
  /** Puts one JSON object; gives the status, 201 where it was created. */
  putSignature(path: string, digest: Digest, body: Uint8Array): Promise<number>;
}

/** Opens the store of one registry. */
export function openSignatureExtension(client: SignatureExtension): SignatureStore {
  return {
    description: `signature extension of ${client.domain}`,
    list: (image) => list(client, inRegistry(image)),
    add: async (image, signature) => add(client, inRegistry(image), signature),
  };
}

async function* list(client: SignatureExtension, image: RegistryImageId): AsyncGenerator<StoredSignature> {
  const placeOf = placesApart();
  for (const { name, blob } of await readList(client, image)) {
    yield { signature: { format: 'simple', blob }, location: placeOf(locationOf(image, name)) };
  }
}

/** A place is of one signature: nobody gives the name of a signature that counts to another. */
function placesApart(): (place: string) => string {
  const given = new Set<string>();
  const counts = new Map<string, number>();
  return (place) => {
    let count = (counts.get(place) ?? 0) + 1;
    let own = count === 1 ? place : `${place} (${count})`;
    while (given.has(own)) own = `${place} (${(count += 1)})`;
    counts.set(place, count);
    given.add(own);
    return own;
  };
}

type Listed = { readonly name: string; readonly blob: Uint8Array };

/** Any failure is one: a list that cannot be had may hold signatures that count. */
async function readList(client: SignatureExtension, image: RegistryImageId): Promise<readonly Listed[]> {
  const bytes = await client.getSignatureList(image.reference.path, image.digest).catch((error: unknown) => {
    if (!isBullaError(error)) throw error;
    throw unreadable(image, error.message, error);
  });
  if (bytes.length > limits.signatureListBytes) {
    throw unreadable(image, `the list is larger than ${limits.signatureListBytes} bytes`);
  }
  const value = parseList(bytes, image);
  if (!Array.isArray(value)) throw unreadable(image, 'the list is malformed');
  return value.flatMap((each: unknown) => listed(each, image));
}

function parseList(bytes: Uint8Array, image: RegistryImageId): unknown {
  try {
    const value: unknown = JSON.parse(textOrThrow(bytes, 'the list'));
    // an absent or null list is an empty one, as Go reads it
    return isObject(value) ? (value['signatures'] ?? []) : undefined;
  } catch (error) {
    throw unreadable(image, 'the list is not JSON', error);
  }
}

/** Entries of another schema version or type are somebody else's and are passed over. */
function listed(entry: unknown, image: RegistryImageId): readonly Listed[] {
  if (!isObject(entry)) throw unreadable(image, 'an entry of the list is malformed');
  const { schemaVersion, type, name, content } = entry;
  if (schemaVersion !== 2 || type !== 'atomic') return [];
  const blob = typeof content === 'string' ? decodeBase64(content) : undefined;
  if (blob === undefined || typeof name !== 'string') {
    throw unreadable(image, 'an entry of the list is malformed');
  }
  return [{ name, blob }];
}

async function add(
  client: SignatureExtension,
  image: RegistryImageId,
  signature: Signature,
): Promise<AddResult> {
  if (signature.format !== 'simple') {
    throw new BullaError('store.unsupported', 'the signature extension takes GPG simple signatures only');
  }
  const there = await readList(client, image);
  const same = there.find(({ blob }) => bytesEqual(blob, signature.blob));
  if (same !== undefined) return { location: locationOf(image, same.name), added: false };
  // the name only has to be new: the registry refuses one that is taken, and nothing is replaced
  const name = `${image.digest}@${hexOfBytes(new Uint8Array(crypto.randomBytes(16)))}`;
  const body = { schemaVersion: 2, name, type: 'atomic', content: encodeBase64(signature.blob) };
  const status = await client.putSignature(image.reference.path, image.digest, utf8(JSON.stringify(body)));
  if (status === 201) return { location: locationOf(image, name), added: true };
  throw new BullaError('store.failed', `${client.domain} answers ${status} to a new signature, not 201`);
}

function locationOf(image: RegistryImageId, name: string): string {
  return `${formatReference(withDigest(image.reference, image.digest))} signature ${printable(name.split('@').at(-1) ?? name)}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unreadable(image: RegistryImageId, why: string, cause?: unknown): BullaError {
  const message = `cannot read the signatures of ${image.reference.path} in ${image.reference.domain}: ${why}`;
  return new BullaError('store.unreadable', message, cause === undefined ? {} : { cause });
}
