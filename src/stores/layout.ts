/**
 * The signatures in an OCI layout, in a folder or an archive. They are listed in index.json, where ORAS and
 * others look for what refers to an image; skopeo and podman pass over them, but then want an image's name.
 */
import { dirname } from 'node:path';

import type { Descriptor } from '../base/descriptor.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { Signature } from '../formats/signature.ts';
import {
  blobName,
  layoutInArchive,
  type LayoutFiles,
  layoutInFolder,
  layoutPath,
} from '../images/layout-files.ts';
import { addToArchive } from '../images/oci-archive.ts';
import { listedIn, readLayoutManifest } from '../images/oci-layout.ts';
import { openTarArchive } from '../images/tar-read.ts';
import { makeFolder, replaceFile } from '../io/files.ts';
import { findSignatures, layoutLocation, listLayout } from './layout-read.ts';
import { type LayoutReferrer, layoutReferrer } from './layout-referrer.ts';
import { emptyConfig } from './referrers-manifest.ts';
import type { AddResult, SignatureStore } from './store.ts';
import { oneAtATime } from './writers-lock.ts';

/** A layout that can be read and added to. */
type Place = {
  /** `oci:DIR` */
  readonly where: string;
  open(): Promise<LayoutFiles>;
  /** Writes files, in their order. */
  write(files: ReadonlyMap<string, Uint8Array>): Promise<void>;
};

/** Opens the signatures in a layout folder. The reference in an ImageId plays no part. Nothing is read yet. */
export function openOciStore(folder: string, blobs?: string): SignatureStore {
  return storeAt({
    where: `oci:${folder}`,
    open: async () => layoutInFolder(folder, blobs),
    write: async (files) => {
      for (const [name, bytes] of files) {
        const path = layoutPath(folder, name, blobs);
        await makeFolder(dirname(path));
        await replaceFile(path, bytes);
      }
    },
  });
}

/** The same in an archive, which is written anew, whole, for each signature. */
export function openOciArchiveStore(path: string): SignatureStore {
  return storeAt({
    where: `oci-archive:${path}`,
    open: async () => layoutInArchive(await openTarArchive(path)),
    write: (files) => addToArchive(path, files),
  });
}

function storeAt(place: Place): SignatureStore {
  return {
    description: place.where,
    async *list({ digest }) {
      await using files = await openIfThere(place);
      if (files !== undefined) yield* listLayout(files, place.where, digest);
    },
    add: ({ digest }, signature) => oneAtATime(place.where, () => add(place, digest, signature)),
  };
}

/** An archive that is yet to be written holds no signatures, as a folder that is yet to be made. */
async function openIfThere(place: Place): Promise<LayoutFiles | undefined> {
  try {
    return await place.open();
  } catch (error) {
    if (isBullaError(error, 'image.not-found')) return undefined;
    throw error;
  }
}

/** Another program may write index.json at the same time; a signature that it put away is added again. */
const mostRounds = 8;

async function add(place: Place, digest: Digest, signature: Signature): Promise<AddResult> {
  for (let round = 0; round < mostRounds; round += 1) {
    const known = await addOnce(place, digest, signature);
    if (known !== undefined) return { ...known, added: round > 0 };
  }
  throw new BullaError('store.contended', `another program keeps replacing the index of ${place.where}`, {
    hint: 'let one program at a time write there',
  });
}

/** @returns where it is; undefined: it was not there, and is written now */
async function addOnce(
  place: Place,
  digest: Digest,
  signature: Signature,
): Promise<{ readonly location: string } | undefined> {
  await using files = await place.open();
  const subject = await readLayoutManifest(files, digest);
  const referrer = layoutReferrer(signature, {
    mediaType: subject.mediaType,
    digest: subject.digest,
    size: subject.bytes.length,
  });
  if (referrer.content.length > limits.bundleBytes)
    throw new BullaError('signature.too-large', `the signature is larger than ${limits.bundleBytes} bytes`);
  const known = await findSame(files, place.where, digest, referrer);
  if (known !== undefined) return { location: layoutLocation(place.where, known) };
  const { layer, content, manifest, artifactType } = referrer;
  const entry = {
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.bytes.length,
    artifactType,
  };
  const index = listedIn(await files.read('index.json', limits.manifestBytes), place.where, entry, undefined);
  if (index.length > limits.manifestBytes)
    throw new BullaError(
      'store.too-many-signatures',
      `the index of ${place.where} would be too large to be read`,
    );
  await place.write(
    new Map([
      [blobName(layer.digest), content],
      [blobName(digestOf(emptyConfig)), emptyConfig],
      [blobName(manifest.digest), manifest.bytes],
      // last: what it lists is there
      ['index.json', index],
    ]),
  );
  return undefined;
}

/** The very same signature, whoever put it there and whatever else its manifest says. */
async function findSame(
  files: LayoutFiles,
  where: string,
  digest: Digest,
  { layer, artifactType }: LayoutReferrer,
): Promise<Digest | undefined> {
  for await (const found of findSignatures(files, where, digest)) {
    if ('signature' in found) continue;
    const { entry, manifest } = found;
    const isSame = manifest.layers.some((each) => isSameLayer(each, layer));
    if (isSame && (manifest.artifactType ?? manifest.config.mediaType) === artifactType) return entry.digest;
  }
  return undefined;
}

/** The signature of a `.sig` layer is in its annotations. */
function isSameLayer(a: Descriptor, b: Descriptor): boolean {
  if (a.digest !== b.digest || a.mediaType !== b.mediaType) return false;
  const [left, right] = [a.annotations ?? {}, b.annotations ?? {}];
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].every((name) => left[name] === right[name]);
}
