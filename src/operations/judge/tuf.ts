/**
 * The Update Framework (TUF specification 1.0), by which sigstore instances hand out whom to believe. `@sigstore/tuf` does the
 * work; here is what it leaves open: where its cache is, when the network is asked, and what is told of it.
 *
 * Loading the package costs more than a verification, so what the cache holds and still holds good is read without it: a
 * target must have the hash that the cached targets.json gives it, and timestamp.json must not have expired.
 */
import { join } from 'node:path';

import { printable, textOf } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { crypto, requireJson } from '../../base/node.ts';
import { makeFolder, readBoundedFile, readFileIfThere } from '../../io/files.ts';
import { takeLock } from '../../io/lock.ts';
import { type SystemEnvironment, variable } from '../../registry/environment.ts';

/** sigstore's public instance. Its first root comes with `@sigstore/tuf`. */
export const publicMirror = 'https://tuf-repo-cdn.sigstore.dev';

export type TufRepository = {
  readonly mirror: string;
  /** The root.json to begin with; only the public instance does without. */
  readonly rootFile?: string;
};

/** A target, and until when its metadata are fresh (milliseconds since 1970). */
export type TufTarget = { readonly bytes: Uint8Array; readonly freshUntil: number };

/** `$XDG_CACHE_HOME/bulla/tuf`, one folder a repository, called as `@sigstore/tuf` calls it. */
export function tufFolder(environment: SystemEnvironment, { mirror }: TufRepository): string {
  const cache = variable(environment, 'XDG_CACHE_HOME') ?? join(environment.home, '.cache');
  const url = parseMirror(mirror);
  return join(cache, 'bulla/tuf', encodeURIComponent(url.host + url.pathname.replace(/\/$/, '')));
}

function parseMirror(mirror: string): URL {
  const url = URL.canParse(mirror) ? new URL(mirror) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '')
    return url;
  throw new BullaError('usage.invalid', `"${printable(mirror)}" is no URL of a TUF repository`);
}

/**
 * A target as it was fetched last; undefined where it never was, or the cache is damaged. It may be stale: see `freshUntil`.
 * Nothing is connected to.
 */
export async function readCachedTarget(
  environment: SystemEnvironment,
  repository: TufRepository,
  name: string,
): Promise<TufTarget | undefined> {
  const folder = tufFolder(environment, repository);
  const read = (path: string): Promise<Uint8Array | undefined> =>
    readFileIfThere(join(folder, path), limits.tufBytes);
  const [timestamp, targets, bytes] = await Promise.all([
    read('timestamp.json'),
    read('targets.json'),
    read(join('targets', encodeURIComponent(name))),
  ]);
  if (timestamp === undefined || targets === undefined || bytes === undefined) return undefined;
  const hash = crypto.createHash('sha256').update(bytes).digest('hex');
  if (at(targets, 'signed', 'targets', name, 'hashes', 'sha256') !== hash) return undefined;
  const freshUntil = Date.parse(String(at(timestamp, 'signed', 'expires')));
  return Number.isNaN(freshUntil) ? undefined : { bytes, freshUntil };
}

function at(json: Uint8Array, ...path: readonly string[]): unknown {
  try {
    let value: unknown = JSON.parse(textOf(json) ?? '');
    for (const key of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
      value = (value as Readonly<Record<string, unknown>>)[key];
    }
    return value;
  } catch {
    return undefined;
  }
}

/**
 * Refreshes a repository's metadata over the network, and gives a target.
 * @throws BullaError `tuf.unreachable`, `tuf.refused` (rollback, expired or unsigned metadata), `usage.invalid`, `io.*`
 */
export async function fetchTarget(
  environment: SystemEnvironment,
  repository: TufRepository,
  name: string,
): Promise<TufTarget> {
  const folder = tufFolder(environment, repository);
  const { mirror, rootFile } = repository;
  if (rootFile === undefined && mirror !== publicMirror && (await isUnknown(folder))) {
    throw new BullaError('usage.invalid', `nothing is known of ${printable(mirror)} yet`, {
      hint: 'name its first root.json by --tuf-root; it is what everything else is believed by',
    });
  }
  // missing or unreadable is told as that
  if (rootFile !== undefined) await readBoundedFile(rootFile, limits.tufBytes);
  await makeFolder(folder, 0o700);
  await using _lock = await takeLock(`${folder}.lock`, folder);
  const { initTUF } = await import('@sigstore/tuf');
  try {
    const client = await initTUF({
      cachePath: join(folder, '..'),
      mirrorURL: mirror,
      retry: { retries: 1 },
      timeout: 20_000,
      // a root that is named is begun with anew; what is fetched is still compared with what was seen before
      ...(rootFile !== undefined && { rootPath: rootFile, forceInit: true }),
    });
    await client.getTarget(name);
  } catch (error) {
    throw tufError(error, mirror);
  }
  const fetched = await readCachedTarget(environment, repository, name);
  if (fetched !== undefined) return fetched;
  throw new BullaError('tuf.refused', `${printable(mirror)} has no usable ${printable(name)}`);
}

async function isUnknown(folder: string): Promise<boolean> {
  return (await readFileIfThere(join(folder, 'root.json'), limits.tufBytes)) === undefined;
}

/** `@sigstore/tuf` gives classes of errors; what TUF refuses must not read like a network that is down. */
function tufError(error: unknown, mirror: string): BullaError {
  if (isBullaError(error)) return error;
  const causes = causesOf(error);
  const refused = causes.find(({ name, message }) => isRefusal(name, message));
  const why = printable((refused ?? causes.at(-1))?.message ?? String(error), 300);
  const where = printable(mirror);
  return refused === undefined
    ? new BullaError('tuf.unreachable', `${where} cannot be read: ${why}`, {
        cause: error,
        hint: '--offline goes by what was fetched last; --trusted-root FILE needs no network',
      })
    : new BullaError('tuf.refused', `${where} is refused: ${why}`, { cause: error });
}

const refusals = new Set([
  'RepositoryError',
  'BadVersionError',
  'EqualVersionError',
  'ExpiredMetadataError',
  'LengthOrHashMismatchError',
  'UnsignedMetadataError',
  'DownloadLengthMismatchError',
  'CryptoError',
  'ValueError',
  'RuntimeError',
  'SyntaxError',
]);

function isRefusal(name: string, message: string): boolean {
  return refusals.has(name) || /expired|rollback|version|signature|hash/i.test(message);
}

function causesOf(error: unknown): readonly { readonly name: string; readonly message: string }[] {
  const causes: { name: string; message: string }[] = [];
  for (let each = error; each instanceof Error && causes.length < 8; each = each.cause) {
    causes.push({ name: each.constructor.name, message: each.message });
  }
  return causes;
}

/** A target of the public instance as it came with Bulla (in `@sigstore/tuf`); undefined for one that did not. */
export function readEmbeddedTarget(name: string): TufTarget | undefined {
  const seeds = requireJson('@sigstore/tuf/seeds.json', import.meta.url) as Readonly<
    Record<string, { readonly 'root.json': string; readonly targets: Readonly<Record<string, string>> }>
  >;
  const seed = seeds[publicMirror];
  const target = seed?.targets[name];
  if (seed === undefined || target === undefined) return undefined;
  const root = new Uint8Array(Buffer.from(seed['root.json'], 'base64'));
  const freshUntil = Date.parse(String(at(root, 'signed', 'expires')));
  return { bytes: new Uint8Array(Buffer.from(target, 'base64')), freshUntil };
}
