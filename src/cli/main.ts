/** The terminal's front door: finds the command, loads only that, runs it, prints what went wrong. */
import { type Command, CommanderError } from 'commander';

import { BullaError } from '../base/errors.ts';
import type { CommandContext, Outcome } from './command.ts';
import { moveLeadingFlags } from './global-flags.ts';
import { buildProgram, commandPath } from './program.ts';
import { openTerminal, type Terminal, unexpected } from './terminal.ts';

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
  let words: readonly string[] = [];
  let program: Command | undefined;
  try {
    terminal.debug = argv.includes('--debug');
    terminal.quiet = argv.includes('--quiet') || argv.includes('-q');
    words = helpAsFlag(moveLeadingFlags(argv));
    program = await buildProgram(words[0], context);
    await program.parseAsync([...words], { from: 'user' });
    return outcome;
  } catch (error) {
    // machines that read verdicts get one document whatever happened; a command line that did not
    // parse never reached the command that would have printed it
    if (isUsage(error) && judges(words) && words.includes('--json')) terminal.printJson([]);
    return ended(error, terminal, program === undefined ? 'bulla' : commandPath(program, words));
  }
}

function judges([first, second]: readonly string[]): boolean {
  return first === 'verify' || (first === 'bundle' && second === 'verify');
}

function isUsage(error: unknown): boolean {
  return error instanceof CommanderError && error.exitCode !== 0;
}

/** `bulla help trust set` is `bulla trust set --help`. */
function helpAsFlag(words: readonly string[]): readonly string[] {
  return words[0] === 'help' ? [...words.slice(1), '--help'] : words;
}

function ended(error: unknown, terminal: Terminal, path: string): number {
  if (error instanceof CommanderError) {
    // help and version are printed already, and asked for
    if (error.exitCode === 0) return 0;
    if (error.code === 'commander.help') return 2;
    const usage = new BullaError('usage.invalid', oneLine(error.message), {
      hint: `\`${path} --help\` tells how`,
    });
    terminal.error(usage);
    return usage.exitCode;
  }
  terminal.error(error);
  return error instanceof BullaError ? error.exitCode : unexpected(error).exitCode;
}

/** commander writes `error: …` and its guess at what was meant on a line of its own. */
function oneLine(message: string): string {
  return message.replace(/^error: /, '').replace(/\n\(Did/, ' (did');
}
