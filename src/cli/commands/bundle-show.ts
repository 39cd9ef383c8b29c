/** `bulla bundle show FILE`: what is in a transfer bundle, judged by nobody. */
import { Command } from 'commander';

import { showTransfer, type TransferShown } from '../../operations/transfer/show.ts';
import { trustLines } from '../bundle-options.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed } from '../options.ts';
import { openProgress } from '../progress.ts';
import { openCommandWorld } from '../world.ts';

export function showCommand(context: CommandContext): Command {
  return new Command('show')
    .alias('inspect')
    .description(
      'List what a transfer bundle holds, with the fingerprints of its keys. It is checked to be whole, and judged by nobody.',
    )
    .argument('<file>', 'the transfer bundle')
    .option('--json', 'print the list as JSON')
    .addHelpText('after', '\nExample:\n  $ bulla bundle show release.tar')
    .action((file: string, parsed: Parsed) => run(file, parsed, context));
}

async function run(file: string, parsed: Parsed, { terminal }: CommandContext): Promise<void> {
  await using world = await openCommandWorld({}, terminal);
  const progress = await openProgress(terminal);
  const shown = await showTransfer({ file, onProgress: (state) => progress.update(state) }, world).finally(
    () => progress.end(),
  );
  if (flagOption(parsed, 'json')) terminal.printJson(shown);
  else for (const line of [...imageLines(shown), ...trustLines(shown)]) terminal.print(line);
}

function imageLines({ images }: TransferShown): readonly string[] {
  return images.flatMap(({ reference, digest, platforms, signatures, attachments }) => [
    `${reference} ${digest}`,
    ...(platforms === undefined ? [] : [`  of its list only ${platforms.join(', ')}`]),
    `  with it: ${signatures} signatures, ${attachments} attachments`,
  ]);
}
