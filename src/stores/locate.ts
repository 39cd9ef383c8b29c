/** Which stores hold the signatures of an image in a registry, and which one takes new ones. */
import type { Reference } from '../base/reference.ts';
import { type LookasideOptions, openLookaside } from './lookaside.ts';
import { type LookasideConfiguration, lookupLookaside } from './lookup-lookaside.ts';
import type { RegistriesD } from './registries-d.ts';
import type { SignatureStore } from './store.ts';
import { openSignatureExtension, type SignatureExtension } from './x-r-s-s.ts';

export type LocateOptions = LookasideOptions & {
  readonly registriesD: RegistriesD;
  /** The registry's own signature extension; `supported` as its ping said. */
  readonly xrss?: { readonly supported: boolean; readonly client: SignatureExtension };
};

export type LocatedStores = {
  readonly readers: readonly SignatureStore[];
  readonly writer: SignatureStore;
  /** What registries.d says, for --explain; the lookasides in it count only without the extension. */
  readonly configuration: LookasideConfiguration;
};

/**
 * A registry with the signature extension is its own store, for reading and writing, and no
 * lookaside is looked at, as in containers/image; else both come from registries.d.
 * @param reference the physical one: a mirror's, where the image was read from a mirror
 * @throws BullaError `registries-d.malformed`, `store.unsupported`
 */
export function locateStores(reference: Reference, options: LocateOptions): LocatedStores {
  const configuration = lookupLookaside(options.registriesD, reference);
  if (options.xrss?.supported === true) {
    const store = openSignatureExtension(options.xrss.client);
    return { readers: [store], writer: store, configuration };
  }
  const reader = openLookaside(configuration.read, options);
  const isOne = configuration.read.url === configuration.write.url;
  const writer = isOne ? reader : openLookaside(configuration.write, options);
  return { readers: [reader], writer, configuration };
}
