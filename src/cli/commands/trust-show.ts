/** `bulla trust show`, with the columns of `podman image trust show`. */
import { Command } from 'commander';

import { printable, utf8 } from '../../base/bytes.ts';
import { showTrust, type TrustRow } from '../../operations/trust.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed } from '../options.ts';
import {
  environmentOf,
  policyFileOption,
  registriesFolderOption,
  withPolicyFile,
  withRegistriesFolder,
} from './trust-options.ts';

export function showCommand({ terminal }: CommandContext): Command {
  const command = new Command('show')
    .description('Print the policy, one line a requirement.')
    .argument('[registry]', 'taken and ignored, as podman does')
    .option('-j, --json', 'print JSON')
    .option('--raw', 'print the file as it is')
    .option('-n, --noheading', 'print no column headings')
    .addHelpText('after', '\nExample:\n  $ bulla trust show --policy /etc/containers/policy.json');
  return withRegistriesFolder(withPolicyFile(command)).action(async (_registry: unknown, parsed: Parsed) => {
    const file = policyFileOption(parsed);
    const registriesD = registriesFolderOption(parsed);
    const shown = await showTrust({
      environment: environmentOf(terminal),
      ...(file !== undefined && { file }),
      ...(registriesD !== undefined && { registriesD }),
    });
    if (flagOption(parsed, 'raw')) return terminal.write(utf8(shown.text));
    for (const problem of shown.problems) terminal.warn(problem.message);
    if (flagOption(parsed, 'json')) return terminal.printJson(shown.rows);
    const cells = shown.rows.map(cellsOf);
    for (const line of table(flagOption(parsed, 'noheading') ? cells : [headings, ...cells]))
      terminal.print(line);
  });
}

const headings = ['TRANSPORT', 'NAME', 'TYPE', 'ID', 'STORE'] as const;

function cellsOf(row: TrustRow): readonly string[] {
  const cells = [row.transport, row.repo_name, row.type, row.gpg_id, row.sigstore];
  return cells.map((cell) => printable(cell ?? '', 1000));
}

const narrowest = 12;
const gap = 2;

/** Columns as podman lays them out: at least twelve wide, two blanks between, the last one ragged. */
function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = headings.map((_, column) =>
    Math.max(narrowest, ...rows.map((row) => lengthOf(row[column] ?? '') + gap)),
  );
  return rows.map((row) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : pad(cell, widths[column] ?? 0))).join(''),
  );
}

function pad(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(0, width - lengthOf(cell)));
}

/** In code points, as Go's tabwriter counts. */
function lengthOf(cell: string): number {
  return Array.from(cell).length;
}
