/** `bulla sync --src T --dest T SRC DST`: as skopeo sync, with all that belongs to the images, several at once. */
import { resolve } from 'node:path';

import { Command } from 'commander';

import { utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { replaceFile } from '../../io/files.ts';
import { type CheckedImage, checkSync } from '../../operations/sync/check.ts';
import { sync, type SyncedImage, type SyncRequest } from '../../operations/sync.ts';
import type { CommandContext } from '../command.ts';
import {
  copiedOption,
  identityOption,
  judgedByPolicy,
  refuseUnsupported,
  withTwinOptions,
} from '../copy-options.ts';
import {
  countOption,
  flagOption,
  listOption,
  type Parsed,
  textOption,
  withPlatformOptions,
  withPolicyOptions,
  withRegistriesDOption,
  withRegistryOptions,
  withSigningOptions,
} from '../options.ts';
import { worstOutcome } from '../outcome.ts';
import { openProgress } from '../progress.ts';
import { namesKey, openNamedSigners } from '../signers.ts';
import {
  checkJson,
  checkLines,
  checkOutcome,
  syncJson,
  syncLines,
  syncOutcome,
  totals,
} from '../sync-lines.ts';
import {
  openSyncWorlds,
  type OpenedWorlds,
  sourceOption,
  targetOption,
  withSyncOptions,
} from '../sync-options.ts';
import { platformOption } from '../world.ts';

export function command(context: CommandContext): Command {
  const syncing = new Command('sync')
    .description(
      'Copy the images of a source that are not at the destination yet, as the policy allows each of them, their bytes unchanged, with their signatures and whatever hangs on them. A run that was cut off is completed by the next one.',
    )
    .argument(
      '<source>',
      'a repository or an image (docker), a folder with images (dir), or a file that lists them (yaml)',
    )
    .argument('<destination>', 'a registry, with or without a path (docker), or a folder (dir)');
  withTwinOptions(withSyncOptions(syncing));
  withPlatformOptions(
    withPolicyOptions(withRegistriesDOption(withRegistryOptions(withSigningOptions(syncing)))),
  );
  return syncing
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla sync --policy policy.json --src docker --dest docker --scoped \\\n      registry.example.com/ns/app mirror.example.com/copies',
    )
    .action((source: string, destination: string, parsed: Parsed) =>
      run(source, destination, parsed, context),
    );
}

async function run(from: string, to: string, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  refuseUnsupported(parsed);
  const target = targetOption(to, parsed);
  const source = await sourceOption(from, parsed, terminal);
  const request: SyncRequest = { ...requestOf(parsed, context), source, target };
  await using worlds = await openSyncWorlds(parsed, terminal, { source, target });
  if (flagOption(parsed, 'check')) await runCheck(request, worlds, parsed, context);
  else await runSync(request, worlds, parsed, context);
}

function requestOf(parsed: Parsed, { terminal }: CommandContext): Omit<SyncRequest, 'source' | 'target'> {
  const platform = platformOption(parsed);
  const appendSuffix = textOption(parsed, 'appendSuffix');
  const parallelImages = countOption(parsed, 'parallelImages', '--parallel-images', 1);
  return {
    ...copiedOption(parsed),
    by: judgedByPolicy(parsed, terminal),
    requireSigned: flagOption(parsed, 'requireSigned'),
    removeSignatures: flagOption(parsed, 'removeSignatures'),
    attachments: parsed['attachments'] !== false,
    preserveDigests: flagOption(parsed, 'preserveDigests'),
    scoped: flagOption(parsed, 'scoped'),
    keepGoing: flagOption(parsed, 'keepGoing'),
    dryRun: flagOption(parsed, 'dryRun'),
    identities: listOption(parsed, 'signIdentity').map(identityOption),
    ...(appendSuffix !== undefined && { appendSuffix }),
    ...(platform !== undefined && { platform }),
    ...(parallelImages !== undefined && { parallelImages: Math.min(parallelImages, 32) }),
  };
}

async function runSync(
  request: SyncRequest,
  worlds: OpenedWorlds,
  parsed: Parsed,
  { terminal, ...context }: CommandContext,
): Promise<void> {
  // keys open while the tags are listed
  await using signers = openNamedSigners(parsed, terminal);
  const json = flagOption(parsed, 'json');
  const print = printer({ terminal, json });
  const progress = await openProgress(terminal, 'images');
  const { images } = await sync(
    {
      ...request,
      ...(signers !== undefined && { signers: signers.all }),
      onImage: (image, done, of) => {
        progress.update({ passed: done, total: of });
        print.now(image, syncLines);
      },
    },
    worlds,
  ).finally(() => progress.end());
  await writeDigests(images, parsed, terminal.cwd);
  for (const image of images) print.later(image, syncLines);
  if (json) terminal.printJson(syncJson(images));
  else terminal.print(totals(images));
  context.finish(worstOutcome(images.map(syncOutcome)));
}

async function runCheck(
  request: SyncRequest,
  worlds: OpenedWorlds,
  parsed: Parsed,
  { terminal, ...context }: CommandContext,
): Promise<void> {
  if (request.dryRun === true || namesKey(parsed))
    throw new BullaError('usage.invalid', '--check writes nothing: it goes with neither --dry-run nor a key');
  const json = flagOption(parsed, 'json');
  const print = printer({ terminal, json });
  const progress = await openProgress(terminal, 'images');
  const { images } = await checkSync(
    {
      ...request,
      onImage: (image, done, of) => {
        progress.update({ passed: done, total: of });
        print.now(image, checkLines);
      },
    },
    worlds,
  ).finally(() => progress.end());
  for (const image of images) print.later(image, checkLines);
  if (json) terminal.printJson(checkJson(images));
  else terminal.print(totals(images));
  context.finish(worstOutcome(images.map(checkOutcome)));
}

type Paint = CommandContext['terminal']['paint'];
type Row = SyncedImage | CheckedImage;
type Lines<Image> = (image: Image, paint: Paint) => readonly string[];

/**
 * Results on stdout, as they come where no bar is in the way, and each once; with --json remarks on stderr instead. Why an image
 * failed is on stderr always.
 */
function printer({ terminal, json }: { terminal: CommandContext['terminal']; json: boolean }): {
  now<Image extends Row>(image: Image, lines: Lines<Image>): void;
  later<Image extends Row>(image: Image, lines: Lines<Image>): void;
} {
  const printed = new Set<Row>();
  const paint: Paint = (word, colour) => (json ? word : terminal.paint(word, colour));
  const print = <Image extends Row>(image: Image, lines: Lines<Image>): void => {
    if (printed.has(image)) return;
    printed.add(image);
    for (const line of lines(image, paint))
      if (json) terminal.note(line);
      else terminal.print(line);
    if (image.state === 'failed') terminal.error(named(image.source, image.error));
  };
  return {
    now: (image, lines) => {
      if (!terminal.interactive) print(image, lines);
    },
    later: print,
  };
}

/** An error with the image that it befell. */
function named(source: string, error: BullaError): BullaError {
  return new BullaError(error.code, `${source}: ${error.message}`, {
    cause: error,
    ...(error.hint !== undefined && { hint: error.hint }),
  });
}

/** As skopeo writes it: a line for each image that is at its destination now. */
async function writeDigests(images: readonly SyncedImage[], parsed: Parsed, cwd: string): Promise<void> {
  const file = textOption(parsed, 'digestfile');
  if (file === undefined || flagOption(parsed, 'dryRun')) return;
  const lines = images.flatMap((image) =>
    image.state === 'copied' || image.state === 'there'
      ? [`${image.receipt.digest} ${image.destination ?? ''}\n`]
      : [],
  );
  await replaceFile(resolve(cwd, file), utf8(lines.join('')));
}
