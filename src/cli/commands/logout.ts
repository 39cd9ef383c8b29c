/** `bulla logout REGISTRY`, as podman's. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, textOption } from '../options.ts';
import type { Terminal } from '../terminal.ts';

export function command({ terminal }: CommandContext): Command {
  return new Command('logout')
    .description('Forget the credentials of a registry.')
    .argument('[registry]', 'host, host:port or host/namespace')
    .option('-a, --all', 'forget all registries')
    .option('--authfile <file>', 'credentials file (default: as podman searches it)')
    .option('--compat-auth-file <file>', 'docker’s config.json instead')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla logout registry.example.com\n  Removed login credentials for registry.example.com',
    )
    .action((registry: string | undefined, parsed: Parsed) => runLogout(terminal, registry, parsed));
}

async function runLogout(terminal: Terminal, registry: string | undefined, parsed: Parsed): Promise<void> {
  const { logout, logoutAll } = await import('../../operations/login.ts');
  const authFile = textOption(parsed, 'authfile');
  const compatAuthFile = textOption(parsed, 'compatAuthFile');
  const place = {
    ...(authFile !== undefined && { authFile }),
    ...(compatAuthFile !== undefined && { compatAuthFile }),
  };
  const all = flagOption(parsed, 'all');
  if (all === (registry !== undefined)) {
    throw new BullaError('usage.invalid', 'logout takes either a registry or --all');
  }
  if (registry === undefined) {
    await logoutAll(place);
    terminal.print('Removed login credentials for all registries');
    return;
  }
  await logout({ ...place, registry });
  terminal.print(`Removed login credentials for ${registry}`);
}
