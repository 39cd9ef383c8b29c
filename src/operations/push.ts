/** `push`: an image of this machine to a registry or another place, with its signatures. */
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { formatReference } from '../base/reference.ts';
import { type Copied, copy, type CopyRequest, type NotCopied } from './copy.ts';
import type { Changes } from './copy/change.ts';
import type { World } from './world.ts';

/** Without `by` nobody judges the source: who pushes vouches for what lies on the own machine, as podman has it. */
export type PushRequest = CopyRequest;

/**
 * Copies an image out of an engine, a folder or an archive; see `copy`.
 * @throws BullaError `usage.unsupported` for a source in a registry, and what `copy` throws
 */
export async function push(request: PushRequest, world: World): Promise<Copied | NotCopied> {
  refuseRegistry(request);
  const by = request.by ?? { kind: 'insecure-accept-anything' };
  const changes = { ...packedOnItsWay(request), ...request.changes };
  return copy({ ...request, by, changes }, { from: world, to: world });
}

/**
 * Which image podman means by what its user types, as `podman push` has it: a short name, the beginning of an ID.
 * @throws BullaError `engine.*`, `image.not-found`
 */
export async function findPodmanImage(
  text: string,
): Promise<{ readonly image: ImageName; readonly isNamed: boolean }> {
  const { findPodmanName } = await import('../images/podman.ts');
  const { name, isNamed } = await findPodmanName(text);
  return { image: { transport: 'containers-storage', name }, isNamed };
}

/** Engines keep layers unpacked; podman push packs them by gzip on their way, and so does this. */
function packedOnItsWay({ source, destination }: PushRequest): Changes {
  const isFromEngine = source.transport === 'containers-storage' || source.transport === 'docker-daemon';
  const isFree = destination.transport !== 'docker' || destination.reference.digest === undefined;
  const packs = ['docker', 'oci', 'oci-archive'].includes(destination.transport);
  return isFromEngine && packs && isFree ? { packing: { kind: 'packed' } } : {};
}

function refuseRegistry({ source }: PushRequest): void {
  if (source.transport !== 'docker') return;
  const name = formatReference(source.reference);
  throw new BullaError(
    'usage.unsupported',
    `push takes images of this machine, not ${formatImageName(source)}`,
    {
      hint: `bulla push ${name} DST pushes podman's image of that name; bulla copy takes images from registries`,
    },
  );
}
