/** Flags that the trust commands share. */
import { type Command, Option } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { type SystemEnvironment, systemEnvironment } from '../../registry/environment.ts';
import { type Parsed, policyOption, textOption } from '../options.ts';
import type { Terminal } from '../terminal.ts';

/** The flags that name the policy file; podman 5 calls it --policypath. */
export function withPolicyFile(command: Command): Command {
  return command
    .option('--policy <file>', 'policy.json (default: as containers/image searches it)')
    .addOption(new Option('--signature-policy <file>', 'alias of --policy').hideHelp())
    .addOption(new Option('--policypath <file>', 'alias of --policy').hideHelp());
}

/** The policy file named by a flag. @throws BullaError `usage.invalid` where two flags name different ones */
export function policyFileOption(parsed: Parsed): string | undefined {
  const file = policyOption(parsed);
  const podman = textOption(parsed, 'policypath');
  if (file !== undefined && podman !== undefined && file !== podman) {
    throw new BullaError('usage.invalid', '--policy and --policypath name different files');
  }
  return file ?? podman;
}

/** The flags that name the folder with lookasides; podman calls it --registrypath. */
export function withRegistriesFolder(command: Command): Command {
  return command
    .option('--registries.d <dir>', 'folder with registries.d files (default: as containers/image)')
    .addOption(new Option('--registrypath <dir>', 'alias of --registries.d').hideHelp());
}

export function registriesFolderOption(parsed: Parsed): string | undefined {
  return textOption(parsed, 'registries.d') ?? textOption(parsed, 'registrypath');
}

/** Where configuration is searched, as the terminal's environment has it. */
export function environmentOf({ env }: Terminal): SystemEnvironment {
  const system = systemEnvironment();
  return { ...system, env, home: env['HOME'] ?? system.home };
}
