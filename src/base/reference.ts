/**
 * Docker references, normalised as containers/image does it: `busybox` is
 * `docker.io/library/busybox`, `index.docker.io` is `docker.io`. Like it, and unlike newer releases
 * of distribution/reference, this takes neither IPv6 hosts nor upper case as the mark of a host.
 */
import { printable } from './bytes.ts';
import { type Digest, tryParseDigest } from './digest.ts';
import { BullaError } from './errors.ts';

/** A normalised reference. Name-only references have neither tag nor digest. */
export type Reference = {
  /** `host` or `host:port`; never empty. */
  readonly domain: string;
  /** The repository's path in the registry: `library/busybox`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
};

const alphanumeric = '[a-z0-9]+';
const component = `${alphanumeric}(?:(?:[._]|__|-+)${alphanumeric})*`;
const domainLabel = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const domainText = `${domainLabel}(?:\\.${domainLabel})*(?::[0-9]+)?`;
const domainPattern = new RegExp(`^${domainText}$`);
const pathPattern = new RegExp(`^${component}(?:/${component})*$`);
const tagPattern = /^\w[\w.-]{0,127}$/;
/** Of host and path together. */
const longestName = 255;
const longestReference = 1024;

/** Parses a Docker reference, or gives undefined where it is none. */
export function tryParseReference(text: string): Reference | undefined {
  // 64 hexadecimal digits are an image ID, never a name
  if (text.length > longestReference || /^[a-f0-9]{64}$/.test(text)) return undefined;
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : tryParseDigest(text.slice(at + 1));
  if (at >= 0 && digest === undefined) return undefined;
  const { domain, rest } = splitDomain(at < 0 ? text : text.slice(0, at));
  const colon = rest.indexOf(':');
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  const name = colon < 0 ? rest : rest.slice(0, colon);
  const path = domain === 'docker.io' && !name.includes('/') ? `library/${name}` : name;
  if (
    !domainPattern.test(domain) ||
    !pathPattern.test(path) ||
    domain.length + 1 + path.length > longestName
  ) {
    return undefined;
  }
  if (tag !== undefined && !tagPattern.test(tag)) return undefined;
  return { domain, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

/** What stands before the first slash is a host only if it looks like one; else the host is docker.io. */
function splitDomain(name: string): { domain: string; rest: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = slash >= 0 && (/[.:]/.test(first) || first === 'localhost');
  if (!isHost) return { domain: 'docker.io', rest: name };
  return { domain: first === 'index.docker.io' ? 'docker.io' : first, rest: name.slice(slash + 1) };
}

/** Parses a Docker reference or throws `reference.malformed`. */
export function parseReference(text: string): Reference {
  const reference = tryParseReference(text);
  if (reference !== undefined) return reference;
  // user:password@host/path, as other programs take it
  const shown = printable(text.replace(/^[^/]+:.*@(?=[^@]*\/)/s, '…@'));
  throw new BullaError('reference.malformed', `"${shown}" is not an image reference`, {
    hint: 'a reference reads host[:port]/path[:tag|@sha256:…], its path in lower case',
  });
}

/** `domain/path`: the repository, which is what name-only references and scopes name. */
export function repositoryOf(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The whole reference as text, fully expanded. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
  return `${repositoryOf(reference)}${tag}${digest}`;
}

export function isNameOnly(reference: Reference): boolean {
  return reference.tag === undefined && reference.digest === undefined;
}

/** The same repository, by that digest. */
export function withDigest(reference: Reference, digest: Digest): Reference {
  return { domain: reference.domain, path: reference.path, digest };
}
