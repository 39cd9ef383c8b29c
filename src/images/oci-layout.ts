/** An OCI image layout's own files: `oci-layout` and `index.json` (OCI image specification, image-layout.md). */
import { join } from 'node:path';

import { printable, utf8 } from '../base/bytes.ts';
import { type Descriptor, isIndexType, mediaTypes } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Manifest, parseManifest, takeManifest } from '../base/manifest.ts';
import { readFileIfThere, replaceFile } from '../io/files.ts';
import { checkedManifest, tooLarge } from './dir.ts';
import { blobName, type LayoutFiles } from './layout-files.ts';

const refName = 'org.opencontainers.image.ref.name';
const layoutVersion = '1.0.0';

/**
 * Checks that there is an image layout of version 1.0.0; false where there is none.
 * @throws BullaError `image.unsupported`, `image.malformed`
 */
export async function isLayout(files: LayoutFiles): Promise<boolean> {
  const bytes = await files.read('oci-layout', limits.manifestBytes);
  if (bytes === undefined) return false;
  const version = objectOf(bytes, files.path, 'oci-layout')['imageLayoutVersion'];
  if (version === layoutVersion) return true;
  throw new BullaError(
    'image.unsupported',
    `${printable(files.path)} is an image layout of another version than 1.0.0`,
  );
}

/** The images that index.json lists; undefined where the file is missing. */
export async function readLayoutIndex(files: LayoutFiles): Promise<readonly Descriptor[] | undefined> {
  const bytes = await files.read('index.json', limits.manifestBytes);
  if (bytes === undefined) return undefined;
  const parsed = parseManifest(takeManifest(bytes, mediaTypes.ociIndex));
  if (parsed.kind === 'index') return parsed.manifests;
  throw new BullaError('image.malformed', `${printable(files.path)}: index.json is no image index`);
}

/** Manifest bytes of a layout, checked. @throws BullaError `image.not-found`, `manifest.*` */
export async function readLayoutManifest(
  files: LayoutFiles,
  digest: Digest,
  descriptor?: Descriptor,
): Promise<Manifest> {
  const bytes = await files.read(blobName(digest), limits.manifestBytes).catch(tooLarge);
  if (bytes === undefined) {
    throw new BullaError('image.not-found', `${printable(files.path)} holds no manifest ${digest}`);
  }
  if (descriptor !== undefined && descriptor.size !== bytes.length) {
    throw new BullaError(
      'manifest.digest-mismatch',
      `the manifest ${digest} has ${bytes.length} bytes, not the ${descriptor.size} that index.json says`,
    );
  }
  return checkedManifest(bytes, digest, descriptor?.mediaType);
}

/**
 * The images of a layout, without what refers to them: signatures stand in index.json too, where
 * other tools look for them, and are no images.
 */
export async function withoutReferrers(
  files: LayoutFiles,
  listed: readonly Descriptor[],
): Promise<readonly Descriptor[]> {
  if (listed.length < 2) return listed;
  const kept: Descriptor[] = [];
  for (const each of listed) if (!(await isReferrer(files, each))) kept.push(each);
  return kept;
}

/** What has a name was named by somebody who meant it. */
async function isReferrer(files: LayoutFiles, descriptor: Descriptor): Promise<boolean> {
  if (descriptor.annotations?.[refName] !== undefined) return false;
  try {
    const parsed = parseManifest(await readLayoutManifest(files, descriptor.digest));
    return parsed.kind !== 'schema1' && parsed.subject !== undefined;
  } catch (error) {
    // what cannot be read counts, so that nothing is taken for the only image by mistake
    if (isBullaError(error)) return false;
    throw error;
  }
}

/**
 * Finds an image by its name in the layout, or the only one where no name is given.
 * @throws BullaError `image.not-found`; `image.ambiguous` where several fit: containers/image would
 * silently take the first of two with one name
 */
export function findInLayout(
  images: readonly Descriptor[],
  name: string | undefined,
  folder: string,
): Descriptor {
  const where = printable(folder);
  const fitting = name === undefined ? images : images.filter((each) => each.annotations?.[refName] === name);
  const [first] = fitting;
  if (first === undefined) {
    const what = name === undefined ? 'no image' : `no image named "${printable(name)}"`;
    throw new BullaError('image.not-found', `${where} holds ${what}`, namesHint(images));
  }
  const isOne =
    name === undefined ? images.length === 1 : fitting.every(({ digest }) => digest === first.digest);
  if (!isOne) {
    const what = name === undefined ? 'several images' : `several images named "${printable(name)}"`;
    throw new BullaError('image.ambiguous', `${where} holds ${what}`, namesHint(images));
  }
  const manifestTypes: readonly string[] = [mediaTypes.ociManifest, mediaTypes.dockerManifest];
  if (manifestTypes.includes(first.mediaType) || isIndexType(first.mediaType)) return first;
  throw new BullaError(
    'image.unsupported',
    `${where}: ${printable(first.mediaType)} is no image's media type`,
  );
}

function namesHint(images: readonly Descriptor[]): { hint?: string } {
  const names = images.flatMap((each) => each.annotations?.[refName] ?? []);
  return names.length === 0 ? {} : { hint: `its images are named ${printable(names.join(', '), 500)}` };
}

/** What index.json says of a manifest; annotations are Bulla's to make. */
export type ListedDescriptor = Omit<Descriptor, 'annotations' | 'platform'>;

/**
 * Lists a manifest in index.json under a name, or without one. An image that had the name keeps its
 * entry and loses the name, as containers/image does; everything else in the file stays as it is.
 * @throws BullaError `image.malformed`, `io.*`
 */
export async function nameInLayout(
  folder: string,
  descriptor: ListedDescriptor,
  name: string | undefined,
): Promise<void> {
  const path = join(folder, 'index.json');
  const bytes = await readFileIfThere(path, limits.manifestBytes);
  await replaceFile(path, listedIn(bytes, folder, descriptor, name));
}

/** The bytes of index.json with one more entry, as `nameInLayout` has it. */
export function listedIn(
  bytes: Uint8Array | undefined,
  folder: string,
  descriptor: ListedDescriptor,
  name: string | undefined,
): Uint8Array {
  const index: Record<string, unknown> =
    bytes === undefined
      ? { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }
      : { ...objectOf(bytes, folder, 'index.json') };
  const listed = index['manifests'];
  if (!Array.isArray(listed))
    throw new BullaError('image.malformed', `${printable(folder)}: index.json lists nothing`);
  const entries = listed.map((each: unknown) => (name === undefined ? each : withoutName(each, name)));
  const unnamed = entries.findIndex((each) => isUnnamed(each, descriptor.digest));
  const entry = { ...descriptor, ...(name !== undefined && { annotations: { [refName]: name } }) };
  index['manifests'] = unnamed < 0 ? [...entries, entry] : entries.with(unnamed, entry);
  return utf8(JSON.stringify(index));
}

function withoutName(entry: unknown, name: string): unknown {
  if (!isObject(entry) || !isObject(entry['annotations'])) return entry;
  if (entry['annotations'][refName] !== name) return entry;
  const { [refName]: _name, ...annotations } = entry['annotations'];
  return { ...entry, annotations };
}

/** The same manifest without a name says nothing that a new entry does not say. */
function isUnnamed(entry: unknown, digest: Digest): boolean {
  if (!isObject(entry) || entry['digest'] !== digest) return false;
  return !isObject(entry['annotations']) || Object.keys(entry['annotations']).length === 0;
}

/** The `oci-layout` file. */
export const layoutVersionBytes: Uint8Array = utf8(JSON.stringify({ imageLayoutVersion: layoutVersion }));

/** Makes the `oci-layout` file of a new layout. */
export async function writeLayoutVersion(folder: string): Promise<void> {
  await replaceFile(join(folder, 'oci-layout'), layoutVersionBytes);
}

type Untrusted = Readonly<Record<string, unknown>>;

function objectOf(bytes: Uint8Array, folder: string, file: string): Untrusted {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    // told below, like any other value that is no object
  }
  if (isObject(value)) return value;
  throw new BullaError('image.malformed', `${printable(folder)}: ${file} is no JSON object`);
}

function isObject(value: unknown): value is Untrusted {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
