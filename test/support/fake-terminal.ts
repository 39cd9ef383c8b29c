/** A terminal that nobody sits at: what a command writes is kept. */
import { errorLines, type Terminal } from '../../src/cli/terminal.ts';
import { main } from '../../src/cli/main.ts';

export type Ended = { readonly exit: number; readonly out: string; readonly err: string };

function nobody(): Promise<never> {
  return Promise.reject(new Error('nobody can be asked'));
}

/** Runs a command line in this process, with its own home and working directory. */
export async function runBulla(
  folder: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  /** Somebody sits there, and answers every question by yes or no. */
  answer?: (question: string) => boolean,
): Promise<Ended> {
  const out: string[] = [];
  const err: string[] = [];
  const terminal: Terminal = {
    env: { HOME: folder, ...env },
    cwd: folder,
    interactive: answer !== undefined,
    quiet: false,
    debug: false,
    paint: (word) => word,
    print: (line) => void out.push(`${line}\n`),
    write: (bytes) => void out.push(Buffer.from(bytes).toString('utf8')),
    printJson: (value) => void out.push(`${JSON.stringify(value)}\n`),
    note: (line) => {
      if (!terminal.quiet) err.push(`${line}\n`);
    },
    warn: (line) => void err.push(`warning: ${line}\n`),
    error: (error) => void err.push(errorLines(error, terminal.debug)),
    readInput: () => Promise.resolve(new Uint8Array()),
    ask: nobody,
    askSecret: nobody,
    confirm: answer === undefined ? nobody : async (question) => answer(question),
  };
  const exit = await main(words, terminal);
  return { exit, out: out.join(''), err: err.join('') };
}
