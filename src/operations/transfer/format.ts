/**
 * The transfer bundle: images with all that belongs to them in one file, for crossing a border that only files cross. It is
 * not sigstore's bundle, which is one signature. It is an OCI layout in a tar with one more file, `bulla/transfer.json`,
 * which says what is in it, to the last member (docs/formats/transfer-bundle.md).
 */
import { textOrThrow, utf8 } from '../../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { limits } from '../../base/limits.ts';
import { repositoryOf, type Reference } from '../../base/reference.ts';
import { parseTransferFields } from './parse.ts';

/** The file in the bundle that lists the others. */
export const transferFile = 'bulla/transfer.json';
/** Where the other files of Bulla's own are. */
export const transferFolders = {
  keys: 'bulla/keys/',
  roots: 'bulla/roots/',
  registriesD: 'bulla/registries.d/',
} as const;
/** A policy's file in the bundle: policy.json, or a trust.yaml. */
export const transferPolicies = ['bulla/policy.json', 'bulla/policy.yaml'] as const;

/** What is said of a manifest, and nothing else. */
export type ManifestEntry = Pick<Descriptor, 'mediaType' | 'digest' | 'size'>;

/** A manifest that holds one signature of a store's own (a lookaside's, X-R-S-S): docs/formats/oci-layout.md. */
export type TransferSignature = ManifestEntry & { readonly of: Digest; readonly artifactType: string };

/** A manifest beside an image: what a tag of cosign's names, or a referrer. */
export type TransferAttachment = ManifestEntry & {
  readonly of: Digest;
  /** `sha256-<hex>.sig`. Undefined: it is a referrer. */
  readonly tag?: string;
  /** As the list of referrers has it. */
  readonly artifactType?: string;
};

export type TransferImage = ManifestEntry & {
  /** The name that it had in its registry. */
  readonly reference: Reference;
  /** Of a list only these are there, `os/architecture[/variant]`. Undefined: all. */
  readonly platforms?: readonly string[];
  readonly signatures: readonly TransferSignature[];
  readonly attachments: readonly TransferAttachment[];
};

/** A file in the bundle, `bulla/transfer.json` left out. */
export type TransferMember = { readonly name: string; readonly digest: Digest; readonly size: number };

/** What `bulla/transfer.json` says. */
export type TransferIndex = {
  /** In order of their references. */
  readonly images: readonly TransferImage[];
  /** In order of their names. */
  readonly members: readonly TransferMember[];
};

/** The one way to write it: two bundles that say the same are the same. */
export function encodeTransferIndex({ images, members }: TransferIndex): Uint8Array {
  const value = {
    format: 'bulla-transfer',
    schemaVersion: 1,
    images: images.map(({ reference, ...image }) => ({
      reference: referenceText(reference),
      ...rest(image),
    })),
    members: members.map(({ name, digest, size }) => ({ name, digest, size })),
  };
  return utf8(`${JSON.stringify(value, null, 1)}\n`);
}

function rest({
  mediaType,
  digest,
  size,
  platforms,
  signatures,
  attachments,
}: Omit<TransferImage, 'reference'>): object {
  return {
    mediaType,
    digest,
    size,
    ...(platforms !== undefined && { platforms }),
    signatures: signatures.map((each) => ({
      of: each.of,
      ...entryOf(each),
      artifactType: each.artifactType,
    })),
    attachments: attachments.map((each) => ({
      of: each.of,
      ...(each.tag !== undefined && { tag: each.tag }),
      ...entryOf(each),
      ...(each.artifactType !== undefined && { artifactType: each.artifactType }),
    })),
  };
}

function entryOf({ mediaType, digest, size }: ManifestEntry): ManifestEntry {
  return { mediaType, digest, size };
}

/** A reference as the bundle and its index.json spell it: in full, tag or digest. */
export function referenceText(reference: Reference): string {
  const { tag, digest } = reference;
  return `${repositoryOf(reference)}${digest === undefined ? `:${tag ?? 'latest'}` : `@${digest}`}`;
}

/**
 * Reads `bulla/transfer.json`. Whatever is not just as Bulla writes it is refused.
 * @param path names the bundle in errors
 * @throws BullaError `transfer.malformed`, `transfer.unsupported`
 */
export function parseTransferIndex(bytes: Uint8Array, path: string): TransferIndex {
  const index = parsed(bytes, path);
  // one spelling: what a reader of another kind would read otherwise is not there
  if (Buffer.compare(encodeTransferIndex(index), bytes) === 0) return index;
  throw new BullaError('transfer.malformed', `${path}: ${transferFile} is not as Bulla writes it`);
}

const comma = 0x2c;

function parsed(bytes: Uint8Array, path: string): TransferIndex {
  try {
    if (bytes.filter((each) => each === comma).length > limits.transferIndexValues)
      throw new BullaError('transfer.malformed', `${path}: ${transferFile} lists too much`);
    return parseTransferFields(parseJson(textOrThrow(bytes, transferFile), transferFile));
  } catch (error) {
    if (!isBullaError(error) || error.code.startsWith('transfer.')) throw error;
    throw new BullaError('transfer.malformed', `${path}: ${error.message}`, { cause: error });
  }
}

/**
 * The layout's index.json: images and what tags of cosign's name under their full names, so that other programs find them;
 * referrers and signatures without one, so that ORAS does. It follows from what the bundle says, to the byte.
 */
export function encodeLayoutIndex(images: readonly TransferImage[]): Uint8Array {
  const named = new Map<string, ManifestEntry>();
  const unnamed = new Map<Digest, object>();
  for (const image of images) {
    const { reference, attachments, signatures } = image;
    addNamed(named, referenceText(reference), entryOf(image));
    for (const each of attachments) {
      if (each.tag !== undefined) addNamed(named, `${repositoryOf(reference)}:${each.tag}`, entryOf(each));
      else unnamed.set(each.digest, listed(each));
    }
    for (const each of signatures) unnamed.set(each.digest, listed(each));
  }
  const manifests = [
    ...sorted(named).map(([name, entry]) => ({ ...entry, annotations: { [refName]: name } })),
    ...sorted(unnamed).map(([, entry]) => entry),
  ];
  return utf8(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
}

/** @throws BullaError `transfer.contradictory`: a name that means two things would mean something else to each reader */
function addNamed(named: Map<string, ManifestEntry>, name: string, entry: ManifestEntry): void {
  const there = named.get(name);
  if (there !== undefined && there.digest !== entry.digest)
    throw new BullaError('transfer.contradictory', `${name} is ${there.digest} and ${entry.digest} at once`);
  named.set(name, entry);
}

const refName = 'org.opencontainers.image.ref.name';

function listed(entry: ManifestEntry & { readonly artifactType?: string }): object {
  return { ...entryOf(entry), ...(entry.artifactType !== undefined && { artifactType: entry.artifactType }) };
}

function sorted<T>(entries: ReadonlyMap<string, T>): readonly (readonly [string, T])[] {
  return [...entries].toSorted(([a], [b]) => compareText(a, b));
}

/** What an image's signatures and attachments are ordered by, each once. */
export function placeInOrder({ of, tag = '', digest }: Omit<TransferAttachment, 'artifactType'>): string {
  return `${of} ${tag} ${digest}`;
}

/** By UTF-16 units, whatever the machine's language. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
