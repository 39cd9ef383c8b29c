/** `bulla trust import`: policy.json as trust.yaml; or a key out of a transfer bundle, by its fingerprint. */
import { relative } from 'node:path';

import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { importTransferKeys } from '../../operations/transfer/import.ts';
import { importTrust } from '../../operations/trust/import.ts';
import type { CommandContext } from '../command.ts';
import { collect, flagOption, listOption, type Parsed, textOption } from '../options.ts';
import { environmentOf, policyFileOption, withPolicyFile } from './trust-options.ts';

export function importCommand({ terminal }: CommandContext): Command {
  const command = new Command('import')
    .description(
      'Write what a policy.json says as a trust.yaml, which gives the same verdicts and can say more. With --bundle: write a key of a transfer bundle, whose fingerprint you know from elsewhere, to a file.',
    )
    .option('--bundle <file>', 'transfer bundle to take keys from')
    .option('--fingerprint <fpr>', 'whole fingerprint of a key in it; repeatable', collect)
    .option(
      '-o, --output <file>',
      'trust.yaml to make; it must not be there (default: standard output). With --bundle: the key’s file (default: named by its fingerprint)',
    )
    .option('--json', 'with --bundle: print what was written as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla trust import --policy policy.json -o trust.yaml\n  $ bulla trust import --bundle release.tar --fingerprint 0123456789ABCDEF0123456789ABCDEF01234567 -o release.gpg',
    );
  return withPolicyFile(command).action(async (parsed: Parsed) => {
    const bundle = textOption(parsed, 'bundle');
    if (bundle !== undefined) return importKeys(bundle, parsed, terminal);
    for (const [option, flag] of [
      ['fingerprint', '--fingerprint'],
      ['json', '--json'],
    ] as const) {
      if (parsed[option] !== undefined) throw new BullaError('usage.invalid', `${flag} goes with --bundle`);
    }
    return importPolicy(parsed, terminal);
  });
}

async function importPolicy(parsed: Parsed, terminal: CommandContext['terminal']): Promise<void> {
  const file = policyFileOption(parsed);
  const output = textOption(parsed, 'output');
  const imported = await importTrust({
    environment: environmentOf(terminal),
    cwd: terminal.cwd,
    ...(file !== undefined && { file }),
    ...(output !== undefined && { output }),
  });
  for (const place of imported.rejected) {
    terminal.warn(`${printable(place, 500)}: it names no key, so it accepts nothing: it became reject`);
  }
  if (output === undefined) terminal.print(imported.text.trimEnd());
  else terminal.note(`${output}: made from ${imported.file}`);
}

async function importKeys(file: string, parsed: Parsed, terminal: CommandContext['terminal']): Promise<void> {
  if (policyFileOption(parsed) !== undefined)
    throw new BullaError('usage.invalid', '--bundle and --policy exclude each other');
  const output = textOption(parsed, 'output');
  const keys = await importTransferKeys({
    file,
    fingerprints: listOption(parsed, 'fingerprint'),
    cwd: terminal.cwd,
    ...(output !== undefined && { output }),
  });
  if (flagOption(parsed, 'json')) return terminal.printJson(keys);
  for (const { fingerprint, path, written } of keys) {
    const shown = relative(terminal.cwd, path);
    terminal.print(`${fingerprint} ${shown}${written ? '' : ', there already'}`);
    terminal.note(`let a policy believe it: bulla trust set -f ${shown} SCOPE`);
  }
}
