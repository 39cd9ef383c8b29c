/**
 * Adding to a `.sig` or `.att` tag. A registry knows no "write if unchanged", so this reads, appends, looks whether
 * somebody wrote meanwhile, and writes. Another writer may have looked just before that, and put its list
 * over ours: so this waits for longer than such a writer takes, and reads again until its own
 * signature is there. Writers of one machine take turns (writers-lock.ts).
 */
import { setTimeout as wait } from 'node:timers/promises';

import { bytesEqual } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { monotonicMs } from '../base/node.ts';
import type { Signature } from '../formats/signature.ts';
import {
  attachmentLocation,
  type AttachmentPlace,
  attachmentTag,
  checkCount,
  readAttachments,
  readBlob,
  unreadable,
} from './attachments-read.ts';
import { appendLayer, type AttachmentManifest, firstLayer, indexOfLayer } from './attachments-manifest.ts';
import type { AddResult } from './store.ts';
import { oneAtATime } from './writers-lock.ts';

export type AddOptions = {
  /** Lets others finish. Default: the time passes. */
  readonly pause?: (milliseconds: number) => Promise<void>;
  /** Runs writers of one name in turn. Default: those of this user on this machine. */
  readonly inTurn?: <T>(name: string, work: () => Promise<T>) => Promise<T>;
  readonly prepared?: Prepared;
};

/** Asked for before there was a signature to add. */
export type Prepared = {
  /** A first look. It may be old: the list is looked at again before it is written. */
  readonly there: Promise<AttachmentManifest | undefined>;
  readonly payload: Promise<URL> | undefined;
  readonly config: Promise<URL> | undefined;
};

/** Opening a key takes a third of a second: the list and two places to upload to are there by then. */
export function prepareToAdd(place: AttachmentPlace): Prepared {
  const { registry, image } = place;
  const begin = (): Promise<URL> | undefined => registry.beginUpload?.(image.reference.path);
  const prepared = { there: readAttachments(place), payload: begin(), config: begin() };
  // who adds hears of it; where there is nothing to add, nobody does
  for (const each of Object.values(prepared)) each?.catch(() => undefined);
  return prepared;
}

/** More rounds than there are people who sign one image at one time. */
const mostRounds = 40;

/**
 * Adds a signature behind those that are there; the same one is not added twice.
 * @throws BullaError `store.unsupported` (a GPG signature), `store.unreadable`, `store.too-many-signatures`, `store.contended`,
 *   `signature.malformed` (the tag names something else), `signature.too-large`, `registry.*`
 */
export async function addAttachment(
  place: AttachmentPlace,
  signature: Signature,
  options: AddOptions,
): Promise<AddResult> {
  const { registry, kind, image } = place;
  const added = kind.layerOf(signature);
  if (added === undefined) {
    throw new BullaError(
      'store.unsupported',
      `a ${signature.format} signature has no place in a ${kind.suffix} tag`,
    );
  }
  const { mediaType, content, annotations } = added;
  if (content.length > kind.mostBytes) {
    throw new BullaError('signature.too-large', `the payload is larger than ${kind.mostBytes} bytes`);
  }
  const layer = { mediaType, size: content.length, digest: digestOf(content), annotations };
  const inTurn = options.inTurn ?? oneAtATime;
  const pause = options.pause ?? ((milliseconds: number): Promise<void> => wait(milliseconds));
  let uploading: Promise<void> | undefined;
  const { prepared } = options;
  const upload = (): Promise<void> =>
    (uploading ??= registry.putBlob(image.reference.path, layer, content, begunAt(prepared?.payload)));
  const writer = { place, layer, upload, pause, ...(prepared !== undefined && { prepared }) };
  return inTurn(attachmentLocation(place), () => addLayer(writer));
}

function begunAt(begun: Promise<URL> | undefined): { readonly begun?: Promise<URL> } {
  return begun === undefined ? {} : { begun };
}

type Writer = {
  readonly prepared?: Prepared;
  readonly place: AttachmentPlace;
  readonly layer: Descriptor;
  /** Uploads the payload, once. */
  readonly upload: () => Promise<void>;
  readonly pause: (milliseconds: number) => Promise<void>;
};

/** Done when the signature is found; where this wrote it, not before others had time to show. */
async function addLayer(writer: Writer): Promise<AddResult> {
  const { place, layer, pause, prepared } = writer;
  let written = false;
  for (let round = 0; round < mostRounds; round += 1) {
    const look = (): ReturnType<typeof readAttachments> => readAttachments(place);
    const there = await (round === 0 && prepared !== undefined ? prepared.there.catch(look) : look());
    const index = there === undefined ? -1 : indexOfLayer(there.layers, layer);
    if (index >= 0) return { location: attachmentLocation(place, index), added: written };
    const took = await putNext(writer, there);
    written ||= took !== undefined;
    await pause(pauseAfter(took, round));
  }
  throw new BullaError(
    'store.contended',
    `other programs keep replacing ${attachmentLocation(place)}; the signature is not there to stay`,
    { hint: 'sign again when they are done' },
  );
}

/**
 * Writes the list with ours behind it.
 * @returns how many milliseconds passed between the last look and the end of writing; undefined: the list
 *   changed meanwhile, and nothing was written
 */
async function putNext(writer: Writer, there: AttachmentManifest | undefined): Promise<number | undefined> {
  const { place } = writer;
  if (there !== undefined) checkCount([...there.layers, writer.layer], place);
  const [bytes] = await Promise.all([prepare(writer, there), writer.upload()]);
  // uploading took a while: who signed in it is not to be lost
  const looked = monotonicMs();
  if (!isSame(there, await readAttachments(place))) return undefined;
  const manifest = { bytes, mediaType: mediaTypes.ociManifest };
  await place.registry.putManifest(place.image.reference.path, attachmentTag(place), manifest);
  return monotonicMs() - looked;
}

/** The manifest to write; the configuration that it names is uploaded. */
async function prepare(
  { place, layer, prepared }: Writer,
  there: AttachmentManifest | undefined,
): Promise<Uint8Array> {
  const { registry, image } = place;
  const { manifest, config, configDigest } =
    there === undefined
      ? firstLayer(layer)
      : appendLayer(there, await readConfig(place, there.config), layer);
  if (manifest.length > limits.manifestBytes) {
    throw new BullaError(
      'store.too-many-signatures',
      `the list of ${attachmentLocation(place)} would be larger than ${limits.manifestBytes} bytes, which nobody reads`,
    );
  }
  const descriptor = { digest: configDigest, size: config.length };
  await registry.putBlob(image.reference.path, descriptor, config, begunAt(prepared?.config));
  return manifest;
}

async function readConfig(place: AttachmentPlace, descriptor: Descriptor): Promise<Uint8Array> {
  const where = attachmentLocation(place);
  if (descriptor.size > limits.configBytes)
    throw new BullaError('signature.malformed', `the configuration of ${where} is too large`);
  try {
    return await readBlob(place.registry, place.image.reference.path, descriptor);
  } catch (error) {
    if (!isBullaError(error, 'blob.digest-mismatch')) throw unreadable(where, error);
    throw new BullaError('signature.malformed', `${where}: ${error.message}`, { cause: error });
  }
}

function isSame(a: AttachmentManifest | undefined, b: AttachmentManifest | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return bytesEqual(a.bytes, b.bytes);
}

/** Others are about as fast as we are; whoever collides waits longer each time, and not all alike. */
function pauseAfter(took: number | undefined, collisions: number): number {
  const settled = Math.min(Math.max(2 * (took ?? 0), 5), 1500);
  return settled + Math.random() * 30 * Math.min(collisions, 10);
}
