/** Which stores hold the signatures of an image, and which one takes new ones of each format. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { formatImageName } from '../base/image-name.ts';
import { type Reference, repositoryOf } from '../base/reference.ts';
import type { Signature } from '../formats/signature.ts';
import type { DockerImage } from '../images/docker.ts';
import type { Image } from '../images/image.ts';
import { findSbom, openAttachments, openOldAttestations } from './attachments.ts';
import { openDirStore } from './dir.ts';
import { type LookasideOptions, openLookaside } from './lookaside.ts';
import { describeOrigin, type LookasideConfiguration, lookupLookaside } from './lookup-lookaside.ts';
import { openReferrers, type ReferrerRegistry } from './referrers.ts';
import type { RegistriesD } from './registries-d.ts';
import { type ImageId, inRegistry, type SignatureStore } from './store.ts';
import { openSignatureExtension, type SignatureExtension } from './x-r-s-s.ts';

export type LocatedStores = {
  /** The stores that podman and a policy go by, in their order. */
  readonly readers: readonly SignatureStore[];
  /** In a registry: the `.sig` attachments. They are among the readers where registries.d turns them on. */
  readonly attachments?: SignatureStore;
  /** In a registry: sigstore bundles, and Notary signatures. Never among the readers: podman does not see them. */
  readonly referrers?: SignatureStore;
  /** In a registry: `.att`, the attestations of cosign up to 2. Never among the readers. */
  readonly oldAttestations?: SignatureStore;
  /** In a registry: where cosign's `.sbom` tag of an image is, if it is there. @throws BullaError `registry.*` */
  readonly sbom?: (image: ImageId) => Promise<string | undefined>;
  /**
   * The store that takes new signatures of a format. Ask before anything is written.
   * @throws BullaError `store.attachments-off`
   */
  readonly writerFor: (format: Signature['format']) => SignatureStore;
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
 * the image was read from a mirror); a dir: image and an OCI layout hold their own; others have no place for any.
 * @throws BullaError `registries-d.*`, `store.unsupported`, `registry.*`
 */
export async function locateStores(image: Image, options: LocateOptions): Promise<LocatedStores> {
  if (isInRegistry(image)) {
    const { registry } = image;
    const extension = async (): Promise<SignatureExtension | undefined> =>
      (await registry.ping()).supportsSignatures ? registry : undefined;
    // only GPG signatures hang on what the ping says: who did not ask for it may never want one
    const [registriesD, known] = await Promise.all([
      options.registriesD(),
      image.isAsked ? extension() : undefined,
    ]);
    return storesOf(image.physical, registriesD, {
      registry,
      http: () => registry.http,
      registryHost: registry.domain,
      ...(options.warn !== undefined && { warn: options.warn }),
      ...(image.isAsked ? known !== undefined && { extension: known } : { extension }),
    });
  }
  if (image.name.transport === 'dir') {
    const store = openDirStore(image.name.path);
    return { readers: [store], writerFor: () => store };
  }
  if (image.name.transport === 'oci' || image.name.transport === 'oci-archive') {
    const { openOciArchiveStore, openOciStore } = await import('./layout.ts');
    const { transport, path, blobs } = image.name;
    const store = transport === 'oci' ? openOciStore(path, blobs) : openOciArchiveStore(path);
    return { readers: [store], writerFor: () => store };
  }
  const none = noStore(formatImageName(image.name));
  return { readers: [], writerFor: () => none };
}

function isInRegistry(image: Image): image is DockerImage {
  return image.physical !== undefined && 'registry' in image;
}

export type StoreOptions = LookasideOptions & {
  /** Holds attachments and referrers. */
  readonly registry: ReferrerRegistry;
  /** The registry's own signature extension, where its ping announced it; or how to find that out when it matters. */
  readonly extension?: SignatureExtension | (() => Promise<SignatureExtension | undefined>);
};

/**
 * The stores of an image in a registry. One with the signature extension is its own store of GPG
 * signatures, for reading and writing, and no lookaside is looked at, as in containers/image. Sigstore
 * signatures are attachments, and for a policy there are none where registries.d does not turn them on.
 * Bundles and attestations are the registry's too; registries.d knows nothing of them.
 * @param reference the physical one
 * @throws BullaError `registries-d.malformed`, `store.unsupported`
 */
export function storesOf(
  reference: Reference,
  registriesD: RegistriesD,
  options: StoreOptions,
): Required<LocatedStores> {
  const configuration = lookupLookaside(registriesD, reference);
  const [reader, writer] = simpleStores(configuration, options);
  const attachments = openAttachments(options.registry);
  const referrers = openReferrers(options.registry);
  const oldAttestations = openOldAttestations(options.registry);
  const isOn = configuration.useSigstoreAttachments;
  return {
    readers: isOn ? [reader, attachments] : [reader],
    attachments,
    referrers,
    oldAttestations,
    sbom: (image) => findSbom(options.registry, inRegistry(image)),
    writerFor: (format) => {
      if (format === 'simple') return writer;
      if (format === 'attestation') return oldAttestations;
      // the referrers refuse what is no bundle
      if (format !== 'cosign') return referrers;
      if (isOn) return attachments;
      throw attachmentsOff(reference, registriesD, configuration);
    },
    configuration,
  };
}

function simpleStores(
  configuration: LookasideConfiguration,
  options: StoreOptions,
): readonly [reader: SignatureStore, writer: SignatureStore] {
  const { extension } = options;
  if (typeof extension !== 'function') return knownStores(configuration, options, extension);
  let opened: ReturnType<typeof knownStores> | undefined;
  const open = async (): Promise<ReturnType<typeof knownStores>> =>
    (opened ??= knownStores(configuration, options, await extension()));
  const later = (index: 0 | 1): SignatureStore => ({
    get description() {
      return opened?.[index].description ?? `GPG signatures of ${options.registry.domain}`;
    },
    async *list(image) {
      yield* (await open())[index].list(image);
    },
    add: async (image, signature) => (await open())[index].add(image, signature),
  });
  return [later(0), later(1)];
}

function knownStores(
  { read, write }: LookasideConfiguration,
  options: StoreOptions,
  extension: SignatureExtension | undefined,
): readonly [reader: SignatureStore, writer: SignatureStore] {
  if (extension !== undefined) {
    const store = openSignatureExtension(extension);
    return [store, store];
  }
  const reader = openLookaside(read, options);
  return [reader, read.url === write.url ? reader : openLookaside(write, options)];
}

/** podman and skopeo upload the image first and refuse then; nobody would read the signature. */
function attachmentsOff(
  reference: Reference,
  registriesD: RegistriesD,
  { read, attachmentsFrom }: LookasideConfiguration,
): BullaError {
  const { from } = read;
  const line = 'use-sigstore-attachments: true';
  const folder = printable(registriesD.folders.at(-1) ?? 'registries.d', 500);
  const hint =
    attachmentsFrom.kind === 'file'
      ? `${describeOrigin(attachmentsFrom)} says false; make it "${line}"`
      : from.kind === 'file'
        ? // one scope in two files is an error, so the line goes where the scope is
          `add "${line}" to ${printable(from.scope)} in ${printable(from.file, 500)}`
        : `put into ${folder}/sigstore.yaml: docker: { "${reference.domain}": { ${line} } }`;
  return new BullaError(
    'store.attachments-off',
    `sigstore signatures of ${repositoryOf(reference)} are turned off in registries.d, so podman would not read them`,
    { hint },
  );
}

function noStore(image: string): SignatureStore {
  return {
    description: `no store for ${image}`,
    async *list() {
      // containers/image has no signatures for this transport either
    },
    add: async () => {
      throw new BullaError('store.none', `${image} has no place for signatures`, {
        hint: 'copy it to a registry, dir: or oci:, and sign it there',
      });
    },
  };
}
