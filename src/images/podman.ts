/**
 * `containers-storage:` images, which podman keeps. It is podman itself that saves and loads them: the store's
 * format is its own, and its locks and its user's policy hold. What podman says of an image is not believed:
 * the digest of an image read is that of the bytes that podman gave.
 */
import { realpath, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { printable, textOf } from '../base/bytes.ts';
import { mediaTypes } from '../base/descriptor.ts';
import { hexOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Manifest, parseManifest } from '../base/manifest.ts';
import { formatReference, tryParseReference } from '../base/reference.ts';
import { runProcess } from '../io/process.ts';
import { openDirImage, openDirSink } from './dir.ts';
import {
  type EngineFolder,
  imageFromEngine,
  lastLine,
  openEngineFolder,
  refuseList,
} from './engine-folder.ts';
import type { Image, ImageSink } from './image.ts';
import { blobName } from './layout-files.ts';
import { openOciImage, openOciSink } from './oci.ts';
import { parseStorageName, type StorageName } from './storage-name.ts';

/**
 * Opens an image of podman's: it is saved into a private folder, as the kind of image that it is. podman compresses
 * layers anew, so the digest may be another one than that of the image once pulled.
 * @throws BullaError `engine.unavailable`, `engine.failed`, `image.not-found`, `image-name.malformed`
 */
export async function openStorageImage(text: string): Promise<Image> {
  const name = parseStorageName(text);
  const type = await inspect(name, '{{.ManifestType}}');
  const isOci = type === mediaTypes.ociManifest;
  const folder = await openEngineFolder();
  const path = join(folder.path, 'image');
  return imageFromEngine({ transport: 'containers-storage', name: text }, folder, async () => {
    const format = isOci ? 'oci-dir' : 'docker-dir';
    const result = await podman(name, [
      'save',
      '--quiet',
      '--format',
      format,
      '--output',
      path,
      '--',
      name.image,
    ]);
    if (result.exitCode !== 0) throw failed(name, 'save', result.stderr);
    return isOci ? openOciImage(path) : openDirImage(path);
  });
}

/**
 * Opens podman's store as a destination: once its manifest is there, podman loads the image from a private folder,
 * under its user's own policy, and what it then has under that name must be what it was given.
 * @throws BullaError `engine.unavailable`, `engine.failed`, `engine.refused`, `engine.wrong-digest`, `image.unsupported`, `image-name.malformed`
 */
export async function openStorageSink(text: string): Promise<ImageSink> {
  const name = parseStorageName(text);
  if (name.reference === undefined || name.id !== undefined) {
    throw new BullaError(
      'image-name.malformed',
      `containers-storage:${printable(text)} is no name to write to`,
      {
        hint: 'write containers-storage:REPOSITORY:TAG',
      },
    );
  }
  const folder = await openEngineFolder();
  const layout = join(folder.path, 'image');
  const staged = await openOciSink(layout, name.image);
  return {
    name: { transport: 'containers-storage', name: text },
    hasBlob: (descriptor) => staged.hasBlob(descriptor),
    putBlob: (descriptor, content) => staged.putBlob(descriptor, content),
    take: (descriptor, feed) => staged.take(descriptor, feed),
    putManifest: async (manifest, options) => {
      refuseList(manifest, options?.instance === true, 'podman');
      if (manifest.mediaType === mediaTypes.ociManifest) {
        await staged.putManifest(manifest);
        await pull(name, folder, `oci:${layout}:${name.image}`);
      } else {
        const dir = await asDir(folder, layout, manifest);
        const id = await pull(name, folder, `dir:${dir}`);
        await succeed(name, ['tag', id, name.image]);
      }
      await checkStored(name, manifest);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** A manifest of Docker's kind has no place in a layout: its blobs move to a dir: image. */
async function asDir(folder: EngineFolder, layout: string, manifest: Manifest): Promise<string> {
  const path = join(folder.path, 'dir');
  const sink = await openDirSink(path);
  const parsed = parseManifest(manifest);
  if (parsed.kind !== 'image')
    throw new BullaError('image.unsupported', `podman cannot be given a ${printable(manifest.mediaType)}`);
  // the first write makes the folder
  await sink.putManifest(manifest, { instance: true });
  for (const each of [parsed.config, ...parsed.layers]) {
    // a layer may be there twice
    await rename(join(layout, blobName(each.digest)), join(path, hexOf(each.digest))).catch(() => undefined);
    if (!(await sink.hasBlob(each)))
      throw new BullaError('image.not-found', `the blob ${each.digest} is missing`);
  }
  await sink.putManifest(manifest);
  return path;
}

/** @returns the image's ID */
async function pull(name: StorageName, folder: EngineFolder, from: string): Promise<string> {
  const { exitCode, stdout, stderr } = await podman(name, ['pull', '--quiet', '--', from]);
  if (exitCode === 0) return textOf(stdout)?.trim().split('\n').at(-1) ?? '';
  if (!/Source image rejected|rejected by policy/i.test(stderr)) throw failed(name, 'load', stderr);
  const [transport] = from.split(':');
  const scope = dirname(await realpath(folder.path));
  throw new BullaError('engine.refused', `podman's own policy refuses the image: ${lastLine(stderr)}`, {
    hint: `allow the scope "${scope}" (or "") of the transport ${transport} in the policy.json of podman, for what Bulla has verified`,
  });
}

/** An image's ID is of its configuration: several manifests may share one, and podman then lists them all. */
async function checkStored(name: StorageName, manifest: Manifest): Promise<void> {
  const stored = await inspect(name, '{{.Digest}} {{range .RepoDigests}}{{.}} {{end}}');
  const digests = stored.split(' ').map((each) => each.slice(each.indexOf('@') + 1));
  if (digests.includes(manifest.digest)) return;
  await podman(name, ['untag', '--', name.image, name.image]);
  throw new BullaError(
    'engine.wrong-digest',
    `podman has stored ${printable(digests[0] ?? 'nothing')} as ${printable(name.image)}, not ${manifest.digest}; the name was removed again`,
  );
}

async function inspect(name: StorageName, format: string): Promise<string> {
  const { exitCode, stdout, stderr } = await podman(name, [
    'image',
    'inspect',
    '--format',
    format,
    '--',
    name.image,
  ]);
  if (exitCode === 0) return textOf(stdout)?.trim() ?? '';
  if (/image not known|no such image/i.test(stderr))
    throw new BullaError('image.not-found', `podman has no image ${printable(name.image)}`);
  throw failed(name, 'look at', stderr);
}

/**
 * Which image podman means by a name that people type: a short one (`app` may be `localhost/app:latest`), the beginning of an ID.
 * @returns what `containers-storage:` takes, exact; with its own name where it was found by one
 * @throws BullaError `engine.unavailable`, `engine.failed`, `image.not-found`
 */
export async function findPodmanName(
  text: string,
): Promise<{ readonly name: string; readonly isNamed: boolean }> {
  const said = await inspect({ flags: [], image: text }, '{{.Id}} {{range .RepoTags}}{{.}} {{end}}');
  const [id = '', ...tags] = said.split(' ');
  if (!/^[0-9a-f]{64}$/.test(id)) throw failed({ flags: [], image: text }, 'find', said);
  const reference = tryParseReference(text);
  const full = reference === undefined ? '' : formatReference(reference);
  const wanted = /:[^/]+$/.test(text) ? text : `${text}:latest`;
  if (tags.some((each) => each === full || each === `${full}:latest`)) return { name: text, isNamed: true };
  const own = tags.find((each) => each.endsWith(`/${wanted}`));
  return { name: `${own ?? ''}@${id}`, isNamed: own !== undefined };
}

/** The store that a name means: its driver and root, which a policy's scopes are made of. @throws BullaError `engine.*` */
export async function readStorage(
  name: StorageName,
): Promise<{ readonly driver: string; readonly root: string }> {
  const text = await succeed(name, ['info', '--format', '{{.Store.GraphDriverName}} {{.Store.GraphRoot}}']);
  const space = text.indexOf(' ');
  return { driver: text.slice(0, space), root: text.slice(space + 1) };
}

async function succeed(name: StorageName, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await podman(name, args);
  if (exitCode === 0) return textOf(stdout)?.trim() ?? '';
  throw failed(name, args[0] ?? '', stderr);
}

async function podman(name: StorageName, args: readonly string[]): ReturnType<typeof runProcess> {
  try {
    const options = { timeoutMs: limits.engineMs, maxBytes: limits.errorBodyBytes };
    return await runProcess('podman', [...name.flags, ...args], options);
  } catch (error) {
    if (!isBullaError(error, 'process.not-found')) throw error;
    throw new BullaError(
      'engine.unavailable',
      'podman, which keeps containers-storage: images, is not installed',
      {
        hint: 'install podman, or name the image in a registry, a folder or an archive',
        cause: error,
      },
    );
  }
}

function failed({ image }: StorageName, verb: string, stderr: string): BullaError {
  return new BullaError('engine.failed', `podman could not ${verb} ${printable(image)}: ${lastLine(stderr)}`);
}
