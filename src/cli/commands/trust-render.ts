/** `bulla trust render`: policy.json from trust.yaml, for podman and CRI-O. */
import { Command, Option } from 'commander';

import { printable } from '../../base/bytes.ts';
import { renderTargets, renderTrust, type RenderTarget } from '../../operations/trust/render.ts';
import type { CommandContext } from '../command.ts';
import { type Parsed, textOption } from '../options.ts';
import { environmentOf, policyFileOption, withPolicyFile } from './trust-options.ts';

export function renderCommand({ terminal }: CommandContext): Command {
  const command = new Command('render')
    .description(
      'Write a policy.json from a trust.yaml. It never accepts more: what it cannot say is rejected.',
    )
    .addOption(
      new Option('--for <program>', 'program that reads it').choices(renderTargets).makeOptionMandatory(),
    )
    .option('--namespace <name>', 'with --for crio: the pods of this namespace alone')
    .option('-o, --output <dir>', 'folder to write into (default: policy.json to standard output)')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla trust render --for podman --policy trust.yaml -o /etc/containers',
    );
  return withPolicyFile(command).action(async (parsed: Parsed) => {
    const file = policyFileOption(parsed);
    const output = textOption(parsed, 'output');
    const namespace = textOption(parsed, 'namespace');
    const rendered = await renderTrust({
      target: textOption(parsed, 'for') as RenderTarget,
      environment: environmentOf(terminal),
      ...(file !== undefined && { file }),
      ...(output !== undefined && { output }),
      ...(namespace !== undefined && { namespace }),
    });
    for (const { scope, place, why } of rendered.rejected) {
      const name = scope.transport === '' ? 'the default' : `${scope.transport} "${scope.name}"`;
      terminal.warn(`${printable(name, 500)} is rejected: ${printable(why, 500)} (${printable(place, 500)})`);
    }
    if (output === undefined) {
      terminal.print(rendered.policy.trimEnd());
      if (rendered.registriesD !== undefined) {
        terminal.warn(
          'sigstore signatures are looked for where registries.d turns them on; -o writes that file, too',
        );
      }
    }
    for (const path of rendered.written) terminal.note(path);
  });
}
