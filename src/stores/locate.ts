/** Which stores hold the signatures of an image, and which one takes new ones. */
import { BullaError } from '../base/errors.ts';
import { formatImageName } from '../base/image-name.ts';
import type { Reference } from '../base/reference.ts';
import type { DockerImage } from '../images/docker.ts';
import type { Image } from '../images/image.ts';
import { openDirStore } from './dir.ts';
import { type LookasideOptions, openLookaside } from './lookaside.ts';
import { type LookasideConfiguration, lookupLookaside } from './lookup-lookaside.ts';
import type { RegistriesD } from './registries-d.ts';
import type { SignatureStore } from './store.ts';
import { openSignatureExtension, type SignatureExtension } from './x-r-s-s.ts';

export type LocatedStores = {
  readonly readers: readonly SignatureStore[];
  readonly writer: SignatureStore;
  /** For an image in a registry: what registries.d says, for --explain. */
  readonly configuration?: LookasideConfiguration;
};

export type LocateOptions = {
  /** Asked for images in registries only. */
  readonly registriesD: () => Promise<RegistriesD>;
  readonly warn?: (line: string) => void;
};

/**
 * Finds the stores of an image. In a registry they go by the physical reference (a mirror's, where
 * the image was read from a mirror); a dir: image holds its own; an OCI layout has no place for any.
 * @throws BullaError `registries-d.*`, `store.unsupported`, `registry.*`
 */
export async function locateStores(image: Image, options: LocateOptions): Promise<LocatedStores> {
  if (isInRegistry(image)) {
    const { registry } = image;
    const [registriesD, ping] = await Promise.all([options.registriesD(), registry.ping()]);
    return storesOf(image.physical, registriesD, {
      http: () => registry.http,
      registryHost: registry.domain,
      ...(options.warn !== undefined && { warn: options.warn }),
      ...(ping.supportsSignatures && { extension: registry }),
    });
  }
  if (image.name.transport === 'dir') {
    const store = openDirStore(image.name.path);
    return { readers: [store], writer: store };
  }
  return { readers: [], writer: noStore(formatImageName(image.name)) };
}

function isInRegistry(image: Image): image is DockerImage {
  return image.physical !== undefined && 'registry' in image;
}

export type StoreOptions = LookasideOptions & {
  /** The registry's own signature extension, where its ping announced it. */
  readonly extension?: SignatureExtension;
};

/**
 * The stores of an image in a registry. One with the signature extension is its own store, for
 * reading and writing, and no lookaside is looked at, as in containers/image.
 * @param reference the physical one
 * @throws BullaError `registries-d.malformed`, `store.unsupported`
 */
export function storesOf(
  reference: Reference,
  registriesD: RegistriesD,
  options: StoreOptions,
): Required<LocatedStores> {
  const configuration = lookupLookaside(registriesD, reference);
  if (options.extension !== undefined) {
    const store = openSignatureExtension(options.extension);
    return { readers: [store], writer: store, configuration };
  }
  const reader = openLookaside(configuration.read, options);
  const isOne = configuration.read.url === configuration.write.url;
  const writer = isOne ? reader : openLookaside(configuration.write, options);
  return { readers: [reader], writer, configuration };
}

function noStore(image: string): SignatureStore {
  return {
    description: `no store for ${image}`,
    async *list() {
      // containers/image has no signatures for this transport either
    },
    add: async () => {
      throw new BullaError('store.none', `${image} has no place for signatures`, {
        hint: 'copy it to a registry or to dir:, and sign it there',
      });
    },
  };
}
