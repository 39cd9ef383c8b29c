/** The tree of commands with the manners that all of them share. */
import { Command } from 'commander';

import { BullaError } from '../base/errors.ts';
import { version } from '../base/version.ts';
import type { CommandContext } from './command.ts';
import { commands } from './commands.ts';
import type { Terminal } from './terminal.ts';

/**
 * The program with one command loaded; the others are known by name and summary only.
 * @param name the first word of the command line
 * @throws BullaError `usage.invalid` where there is no such command
 */
export async function buildProgram(name: string | undefined, context: CommandContext): Promise<Command> {
  const program = root();
  const entry = commands.find((each) => each.name === name);
  if (entry !== undefined) program.addCommand((await entry.load()).command(context));
  else {
    for (const each of commands) program.command(each.name).description(each.summary);
    if (name !== undefined && !name.startsWith('-')) throw noSuchCommand(name);
    if (name === undefined) program.action(() => program.help({ error: true }));
  }
  prepare(program, context.terminal);
  return program;
}

/** The program with every command loaded, for what describes them all: the man page, completion scripts. */
export async function buildWholeProgram(context: CommandContext): Promise<Command> {
  const program = root();
  for (const entry of commands) program.addCommand((await entry.load()).command(context));
  prepare(program, context.terminal);
  return program;
}

/** The names of the commands that a command line goes through, e.g. `bulla trust set`. */
export function commandPath(program: Command, words: readonly string[]): string {
  const [word, ...rest] = words;
  const next = program.commands.find((each) => each.name() === word);
  return next === undefined ? program.name() : `${program.name()} ${commandPath(next, rest)}`;
}

function root(): Command {
  return (
    new Command('bulla')
      .description('Sign, store, carry, verify and enforce container images.')
      .version(version, '-v, --version', 'print the version')
      .showHelpAfterError(false)
      // what stands behind a command is the command's: `login -v` is no question for the version
      .enablePositionalOptions()
      .addHelpText(
        'after',
        '\nExample:\n  $ bulla verify --policy policy.json docker://registry.example.com/ns/app:1',
      )
  );
}

/** No exit from inside, errors to our own printer, the flags that all share. */
function prepare(command: Command, terminal: Terminal): void {
  command
    .exitOverride()
    .helpOption('-h, --help', 'print this help')
    // `help` is a word of the whole program (main.ts), not of each group
    .helpCommand(false)
    .configureOutput({
      writeOut: (text) => terminal.write(Buffer.from(text)),
      // commander's own error lines are ours to print; its help, where a subcommand is missing, is not an error line
      writeErr: (text) => {
        if (!text.startsWith('error:')) terminal.note(text.trimEnd());
      },
    })
    .allowExcessArguments(false);
  if (runsItself(command)) addShared(command);
  for (const each of command.commands) prepare(each, terminal);
}

/** Whether it does something, besides commands below it that it may have. */
export function runsItself(command: Command): boolean {
  return command.commands.length === 0 || command.registeredArguments.length > 0;
}

function addShared(command: Command): void {
  const has = (flag: string): boolean => command.options.some((option) => option.long === flag);
  if (!has('--quiet')) command.option('-q, --quiet', 'print no remarks, only results, warnings and errors');
  if (!has('--debug')) command.option('--debug', 'print stacks of errors');
}

function noSuchCommand(name: string): BullaError {
  return new BullaError('usage.invalid', `there is no command "${name}"`, {
    hint: '`bulla --help` lists the commands',
  });
}
