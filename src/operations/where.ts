/** WHERE: an image, a repository, or all of a namespace or registry. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { isNameOnly, type Reference, tryParseReference } from '../base/reference.ts';

export type Where =
  /** By a tag, a digest, or both. */
  | { readonly kind: 'image'; readonly reference: Reference }
  /** All tags of a repository; where there is no such repository, all repositories below that path. */
  | { readonly kind: 'repository'; readonly reference: Reference }
  /** All repositories at and below a path; the path "" is the whole registry. */
  | { readonly kind: 'namespace'; readonly domain: string; readonly path: string };

/**
 * `HOST`, `HOST/PATH/` (a namespace, and nothing else), `HOST/PATH` (a repository, else a namespace), `HOST/PATH:TAG` and
 * `HOST/PATH@DIGEST`, each with or without `docker://`. What has no slash is a host only where it looks like one.
 * @throws BullaError `reference.malformed`, `usage.unsupported`
 */
export function parseWhere(text: string): Where {
  const transport = /^([a-z-]+):(?!\d+(?:\/|$))/.exec(text)?.[1];
  const isDocker = text.startsWith('docker://');
  if (
    !isDocker &&
    transport !== undefined &&
    /^(?:oci|oci-archive|docker-archive|dir|containers-storage|docker-daemon|https?)$/.test(transport)
  ) {
    throw new BullaError('usage.unsupported', `"${printable(text)}" is in no registry`, {
      hint: 'images are looked for in registries: HOST, HOST/NAMESPACE, HOST/REPOSITORY',
    });
  }
  const name = isDocker ? text.slice('docker://'.length) : text;
  if (name.endsWith('/')) return namespaceOf(name.slice(0, -1), text);
  if (!name.includes('/')) {
    if (/^(?:localhost|[^:@]+\.[^:@]+)(?::\d+)?$/.test(name)) return namespaceOf(name, text);
  }
  const reference = tryParseReference(name);
  if (reference === undefined) throw malformed(text);
  return isNameOnly(reference) ? { kind: 'repository', reference } : { kind: 'image', reference };
}

function namespaceOf(name: string, text: string): Where {
  const slash = name.indexOf('/');
  const domain = slash < 0 ? name : name.slice(0, slash);
  const path = slash < 0 ? '' : name.slice(slash + 1);
  // a repository below it must be a name whose host is this and no other
  const below = tryParseReference([domain, path, 'x'].filter((part) => part !== '').join('/'));
  const isHost = below !== undefined && below.path === (path === '' ? 'x' : `${path}/x`) && isNameOnly(below);
  if (!isHost || (slash >= 0 && path === '')) throw malformed(text);
  return { kind: 'namespace', domain: below.domain, path };
}

function malformed(text: string): BullaError {
  return new BullaError(
    'reference.malformed',
    `"${printable(text)}" names no registry, namespace, repository or image`,
    {
      hint: 'write HOST[:PORT]/, HOST/NAMESPACE/, HOST/REPOSITORY or an image; a host without a dot needs the slash',
    },
  );
}

/** Whether a repository is at a path or below it; the path "" is the whole registry. */
export function isAtOrBelow({ domain, path }: Place, top: Place): boolean {
  return domain === top.domain && (top.path === '' || path === top.path || path.startsWith(`${top.path}/`));
}

/** Where in which registry. */
export type Place = Pick<Reference, 'domain' | 'path'>;
