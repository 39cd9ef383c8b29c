/** `bulla trust check`: 0 where the grammar holds; --strict makes warnings count. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { checkTrust } from '../../operations/trust.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed } from '../options.ts';
import { environmentOf, policyFileOption, withPolicyFile } from './trust-options.ts';

export function checkCommand(context: CommandContext): Command {
  const { terminal } = context;
  const command = new Command('check')
    .description('Check the policy: its grammar, its key files, scopes and identities that can never match.')
    .option('--strict', 'exit 2 where there is any warning')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ bulla trust check --strict --policy policy.json');
  return withPolicyFile(command).action(async (parsed: Parsed) => {
    const file = policyFileOption(parsed);
    const { file: checked, warnings } = await checkTrust({
      environment: environmentOf(terminal),
      now: new Date(),
      ...(file !== undefined && { file }),
    });
    if (flagOption(parsed, 'json')) terminal.printJson({ file: checked, warnings });
    else {
      for (const { place, path, message, code, hint } of warnings) {
        terminal.print(`${place}: ${printable(path, 300)}: ${printable(message, 1000)} [${code}]`);
        if (hint !== undefined) terminal.print(`  ${printable(hint)}`);
      }
      const found = warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`;
      terminal.note(`${checked}: well-formed, ${warnings.length === 0 ? 'no warnings' : found}`);
    }
    if (flagOption(parsed, 'strict') && warnings.length > 0) context.finish(2);
  });
}
