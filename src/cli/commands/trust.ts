/** `bulla trust …`: as `podman image trust`, and past it. */
import { Command } from 'commander';

import type { CommandContext } from '../command.ts';
import { checkCommand } from './trust-check.ts';
import { explainCommand } from './trust-explain.ts';
import { importCommand } from './trust-import.ts';
import { renderCommand } from './trust-render.ts';
import { rootCommand } from './trust-root.ts';
import { setCommand } from './trust-set.ts';
import { showCommand } from './trust-show.ts';
import { updateCommand } from './trust-update.ts';

export function command(context: CommandContext): Command {
  return new Command('trust')
    .description('Show, set, check and explain the policy: whom this machine believes.')
    .addCommand(showCommand(context))
    .addCommand(setCommand(context))
    .addCommand(checkCommand(context))
    .addCommand(explainCommand(context))
    .addCommand(importCommand(context))
    .addCommand(renderCommand(context))
    .addCommand(updateCommand(context))
    .addCommand(rootCommand(context))
    .addHelpText('after', '\nExample:\n  $ bulla trust explain registry.example.com/ns/app:1');
}
