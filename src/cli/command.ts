/**
 * What every file in commands/ exports: `export function command(context: CommandContext): Command`.
 * A command declares its flags, makes one call into operations/, prints, and says how it ended by
 * `context.finish(outcome)`. Errors are thrown; main.ts prints them and takes the exit code.
 */
import type { Command } from 'commander';

import type { ExitCode } from '../base/errors.ts';
import type { Terminal } from './terminal.ts';

/** 0: done or accepted; otherwise as docs/reference/exit-codes.md. */
export type Outcome = 0 | ExitCode;

export type CommandContext = {
  readonly terminal: Terminal;
  /** Sets the exit code; the last call counts. Without a call it is 0. */
  finish(outcome: Outcome): void;
  /** Runs another command line, as the demo does. */
  run(argv: readonly string[], terminal: Terminal): Promise<number>;
};

export type CommandModule = { readonly command: (context: CommandContext) => Command };
