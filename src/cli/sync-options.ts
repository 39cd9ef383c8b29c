/** skopeo sync's flags: where from and where to, how destinations are named, and the worlds of both sides. */
import { resolve } from 'node:path';

import { type Command, Option } from 'commander';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { ImageName } from '../base/image-name.ts';
import { parseReference, type Reference } from '../base/reference.ts';
import { readSyncFile } from '../operations/sync/file.ts';
import { referenceFor, type SyncSource, type SyncTarget } from '../operations/sync/plan.ts';
import type { SyncWorlds } from '../operations/sync.ts';
import { openCopyWorlds, parsedFor } from './copy-options.ts';
import { type Parsed, textOption } from './options.ts';
import type { Terminal } from './terminal.ts';
import { openCommandWorld } from './world.ts';

export function withSyncOptions(command: Command): Command {
  return command
    .option('-s, --src <transport>', 'what SOURCE is: docker, dir or yaml')
    .option('-d, --dest <transport>', 'what DESTINATION is: docker or dir')
    .option(
      '--scoped',
      'the whole name of the source image stands in its destination, not the last part only',
    )
    .option('--append-suffix <text>', 'add this to every tag at the destination')
    .option('-a, --all', 'of a list copy every instance and the list')
    .option('--dry-run', 'say what would be copied where, and copy nothing')
    .option('--check', 'say what the destination lacks, and write nothing')
    .option('--keep-going', 'do not stop at an image that fails or is refused')
    .option(
      '--digestfile <file>',
      'write a line for each image, its digest and its destination, to this file',
    )
    .option('--preserve-digests', 'fail where a digest would change')
    .option('--remove-signatures', 'leave signatures behind')
    .option('--no-attachments', 'carry only what skopeo does: not what else hangs on the images')
    .option('-f, --format <format>', 'the manifests’ format: oci or v2s2 (default: as it is)')
    .option('--parallel-images <n>', 'images under way at the same time, at most 32 (default: 8)')
    .option('--json', 'print a document with a row for each image')
    .addOption(new Option('--sign-by-sq-fingerprint <fpr>', 'not supported').hideHelp());
}

/**
 * What is copied from where.
 * @throws BullaError `usage.invalid`, `reference.malformed`, `yaml.malformed`, `sync-file.malformed`, `io.*`
 */
export async function sourceOption(text: string, parsed: Parsed, terminal: Terminal): Promise<SyncSource> {
  const kind = transportOption(parsed, 'src', ['docker', 'dir', 'yaml']);
  if (text === '') throw new BullaError('usage.invalid', 'the source is empty');
  switch (kind) {
    case 'docker':
      return { kind, reference: parseReference(plainName(text)) };
    case 'dir':
      if (textOption(parsed, 'dest') === 'dir')
        throw new BullaError('usage.unsupported', 'a folder is not synced to a folder', {
          hint: 'use rsync',
        });
      return { kind, path: text };
    case 'yaml': {
      const file = await readSyncFile(resolve(terminal.cwd, text));
      for (const line of file.warnings) terminal.warn(line);
      return { kind, file };
    }
  }
}

/** @throws BullaError `usage.invalid` */
export function targetOption(text: string, parsed: Parsed): SyncTarget {
  const kind = transportOption(parsed, 'dest', ['docker', 'dir']);
  if (text === '') throw new BullaError('usage.invalid', 'the destination is empty');
  return { kind, place: kind === 'docker' ? plainName(text) : text };
}

function transportOption<T extends string>(parsed: Parsed, name: 'src' | 'dest', known: readonly T[]): T {
  const given = textOption(parsed, name);
  const transport = known.find((each) => each === given);
  if (transport !== undefined) return transport;
  const wanted = `--${name} ${known.join('|')}`;
  throw new BullaError(
    'usage.invalid',
    given === undefined ? `${wanted} is missing` : `${wanted}, not "${printable(given, 40)}"`,
  );
}

/** Transports stand in flags of their own here, as with skopeo. */
function plainName(text: string): string {
  const [, transport, name] = /^(docker:\/\/|dir:)(.*)$/.exec(text) ?? [];
  if (transport === undefined) return text;
  throw new BullaError(
    'usage.invalid',
    `"${printable(text, 200)}" has a transport, which --src and --dest name`,
    {
      hint: `write ${printable(name ?? '', 200)}`,
    },
  );
}

export type OpenedWorlds = AsyncDisposable & SyncWorlds;

/**
 * The worlds of both sides, and others for what a YAML file says of its registries.
 * @throws BullaError as `openCopyWorlds`
 */
export async function openSyncWorlds(
  parsed: Parsed,
  terminal: Terminal,
  { source, target }: { readonly source: SyncSource; readonly target: SyncTarget },
): Promise<OpenedWorlds> {
  const named = namedImages(source, target);
  await using opened = new AsyncDisposableStack();
  const { from, to } = opened.use(await openCopyWorlds(parsed, terminal, named));
  const others = opened.use(new AsyncDisposableStack());
  const kept = opened.move();
  return {
    from,
    to,
    fromWith: async (settings) => {
      const { creds, registryToken, ...rest } = parsedFor(parsed, 'src');
      // the file's own credentials stand in place of those of the command line
      const flags = settings.credentials === undefined ? { ...rest, creds, registryToken } : rest;
      return others.use(await openCommandWorld(flags, terminal, named, settings));
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** One image of each registry that the command line or the file names. */
function namedImages(source: SyncSource, target: SyncTarget): readonly ImageName[] {
  const references: Reference[] = [];
  if (source.kind === 'docker') references.push(source.reference);
  if (source.kind === 'yaml')
    references.push(
      ...source.file.registries.flatMap(({ wanted }) => wanted.map(({ repository }) => repository)),
    );
  if (target.kind === 'docker') references.push(referenceFor(target.place, 'any:any', {}));
  return references.map((reference) => ({ transport: 'docker', reference }));
}
