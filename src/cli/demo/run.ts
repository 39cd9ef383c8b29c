/** Runs the demo's steps and tells each as it goes. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { printable } from '../../base/bytes.ts';
import type { CommandContext } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { buildImage } from './image.ts';
import { type Stage, type Step, steps } from './steps.ts';

/** @returns the titles of the steps that did not do what they should */
export async function runSteps(stage: Stage, context: CommandContext): Promise<readonly string[]> {
  const failed: string[] = [];
  for (const [index, step] of steps(stage).entries()) {
    context.terminal.print(`\n${index + 1}. ${step.title}`);
    if (!(await runStep(step, stage, context))) failed.push(step.title);
  }
  return failed;
}

async function runStep(step: Step, stage: Stage, context: CommandContext): Promise<boolean> {
  const { terminal } = context;
  if (step.act !== undefined) {
    for (const line of await act(step.act, stage)) terminal.print(`   ${line}`);
    if (step.today !== undefined) terminal.print(`   (today: ${step.today})`);
    return true;
  }
  const argv = step.argv ?? [];
  terminal.print(`   $ bulla ${argv.map(quoted).join(' ')}`);
  if (step.today !== undefined) terminal.print(`   (today: ${step.today})`);
  const printed: string[] = [];
  const reached = await context.run(argv, indented(terminal, stage, printed));
  if (step.verdict === true) {
    // the verdict’s first line names the image, the next one the reason
    const reason = printed[1]?.trim() ?? 'no reason was given';
    terminal.print(`   ${reached === 0 ? 'accepted' : 'refused'}, exit ${reached}, ${reason}`);
  }
  if (reached !== step.expect)
    terminal.print(`   THIS STEP FAILED: exit ${reached}, expected ${step.expect}`);
  return reached === step.expect;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '   ');
}

/** The same terminal, indented, with a world of its own: nothing of the user's is read or written. */
function indented(terminal: Terminal, { folder }: Stage, printed: string[]): Terminal {
  const print = (line: string): void => terminal.print(indent(line));
  return {
    ...terminal,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      XDG_DATA_HOME: join(folder, 'data'),
      XDG_CONFIG_HOME: join(folder, 'config'),
    },
    cwd: folder,
    interactive: false,
    print: (line) => {
      printed.push(line);
      print(line);
    },
    write: (bytes) => print(Buffer.from(bytes).toString('utf8').trimEnd()),
    printJson: (value) => print(JSON.stringify(value, undefined, 2)),
    note: (line) => print(line),
    warn: (line) => print(`warning: ${line}`),
    error: (error) => print(error instanceof Error ? printable(error.message) : String(error)),
  };
}

type Act = NonNullable<Step['act']>;

async function act(what: Act, { folder }: Stage): Promise<readonly string[]> {
  switch (what) {
    case 'build':
      await buildImage(join(folder, 'image'), 'hello');
      return ['image/ (an OCI layout)'];
    case 'rebuild':
      await buildImage(join(folder, 'image'), 'this is not what was signed');
      return ['image/ (another OCI layout)'];
    case 'show-store':
      return storedSignatures(join(folder, 'staging'));
    case 'tamper':
    case 'restore':
      return [await turnBit(join(folder, 'web'))];
  }
}

async function storedSignatures(store: string): Promise<readonly string[]> {
  const entries = await readdir(store, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Turns one bit near the end of the published signature; twice brings it back. */
async function turnBit(store: string): Promise<string> {
  const [path] = await storedSignatures(store);
  if (path === undefined) throw new Error('the demo found no published signature');
  const bytes = await readFile(path);
  const at = bytes.length - 8;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  await writeFile(path, bytes);
  return path;
}
