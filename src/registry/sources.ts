/** Where a reference is really read from: registries.conf applied. */
import { BullaError } from '../base/errors.ts';
import { formatReference, type Reference, repositoryOf, tryParseReference } from '../base/reference.ts';
import type { RegistriesConf, RegistryEntry } from './registries-conf.ts';

/** One place to read from. */
export type Source = {
  /** The physical reference: it names the host, the lookaside path and the attachments. */
  readonly reference: Reference;
  /** What registries.conf says; `--tls-verify` overrides it. */
  readonly insecure: boolean;
  /** The prefix whose entry blocks it: it is never contacted. */
  readonly blockedBy?: string;
};

/**
 * The places to read a reference from, mirrors first, its own last. A blocked registry is still read
 * from its mirrors: that is how OpenShift says "never contact the source".
 * @throws BullaError `registries-conf.malformed` (a rewritten name that is none)
 */
export function sourcesOf(reference: Reference, conf: RegistriesConf): readonly [Source, ...Source[]] {
  const entry = entryFor(reference, conf);
  if (entry === undefined) return [place(reference, false, conf)];
  const digested = reference.digest !== undefined;
  const mirrors = entry.mirrors
    .filter((each) => {
      if (entry.mirrorByDigestOnly) return digested;
      return each.pullFromMirror === 'all' || (each.pullFromMirror === 'digest-only') === digested;
    })
    .map((each) => place(rewrite(reference, entry.prefix, each.location), each.insecure, conf));
  // blocked under the name it was asked for, wherever its location then points
  const own = place(rewrite(reference, entry.prefix, entry.location), entry.insecure, conf, entry);
  const [first, ...rest] = [...mirrors, own];
  return [first ?? own, ...rest];
}

/** Where a reference is written: itself, for mirrors and locations are for reading. */
export function destinationOf(reference: Reference, conf: RegistriesConf): Source {
  const entry = entryFor(reference, conf);
  return place(reference, entry?.insecure ?? false, conf, entry);
}

function place(reference: Reference, insecure: boolean, conf: RegistriesConf, entry?: RegistryEntry): Source {
  const blocking = [entry, entryFor(reference, conf)].find((each) => each?.blocked === true);
  return { reference, insecure, ...(blocking !== undefined && { blockedBy: blocking.prefix }) };
}

/** @throws BullaError `registry.blocked` */
export function refuseBlocked(source: Source): void {
  if (source.blockedBy === undefined) return;
  const name = formatReference(source.reference);
  throw new BullaError('registry.blocked', `${name}: registries.conf blocks ${source.blockedBy}`);
}

/** The entry with the longest matching prefix; repositories are matched, so no tag or digest takes part. */
function entryFor(reference: Reference, conf: RegistriesConf): RegistryEntry | undefined {
  const name = repositoryOf(reference);
  let best: RegistryEntry | undefined;
  let longest = 0;
  for (const entry of conf.registries) {
    const length = matchedLength(name, entry.prefix);
    if (length > longest) {
      longest = length;
      best = entry;
    }
  }
  return best;
}

/** How much of the reference a prefix takes up, or 0 where it does not match. */
export function matchedLength(reference: string, prefix: string): number {
  const wildcard = prefix.startsWith('*.');
  const literal = wildcard ? prefix.slice(1) : prefix;
  const start = wildcard ? reference.indexOf(literal) : reference.startsWith(literal) ? 0 : -1;
  // a wildcard stands for labels of the host, never for parts of the path
  if (start < 0 || (wildcard && (start === 0 || reference.slice(0, start).includes('/')))) return 0;
  const end = start + literal.length;
  const next = reference[end];
  return next === undefined || next === ':' || next === '/' || next === '@' ? end : 0;
}

function rewrite(reference: Reference, prefix: string, location: string): Reference {
  if (location === '') return reference;
  const text = formatReference(reference);
  const rewritten = `${location}${text.slice(matchedLength(text, prefix))}`;
  const parsed = tryParseReference(rewritten);
  // what Docker's normalisation would change is no full name: nothing may be added to a location
  if (parsed !== undefined && formatReference(parsed) === rewritten) return parsed;
  throw new BullaError(
    'registries-conf.malformed',
    `registries.conf turns ${text} into ${rewritten}, which is no image name`,
  );
}
