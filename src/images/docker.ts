/** docker://: an image in a registry. */
import type { Descriptor } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import type { ImageName } from '../base/image-name.ts';
import type { Manifest } from '../base/manifest.ts';
import { formatReference, type Reference } from '../base/reference.ts';
import type { BlobFeed, Consume } from '../registry/feed-blob.ts';
import type { Registries } from '../registry/registries.ts';
import type { Registry } from '../registry/registry.ts';
import type { Sent } from '../registry/send-blob.ts';
import type { Source } from '../registry/sources.ts';
import type { Image, ImageSink } from './image.ts';

/** All registries of the command; see `openRegistries`. */
export type DockerContext = Registries;

/** A docker:// image, with what its stores need to reach the same registry. */
export type DockerImage = Image & {
  readonly physical: Reference;
  /** Where it is read from. */
  readonly source: Source;
  readonly registry: Registry;
  /** The registry's ping is under way, or answered: its stores may wait for it. */
  readonly isAsked: boolean;
  /** A blob's bytes as they come, checked as they pass, and from where a connection broke. @throws as `Registry.feedBlob` */
  readonly feed: (descriptor: Descriptor, consume: Consume) => Promise<void>;
};

export type OpenOptions = {
  /** False: only where the reference itself says, as whoever signs or writes must. Default: true. */
  readonly mirrors?: boolean;
  /** GPG signatures will be asked for: the ping that tells where they are goes out beside the manifest. */
  readonly stores?: boolean;
  /** Is given the registry, and the reference there, before the manifest is asked for; all goes through what it gives back. */
  readonly through?: (registry: Registry, reference: Reference) => Registry;
};

export type DockerSink = ImageSink & {
  readonly source: Source;
  readonly registry: Registry;
  /** Stores a blob, mounted where `from` is a repository of the same registry that has it. @throws as `Registry.sendBlob` */
  readonly send: (descriptor: Descriptor, feed: BlobFeed, from?: string) => Promise<Sent>;
};

/**
 * Opens an image by its reference (a tag, a digest or both). Mirrors are tried in their order; the
 * first whose manifest loads is used for all else, its signatures included. The registries stay
 * open: they belong to the caller.
 * @throws BullaError `image.not-found`, `manifest.*`, `registry.*`, `registries-conf.malformed`, `auth-file.*`, `http.*`
 */
export async function openDockerImage(
  reference: Reference,
  registries: DockerContext,
  options: OpenOptions = {},
): Promise<DockerImage> {
  const failures: unknown[] = [];
  const sources =
    options.mirrors !== false
      ? await registries.sources(reference)
      : [await registries.destination(reference)];
  for (const source of sources) {
    try {
      const opened = await registries.open(source, reference.domain);
      const registry = options.through?.(opened, source.reference) ?? opened;
      // failing, it is asked again where its answer is needed
      if (options.stores === true) registry.ping().catch(() => undefined);
      const top = await registry.manifest(source.reference.path, wantedOf(source.reference));
      return imageAt(reference, source, registry, top, options.stores === true);
    } catch (error) {
      failures.push(error);
    }
  }
  throw combined(failures);
}

/**
 * An image at its own registry of which only a digest is wanted, whatever the reference's tag means by now. Nothing is asked
 * before its manifest or signatures are.
 * @throws BullaError `registry.blocked`, `registries-conf.malformed`, `auth-file.*`
 */
export async function openDockerDigest(
  reference: Reference,
  digest: Digest,
  registries: DockerContext,
): Promise<DockerImage> {
  const source = await registries.destination(reference);
  const registry = await registries.open(source, reference.domain);
  const { path } = source.reference;
  return {
    name: { transport: 'docker', reference },
    physical: source.reference,
    source,
    registry,
    isAsked: true,
    manifest: (wanted = digest) => registry.manifest(path, wanted),
    blob: (descriptor) => registry.blob(path, descriptor),
    feed: (descriptor, consume) => registry.feedBlob(path, descriptor, consume),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A digest, where there is one, says more than the tag beside it. */
function wantedOf(reference: Reference): string {
  return reference.digest ?? reference.tag ?? 'latest';
}

/** The primary's failure is the one that counts; mirrors are named behind it. */
function combined(failures: readonly unknown[]): unknown {
  const primary = failures.at(-1);
  if (failures.length < 2 || !(primary instanceof BullaError)) return primary;
  const others = failures.slice(0, -1).map((each) => (each instanceof Error ? each.message : String(each)));
  const message = `${primary.message} (mirrors failed too: ${others.join('; ')})`;
  return new BullaError(primary.code, message, {
    cause: primary,
    ...(primary.hint !== undefined && { hint: primary.hint }),
  });
}

function imageAt(
  reference: Reference,
  source: Source,
  registry: Registry,
  top: Manifest,
  isAsked: boolean,
): DockerImage {
  const { path } = source.reference;
  const name: ImageName = { transport: 'docker', reference };
  return {
    name,
    physical: source.reference,
    source,
    registry,
    isAsked,
    manifest: async (digest?: Digest) =>
      digest === undefined || digest === top.digest ? top : registry.manifest(path, digest),
    blob: (descriptor: Descriptor) => registry.blob(path, descriptor),
    feed: (descriptor, consume) => registry.feedBlob(path, descriptor, consume),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/**
 * Opens a place to write an image to. Mirrors are for reading: it is written where it says.
 * @throws BullaError `registry.*`, `registries-conf.malformed`, `auth-file.*`
 */
export async function openDockerSink(reference: Reference, registries: DockerContext): Promise<DockerSink> {
  const source = await registries.destination(reference);
  const registry = await registries.open(source, reference.domain);
  const { path } = reference;
  return {
    name: { transport: 'docker', reference },
    source,
    registry,
    hasBlob: (descriptor) => registry.hasBlob(path, descriptor.digest),
    send: (descriptor, feed, from) =>
      registry.sendBlob(path, descriptor, feed, from === undefined || from === path ? {} : { from }),
    async putBlob(descriptor, content) {
      if (await registry.hasBlob(path, descriptor.digest)) {
        await content.cancel();
        return;
      }
      await registry.putBlob(path, descriptor, content);
    },
    async putManifest(manifest, options) {
      await registry.putManifest(
        path,
        nameToWrite(reference, manifest, options?.instance === true),
        manifest,
      );
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function nameToWrite(reference: Reference, manifest: Manifest, instance: boolean): string {
  if (instance) return manifest.digest;
  if (reference.digest !== undefined && reference.digest !== manifest.digest) {
    throw new BullaError(
      'manifest.digest-mismatch',
      `${formatReference(reference)} names another manifest than ${manifest.digest}`,
    );
  }
  return wantedOf(reference);
}
