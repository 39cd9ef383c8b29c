/** The terminal's front door: finds the command, loads only that, runs it, prints what went wrong. */
import { Command, CommanderError } from 'commander';

import { BullaError } from '../base/errors.ts';
import type { CommandContext, Outcome } from './command.ts';
import { commands } from './commands.ts';
import { moveLeadingFlags } from './global-flags.ts';
import { openTerminal, type Terminal, unexpected } from './terminal.ts';
import { version } from '../base/version.ts';

/**
 * Runs one command line.
 * @param argv the words after the program's name
 * @returns the exit code
 */
export async function main(argv: readonly string[], terminal: Terminal = openTerminal()): Promise<number> {
  let outcome: Outcome = 0;
  const context: CommandContext = {
    terminal,
    finish: (reached) => {
      outcome = reached;
    },
    run: main,
  };
  try {
    terminal.debug = argv.includes('--debug');
    terminal.quiet = argv.includes('--quiet') || argv.includes('-q');
    const words = moveLeadingFlags(argv);
    const program = await buildProgram(words[0], context);
    await program.parseAsync(words, { from: 'user' });
    return outcome;
  } catch (error) {
    return ended(error, terminal);
  }
}

/** Loads one command; the root alone only knows their names and summaries. */
async function buildProgram(name: string | undefined, context: CommandContext): Promise<Command> {
  const program = new Command('bulla')
    .description('Sign, store, carry, verify and enforce container images.')
    .version(version, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError(false)
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla verify --policy policy.json docker://registry.example.com/ns/app:1',
    );
  const entry = commands.find((each) => each.name === name);
  if (entry === undefined) {
    for (const each of commands) program.command(each.name).description(each.summary);
    if (name !== undefined && !name.startsWith('-') && name !== 'help') throw noSuchCommand(name);
    if (name === undefined) program.action(() => program.help({ error: true }));
  } else {
    program.addCommand((await entry.load()).command(context));
  }
  prepare(program, context.terminal);
  return program;
}

/** The manners of every command: no exit from inside, errors to our own printer, the flags all share. */
function prepare(command: Command, terminal: Terminal): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => terminal.write(Buffer.from(text)),
    // commander's own error lines are ours to print; its help, where a subcommand is missing, is not an error line
    writeErr: (text) => {
      if (text.startsWith('Usage:')) terminal.note(text.trimEnd());
    },
  });
  command.allowExcessArguments(false);
  if (command.commands.length === 0) addShared(command);
  for (const each of command.commands) prepare(each, terminal);
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

function ended(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError) {
    // help and version are printed already, and asked for
    if (error.exitCode === 0) return 0;
    if (error.code === 'commander.help') return 2;
    const usage = new BullaError('usage.invalid', error.message.replace(/^error: /, ''), {
      hint: '`bulla --help` and `bulla COMMAND --help` tell how',
    });
    terminal.error(usage);
    return usage.exitCode;
  }
  terminal.error(error);
  return error instanceof BullaError ? error.exitCode : unexpected(error).exitCode;
}
