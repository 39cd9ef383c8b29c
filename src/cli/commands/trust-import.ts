/** `bulla trust import`: policy.json as trust.yaml. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { importTrust } from '../../operations/trust-import.ts';
import type { CommandContext } from '../command.ts';
import { type Parsed, textOption } from '../options.ts';
import { environmentOf, policyFileOption, withPolicyFile } from './trust-options.ts';

export function importCommand({ terminal }: CommandContext): Command {
  const command = new Command('import')
    .description(
      'Write what a policy.json says as a trust.yaml, which gives the same verdicts and can say more.',
    )
    .option('-o, --output <file>', 'trust.yaml to make; it must not be there (default: standard output)')
    .addHelpText('after', '\nExample:\n  $ bulla trust import --policy policy.json -o trust.yaml');
  return withPolicyFile(command).action(async (parsed: Parsed) => {
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
  });
}
