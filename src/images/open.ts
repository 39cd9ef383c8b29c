/** Opens an image by its name: one row a transport. */
import type { ImageName } from '../base/image-name.ts';
import type { Registries } from '../registry/registries.ts';
import type { OpenOptions } from './docker.ts';
import type { DaemonOptions } from './docker-host.ts';
import type { Image, ImageSink } from './image.ts';

/** What the transports need of the world. */
export type ImageContext = {
  readonly registries: Registries;
  /** An image that is at hand, under the name of where it was; undefined: it is opened as its name says. */
  readonly known?: (name: ImageName) => Image | undefined;
  /** Where Docker is. Default: as its own client finds it. */
  readonly daemon?: DaemonOptions;
};

/**
 * Opens an image for reading.
 * @throws BullaError what the transport throws
 */
export async function openImage(
  name: ImageName,
  { registries, daemon, known }: ImageContext,
  options: OpenOptions = {},
): Promise<Image> {
  const atHand = known?.(name);
  if (atHand !== undefined) return atHand;
  switch (name.transport) {
    case 'docker':
      return (await import('./docker.ts')).openDockerImage(name.reference, registries, options);
    case 'dir':
      return (await import('./dir.ts')).openDirImage(name.path);
    case 'oci':
      return (await import('./oci.ts')).openOciImage(name.path, name.name, name.blobs);
    case 'oci-archive':
      return (await import('./oci-archive.ts')).openOciArchiveImage(name.path, name.name);
    case 'docker-archive':
      return (await import('./docker-archive.ts')).openDockerArchiveImage(name.path, name.name);
    case 'containers-storage':
      return (await import('./podman.ts')).openStorageImage(name.name);
    case 'docker-daemon':
      return (await import('./docker-daemon.ts')).openDaemonImage(name.name, daemon);
  }
}

/** Opens a place for an image; nothing is written before the first blob or manifest. */
export async function openSink(name: ImageName, { registries, daemon }: ImageContext): Promise<ImageSink> {
  switch (name.transport) {
    case 'docker':
      return (await import('./docker.ts')).openDockerSink(name.reference, registries);
    case 'dir':
      return (await import('./dir.ts')).openDirSink(name.path);
    case 'oci':
      return (await import('./oci.ts')).openOciSink(name.path, name.name, name.blobs);
    case 'oci-archive':
      return (await import('./oci-archive.ts')).openOciArchiveSink(name.path, name.name);
    case 'docker-archive':
      return (await import('./docker-archive-sink.ts')).openDockerArchiveSink(name.path, name.name);
    case 'containers-storage':
      return (await import('./podman.ts')).openStorageSink(name.name);
    case 'docker-daemon':
      return (await import('./docker-daemon.ts')).openDaemonSink(name.name, daemon);
  }
}
