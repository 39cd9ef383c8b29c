/**
 * Writes docs/man/bulla.1 from the tree of commands: what `--help` says is what the page says.
 *   node scripts/man.ts           writes it
 *   node scripts/man.ts --check   exits 1 where the committed page is another one
 */
import { readFileSync, writeFileSync } from 'node:fs';

import type { Command } from 'commander';

import { version } from '../src/base/version.ts';
import { buildWholeProgram, runsItself } from '../src/cli/program.ts';
import { openTerminal } from '../src/cli/terminal.ts';

const path = new URL('../docs/man/bulla.1', import.meta.url);

/** Text for roff: no line of it is a request, no character an escape. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', '\\(cq')
    .replaceAll('…', '\\&...')
    .replace(/^([.'])/gm, '\\&$1');
}

/** The text that --help prints, with the examples behind it. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 10_000 }).outputHelp();
  return text;
}

function examplesOf(command: Command): readonly string[] {
  const [, after = ''] = helpOf(command).split('\nExample:\n');
  return after === ''
    ? []
    : ['.PP', 'Example:', '.PP', '.nf', '.RS', escaped(after.trimEnd().replace(/^ {2}/gm, '')), '.RE', '.fi'];
}

function termLines(terms: readonly (readonly [string, string])[]): readonly string[] {
  return terms.flatMap(([term, description]) => ['.TP', `\\fB${escaped(term)}\\fR`, escaped(description)]);
}

function commandLines(command: Command, above: string): readonly string[] {
  const name = `${above} ${command.name()}`;
  const children = command.commands.flatMap((each) => commandLines(each, name));
  if (!runsItself(command)) return children;
  const words = command.registeredArguments.map((each) => {
    const word = `${each.name()}${each.variadic ? '...' : ''}`;
    return each.required ? word : `[${word}]`;
  });
  const usage = [name, '[options]', ...words].join(' ');
  const args = command.registeredArguments.map((each): [string, string] => [each.name(), each.description]);
  const help = command.createHelp();
  const options = help
    .visibleOptions(command)
    .filter(({ long }) => !['--help', '--quiet', '--debug'].includes(long ?? ''))
    .map((each): [string, string] => [help.optionTerm(each), help.optionDescription(each)]);
  return [
    `.SS "${escaped(usage)}"`,
    escaped(command.description()),
    ...termLines(args),
    ...termLines(options),
    ...examplesOf(command),
    ...children,
  ];
}

const exitCodes: readonly (readonly [string, string])[] = [
  ['0', 'done, or accepted'],
  ['1', 'refused, by the policy or because what is under judgement does not verify'],
  ['2', 'wrong usage or configuration'],
  ['3', 'could not decide: no such image, a registry or store that fails, a file that cannot be read'],
  ['4', 'a key or its passphrase is missing or does not work'],
];

const files: readonly (readonly [string, string])[] = [
  [
    '~/.config/containers/policy.json, /etc/containers/policy.json',
    'whom to believe; containers-policy.json(5)',
  ],
  [
    '~/.config/containers/registries.d, /etc/containers/registries.d',
    'where signatures are read and written; containers-registries.d(5)',
  ],
  ['$XDG_RUNTIME_DIR/containers/auth.json', 'credentials for registries; containers-auth.json(5)'],
  ['$XDG_DATA_HOME/bulla/keys', 'Bulla’s own keyring'],
];

/** What every command takes, told once. */
const shared: readonly (readonly [string, string])[] = [
  ['-h, --help', 'print the help of a command, with an example'],
  ['-q, --quiet', 'print no remarks, only results, warnings and errors'],
  ['--debug', 'print stacks of errors'],
  ['-v, --version', 'print the version (before a command)'],
];

function ignore(): void {
  // nothing runs: the commands are only described
}

/** The page, for groff and mandoc. */
export async function manPage(): Promise<string> {
  const program = await buildWholeProgram({
    terminal: openTerminal(),
    finish: ignore,
    run: () => Promise.resolve(0),
  });
  const lines = [
    '.\\" Written by scripts/man.ts from the commands themselves; do not edit.',
    `.TH BULLA 1 "" "bulla ${version}" "User Commands"`,
    '.nh',
    '.ad l',
    '.SH NAME',
    'bulla \\- sign, store, carry, verify and enforce container images',
    '.SH SYNOPSIS',
    '\\fBbulla\\fR \\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]',
    '.SH DESCRIPTION',
    'Bulla signs container images, keeps their signatures where podman, skopeo and CRI\\-O look for them, and tells whether an image is to be believed, and why.',
    'Results go to standard output, all else to standard error.',
    'An error is one line with a stable code in brackets, then a hint where a person can act.',
    '.PP',
    'An image is named docker://host[:port]/path[:tag|@digest], oci:DIR[:ref] or dir:DIR; a name without a transport means docker://.',
    '.SH COMMANDS',
    ...program.commands.flatMap((each) => commandLines(each, 'bulla')),
    '.SH COMMON OPTIONS',
    ...termLines(shared),
    '.SH EXIT STATUS',
    ...termLines(exitCodes),
    '.SH FILES',
    ...termLines(files),
    '.SH SEE ALSO',
    '\\fBpodman\\fR(1), \\fBskopeo\\fR(1), \\fBgpg\\fR(1), \\fBcontainers\\-policy.json\\fR(5), \\fBcontainers\\-signature\\fR(5)',
  ];
  return `${lines.join('\n')}\n`;
}

if (import.meta.main) {
  const page = await manPage();
  if (!process.argv.includes('--check')) writeFileSync(path, page);
  else if (readFileSync(path, 'utf8') !== page) {
    process.stderr.write('docs/man/bulla.1 is not what the commands say: node scripts/man.ts\n');
    process.exitCode = 1;
  }
}
