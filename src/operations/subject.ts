/** What is judged: an image's manifest under a name, with the signatures that its stores hold. */
import type { Digest } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import type { Reference } from '../base/reference.ts';
import type { Image } from '../images/image.ts';
import { dockerScopes, pathScopes, type ScopeSubject } from '../trust/scopes.ts';
import type { Subject } from '../trust/verdict.ts';
import type { World } from './world.ts';

export type Judged = {
  readonly image: Image;
  readonly digest: Digest;
  /** `--as`: the Docker reference claimed for the image. */
  readonly as: Reference | undefined;
};

export async function subjectOf({ image, digest, as }: Judged, world: World): Promise<Subject> {
  const reference = as ?? (image.name.transport === 'docker' ? image.name.reference : undefined);
  return {
    ...(await scopeSubjectOf(image.name, as)),
    ...(reference !== undefined && { dockerReference: reference }),
    manifestDigest: digest,
    signatures: () => signaturesOf(image, digest, world),
  };
}

/**
 * The names under which a policy finds an image. A claimed reference counts as docker's: the scopes
 * that speak of it are those of the registry it names.
 * @throws BullaError `io.not-found` for a folder that is not there, `image.unsupported`
 */
export async function scopeSubjectOf(name: ImageName, as?: Reference): Promise<ScopeSubject> {
  if (as !== undefined) return { transport: 'docker', ...dockerScopes(as) };
  switch (name.transport) {
    case 'docker':
      return { transport: 'docker', ...dockerScopes(name.reference) };
    case 'dir':
    case 'oci': {
      const { realpath } = await import('node:fs/promises');
      return { transport: name.transport, ...pathScopes(await realpath(name.path)) };
    }
    case 'oci-archive':
    case 'docker-archive':
    case 'containers-storage':
    case 'docker-daemon':
      throw new BullaError(
        'image.unsupported',
        `${formatImageName(name)}: this transport is not supported yet`,
      );
  }
}

async function* signaturesOf(image: Image, digest: Digest, world: World): ReturnType<Subject['signatures']> {
  const { readers } = await world.stores(image);
  for (const store of readers) yield* store.list(world.imageId(image, digest));
}
