/** `bulla promote SRC DST`: verified, copied with its digest kept, signed anew or carried, verified there, and then named. */
import { resolve } from 'node:path';

import { Command } from 'commander';

import { utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName, parseImageName } from '../../base/image-name.ts';
import { checkReplaceable, replaceFile } from '../../io/files.ts';
import { type Foreseen, type NotPromoted, promote, type Promoted } from '../../operations/promote.ts';
import type { CommandContext } from '../command.ts';
import {
  identityOption,
  itemLine,
  openCopyWorlds,
  sharingBlobs,
  withLocalTwinOptions,
  withTwinOptions,
} from '../copy-options.ts';
import {
  flagOption,
  listOption,
  type Parsed,
  textOption,
  withRegistriesDOption,
  withRegistryOptions,
  withSigningOptions,
} from '../options.ts';
import { openProgress } from '../progress.ts';
import { foreseenJson, foreseenLines, promotedJson, promotedLines } from '../promote-lines.ts';
import { type PromotionPlan, planByStages } from '../promote-stages.ts';
import {
  formatOption,
  modeOption,
  offlinePolicies,
  policiesOption,
  withPromoteOptions,
} from '../promote-options.ts';
import { openNamedSigners } from '../signers.ts';
import { statusCommand } from './promote-status.ts';
import { verdictJson, verdictLines } from '../verdict.ts';

export function command(context: CommandContext): Command {
  const promoting = new Command('promote')
    .description(
      'Promote an image to the next stage: it is verified where it is, copied with its digest kept and with all that hangs on it, signed anew (or accepted as it is signed), verified where it went, and only then named.',
    )
    // what stands behind status is the status's
    .enablePositionalOptions()
    .usage('[options] <source> <destination> | <image> --to <stage>')
    .argument(
      '<source>',
      'the image; a name without transport means docker://. With --to: as it is called in the stages, app:1.4',
    )
    .argument('[destination]', 'docker://host/path:tag')
    .option('--to <stage>', 'promote to this stage of stages.yaml, from the one just before')
    .option('--from <stage>', 'with --to: from this stage, passing over those between')
    .option('--stages <file>', 'the stages (default: stages.yaml in the working directory)')
    .addCommand(statusCommand(context));
  withLocalTwinOptions(withTwinOptions(withPromoteOptions(promoting)));
  withRegistriesDOption(withRegistryOptions(withSigningOptions(promoting)));
  return promoting
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla promote --src-policy dev.json --dest-policy prod.json --sign-by release@example.com \\\n      docker://dev.example.com/ns/app:1.4 docker://prod.example.com/ns/app:1.4\n  $ bulla promote --mode carry --policy dev.json --carry-policy prod.json \\\n      docker://dev.example.com/ns/app:1.4 docker://prod.example.com/ns/app:1.4\n  $ bulla promote app:1.4 --to prod --stages stages.yaml',
    )
    .action(async (source: string, destination: string | undefined, parsed: Parsed) =>
      run(await planOf(source, destination, parsed, context), context),
    );
}

/** @throws BullaError `usage.invalid`, `stages.*`, `image-name.malformed` */
async function planOf(
  source: string,
  destination: string | undefined,
  parsed: Parsed,
  { terminal }: CommandContext,
): Promise<PromotionPlan> {
  const to = textOption(parsed, 'to');
  if ((to === undefined) === (destination === undefined)) {
    throw new BullaError('usage.invalid', 'expected a destination, or --to and a stage', {
      hint: 'write bulla promote SOURCE DESTINATION, or bulla promote app:1.4 --to STAGE',
    });
  }
  if (to !== undefined) return planByStages(source, to, parsed, terminal);
  const lone = ['from', 'stages'].find((name) => textOption(parsed, name) !== undefined);
  if (lone !== undefined) throw new BullaError('usage.invalid', `--${lone} goes with --to`);
  return {
    source: sharingBlobs(parseImageName(source), parsed, 'src'),
    destination: parseImageName(destination ?? ''),
    parsed,
    policies: policiesOption(parsed),
    reach: async (worlds) => worlds,
  };
}

async function run(
  { source, destination, parsed, policies, reach }: PromotionPlan,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  const mode = modeOption(parsed);
  const format = formatOption(parsed);
  const identities = listOption(parsed, 'signIdentity').map(identityOption);
  await checkFiles(parsed, context);
  await using worlds = await openCopyWorlds(parsed, terminal, [source, destination]);
  // keys open while the manifests are on their way
  await using signers = openNamedSigners(parsed, terminal);
  const progress = await openProgress(terminal);
  const outcome = await promote(
    {
      source,
      destination,
      mode,
      ...offlinePolicies(policies, parsed),
      identities,
      ...(signers !== undefined && { signers: signers.all }),
      ...(format !== undefined && { format }),
      dryRun: flagOption(parsed, 'dryRun'),
      keepPrevious: flagOption(parsed, 'keepPrevious'),
      removeSignatures: flagOption(parsed, 'removeSignatures'),
      attachments: parsed['attachments'] !== false,
      onItem: (item) => progress.item(itemLine(item)),
      onProgress: (state) => progress.update(state),
    },
    await reach(worlds),
  ).finally(() => progress.end());
  await writeFiles(outcome, parsed, context);
  show(outcome, destination, parsed, context);
}

/** Better known before anything is promoted than after. */
async function checkFiles(parsed: Parsed, { terminal }: CommandContext): Promise<void> {
  if (flagOption(parsed, 'dryRun')) return;
  for (const name of ['lineage', 'carryPolicy']) {
    const file = textOption(parsed, name);
    if (file !== undefined) await checkReplaceable(resolve(terminal.cwd, file));
  }
}

/** The record of what was promoted, and the policy for what was carried. */
async function writeFiles(
  outcome: Promoted | NotPromoted | Foreseen,
  parsed: Parsed,
  { terminal }: CommandContext,
): Promise<void> {
  if (!outcome.promoted) return;
  const [record, policy] = [textOption(parsed, 'lineage'), textOption(parsed, 'carryPolicy')];
  if (record !== undefined)
    await replaceFile(resolve(terminal.cwd, record), utf8(`${JSON.stringify(outcome.lineage, null, 2)}\n`));
  if (policy === undefined) return;
  if (outcome.carryPolicy === undefined)
    throw new BullaError('usage.invalid', '--carry-policy goes with --mode carry');
  await replaceFile(resolve(terminal.cwd, policy), utf8(outcome.carryPolicy));
}

function show(
  outcome: Promoted | NotPromoted | Foreseen,
  destination: ImageName,
  parsed: Parsed,
  context: CommandContext,
): void {
  const { terminal } = context;
  const json = flagOption(parsed, 'json');
  const paint: typeof terminal.paint = (word, colour) => terminal.paint(word, colour);
  if (outcome.promoted) {
    if (json) terminal.printJson(promotedJson(outcome));
    else for (const line of promotedLines(outcome, textOption(parsed, 'carryPolicy'))) terminal.print(line);
    return;
  }
  if ('dryRun' in outcome) {
    if (json) terminal.printJson(foreseenJson(outcome));
    else for (const line of foreseenLines(outcome, paint)) terminal.print(line);
    context.finish(outcome.verdict?.accepted === false ? 1 : 0);
    return;
  }
  const { at, verdict } = outcome;
  if (json) {
    const refused = { promoted: false, destination: formatImageName(destination), at };
    terminal.printJson({ ...refused, verdict: verdictJson(verdict) });
  } else {
    for (const line of verdictLines(verdict, false, paint)) terminal.print(line);
    terminal.print(`  not promoted: ${whoRefused(at, destination)}`);
  }
  context.finish(1);
}

function whoRefused(at: NotPromoted['at'], destination: ImageName): string {
  return at === 'source'
    ? 'the policy refuses the source, and nothing was written'
    : `the policy refuses it there, and ${formatImageName(destination)} means what it meant`;
}
