/** `bulla promote status app[:TAG]`: where each digest stands. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { parseStagedName, referenceIn } from '../../operations/stages.ts';
import {
  type StagesStatus,
  stagesStatus,
  type StageStatus,
  type TagStatus,
} from '../../operations/promote/stages-status.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, withRegistriesDOption, withRegistryOptions } from '../options.ts';
import { signerLine } from '../promote-lines.ts';
import { readStagesOption } from '../promote-stages.ts';
import type { Terminal } from '../terminal.ts';
import { openCommandWorld } from '../world.ts';

export function statusCommand(context: CommandContext): Command {
  const status = new Command('status')
    .description(
      'Show for each stage which digest a tag stands for, whether it verifies there, who signed it, and what is missing for the next stage. Nothing is written.',
    )
    .argument('<image>', 'as it is called in the stages: app, ns/app or app:1.4; without a tag, every tag')
    .option('--stages <file>', 'the stages (default: stages.yaml in the working directory)')
    .option('--json', 'print the status as JSON');
  return withRegistriesDOption(withRegistryOptions(status))
    .addHelpText('after', '\nExample:\n  $ bulla promote status app:1.4 --stages stages.yaml')
    .action((image: string, parsed: Parsed) => run(image, parsed, context));
}

async function run(image: string, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const name = parseStagedName(image);
  const stages = await readStagesOption(parsed, terminal);
  const images = stages.stages.map((stage) => ({
    transport: 'docker' as const,
    reference: referenceIn(stage, { path: name.path, tag: name.tag ?? 'latest' }),
  }));
  await using world = await openCommandWorld(parsed, terminal, images);
  const status = await stagesStatus(stages, name, world);
  if (flagOption(parsed, 'json')) terminal.printJson(status);
  else
    for (const line of statusLines(status, (word, colour) => terminal.paint(word, colour)))
      terminal.print(line);
  const isTold =
    status.unlisted.length === 0 &&
    status.tags.every((tag) => tag.stages.every(({ error }) => error === undefined));
  context.finish(isTold ? 0 : 3);
}

function statusLines({ app, tags, unlisted }: StagesStatus, paint: Terminal['paint']): readonly string[] {
  const failures = unlisted.map(
    ({ stage, code, message }) => `${stage}: cannot list the tags: ${printable(message, 500)} [${code}]`,
  );
  if (tags.length === 0 && failures.length === 0) return [`${app} is in no stage`];
  return [...failures, ...tags.flatMap((each) => tagLines(app, each, paint))];
}

function tagLines(app: string, { tag, stages }: TagStatus, paint: Terminal['paint']): readonly string[] {
  const width = Math.max(...stages.map(({ stage }) => stage.length));
  return [`${app}:${tag}`, ...stages.flatMap((each) => stageLines(each, width, paint))];
}

function stageLines(status: StageStatus, width: number, paint: Terminal['paint']): readonly string[] {
  const { stage, digest, accepted, signers, reasons, error, next } = status;
  const word =
    error !== undefined
      ? `cannot tell: ${printable(error.message, 500)} [${error.code}]`
      : digest === null
        ? 'not there'
        : `${accepted === true ? paint('accepted', 'green') : paint('refused', 'red')} ${digest}`;
  const missing = next?.missing ?? [];
  return [
    `  ${stage.padEnd(width)} ${word}`,
    ...signers.map((each) => `    ${signerLine(each)}`),
    ...reasons.map((each) => `    ${reasonText(each)}`),
    ...missing
      .filter(({ message }) => !reasons.some((each) => each.message === message))
      .map((each) => `    missing for ${next?.stage ?? ''}: ${reasonText(each)}`),
  ];
}

function reasonText({ code, message }: { readonly code?: string; readonly message: string }): string {
  return `${printable(message, 500)}${code === undefined ? '' : ` [${code}]`}`;
}
