/**
 * `--digests FILE`: which images somebody knows to be good, from a record that whoever stole a key cannot have written. One line an
 * image: `sha256:…`, `REPOSITORY[:TAG]@sha256:…`, or a name and its digest; `#` begins a remark.
 */
import { printable, textOf } from '../../base/bytes.ts';
import { algorithmOf, type Digest, tryParseDigest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { repositoryOf, tryParseReference, withDigest, type Reference } from '../../base/reference.ts';
import { readBoundedFile } from '../../io/files.ts';

export type DigestRecord = {
  /** Digests that no repository is named with: they count wherever they are found. */
  readonly anywhere: ReadonlySet<Digest>;
  /** Each as `repository@digest`, once. */
  readonly named: readonly Reference[];
  /**
   * What the record says of an image by these digests, its own and those of lists that name it, in that repository (`domain/path`).
   * @returns undefined where it has none of them; else for which names it vouches, as text; `any` where a line names no tag
   */
  readonly namesOf: (
    repository: string,
    digests: readonly Digest[],
  ) => ReadonlySet<string> | 'any' | undefined;
};

/** @throws BullaError `resign.digests-malformed`, `io.*` */
export async function readDigestRecord(path: string): Promise<DigestRecord> {
  const text = textOf(await readBoundedFile(path, limits.digestRecordBytes));
  if (text === undefined) throw new BullaError('resign.digests-malformed', `${path} is not UTF-8 text`);
  return parseDigestRecord(text, path);
}

/**
 * One bad line refuses the whole record: what it was to say is not known.
 * @param path names it in errors
 * @throws BullaError `resign.digests-malformed`
 */
export function parseDigestRecord(text: string, path: string): DigestRecord {
  const anywhere = new Set<Digest>();
  const named = new Map<string, Named>();
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.trim();
    if (words === '' || words.startsWith('#')) continue;
    const entry = parseLine(words);
    if (entry === undefined)
      throw malformed(`${path}:${index + 1}: "${printable(words, 120)}" names no image`);
    if (entry.repository === undefined) anywhere.add(entry.digest);
    else addNamed(entry.repository, entry.digest, named);
  }
  if (anywhere.size + named.size === 0) throw malformed(`${path} names no image`);
  return {
    anywhere,
    named: [...named.values()].map(({ image }) => image),
    namesOf: (repository, digests) => {
      if (digests.some((digest) => anywhere.has(digest))) return 'any';
      const found = digests.flatMap((digest) => named.get(keyOf(repository, digest)) ?? []);
      if (found.length === 0) return undefined;
      return found.some(({ isForAny }) => isForAny)
        ? 'any'
        : new Set(found.flatMap(({ names }) => [...names]));
    },
  };
}

/** One repository and digest, and the tags that lines give it. */
type Named = { readonly image: Reference; isForAny: boolean; readonly names: Set<string> };

function addNamed(reference: Reference, digest: Digest, all: Map<string, Named>): void {
  const image = withDigest(reference, digest);
  const key = keyOf(repositoryOf(reference), digest);
  const known = all.get(key) ?? { image, isForAny: false, names: new Set() };
  all.set(key, known);
  if (reference.tag === undefined) known.isForAny = true;
  else known.names.add(`${repositoryOf(reference)}:${reference.tag}`);
}

type Entry = { readonly digest: Digest; readonly repository?: Reference };

function parseLine(line: string): Entry | undefined {
  const [first = '', second, ...more] = line.split(/\s+/);
  if (more.length > 0) return undefined;
  const name = first.replace(/^docker:\/\//, '');
  if (second !== undefined) {
    const [reference, digest] = [tryParseReference(name), sha256Of(second)];
    if (reference === undefined || digest === undefined) return undefined;
    const agrees = reference.digest === undefined || reference.digest === digest;
    return agrees ? { digest, repository: reference } : undefined;
  }
  const alone = sha256Of(name);
  if (alone !== undefined) return { digest: alone };
  const reference = tryParseReference(name);
  const digest = sha256Of(reference?.digest ?? '');
  return reference === undefined || digest === undefined ? undefined : { digest, repository: reference };
}

/** Nothing else is in a signature that counts. */
function sha256Of(text: string): Digest | undefined {
  const digest = tryParseDigest(text);
  return digest !== undefined && algorithmOf(digest) === 'sha256' ? digest : undefined;
}

function keyOf(repository: string, digest: Digest): string {
  return `${repository}@${digest}`;
}

function malformed(what: string): BullaError {
  return new BullaError('resign.digests-malformed', what, {
    hint: 'a line reads sha256:…, REPOSITORY@sha256:…, or a name and its digest; # begins a remark',
  });
}
