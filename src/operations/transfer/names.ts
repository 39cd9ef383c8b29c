/** Which names the images of a transfer bundle get where they are loaded, and what a policy must say then. */
import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import { type Reference, repositoryOf, tryParseReference } from '../../base/reference.ts';
import { referenceText, type TransferImage } from './format.ts';

/** Where images are loaded: a registry or a namespace in it, a layout, a folder of folders. */
export type LoadTarget =
  /** `host[:port][/namespace]` */
  | { readonly transport: 'docker'; readonly prefix: string }
  | { readonly transport: 'oci' | 'dir'; readonly path: string };

export type NameRules = {
  /** The host stays in the name, as skopeo sync's `--scoped` has it. */
  readonly scoped?: boolean;
  /** Prefixes of names, host included, and what stands for them below the target; the longest that fits counts. */
  readonly map?: readonly { readonly from: string; readonly to: string }[];
};

export type Loading = { readonly image: TransferImage; readonly destination: ImageName };

/**
 * Names every image of the bundle.
 * @throws BullaError `transfer.name-clash` (two images get one name), `usage.invalid` (no name comes of it; a mapping that fits none)
 */
export function nameLoadings(
  images: readonly TransferImage[],
  target: LoadTarget,
  rules: NameRules,
): readonly Loading[] {
  const unused = (rules.map ?? []).find(({ from }) => !images.some((each) => fits(from, each.reference)));
  if (unused !== undefined)
    throw new BullaError('usage.invalid', `--map ${unused.from}: no image of the bundle has such a name`);
  const taken = new Map<string, TransferImage>();
  return images.map((image) => {
    const destination = destinationOf(image.reference, target, rules);
    const name = formatImageName(destination);
    const other = taken.get(name);
    if (other !== undefined) {
      throw new BullaError(
        'transfer.name-clash',
        `${referenceText(other.reference)} and ${referenceText(image.reference)} would both be ${name}`,
        { hint: 'give --scoped, which keeps the host in the name, or --map OLD=NEW for one of them' },
      );
    }
    taken.set(name, image);
    return { image, destination };
  });
}

function fits(prefix: string, reference: Reference): boolean {
  const repository = repositoryOf(reference);
  return repository === prefix || repository.startsWith(`${prefix}/`);
}

/** The name below the target, without tag and digest. */
function pathOf(reference: Reference, { scoped = false, map = [] }: NameRules): string {
  const [rule] = map
    .filter(({ from }) => fits(from, reference))
    .toSorted((a, b) => b.from.length - a.from.length);
  const repository = repositoryOf(reference);
  if (rule !== undefined) return joined(rule.to, repository.slice(rule.from.length + 1));
  // a path has no colon and no upper case
  return scoped ? joined(reference.domain.replace(':', '-').toLowerCase(), reference.path) : reference.path;
}

function joined(...parts: readonly string[]): string {
  return parts.filter((each) => each !== '').join('/');
}

function destinationOf(reference: Reference, target: LoadTarget, rules: NameRules): ImageName {
  const path = pathOf(reference, rules);
  const { digest, tag = 'latest' } = reference;
  const ending = digest === undefined ? `:${tag}` : `@${digest}`;
  // a mapping is no way out of a folder
  if (tryParseReference(`any.host/${path}`)?.path !== path) throw noName(reference, `${path}${ending}`);
  switch (target.transport) {
    case 'docker': {
      const text = `${joined(target.prefix, path)}${ending}`;
      const parsed = tryParseReference(text);
      // what looks like no host would be taken for a repository of docker.io
      if (parsed !== undefined && repositoryOf(parsed) === joined(target.prefix, path))
        return { transport: 'docker', reference: parsed };
      throw noName(reference, text);
    }
    case 'oci':
      return { transport: 'oci', path: target.path, name: `${path}${ending}` };
    case 'dir':
      return { transport: 'dir', path: joined(target.path.replace(/\/+$/, ''), `${path}${ending}`) };
  }
}

function noName(reference: Reference, text: string): BullaError {
  return new BullaError(
    'usage.invalid',
    `${referenceText(reference)} would be "${printable(text)}", which is no image’s name`,
  );
}

/** `signedIdentity` of a policy that is to accept the old names' signatures under the new ones. */
export type Remap = {
  readonly type: 'remapIdentity';
  readonly prefix: string;
  readonly signedPrefix: string;
};

/**
 * Each pair of prefixes once: what old and new names have in common at their ends is left out. Where one new prefix stood for
 * several old ones, which no requirement can say, the whole names stand.
 */
export function remapsOf(loadings: readonly Loading[]): readonly Remap[] {
  const pairs = loadings.flatMap(({ image, destination }) => {
    if (destination.transport !== 'docker') return [];
    const [now, before] = [repositoryOf(destination.reference), repositoryOf(image.reference)];
    return now === before ? [] : [{ now, before, short: differing(now.split('/'), before.split('/')) }];
  });
  const before = Map.groupBy(pairs, ({ short }) => short.prefix);
  const remaps = pairs.map(({ short, ...names }): Remap => {
    const olds = new Set(before.get(short.prefix)?.map((each) => each.short.signedPrefix));
    return olds.size === 1 ? short : { ...short, prefix: names.now, signedPrefix: names.before };
  });
  return [...new Map(remaps.map((each) => [`${each.prefix} ${each.signedPrefix}`, each])).values()];
}

function differing(now: readonly string[], before: readonly string[]): Remap {
  let same = 0;
  // a host is not part of what is the same: it ends no name
  while (same < Math.min(now.length, before.length) - 1 && now.at(-1 - same) === before.at(-1 - same))
    same += 1;
  return {
    type: 'remapIdentity',
    prefix: now.slice(0, now.length - same).join('/'),
    signedPrefix: before.slice(0, before.length - same).join('/'),
  };
}
