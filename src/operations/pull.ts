/** `pull`: an image that the policy accepts, into an engine of this machine. */
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { formatReference, type Reference } from '../base/reference.ts';
import { isAttachmentTag } from '../registry/referrers.ts';
import { type Copied, copy, type CopyRequest, type NotCopied } from './copy.ts';
import type { World } from './world.ts';

export type PullRequest = Pick<
  CopyRequest,
  'source' | 'by' | 'requireSigned' | 'platform' | 'onItem' | 'onProgress'
> & {
  /** An engine's name for it. Default: podman's, the source's own. */
  readonly destination?: ImageName;
};

export type Pulled = (Copied | NotCopied) & { readonly destination: ImageName };

/**
 * Judges an image, and gives the engine exactly what was judged; where the policy refuses, the engine is not even asked.
 * Of a list, the instance for this machine, under its own digest. Signatures stay where they are: no engine gives them out again.
 * @throws BullaError `usage.invalid` (no name, or one of no engine), `engine.*`, and what `copy` throws
 */
export async function pull(request: PullRequest, world: World): Promise<Pulled> {
  const { source, destination = nameFor(source), ...options } = request;
  if (destination.transport !== 'containers-storage' && destination.transport !== 'docker-daemon') {
    throw new BullaError('usage.invalid', `${formatImageName(destination)} is in no engine`, {
      hint: 'write containers-storage:NAME or docker-daemon:NAME:TAG; bulla copy goes elsewhere',
    });
  }
  const outcome = await copy(
    { ...options, source, destination, removeSignatures: true, attachments: false },
    { from: world, to: world },
  );
  return { ...outcome, destination };
}

function nameFor(source: ImageName): ImageName {
  if (source.transport === 'docker')
    return { transport: 'containers-storage', name: formatReference(source.reference) };
  throw new BullaError('usage.invalid', `${formatImageName(source)} has no name to be pulled under`, {
    hint: 'name it: bulla pull SRC NAME',
  });
}

/**
 * The tags of a repository's images, where it is written to: a mirror need not have them all. Signatures and attestations have tags
 * too, and no engine can run those.
 * @throws BullaError `registry.*`, `http.*`, `image.not-found`
 */
export async function tagsOf(repository: Reference, { registries }: World): Promise<readonly string[]> {
  const source = await registries.destination(repository);
  const registry = await registries.open(source, repository.domain);
  return (await registry.tags(source.reference.path)).filter((tag) => !isAttachmentTag(tag));
}
