/** `bulla store publish|fetch|check`: signature stores as folders. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { checkStore, type Finding, mergeStores, storeFolder } from '../../operations/stores.ts';
import type { CommandContext, Outcome } from '../command.ts';
import { flagOption, type Parsed } from '../options.ts';

export function command(context: CommandContext): Command {
  const store = new Command('store').description('Signature stores: publish, fetch and check them.');
  store.addCommand(
    mergeCommand(
      'publish',
      'Add what a store has to a public one, replacing and removing nothing.',
      context,
    ).addHelpText('after', '\nExample:\n  $ bulla store publish /srv/staging /var/www/signatures'),
  );
  store.addCommand(
    mergeCommand(
      'fetch',
      'Add what a public store has to one’s own, replacing and removing nothing.',
      context,
    ).addHelpText(
      'after',
      '\nExample:\n  $ bulla store fetch /mnt/transfer/signatures /var/lib/containers/sigstore',
    ),
  );
  return store
    .addCommand(checkCommand(context))
    .addHelpText('after', '\nExample:\n  $ bulla store check /var/lib/containers/sigstore');
}

function mergeCommand(name: string, description: string, context: CommandContext): Command {
  return new Command(name)
    .description(description)
    .argument('<source>', 'folder or file:// URL')
    .argument('<destination>', 'folder or file:// URL; made where it is missing')
    .option('--dry-run', 'tell what would be added, write nothing')
    .option('--json', 'print the result as JSON')
    .action((source: string, destination: string, parsed: Parsed) =>
      merge(source, destination, parsed, context),
    );
}

async function merge(
  source: string,
  destination: string,
  parsed: Parsed,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  const folders = [source, destination].map((each) => storeFolder(each, terminal.cwd));
  const [from = '', to = ''] = folders;
  const dryRun = flagOption(parsed, 'dryRun');
  const result = await mergeStores(from, to, { dryRun });
  if (flagOption(parsed, 'json')) terminal.printJson(result);
  else {
    for (const each of result.added)
      terminal.print(`${dryRun ? 'would add' : 'added'} ${printable(each.to, 4096)}`);
    terminal.note(`${result.added.length} ${dryRun ? 'to add' : 'added'}, ${result.present} there already`);
    for (const each of result.skipped) terminal.warn(`passed over ${findingLine(each)}`);
  }
  context.finish(outcomeOf(result.skipped));
}

function checkCommand(context: CommandContext): Command {
  return new Command('check')
    .description('Look for what misleads readers of a store: gaps, torn files, files that no reader counts.')
    .argument('<store>', 'folder or file:// URL of a store, or of one image in it')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ bulla store check /var/lib/containers/sigstore')
    .action((store: string, parsed: Parsed) => check(store, parsed, context));
}

async function check(store: string, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const result = await checkStore(storeFolder(store, terminal.cwd));
  if (flagOption(parsed, 'json')) terminal.printJson(result);
  else {
    for (const each of result.findings) terminal.print(`${each.weight} ${each.kind}: ${findingLine(each)}`);
    terminal.print(`${result.images} images, ${result.signatures} signatures`);
  }
  context.finish(outcomeOf(result.findings));
}

function findingLine({ path, message, code }: Finding): string {
  return `${printable(path, 4096)}: ${printable(message)}${code === undefined ? '' : ` [${code}]`}`;
}

/** 3: something could not be read. 1: readers are misled. Remarks change nothing. */
function outcomeOf(findings: readonly Finding[]): Outcome {
  if (findings.some(({ kind }) => kind === 'unreadable')) return 3;
  return findings.some(({ weight }) => weight === 'problem') ? 1 : 0;
}
