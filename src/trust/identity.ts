/**
 * Is the name inside a signature the image's name? The six rules of containers-policy.json.5,
 * signedIdentity. Names are compared after Docker's normalisation (`busybox` is
 * `docker.io/library/busybox`); what is no reference matches nothing.
 */
import { printable } from '../base/bytes.ts';
import {
  formatReference,
  isNameOnly,
  type Reference,
  repositoryOf,
  tryParseReference,
} from '../base/reference.ts';
import type { SignedIdentity } from './requirement.ts';

/** A refusal's message names what was found, what was wanted, and which rule would take it. */
export type Match = { readonly ok: true } | { readonly ok: false; readonly message: string };

const matched: Match = { ok: true };

/**
 * Compares the name in a signature with the image's by one rule.
 * @param intended the image's Docker reference as the user gave it; undefined for dir:, oci: and the like
 * @param signed the docker-reference of the signature's payload, cryptographically verified
 */
export function matchIdentity(rule: SignedIdentity, intended: Reference | undefined, signed: string): Match {
  const claimed = tryParseReference(signed);
  if (claimed === undefined)
    return refuse(`the signature names "${printable(signed)}", which is no image reference`);
  switch (rule.type) {
    case 'exactReference':
      return matchConfigured(claimed, rule.dockerReference, 'exactReference');
    case 'exactRepository':
      return matchConfigured(claimed, rule.dockerRepository, 'exactRepository');
    case 'matchExact':
      return intended === undefined ? nameless(claimed) : matchExact(claimed, intended);
    case 'matchRepoDigestOrExact':
      return intended === undefined ? nameless(claimed) : matchDefault(claimed, intended);
    case 'matchRepository':
      return intended === undefined ? nameless(claimed) : matchRepository(claimed, intended);
    case 'remapIdentity':
      return intended === undefined ? nameless(claimed) : matchRemapped(claimed, intended, rule);
  }
}

function matchExact(claimed: Reference, intended: Reference): Match {
  if (isNameOnly(intended)) return tagless(claimed, intended);
  if (isNameOnly(claimed)) return differ(claimed, intended);
  return same(claimed, intended) ? matched : differ(claimed, intended);
}

function matchDefault(claimed: Reference, intended: Reference): Match {
  if (intended.tag !== undefined) return matchExact(claimed, intended);
  if (isNameOnly(intended)) return tagless(claimed, intended);
  // by digest: that the signature's digest is the manifest's has been checked before
  return !isNameOnly(claimed) && sameRepository(claimed, intended) ? matched : differ(claimed, intended);
}

function matchRepository(claimed: Reference, intended: Reference): Match {
  return sameRepository(claimed, intended) ? matched : differ(claimed, intended);
}

function matchConfigured(
  claimed: Reference,
  configured: string,
  rule: 'exactReference' | 'exactRepository',
): Match {
  // the parser let no other text pass; what is none matches nothing
  const wanted = tryParseReference(configured);
  if (wanted === undefined) return refuse(`"${printable(configured)}" in the policy is no image reference`);
  const holds = rule === 'exactReference' ? same(claimed, wanted) : sameRepository(claimed, wanted);
  if (holds) return matched;
  const name = rule === 'exactReference' ? formatReference(wanted) : repositoryOf(wanted);
  return refuse(`signed for ${formatReference(claimed)}, the policy's ${rule} wants ${name}`);
}

type Remap = Extract<SignedIdentity, { type: 'remapIdentity' }>;

function matchRemapped(claimed: Reference, intended: Reference, rule: Remap): Match {
  const repository = repositoryOf(intended);
  if (repository !== rule.prefix && !repository.startsWith(`${rule.prefix}/`)) {
    return matchRemappedName(claimed, intended, rule);
  }
  const text = `${rule.signedPrefix}${formatReference(intended).slice(rule.prefix.length)}`;
  const wanted = tryParseReference(text);
  // a short name or an alias ("busybox", "index.docker.io") would be expanded: containers/image matches nothing then
  if (wanted === undefined || formatReference(wanted) !== text) {
    return refuse(
      `remapIdentity turns ${repository} into "${printable(text)}", which is no complete reference`,
    );
  }
  const match = matchRemappedName(claimed, wanted, rule);
  if (match.ok) return match;
  return refuse(`${match.message} (${formatReference(intended)} by remapIdentity)`);
}

function matchRemappedName(claimed: Reference, wanted: Reference, { match }: Remap): Match {
  if (match === 'matchExact') return matchExact(claimed, wanted);
  return match === 'matchRepository' ? matchRepository(claimed, wanted) : matchDefault(claimed, wanted);
}

function same(a: Reference, b: Reference): boolean {
  return sameRepository(a, b) && a.tag === b.tag && a.digest === b.digest;
}

function sameRepository(a: Reference, b: Reference): boolean {
  return a.domain === b.domain && a.path === b.path;
}

function differ(claimed: Reference, intended: Reference): Match {
  const what = `signed for ${formatReference(claimed)}, wanted ${formatReference(intended)}`;
  return refuse(`${what}: ${reasonFor(claimed, intended)}`);
}

function reasonFor(claimed: Reference, intended: Reference): string {
  if (!sameRepository(claimed, intended)) {
    return 'another repository, which remapIdentity or exactRepository in the policy can allow';
  }
  if (isNameOnly(claimed)) return 'the signature names no tag, which matchRepository in the policy allows';
  return 'another tag or digest of the repository, which matchRepository in the policy allows';
}

function tagless(claimed: Reference, intended: Reference): Match {
  return refuse(
    `signed for ${formatReference(claimed)}, wanted ${formatReference(intended)}: the image's name has neither tag nor digest to compare`,
  );
}

function nameless(claimed: Reference): Match {
  return refuse(
    `signed for ${formatReference(claimed)}, but the image has no Docker reference of its own to compare: name it with --as, or use exactReference or exactRepository in the policy`,
  );
}

function refuse(message: string): Match {
  return { ok: false, message };
}
