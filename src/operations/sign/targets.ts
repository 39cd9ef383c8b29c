/** What a signature is to be of, and for: the manifests of an image, and the references that it is to speak of. */
import type { Platform } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import { type Manifest, parseManifest } from '../../base/manifest.ts';
import { formatReference, isNameOnly, type Reference } from '../../base/reference.ts';
import { chooseInstance, hostPlatform } from '../../images/choose-instance.ts';
import type { World } from '../world.ts';

/** Which manifests of a list are signed; an image that is no list is signed itself. */
export type SignedInstances =
  /** The host's (or `platform`'s) instance alone. */
  | { readonly kind: 'system' }
  /** Each instance, then the list. */
  | { readonly kind: 'all' }
  /** The list alone, which containers/image never checks. */
  | { readonly kind: 'index-only' }
  | { readonly kind: 'platforms'; readonly platforms: readonly Platform[] };

/** What is signed for. @throws BullaError `usage.invalid` for a bare name, and for an image that has none and was given none */
export function identitiesOf(image: ImageName, given: readonly Reference[]): readonly Reference[] {
  const nameOnly = given.find(isNameOnly);
  if (nameOnly !== undefined) {
    throw new BullaError(
      'usage.invalid',
      `cannot sign for ${formatReference(nameOnly)}: it has neither a tag nor a digest`,
    );
  }
  if (given.length > 0) return given;
  if (image.transport === 'docker') return [image.reference];
  throw new BullaError('usage.invalid', `${formatImageName(image)} has no Docker reference to sign for`, {
    hint: 'say by --sign-identity what the signature speaks of',
  });
}

export type TargetOptions = { readonly instances?: SignedInstances; readonly platform?: Platform };

/** The digests to sign, the list's own last: it stands for its instances only once they are signed. */
export function targetsOf(manifest: Manifest, options: TargetOptions, world: World): readonly Digest[] {
  const parsed = parseManifest(manifest);
  if (parsed.kind !== 'index') return [manifest.digest];
  const instances = options.instances ?? { kind: 'all' };
  switch (instances.kind) {
    case 'system':
      return [chooseInstance(parsed, options.platform ?? hostPlatform()).digest];
    case 'platforms':
      return instances.platforms.map((platform) => chooseInstance(parsed, platform).digest);
    case 'index-only':
      world.warn(
        'only the list is signed: podman, skopeo and CRI-O judge instances and never check a list’s signature',
      );
      return [manifest.digest];
    case 'all':
      return [...new Set(parsed.manifests.map((each) => each.digest)), manifest.digest];
  }
}
