/** `bulla push NAME DST`: an image from a folder to a registry. */
import { resolve } from 'node:path';

import { Command } from 'commander';

import { utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, parseImageName } from '../../base/image-name.ts';
import { replaceFile } from '../../io/files.ts';
import type { CopiedItem } from '../../operations/copy-image.ts';
import { push } from '../../operations/push.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, textOption, withPlatformOptions, withRegistryOptions } from '../options.ts';
import { openProgress } from '../progress.ts';
import { openCommandWorld, platformOption } from '../world.ts';

export function command(context: CommandContext): Command {
  const push = new Command('push')
    .description(
      'Send an image from a folder, an archive or an engine to a registry or another place, unchanged.',
    )
    .argument(
      '<name>',
      'oci:DIR[:ref], dir:DIR, oci-archive:FILE[:ref], docker-archive:FILE[:ref], containers-storage:NAME or docker-daemon:NAME',
    )
    .argument('<destination>', 'docker://… or one of these; a name without transport means docker://')
    .option('-a, --all', 'of a multi-platform image send every instance and the index')
    .option('--multi-arch <which>', 'system (this machine’s instance, the default) or all')
    .option('--digestfile <file>', 'write the digest of the manifest pushed to this file')
    .option('--json', 'print the receipt as JSON');
  withPlatformOptions(withRegistryOptions(push));
  return push
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla push --digestfile digest oci:image docker://registry.example.com/ns/app:1.0',
    )
    .action((name: string, destination: string, parsed: Parsed) => run(name, destination, parsed, context));
}

async function run(name: string, to: string, parsed: Parsed, { terminal }: CommandContext): Promise<void> {
  const source = parseImageName(name);
  const destination = parseImageName(to);
  const instances = instancesOption(parsed);
  const platform = platformOption(parsed);
  const digestFile = textOption(parsed, 'digestfile');
  await using world = await openCommandWorld(parsed, terminal, [source, destination]);
  const progress = await openProgress(terminal);
  const receipt = await push(
    {
      source,
      destination,
      instances,
      ...(platform !== undefined && { platform }),
      onItem: (item) => progress.item(itemLine(item)),
      onProgress: (state) => progress.update(state),
    },
    world,
  ).finally(() => progress.end());
  // as the peers write it: nothing but the digest, no line end
  if (digestFile !== undefined) await replaceFile(resolve(terminal.cwd, digestFile), utf8(receipt.digest));
  if (flagOption(parsed, 'json')) terminal.printJson({ image: formatImageName(destination), ...receipt });
  else terminal.print(receipt.digest);
}

function instancesOption(parsed: Parsed): 'system' | 'all' {
  const which = textOption(parsed, 'multiArch');
  const all = flagOption(parsed, 'all');
  if (all && which !== undefined)
    throw new BullaError('usage.invalid', '--all and --multi-arch exclude each other');
  if (all || which === 'all') return 'all';
  if (which === undefined || which === 'system') return 'system';
  throw new BullaError('usage.invalid', `--multi-arch takes system or all, not "${which}"`);
}

function itemLine({ kind, digest, size, sent }: CopiedItem): string {
  return `${kind} ${digest} ${size} bytes${sent ? '' : ', there already'}`;
}
