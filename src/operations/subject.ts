/** What is judged: an image's manifest under a name, with the signatures that its stores hold. */
import type { Digest } from '../base/digest.ts';
import type { ImageName } from '../base/image-name.ts';
import type { Reference } from '../base/reference.ts';
import type { Image } from '../images/image.ts';
import type { LocatedStores } from '../stores/locate.ts';
import type { ListHint, SignatureStore } from '../stores/store.ts';
import {
  archiveScopes,
  daemonScopes,
  dockerScopes,
  pathScopes,
  type ScopeSubject,
  storageScopes,
} from '../trust/scopes.ts';
import type { Subject } from '../trust/verdict.ts';
import type { World } from './world.ts';

/**
 * Which stores are read. `as-configured`: those of registries.d. `for-simple`: those that may hold GPG
 * signatures. `everywhere`: the attachments first, whether registries.d turns them on or not, then the
 * bundles, then those for GPG signatures, which cost a ping besides (docs/reference/requests.md). `for-sigstore`: the
 * same without those for GPG signatures. `for-statements`: bundles and cosign's old attestations.
 */
export type SignaturesWanted =
  | 'as-configured'
  | 'for-simple'
  | 'for-sigstore'
  | 'for-statements'
  | 'everywhere';

export type Judged = {
  readonly image: Image;
  readonly digest: Digest;
  /** `--as`: the Docker reference claimed for the image. */
  readonly as: Reference | undefined;
  readonly looks: SignaturesWanted;
  /** What the reader is after, among bundles. */
  readonly hint?: ListHint;
};

export async function subjectOf({ image, digest, as, looks, hint }: Judged, world: World): Promise<Subject> {
  const reference = as ?? (await referenceOf(image.name));
  return {
    ...(await scopeSubjectOf(image.name, as)),
    ...(reference !== undefined && { dockerReference: reference }),
    manifestDigest: digest,
    signatures: () => signaturesOf({ image, digest, looks, hint }, world),
  };
}

/** What an image says it is, for a policy that compares it with what was signed: registries and engines know one. */
async function referenceOf(name: ImageName): Promise<Reference | undefined> {
  switch (name.transport) {
    case 'docker':
      return name.reference;
    case 'containers-storage':
      return (await import('../images/storage-name.ts')).parseStorageName(name.name).reference;
    case 'docker-daemon': {
      const parsed = (await import('../images/docker-daemon.ts')).parseDaemonName(name.name);
      return typeof parsed === 'string' ? undefined : parsed;
    }
    case 'dir':
    case 'oci':
    case 'oci-archive':
    case 'docker-archive':
      return undefined;
  }
}

/**
 * The names under which a policy finds an image. A claimed reference counts as docker's: the scopes
 * that speak of it are those of the registry it names.
 * @throws BullaError `io.not-found` for a folder that is not there, `engine.*`, `image-name.malformed`
 */
export async function scopeSubjectOf(name: ImageName, as?: Reference): Promise<ScopeSubject> {
  if (as !== undefined) return { transport: 'docker', ...dockerScopes(as) };
  switch (name.transport) {
    case 'docker':
      return { transport: 'docker', ...dockerScopes(name.reference) };
    case 'dir':
    case 'oci':
    case 'oci-archive': {
      const { realpath } = await import('node:fs/promises');
      return { transport: name.transport, ...pathScopes(await realpath(name.path)) };
    }
    case 'docker-archive':
      return { transport: name.transport, ...archiveScopes() };
    case 'containers-storage': {
      const { parseStorageName } = await import('../images/storage-name.ts');
      const { readStorage } = await import('../images/podman.ts');
      const { reference, id, ...store } = parseStorageName(name.name);
      const { driver, root } = await readStorage({ ...store });
      const image = {
        driver,
        root,
        ...(reference !== undefined && { reference }),
        ...(id !== undefined && { id }),
      };
      return { transport: name.transport, ...storageScopes(image) };
    }
    case 'docker-daemon': {
      const { parseDaemonName } = await import('../images/docker-daemon.ts');
      return { transport: name.transport, ...daemonScopes(parseDaemonName(name.name)) };
    }
  }
}

/** The stores to read, in the order that finds what is wanted with the fewest requests. */
export function storesToRead(located: LocatedStores, looks: SignaturesWanted): readonly SignatureStore[] {
  const { readers, attachments, referrers, oldAttestations } = located;
  // dir: holds all kinds in one folder
  if (looks === 'as-configured' || attachments === undefined) return readers;
  const others = readers.filter((store) => store !== attachments);
  const bundles = referrers === undefined ? [] : [referrers];
  switch (looks) {
    case 'for-simple':
      return others;
    case 'for-sigstore':
      return [attachments, ...bundles];
    case 'for-statements':
      return [...bundles, ...(oldAttestations === undefined ? [] : [oldAttestations])];
    case 'everywhere':
      return [attachments, ...bundles, ...others];
  }
}

async function* signaturesOf(
  { image, digest, looks, hint }: Pick<Judged, 'image' | 'digest' | 'looks'> & { hint: ListHint | undefined },
  world: World,
): ReturnType<Subject['signatures']> {
  for (const store of storesToRead(await world.stores(image), looks))
    yield* store.list(world.imageId(image, digest), hint);
}
