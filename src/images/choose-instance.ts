/** Choosing one instance of an index, by containers/image's rules (its internal/pkg/platform). */
import type { Descriptor, Platform } from '../base/descriptor.ts';
import { BullaError } from '../base/errors.ts';
import { printable } from '../base/bytes.ts';
import type { IndexManifest } from '../base/manifest.ts';

/** Variants from most to least capable; a machine runs its own and all after it. */
const variantsOf: Readonly<Record<string, readonly string[]>> = {
  arm: ['v8', 'v7', 'v6', 'v5'],
  arm64: ['v8'],
};

/** Go's names for what Node calls otherwise. */
const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
};
const systems: Readonly<Record<string, string>> = { win32: 'windows', sunos: 'solaris' };

/**
 * The platform of this machine in Go's words. A caller that overrides the architecture drops the
 * variant, as containers/image does.
 */
export function hostPlatform(): Platform {
  const architecture = architectures[process.arch] ?? process.arch;
  const variant = hostVariant(architecture);
  return {
    os: systems[process.platform] ?? process.platform,
    architecture,
    ...(variant !== undefined && { variant }),
  };
}

function hostVariant(architecture: string): string | undefined {
  if (architecture === 'arm64') return 'v8';
  if (architecture !== 'arm') return undefined;
  const version: unknown = Reflect.get(process.config.variables, 'arm_version');
  return `v${typeof version === 'string' || typeof version === 'number' ? version : '7'}`;
}

/**
 * Chooses the instance for a platform: the best variant first; among equals one compressed with
 * zstd, then the earlier one. Entries without a platform come last, as in containers/image.
 * @throws BullaError `image.no-such-platform`
 */
export function chooseInstance(index: IndexManifest, platform: Platform): Descriptor {
  const variants = wantedVariants(platform);
  const candidates = index.manifests
    .map((descriptor, position) => ({ descriptor, position, rank: rankOf(descriptor, platform, variants) }))
    .filter(({ rank }) => rank >= 0)
    .sort((a, b) => a.rank - b.rank || zstdFirst(a.descriptor, b.descriptor) || a.position - b.position);
  const best = candidates[0];
  if (best !== undefined) return best.descriptor;
  throw new BullaError('image.no-such-platform', `the index has no image for ${formatPlatform(platform)}`, {
    hint: `it has ${listPlatforms(index)}; choose with --override-os, --override-arch, --override-variant`,
  });
}

/** A variant asked for, what it can run, then none; without one: none, then all that are known. */
function wantedVariants(platform: Platform): readonly string[] {
  const known = variantsOf[platform.architecture] ?? [];
  if (platform.variant === undefined) return ['', ...known];
  const from = known.indexOf(platform.variant);
  return [...(from < 0 ? [platform.variant] : known.slice(from)), ''];
}

/** Place in the order of preference; -1 where the instance is for another platform. */
function rankOf({ platform }: Descriptor, wanted: Platform, variants: readonly string[]): number {
  if (platform === undefined) return Number.MAX_SAFE_INTEGER;
  if (platform.os !== wanted.os || platform.architecture !== wanted.architecture) return -1;
  return variants.indexOf(platform.variant ?? '');
}

function zstdFirst(a: Descriptor, b: Descriptor): number {
  return Number(isZstd(b)) - Number(isZstd(a));
}

function isZstd(descriptor: Descriptor): boolean {
  return descriptor.annotations?.['io.github.containers.compression.zstd'] === 'true';
}

/** `linux/arm/v7` */
export function formatPlatform(platform: Platform): string {
  const variant = platform.variant === undefined ? '' : `/${platform.variant}`;
  return printable(`${platform.os}/${platform.architecture}${variant}`);
}

function listPlatforms(index: IndexManifest): string {
  const names = index.manifests.flatMap(({ platform }) =>
    platform === undefined ? [] : [formatPlatform(platform)],
  );
  return names.length === 0 ? 'none' : printable([...new Set(names)].join(', '), 500);
}
