/** `bulla bundle …`: images with all that belongs to them across an air gap, in one file. */
import { Command } from 'commander';

import type { CommandContext } from '../command.ts';
import { createCommand } from './bundle-create.ts';
import { loadCommand } from './bundle-load.ts';
import { showCommand } from './bundle-show.ts';
import { verifyCommand } from './bundle-verify.ts';

export function command(context: CommandContext): Command {
  return new Command('bundle')
    .description(
      'Carry images across an air gap in one file, with signatures, attachments, keys and policy. Whom to believe is for the far side to say.',
    )
    .addCommand(createCommand(context))
    .addCommand(showCommand(context))
    .addCommand(verifyCommand(context))
    .addCommand(loadCommand(context))
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla bundle create --policy policy.json docker://registry.example.com/ns/app:1.0 -o app.tar',
    );
}
