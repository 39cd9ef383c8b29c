/** skopeo copy's flags that pack layers anew. */
import type { Command } from 'commander';

import { BullaError } from '../base/errors.ts';
import type { ImageName } from '../base/image-name.ts';
import type { Packing } from '../operations/copy/packing.ts';
import { countOption, flagOption, type Parsed, textOption } from './options.ts';
import type { Terminal } from './terminal.ts';

export function withPackingOptions(command: Command): Command {
  return command
    .option('--dest-compress-format <format>', 'pack all layers by gzip or zstd (default: as they are)')
    .option('--dest-compress-level <n>', 'for what is packed: gzip 1 to 9, zstd 1 to 22')
    .option('--dest-force-compress-format', 'always so where --dest-compress-format is given')
    .option('--dest-compress', 'for a dir: destination: pack layers that are not packed')
    .option('--dest-decompress', 'for a dir: destination: unpack all layers')
    .option('--dest-oci-accept-uncompressed-layers', 'for an oci: destination: pack nothing');
}

/** How the flags of one command are called; podman push has other names for them. */
export type PackingFlags = {
  readonly format: string;
  readonly level: string;
  readonly force: string;
  readonly compress: string;
};

const skopeoFlags: PackingFlags = {
  format: '--dest-compress-format',
  level: '--dest-compress-level',
  force: '--dest-force-compress-format',
  compress: '--dest-compress',
};

/**
 * How layers are to be packed at the destination; undefined: as they are. What can have no effect there is warned of, as skopeo does.
 * @throws BullaError `usage.invalid`, `usage.unsupported`
 */
export function packingOption(
  parsed: Parsed,
  destination: ImageName,
  terminal: Terminal,
  flags: PackingFlags = skopeoFlags,
): Packing | undefined {
  const compress = flagOption(parsed, camel(flags.compress));
  const decompress = flagOption(parsed, 'destDecompress');
  if (compress && decompress)
    throw new BullaError('usage.invalid', '--dest-compress and --dest-decompress exclude each other');
  const by = formatOption(parsed, flags);
  const level = levelOption(parsed, by, flags);
  const warn = (flag: string, why: string): undefined => {
    terminal.warn(`${flag} does nothing here: ${why}`);
  };
  const isDir = destination.transport === 'dir';
  if (compress && !isDir) warn(flags.compress, 'it is for dir: destinations');
  if (decompress && !isDir) warn('--dest-decompress', 'it is for dir: destinations');
  if (decompress && isDir) return { kind: 'plain' };
  const isAsked = by !== undefined || level !== undefined || (compress && isDir);
  if (!isAsked) return undefined;
  const flag = by === undefined ? flags.level : flags.format;
  if (isDir && !compress) return warn(flag, `for dir: it goes with ${flags.compress}`);
  if (flagOption(parsed, 'destOciAcceptUncompressedLayers') && destination.transport === 'oci')
    return warn(flag, '--dest-oci-accept-uncompressed-layers packs nothing');
  if (!packedThere.includes(destination.transport))
    return warn(flag, `${destination.transport} packs layers its own way`);
  return { kind: 'packed', ...(by !== undefined && { by }), ...(level !== undefined && { level }) };
}

const packedThere: readonly ImageName['transport'][] = ['docker', 'oci', 'oci-archive', 'dir'];

function camel(flag: string): string {
  return flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function formatOption(parsed: Parsed, { format, force }: PackingFlags): 'gzip' | 'zstd' | undefined {
  const by = textOption(parsed, camel(format));
  if (by === undefined && flagOption(parsed, camel(force)))
    throw new BullaError('usage.invalid', `${force} goes with ${format}`);
  if (by === undefined || by === 'gzip' || by === 'zstd') return by;
  if (by === 'zstd:chunked')
    throw new BullaError('usage.unsupported', `${format} zstd:chunked is not supported: give zstd`);
  throw new BullaError('usage.invalid', `${format} takes gzip or zstd, not "${by}"`);
}

function levelOption(
  parsed: Parsed,
  by: 'gzip' | 'zstd' | undefined,
  { level: flag }: PackingFlags,
): number | undefined {
  const level = countOption(parsed, camel(flag), flag, 1);
  const most = by === 'zstd' ? 22 : 9;
  if (level === undefined || level <= most) return level;
  throw new BullaError('usage.invalid', `${flag} is at most ${most} for ${by ?? 'gzip'}, not ${level}`);
}
