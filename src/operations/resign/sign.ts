/** Signing what a rotation has decided on, by its digest. */
import { BullaError } from '../../base/errors.ts';
import { formatReference } from '../../base/reference.ts';
import { openDockerDigest } from '../../images/docker.ts';
import { planFor, type PlannedImage, type PlannedSignature } from './plan.ts';
import { signTargets } from '../sign.ts';
import { placesOf } from '../sign/places.ts';
import type { SigningPlan } from '../sign/plan.ts';
import type { World } from '../world.ts';

/**
 * Makes and stores what is planned and not there yet, format by format.
 * @param done gets the place of each signature once it is stored, also where a later one fails
 * @throws BullaError `image.not-found` where the image is gone by now, `store.*`, `registry.*`, `key.*`, `log.*`, `timestamp.*`
 */
export async function signPlanned(
  { digest, signatures }: PlannedImage,
  plan: SigningPlan,
  done: Map<PlannedSignature, string>,
  world: World,
): Promise<void> {
  const missing = signatures.filter(({ isThere }) => !isThere);
  let isSeen = false;
  for (const group of Map.groupBy(missing, groupOf).values()) {
    const [first] = group;
    if (first === undefined) continue;
    const { format, name, annotations } = first;
    const image = await openDockerDigest(name, digest, world.registries);
    // it may be gone since it was judged; and what is signed are bytes that are there
    if (!isSeen) await image.manifest();
    isSeen = true;
    const stores = await world.stores(image);
    const places = placesOf([planFor(plan, format)], { image, stores }, world);
    const identities = group.map(({ identity }) => identity);
    const job = { image, stores, places, targets: [digest], identities };
    const made = await signTargets(job, Object.keys(annotations).length > 0 ? { annotations } : {}, world);
    for (const [index, { location }] of made.entries()) {
      const planned = group[index];
      if (planned !== undefined) done.set(planned, location);
    }
    if (made.length === group.length) continue;
    throw new BullaError('store.hides-attachment', 'a bundle would hide what somebody else has signed');
  }
}

/** One format of one name's stores, and what is said besides. */
function groupOf({ format, name, annotations }: PlannedSignature): string {
  return JSON.stringify([format, formatReference(name), annotations]);
}
