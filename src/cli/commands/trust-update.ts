/** `bulla trust update`: sigstore's trusted root, or that of one's own TUF repository. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { updateTrust } from '../../operations/trust/update.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, textOption } from '../options.ts';
import { environmentOf } from './trust-options.ts';

export function updateCommand({ terminal }: CommandContext): Command {
  return new Command('update')
    .description("Fetch the trusted root of sigstore's public instance, or of a TUF repository of your own.")
    .option('--tuf-mirror <url>', "TUF repository (default: sigstore's public one)")
    .option('--tuf-root <file>', 'its first root.json, got in a way that you trust')
    .option('--target <name>', 'target to fetch (default: trusted_root.json)')
    .option('-o, --output <file>', 'write the target here, too')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla trust update --tuf-mirror https://tuf.example.com --tuf-root root.json -o trusted_root.json',
    )
    .action(async (parsed: Parsed) => {
      if (flagOption(parsed, 'offline')) {
        throw new BullaError('usage.invalid', 'trust update fetches, and --offline forbids it');
      }
      const mirror = textOption(parsed, 'tufMirror');
      const rootFile = textOption(parsed, 'tufRoot');
      const target = textOption(parsed, 'target');
      const output = textOption(parsed, 'output');
      const updated = await updateTrust({
        environment: environmentOf(terminal),
        ...(mirror !== undefined && { mirror }),
        ...(rootFile !== undefined && { rootFile }),
        ...(target !== undefined && { target }),
        ...(output !== undefined && { output }),
      });
      if (flagOption(parsed, 'json')) return terminal.printJson(updated);
      terminal.print(`${updated.target} of ${updated.mirror}, good until ${updated.freshUntil.slice(0, 10)}`);
    });
}
