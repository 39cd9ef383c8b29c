/**
 * Adding to a `.sig` tag. A registry knows no "write if unchanged", so this reads, appends and writes,
 * looks whether somebody wrote meanwhile before it writes, and reads again afterwards until its own
 * signature is there to stay. Writers of one machine take turns (attachments-lock.ts).
 */
import { setTimeout as wait } from 'node:timers/promises';

import { bytesEqual } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Signature } from '../formats/signature.ts';
import { oneAtATime } from './attachments-lock.ts';
import {
  attachmentLocation,
  type AttachmentRegistry,
  attachmentTag,
  checkCount,
  readAttachments,
  readBlob,
  unreadable,
} from './attachments-read.ts';
import { appendLayer, type AttachmentManifest, firstLayer, indexOfLayer } from './attachments-manifest.ts';
import type { AddResult, RegistryImageId } from './store.ts';

export type AddOptions = {
  /** Lets others finish, after the given number of collisions. Default: some tens of milliseconds more each time. */
  readonly pause?: (collisions: number) => Promise<void>;
  /** Runs writers of one name in turn. Default: those of this user on this machine. */
  readonly inTurn?: <T>(name: string, work: () => Promise<T>) => Promise<T>;
};

/** More rounds than there are people who sign one image at one time. */
const mostRounds = 40;

/**
 * Adds a signature behind those that are there; the same one is not added twice.
 * @throws BullaError `store.unsupported` (a GPG signature), `store.unreadable`, `store.too-many-signatures`, `store.contended`,
 *   `signature.malformed` (the tag names something else), `signature.too-large`, `registry.*`
 */
export async function addAttachment(
  registry: AttachmentRegistry,
  image: RegistryImageId,
  signature: Signature,
  options: AddOptions,
): Promise<AddResult> {
  if (signature.format !== 'cosign') {
    throw new BullaError('store.unsupported', 'sigstore attachments take sigstore signatures only');
  }
  const { mediaType, payload, annotations } = signature;
  if (payload.length > limits.signatureBytes) {
    throw new BullaError('signature.too-large', `the payload is larger than ${limits.signatureBytes} bytes`);
  }
  const layer = { mediaType, size: payload.length, digest: digestOf(payload), annotations };
  const inTurn = options.inTurn ?? oneAtATime;
  const pause = options.pause ?? pauseLonger;
  let uploading: Promise<void> | undefined;
  const upload = (): Promise<void> => (uploading ??= registry.putBlob(image.reference.path, layer, payload));
  const writer = { registry, image, layer, upload, pause };
  return inTurn(attachmentLocation(image), () => addLayer(writer));
}

type Writer = {
  readonly registry: AttachmentRegistry;
  readonly image: RegistryImageId;
  readonly layer: Descriptor;
  /** Uploads the payload, once. */
  readonly upload: () => Promise<void>;
  readonly pause: (collisions: number) => Promise<void>;
};

/**
 * Done when the signature is there; and where another writer was noticed, when it is still there a
 * while later: one that had read before we wrote may put its own list over ours.
 */
async function addLayer(writer: Writer): Promise<AddResult> {
  const { registry, image, layer, pause } = writer;
  let written = false;
  let alone = true;
  for (let round = 0; round < mostRounds; round += 1) {
    const there = await readAttachments(registry, image);
    const index = there === undefined ? -1 : indexOfLayer(there.layers, layer);
    if (index >= 0 && alone) return { location: attachmentLocation(image, index), added: written };
    if (index >= 0) {
      alone = true;
    } else {
      const isPut = await putNext(writer, there);
      // one that was written, and is not there, was put away by another writer
      alone &&= isPut && !written;
      written ||= isPut;
      if (isPut) continue;
    }
    await pause(round);
  }
  throw new BullaError(
    'store.contended',
    `other programs keep replacing ${attachmentLocation(image)}; the signature is not there to stay`,
    { hint: 'sign again when they are done' },
  );
}

/** Writes the list with ours behind it. False: it changed meanwhile, and nothing was written. */
async function putNext(writer: Writer, there: AttachmentManifest | undefined): Promise<boolean> {
  const { registry, image } = writer;
  if (there !== undefined) checkCount([...there.layers, writer.layer], image);
  const [bytes] = await Promise.all([prepare(writer, there), writer.upload()]);
  // uploading took a while: who signed in it is not to be lost
  if (!isSame(there, await readAttachments(registry, image))) return false;
  const manifest = { bytes, mediaType: mediaTypes.ociManifest };
  await registry.putManifest(image.reference.path, attachmentTag(image.digest), manifest);
  return true;
}

/** The manifest to write; the configuration that it names is uploaded. */
async function prepare(
  { registry, image, layer }: Writer,
  there: AttachmentManifest | undefined,
): Promise<Uint8Array> {
  const { manifest, config, configDigest } =
    there === undefined
      ? firstLayer(layer)
      : appendLayer(there, await readConfig(registry, image, there.config), layer);
  if (manifest.length > limits.manifestBytes) {
    throw new BullaError(
      'store.too-many-signatures',
      `the list of ${attachmentLocation(image)} would be larger than ${limits.manifestBytes} bytes, which nobody reads`,
    );
  }
  await registry.putBlob(image.reference.path, { digest: configDigest, size: config.length }, config);
  return manifest;
}

async function readConfig(
  registry: AttachmentRegistry,
  image: RegistryImageId,
  descriptor: Descriptor,
): Promise<Uint8Array> {
  const where = attachmentLocation(image);
  if (descriptor.size > limits.configBytes)
    throw new BullaError('signature.malformed', `the configuration of ${where} is too large`);
  try {
    return await readBlob(registry, image.reference.path, descriptor);
  } catch (error) {
    if (!isBullaError(error, 'blob.digest-mismatch')) throw unreadable(image, error);
    throw new BullaError('signature.malformed', `${where}: ${error.message}`, { cause: error });
  }
}

function isSame(a: AttachmentManifest | undefined, b: AttachmentManifest | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return bytesEqual(a.bytes, b.bytes);
}

async function pauseLonger(collisions: number): Promise<void> {
  // not all at the same moment again
  await wait(10 + Math.random() * 30 * (Math.min(collisions, 10) + 1));
}
