/** The identity rule where nobody has named one, for signatures judged by keys or certificates given by hand. */
import { isNameOnly, tryParseReference } from '../base/reference.ts';
import { defaultIdentity, type SignedIdentity } from './requirement.ts';

/**
 * As a policy has it by default (matchRepoDigestOrExact), so that a signature made for another image of the repository does not
 * pass; one that names a repository only, as cosign makes them, counts for all of it.
 */
export function claimedIdentity(dockerReference: string): SignedIdentity {
  const reference = tryParseReference(dockerReference);
  return reference !== undefined && isNameOnly(reference) ? { type: 'matchRepository' } : defaultIdentity;
}
