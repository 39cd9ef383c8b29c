/** Can a scope under `docker` apply to any image at all? (containers-policy.json.5, "docker:") */
import {
  formatReference,
  isNameOnly,
  type Reference,
  repositoryOf,
  tryParseReference,
} from '../base/reference.ts';

/** Why no image is ever under a scope, and the scope that was probably meant. */
export type Unreachable = { readonly why: string; readonly instead?: string };

/**
 * Says why a scope never applies, or undefined where it can: as a whole reference, a repository,
 * a namespace, a host[:port], or `*.` before the end of a host's name.
 */
export function unreachableScope(scope: string): Unreachable | undefined {
  if (scope === '' || isPrefix(scope) || isWildcard(scope)) return undefined;
  const reference = tryParseReference(scope);
  if (reference !== undefined && isReference(reference, scope)) return undefined;
  if (reference?.tag !== undefined && reference.digest !== undefined) {
    return {
      why: 'an image is named by its tag or its digest, never by both',
      instead: withoutTag(reference),
    };
  }
  const why = whyNot(scope, reference);
  const instead = insteadOf(scope, reference);
  return instead === undefined || instead === scope ? { why } : { why, instead };
}

// What stands in front of a longer reference that is already normalised is a prefix of references.
function isPrefix(scope: string): boolean {
  const longer = `${scope}/x/y`;
  const reference = tryParseReference(longer);
  return reference !== undefined && formatReference(reference) === longer;
}

function isWildcard(scope: string): boolean {
  return scope.startsWith('*.') && !/[:/]/.test(scope) && isPrefix(`x.${scope.slice(2)}`);
}

function isReference(reference: Reference, scope: string): boolean {
  const both = reference.tag !== undefined && reference.digest !== undefined;
  return !isNameOnly(reference) && !both && formatReference(reference) === scope;
}

function withoutTag({ domain, path, digest }: Reference): string {
  return `${domain}/${path}@${digest ?? ''}`;
}

function whyNot(scope: string, reference: Reference | undefined): string {
  if (/^[a-z]+:\/\//.test(scope)) return 'a scope is no URL';
  if (scope.endsWith('/')) return 'a scope does not end with a slash';
  if (scope.includes('*')) return 'a wildcard is only *. before the end of a host, without port and path';
  if (reference !== undefined) return 'scopes are compared with whole names, host first';
  return 'no image has such a name';
}

function insteadOf(scope: string, reference: Reference | undefined): string | undefined {
  const plain = scope.replace(/^[a-z]+:\/\//, '').replace(/\/+$/, '');
  if (plain !== scope) return plain !== '' && unreachableScope(plain) === undefined ? plain : undefined;
  if (scope === 'index.docker.io') return 'docker.io';
  return reference === undefined ? undefined : formatReference(reference);
}

/** `docker.io/busybox` is the organisation of that name; the image is `docker.io/library/busybox`. */
export function officialImageMeant(scope: string): string | undefined {
  const reference = /^docker\.io\/[^/:@]+$/.test(scope) ? tryParseReference(scope) : undefined;
  return reference && repositoryOf(reference);
}
