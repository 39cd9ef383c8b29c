/**
 * `docker-daemon:` images, which Docker keeps. Docker gives and takes them as docker-archives: the digest of an
 * image read is that of the manifest made of what it gave (docker-archive.ts), whatever Docker calls it.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { printable } from '../base/bytes.ts';
import { type Digest, tryParseDigest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Manifest, parseManifest } from '../base/manifest.ts';
import { formatReference, isNameOnly, type Reference, tryParseReference } from '../base/reference.ts';
import { openTemporary } from '../io/temporary-file.ts';
import { askDocker, type DockerAnswer } from './docker-api.ts';
import { type DaemonOptions, type DockerHost, openDockerHost } from './docker-host.ts';
import { openDockerArchiveImage } from './docker-archive.ts';
import { openDockerArchiveSink } from './docker-archive-sink.ts';
import { imageFromEngine, lastLine, openEngineFolder, refuseList } from './engine-folder.ts';
import type { Image, ImageSink } from './image.ts';
import { contentOf } from './staging.ts';

/**
 * A reference with a tag or digest, or an image's ID (`sha256:…`).
 * @throws BullaError `image-name.malformed`
 */
export function parseDaemonName(text: string): Reference | Digest {
  const id = tryParseDigest(text);
  if (id !== undefined) return id;
  const reference = tryParseReference(text);
  if (reference !== undefined && !isNameOnly(reference)) return reference;
  throw new BullaError(
    'image-name.malformed',
    `"docker-daemon:${printable(text)}" has neither a tag nor a digest`,
    {
      hint: 'write docker-daemon:REPOSITORY:TAG, or docker-daemon:sha256:ID',
    },
  );
}

/**
 * Opens an image of Docker's, which is saved into a private folder.
 * @throws BullaError `engine.unavailable`, `engine.failed`, `image.*`
 */
export async function openDaemonImage(text: string, options: DaemonOptions = {}): Promise<Image> {
  return imageAt(await openDockerHost(process.env, options), text);
}

async function imageAt(host: DockerHost, text: string): Promise<Image> {
  const name = nameFor(parseDaemonName(text));
  await inspect(host, name);
  const answer = await askDocker(host, { method: 'GET', path: `/images/${name}/get` });
  if (answer.status !== 200) throw await failed('save', name, answer);
  const folder = await openEngineFolder();
  return imageFromEngine({ transport: 'docker-daemon', name: text }, folder, async () => {
    const path = join(folder.path, 'image.tar');
    await using file = await openTemporary(path, 0o600);
    let length = 0;
    for await (const chunk of answer.body) {
      length += chunk.length;
      if (length > limits.unpackedBytes)
        throw new BullaError(
          'image.too-large',
          `${printable(name)} is larger than ${limits.unpackedBytes} bytes`,
        );
      await file.write(chunk);
    }
    await file.replace();
    // it is the only one that was asked for
    return await openDockerArchiveImage(path);
  });
}

/**
 * Opens Docker as a destination: once its manifest is there, the image is loaded from a private folder, and what
 * Docker then has under that name must have the configuration that it was given, or its manifest.
 * @throws BullaError `engine.unavailable`, `engine.failed`, `engine.wrong-digest`, `image.unsupported`, `image-name.malformed`
 */
export async function openDaemonSink(text: string, options: DaemonOptions = {}): Promise<ImageSink> {
  const parsed = parseDaemonName(text);
  if (typeof parsed === 'string' || parsed.digest !== undefined) {
    throw new BullaError('image-name.malformed', `docker-daemon:${printable(text)} is no name to write to`, {
      hint: 'write docker-daemon:REPOSITORY:TAG',
    });
  }
  const host = await openDockerHost(process.env, options);
  const name = formatReference(parsed);
  const folder = await openEngineFolder();
  const path = join(folder.path, 'image.tar');
  const staged = await openDockerArchiveSink(path, name);
  return {
    name: { transport: 'docker-daemon', name: text },
    hasBlob: (descriptor) => staged.hasBlob(descriptor),
    putBlob: (descriptor, content) => staged.putBlob(descriptor, content),
    take: (descriptor, feed) => staged.take(descriptor, feed),
    putManifest: async (manifest, options) => {
      refuseList(manifest, options?.instance === true, 'Docker');
      await staged.putManifest(manifest);
      await load(host, name, path);
      await checkLoaded(host, name, manifest, path);
      await rm(path);
    },
    [Symbol.asyncDispose]: async () => {
      await staged[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Docker answers 200 as soon as it begins; how it ended is in the body. */
async function load(host: DockerHost, name: string, path: string): Promise<void> {
  const body = await contentOf(path);
  const answer = await askDocker(host, { method: 'POST', path: '/images/load?quiet=1', body });
  if (answer.status !== 200) throw await failed('load', name, answer);
  for (const line of (await answer.text()).split('\n')) {
    const error = memberOf(line, 'error') ?? memberOf(line, 'errorDetail');
    if (error !== undefined) throw refusedBy('load', name, error);
  }
}

/** The ID that Docker calls an image by. @throws BullaError `image.not-found`, `engine.failed` */
async function inspect(host: DockerHost, name: string): Promise<string | undefined> {
  const answer = await askDocker(host, { method: 'GET', path: `/images/${name}/json` });
  if (answer.status === 200) return memberOf(await answer.text(), 'Id');
  if (answer.status === 404)
    throw new BullaError('image.not-found', `Docker has no image ${printable(name)}`);
  throw await failed('look at', name, answer);
}

async function checkLoaded(host: DockerHost, name: string, manifest: Manifest, path: string): Promise<void> {
  const parsed = parseManifest(manifest);
  const config = parsed.kind === 'image' ? parsed.config.digest : undefined;
  const id = await inspect(host, name).catch(() => undefined);
  // Docker's own store calls an image by its configuration. containerd's has a manifest that it made itself, and
  // then only what Docker gives back tells
  if (
    id !== undefined &&
    (id === config || (await servedByDocker(host, name)) === (await servedDigest(path)))
  )
    return;
  await askDocker(host, { method: 'DELETE', path: `/images/${name}?noprune=1` }).catch(() => undefined);
  throw new BullaError(
    'engine.wrong-digest',
    `Docker has stored ${printable(id ?? 'nothing')} as ${printable(name)}, not ${config ?? manifest.digest}; it was removed again`,
  );
}

async function servedByDocker(host: DockerHost, name: string): Promise<Digest | undefined> {
  try {
    await using image = await imageAt(host, name);
    return (await image.manifest()).digest;
  } catch (error) {
    if (error instanceof BullaError) return undefined;
    throw error;
  }
}

async function servedDigest(path: string): Promise<Digest> {
  await using image = await openDockerArchiveImage(path);
  return (await image.manifest()).digest;
}

function nameFor(parsed: Reference | Digest): string {
  return typeof parsed === 'string' ? parsed : formatReference(parsed);
}

async function failed(verb: string, name: string, answer: DockerAnswer): Promise<BullaError> {
  const text = await answer.text();
  return refusedBy(verb, name, memberOf(text, 'message') ?? `status ${answer.status}`);
}

function refusedBy(verb: string, name: string, why: string): BullaError {
  return new BullaError('engine.failed', `Docker could not ${verb} ${printable(name)}: ${lastLine(why)}`);
}

/** A member of a JSON object, as text; undefined where there is none. */
function memberOf(text: string, name: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const member =
      typeof value === 'object' && value !== null
        ? (value as Readonly<Record<string, unknown>>)[name]
        : undefined;
    return member === undefined || typeof member === 'string' ? member : JSON.stringify(member);
  } catch {
    return undefined;
  }
}
