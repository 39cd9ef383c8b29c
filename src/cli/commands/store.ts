/** `bulla store publish|fetch|check`: signature stores as folders and in git repositories. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { keepHeapSmall } from '../../base/node.ts';
import { checkStore, type Finding } from '../../operations/store/check.ts';
import { parseStoreName } from '../../operations/store/name.ts';
import { mergeStores } from '../../operations/stores.ts';
import type { CommandContext, Outcome } from '../command.ts';
import { flagOption, type Parsed, textOption } from '../options.ts';
import { openCounter } from '../progress.ts';

export function command(context: CommandContext): Command {
  const store = new Command('store').description('Signature stores: publish, fetch and check them.');
  store.addCommand(
    mergeCommand(
      'publish',
      'Add what a store has to a public one, replacing and removing nothing.',
      context,
    ).addHelpText(
      'after',
      `${gitHelp}\nExample:\n  $ bulla store publish /srv/staging /var/www/signatures\n  $ bulla store publish /srv/staging git+ssh://git@git.example.com/sigs.git#prod`,
    ),
  );
  store.addCommand(
    mergeCommand(
      'fetch',
      'Add what a public store has to one’s own, replacing and removing nothing.',
      context,
    ).addHelpText(
      'after',
      `${gitHelp}\nExample:\n  $ bulla store fetch /mnt/transfer/signatures /var/lib/containers/sigstore\n  $ bulla store fetch git+https://git.example.com/sigs.git#prod /var/www/signatures`,
    ),
  );
  return store
    .addCommand(checkCommand(context))
    .addHelpText('after', '\nExample:\n  $ bulla store check /var/lib/containers/sigstore');
}

const gitHelp = `
A git repository is git+file:PATH, git+https://HOST/PATH or git+ssh://USER@HOST/PATH, then #BRANCH, #BRANCH:FOLDER or
#:FOLDER. Credentials, proxies and the author of commits are those of your git configuration.
`;

function mergeCommand(name: string, description: string, context: CommandContext): Command {
  return new Command(name)
    .description(description)
    .argument('<source>', 'folder, file:// URL or git repository')
    .argument('<destination>', 'the same; a folder is made where it is missing')
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
  const [from, to] = [parseStoreName(source, terminal.cwd), parseStoreName(destination, terminal.cwd)];
  const dryRun = flagOption(parsed, 'dryRun');
  keepHeapSmall();
  const counter = openCounter(terminal, 'images');
  const onProgress = (images: number): void => counter.update(images);
  const result = await mergeStores(from, to, { dryRun, env: terminal.env, onProgress }).finally(() =>
    counter.end(),
  );
  if (flagOption(parsed, 'json')) terminal.printJson(result);
  else {
    for (const each of result.added)
      terminal.print(`${dryRun ? 'would add' : 'added'} ${printable(each.to, 4096)}`);
    terminal.note(`${result.added.length} ${dryRun ? 'to add' : 'added'}, ${result.present} there already`);
    if (result.commit !== undefined) terminal.note(`pushed as commit ${result.commit}`);
    for (const each of result.skipped) terminal.warn(`passed over ${findingLine(each)}`);
    if (result.omitted !== undefined) terminal.warn(`passed over ${result.omitted} more`);
  }
  context.finish(outcomeOf(result.skipped));
}

function checkCommand(context: CommandContext): Command {
  return new Command('check')
    .description('Look for what misleads readers of a store: gaps, torn files, files that no reader counts.')
    .argument('<store>', 'folder, file:// URL or git repository of a store, or of one image in it')
    .option('--against <store>', 'look for signatures that another store has otherwise under the same name')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ bulla store check /var/lib/containers/sigstore')
    .action((store: string, parsed: Parsed) => check(store, parsed, context));
}

async function check(store: string, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const other = textOption(parsed, 'against');
  const against = other === undefined ? undefined : parseStoreName(other, terminal.cwd);
  const result = await checkStore(parseStoreName(store, terminal.cwd), {
    env: terminal.env,
    ...(against !== undefined && { against }),
  });
  if (flagOption(parsed, 'json')) terminal.printJson(result);
  else {
    for (const each of result.findings) terminal.print(`${each.weight} ${each.kind}: ${findingLine(each)}`);
    if (result.omitted !== undefined) terminal.print(`and ${result.omitted} more like them`);
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
