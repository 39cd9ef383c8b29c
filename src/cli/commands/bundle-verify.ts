/** `bulla bundle verify FILE`: the verdict on every image of a transfer bundle, by what stands on this side. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { showTransfer } from '../../operations/transfer/show.ts';
import { verifyTransfer } from '../../operations/transfer/verify.ts';
import type { World } from '../../operations/world.ts';
import {
  isTrusting,
  outcomeOf,
  printVerdicts,
  trustLines,
  trustOption,
  withTrustOptions,
} from '../bundle-options.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed } from '../options.ts';
import { worstOutcome } from '../outcome.ts';
import { openProgress } from '../progress.ts';
import { verdictJson } from '../verdict.ts';
import { openCommandWorld } from '../world.ts';

export function verifyCommand(context: CommandContext): Command {
  const command = new Command('verify')
    .description(
      'Judge the images of a transfer bundle without any network, by a policy, key or identity of this side. Keys and policy in the bundle count for nothing.',
    )
    .argument('<file>', 'the transfer bundle')
    .option('--explain', 'tell scope, requirements, every signature and its reason')
    .option('--json', 'print the verdicts as JSON');
  return withTrustOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla bundle verify --policy policy.json release.tar\n  $ bulla bundle verify --fingerprint 0123456789ABCDEF0123456789ABCDEF01234567 release.tar',
    )
    .action((file: string, parsed: Parsed) => run(file, parsed, context));
}

async function run(file: string, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const json = flagOption(parsed, 'json');
  try {
    const trust = trustOption(parsed, terminal);
    await using world = await openCommandWorld({ offline: true }, terminal);
    if (!isTrusting(trust)) throw await untrusted(file, !json, world, context);
    const progress = await openProgress(terminal);
    const verdicts = await verifyTransfer(
      { file, ...trust, onProgress: (state) => progress.update(state) },
      world,
    ).finally(() => progress.end());
    if (json) terminal.printJson(verdicts.map((each) => verdictJson(each)));
    else printVerdicts(verdicts, flagOption(parsed, 'explain'), context);
    context.finish(worstOutcome(verdicts.map(outcomeOf)));
  } catch (error) {
    // nothing was judged
    if (json) terminal.printJson([]);
    throw error;
  }
}

/**
 * The error where nobody is named who judges; what the bundle says of itself is shown before.
 * @param isShown false: what is on stdout is for a machine
 */
export async function untrusted(
  file: string,
  isShown: boolean,
  world: World,
  { terminal }: CommandContext,
): Promise<BullaError> {
  const shown = await showTransfer({ file }, world);
  if (isShown) {
    terminal.note('in the bundle, and no reason to believe it:');
    for (const line of trustLines(shown)) terminal.print(line);
  }
  return new BullaError('transfer.untrusted', 'nothing on this side says whom to believe', {
    hint: `give --policy, --key, --certificate-identity with --trusted-root, or --fingerprint of a key ${isShown ? 'above' : 'in it (bulla bundle show)'} that you know from elsewhere`,
  });
}
