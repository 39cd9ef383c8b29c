/** Which section of registries.d answers for an image, each matter by itself. */
import { BullaError } from '../base/errors.ts';
import { printable } from '../base/bytes.ts';
import { type Reference, repositoryOf } from '../base/reference.ts';
import type { RegistriesD, Section, Setting } from './registries-d.ts';

/** What said so, for people: a file's scope and key, or nothing but the built-in default. */
export type Origin =
  | { readonly kind: 'file'; readonly file: string; readonly scope: string; readonly key: string }
  | { readonly kind: 'built-in' }
  /** Named on the command line. */
  | { readonly kind: 'argument'; readonly text: string };

/** A lookaside's base URL as configured: `https://sigs.example.com`, `file:///srv/sigs/`. */
export type LookasideBase = { readonly url: string; readonly from: Origin };

export type LookasideConfiguration = {
  readonly read: LookasideBase;
  readonly write: LookasideBase;
  readonly useSigstoreAttachments: boolean;
  readonly attachmentsFrom: Origin;
};

/**
 * Finds the lookaside of an image. Most specific first: the reference with its tag or digest, the
 * repository, its parent namespaces, the host with its port, `*.` wildcards of the host without
 * port, `default-docker`, the built-in folder. A scope that does not say a thing leaves it to the
 * next one, even where it says another.
 * @param reference the physical one: a mirror's, where the image was read from a mirror
 * @throws BullaError `registries-d.malformed` where the URL that answers is none
 */
export function lookupLookaside(config: RegistriesD, reference: Reference): LookasideConfiguration {
  const sections = sectionsFor(config, reference);
  const attachments = sections.find((each) => each.useSigstoreAttachments !== undefined);
  return {
    read: baseOf(config, sections, (section) => section.read),
    write: baseOf(config, sections, (section) => section.write),
    useSigstoreAttachments: attachments?.useSigstoreAttachments ?? false,
    attachmentsFrom:
      attachments === undefined ? { kind: 'built-in' } : originOf(attachments, 'use-sigstore-attachments'),
  };
}

function sectionsFor(config: RegistriesD, reference: Reference): readonly Section[] {
  const scoped = lookasideScopes(reference).map((scope) => config.docker.get(scope));
  return [...scoped, config.defaultDocker].filter((each) => each !== undefined);
}

/** The scopes that an image may be configured by, most specific first. */
export function lookasideScopes(reference: Reference): readonly string[] {
  const repository = repositoryOf(reference);
  const scopes: string[] = [];
  if (reference.digest !== undefined) scopes.push(`${repository}@${reference.digest}`);
  else if (reference.tag !== undefined) scopes.push(`${repository}:${reference.tag}`);
  for (let end = repository.length; end > 0; end = repository.lastIndexOf('/', end - 1)) {
    scopes.push(repository.slice(0, end));
  }
  // containers/image cuts at the first colon, so an IPv6 address has no wildcards
  const labels = (reference.domain.split(':')[0] ?? '').split('.');
  return [...scopes, ...labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`)];
}

function baseOf(
  config: RegistriesD,
  sections: readonly Section[],
  settingOf: (section: Section) => Setting | undefined,
): LookasideBase {
  for (const section of sections) {
    const setting = settingOf(section);
    if (setting === undefined) continue;
    const from = originOf(section, setting.key);
    if (URL.parse(setting.url) === null && /^[^/?#]*:/.test(setting.url)) throw badUrl(setting.url, from);
    return { url: setting.url, from };
  }
  return { url: config.builtIn, from: { kind: 'built-in' } };
}

function originOf(section: Section, key: string): Origin {
  return { kind: 'file', file: section.file, scope: section.scope, key };
}

/** `lookaside of registry.example.com/ns in /etc/containers/registries.d/a.yaml`, for messages and --explain. */
export function describeOrigin(origin: Origin): string {
  if (origin.kind === 'built-in') return 'the built-in default';
  if (origin.kind === 'argument') return `the argument "${printable(origin.text)}"`;
  return `${origin.key} of ${printable(origin.scope)} in ${printable(origin.file)}`;
}

function badUrl(url: string, from: Origin): BullaError {
  return new BullaError(
    'registries-d.malformed',
    `"${printable(url)}" is not a URL (${describeOrigin(from)})`,
    { hint: 'a lookaside reads https://host/path or file:///path' },
  );
}
