/** `bulla key …`: the life of OpenPGP keys, in Bulla's own keyring and the user's GnuPG. */
import { Command } from 'commander';

import type { CommandContext } from '../command.ts';
import { deleteCommand, extendCommand, revokeCommand } from './key-change.ts';
import { generateCommand } from './key-generate.ts';
import { exportCommand, importCommand } from './key-carry.ts';
import { impactCommand } from './key-impact.ts';
import { listCommand, showCommand } from './key-list.ts';

export function command(context: CommandContext): Command {
  const key = new Command('key')
    .description(
      'Make, list, show, export, import, extend, revoke and delete keys, and tell what hangs on one. KEY is a fingerprint, a 16-digit key ID, a mail address or a part of a user ID.',
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla key generate gpg --user-id "Release <release@example.com>" --passphrase-file pass\n  $ bulla key list --secret',
    );
  key.addCommand(generateCommand(context));
  key.addCommand(listCommand(context));
  key.addCommand(showCommand(context));
  key.addCommand(exportCommand(context));
  key.addCommand(importCommand(context));
  key.addCommand(extendCommand(context));
  key.addCommand(revokeCommand(context));
  key.addCommand(deleteCommand(context));
  key.addCommand(impactCommand(context));
  return key;
}
