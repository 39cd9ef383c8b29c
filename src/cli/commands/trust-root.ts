/** `bulla trust root`: whom a trusted root believes. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { showRoot, type ShownRoot, type ShownService } from '../../operations/trust/root.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, textOption } from '../options.ts';
import { environmentOf } from './trust-options.ts';

export function rootCommand({ terminal }: CommandContext): Command {
  return new Command('root')
    .description("Show whom a trusted root believes, and when: sigstore's public one, or a file's.")
    .option('--trusted-root <file>', 'trusted_root.json, or several as JSON lines')
    .option('--offline', 'make no connection: show what was fetched last, or came with Bulla')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ bulla trust root --trusted-root trusted_root.json')
    .action(async (parsed: Parsed) => {
      const file = textOption(parsed, 'trustedRoot');
      const world = {
        environment: environmentOf(terminal),
        now: () => new Date(),
        warn: (message: string) => terminal.warn(message),
      };
      const offline = flagOption(parsed, 'offline');
      const shown = await showRoot({ offline, ...(file !== undefined && { file }) }, world);
      if (flagOption(parsed, 'json')) return terminal.printJson(shown);
      for (const line of linesOf(shown)) terminal.print(printable(line, 1000));
    });
}

function linesOf({ from, file, freshUntil, roots }: ShownRoot): readonly string[] {
  const fresh = freshUntil === undefined ? '' : `, good until ${freshUntil.slice(0, 10)}`;
  return [
    `${file ?? "sigstore's public instance"} (${from}${fresh})`,
    ...roots.flatMap(({ services }, index) => [
      ...(roots.length > 1 ? [`root ${index + 1}`] : []),
      ...services.map(serviceLine),
    ]),
  ];
}

function serviceLine({ kind, url, key, from, until, isCurrent }: ShownService): string {
  const span = `${from.slice(0, 10)} to ${until === undefined ? 'now' : until.slice(0, 10)}`;
  return `  ${kind.padEnd(21)}  ${span}${isCurrent ? '' : ' (not now)'}  ${url}  ${key}`;
}
