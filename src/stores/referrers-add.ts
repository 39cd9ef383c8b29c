/**
 * Adding a bundle to an image: the bundle, an empty configuration, and a manifest with the image as its
 * subject. A registry with the referrers API lists it by itself. For one without, the list is an index at
 * the tag `sha256-<hex>`, which every writer reads, adds to and writes back: so this reads it again until
 * its own entry is there, as for attachments (attachments-add.ts).
 */
import { setTimeout as wait } from 'node:timers/promises';

import { textOf, utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Manifest, parseManifest } from '../base/manifest.ts';
import { monotonicMs } from '../base/node.ts';
import type { Signature } from '../formats/signature.ts';
import { mapBounded } from '../io/bounded.ts';
import { fallbackTag } from '../registry/referrers.ts';
import type { AddOptions } from './attachments-add.ts';
import { unreadable } from './attachments-read.ts';
import {
  bundleReferrer,
  contentHints,
  emptyConfig,
  mayBeSignature,
  onlyLayer,
  referrerAnnotations,
} from './referrers-manifest.ts';
import { type ReferrerRegistry, referrerLocation } from './referrers-read.ts';
import type { AddResult, RegistryImageId } from './store.ts';
import { oneAtATime } from './writers-lock.ts';

export type AddReferrerOptions = AddOptions & {
  /** When the bundle is said to be made. Default: the clock. */
  readonly now?: () => Date;
};

/** More rounds than there are people who sign one image at one time. */
const mostRounds = 60;
const atOnce = 8;

/**
 * Adds a bundle beside those that are there; the same one is not added twice.
 * @throws BullaError `store.unsupported` (what is no bundle), `store.unreadable`, `store.contended`, `registry.too-many-referrers`,
 *   `signature.malformed` (the tag names something else), `signature.too-large`, `image.not-found`, `registry.*`
 */
export async function addReferrer(
  registry: ReferrerRegistry,
  image: RegistryImageId,
  signature: Signature,
  options: AddReferrerOptions,
): Promise<AddResult> {
  if (signature.format !== 'bundle')
    throw new BullaError('store.unsupported', 'only sigstore bundles are added as referrers');
  const { mediaType, json } = signature;
  if (json.length > limits.bundleBytes)
    throw new BullaError('signature.too-large', `the bundle is larger than ${limits.bundleBytes} bytes`);
  const { path } = image.reference;
  const layer = { mediaType, size: json.length, digest: digestOf(json) };
  const config = { digest: digestOf(emptyConfig), size: emptyConfig.length };
  const [subject, isThere, hasConfig] = await Promise.all([
    registry.manifest(path, image.digest),
    registry.hasBlob(path, layer.digest),
    // it is the same for everybody: writers need not send it at one time
    registry.hasBlob(path, config.digest),
  ]);
  const known = isThere ? await findBundle(registry, image, layer) : undefined;
  if (known !== undefined) return { location: referrerLocation(image, known), added: false };
  const now = (options.now ?? (() => new Date()))();
  const annotations = {
    ...contentHints(json),
    [referrerAnnotations.created]: now.toISOString().replace(/\.\d+Z$/, 'Z'),
  };
  const referrer = bundleReferrer(layer, subjectDescriptor(image, subject), annotations);
  await Promise.all([
    isThere ? undefined : registry.putBlob(path, layer, json),
    hasConfig ? undefined : registry.putBlob(path, config, emptyConfig),
  ]);
  await registry.putManifest(path, referrer.digest, referrer);
  await listReferrer(registry, image, entryOf(referrer, mediaType, annotations), options);
  return { location: referrerLocation(image, referrer), added: true };
}

function subjectDescriptor({ digest }: RegistryImageId, { mediaType, bytes }: Manifest): Descriptor {
  return { mediaType, size: bytes.length, digest };
}

/** As the distribution specification wants it: artifact type and annotations are the manifest's own. */
function entryOf(
  { mediaType, bytes, digest }: Manifest,
  artifactType: string,
  annotations: Readonly<Record<string, string>>,
): Descriptor {
  return { mediaType, size: bytes.length, digest, annotations, artifactType };
}

/** The referrer that holds the very same bundle. */
async function findBundle(
  registry: ReferrerRegistry,
  image: RegistryImageId,
  layer: Descriptor,
): Promise<Descriptor | undefined> {
  const { path } = image.reference;
  const { manifests } = await registry.referrers(path, image.digest).catch((error: unknown) => {
    throw unreadable(referrerLocation(image, image), error);
  });
  const holds = await mapBounded(manifests.filter(mayBeSignature), atOnce, async (entry) => {
    if (entry.size > limits.manifestBytes) return undefined;
    try {
      const parsed = parseManifest(await registry.manifest(path, entry.digest));
      if (parsed.kind !== 'image' || parsed.subject?.digest !== image.digest) return undefined;
      const its = onlyLayer('bundle', parsed);
      return its?.digest === layer.digest && its.mediaType === layer.mediaType ? entry : undefined;
    } catch (error) {
      // what cannot be read is not the one that was found to be there
      if (isBullaError(error)) return undefined;
      throw error;
    }
  });
  return holds.find((each) => each !== undefined);
}

/**
 * Makes sure that whoever lists the image's referrers finds one whose manifest is there already.
 * @throws BullaError `store.contended`, `registry.too-many-referrers`, `signature.malformed` (the tag names something else), `registry.*`
 */
export async function listReferrer(
  registry: ReferrerRegistry,
  image: RegistryImageId,
  entry: Descriptor,
  options: AddReferrerOptions = {},
): Promise<void> {
  // `OCI-Subject` in the answer to the manifest would say the same, and has been known to lie
  const byApi = await registry.referrersByApi(image.reference.path, image.digest);
  if (byApi?.some(({ digest }) => digest === entry.digest) === true) return;
  const { domain, path } = image.reference;
  const where = `${domain}/${path}:${fallbackTag(image.digest)}`;
  const pause = options.pause ?? ((milliseconds: number): Promise<void> => wait(milliseconds));
  await (options.inTurn ?? oneAtATime)(where, () => addEntry({ registry, image, entry, where, pause }));
}

type Writer = {
  readonly registry: ReferrerRegistry;
  readonly image: RegistryImageId;
  readonly entry: Descriptor;
  readonly where: string;
  readonly pause: (milliseconds: number) => Promise<void>;
};

async function addEntry(writer: Writer): Promise<void> {
  const { registry, image, entry, where, pause } = writer;
  for (let round = 0; round < mostRounds; round += 1) {
    const looked = monotonicMs();
    const there = await readIndex(writer);
    if (there?.entries.some(({ digest }) => digest === entry.digest) === true) return;
    const manifest = { bytes: appended(writer, there), mediaType: mediaTypes.ociIndex };
    const condition = there?.etag === undefined ? {} : { ifMatch: there.etag };
    try {
      await registry.putManifest(image.reference.path, fallbackTag(image.digest), manifest, condition);
    } catch (error) {
      if (!isBullaError(error, 'registry.changed')) throw error;
    }
    // others are about as fast as we are; whoever collides waits longer each time, and not all alike
    const settled = Math.min(Math.max(2 * (monotonicMs() - looked), 5), 1500);
    await pause(settled + Math.random() * 30 * Math.min(round, 10));
  }
  throw new BullaError(
    'store.contended',
    `other programs keep replacing ${where}; the bundle is not there to stay`,
    { hint: 'sign again when they are done' },
  );
}

type Index = {
  readonly value: Readonly<Record<string, unknown>>;
  readonly entries: readonly Descriptor[];
  readonly etag?: string;
};

async function readIndex({ registry, image, where }: Writer): Promise<Index | undefined> {
  try {
    const { manifest, etag } = await registry.taggedManifest(image.reference.path, fallbackTag(image.digest));
    const parsed = parseManifest(manifest);
    if (parsed.kind !== 'index') throw noList(where, `it is a ${manifest.mediaType}`);
    const value = JSON.parse(textOf(manifest.bytes) ?? '') as Readonly<Record<string, unknown>>;
    return { value, entries: parsed.manifests, ...(etag !== undefined && { etag }) };
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    if (isBullaError(error, 'signature.malformed')) throw error;
    if (isBullaError(error) && error.code.startsWith('manifest.')) throw noList(where, error.message);
    throw unreadable(where, error);
  }
}

/** The list with ours behind it; what others wrote stays as it is, members unknown here included. */
function appended({ entry, where }: Writer, there: Index | undefined): Uint8Array {
  const entries: unknown = there?.value['manifests'];
  const others = Array.isArray(entries) ? (entries as readonly unknown[]) : [];
  const bytes = utf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      ...there?.value,
      manifests: [...others, entry],
    }),
  );
  if (others.length < limits.referrers && bytes.length <= limits.manifestBytes) return bytes;
  throw new BullaError(
    'registry.too-many-referrers',
    `the list ${where} would have ${others.length + 1} entries of ${bytes.length} bytes, which nobody reads`,
  );
}

function noList(where: string, why: string): BullaError {
  return new BullaError('signature.malformed', `${where} is no list of referrers: ${why}`);
}
