/** `bulla key extend`, `revoke` and `delete`. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { parseExpiry } from '../../keys/expiry.ts';
import { type RevocationReason, revocationReasons } from '../../keys/key-info.ts';
import { deleteKey, extendKey, findDeletable, findKey, revokeKey } from '../../operations/keys.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, textOption } from '../options.ts';
import type { Terminal } from '../terminal.ts';
import { day, keyContext, keyringName, passphraseSource, withKeyringOptions } from './key-options.ts';

const passphraseFlag = ['--passphrase-file <file>', 'file whose first line is the key’s passphrase'] as const;

export function extendCommand({ terminal }: CommandContext): Command {
  return withKeyringOptions(new Command('extend'))
    .description('Set when a key expires. Verifiers must get the exported key anew.')
    .argument('<key>', 'fingerprint, key ID, mail or user ID')
    .requiredOption('--expires <when>', '0 (never), 30d, 2w, 18m, 2y, or a date like 2030-01-31')
    .option(...passphraseFlag)
    .addHelpText('after', '\nExample:\n  $ bulla key extend release@example.com --expires 2y')
    .action(async (id: string, parsed: Parsed) => {
      const expires = parseExpiry(textOption(parsed, 'expires') ?? '');
      const passphrase = await passphraseSource(parsed, terminal);
      const key = await extendKey(keyContext(parsed, terminal), id, expires, passphrase);
      terminal.print(key.fingerprint);
      terminal.note(`expires: ${day(expires)}. Export it again for those who verify.`);
    });
}

export function revokeCommand({ terminal }: CommandContext): Command {
  return withKeyringOptions(new Command('revoke'))
    .description(
      'Revoke a key for good; without --reason by the certificate made with it, which needs no passphrase.',
    )
    .argument('<key>', 'fingerprint, key ID, mail or user ID')
    .option('--reason <why>', revocationReasons.join(', '))
    .option(...passphraseFlag)
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExample:\n  $ bulla key revoke release@example.com --reason compromised')
    .action(async (id: string, parsed: Parsed) => {
      const reason = reasonOption(parsed);
      const context = keyContext(parsed, terminal);
      const [found] = await findKey(context, id);
      const name = printable(found.userIds[0] ?? found.fingerprint);
      await confirmed(parsed, terminal, `Revoke ${name} for good?`);
      const key = await revokeKey(
        context,
        found.fingerprint,
        reason,
        await passphraseSource(parsed, terminal),
      );
      terminal.print(key.fingerprint);
      terminal.note('revoked. Export it again for those who verify: they do not know yet.');
    });
}

export function deleteCommand({ terminal }: CommandContext): Command {
  return withKeyringOptions(new Command('delete'))
    .description('Delete a key: secret part, public part and revocation certificate.')
    .argument('<key>', 'fingerprint, key ID, mail or user ID')
    .option('--secret', 'only the secret part')
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExample:\n  $ bulla key delete --secret release@example.com')
    .action(async (id: string, parsed: Parsed) => {
      const what = flagOption(parsed, 'secret') ? 'secret' : 'all';
      const context = keyContext(parsed, terminal);
      const found = await findDeletable(context, id, what);
      const name = printable(found.userIds[0] ?? found.fingerprint);
      const part = what === 'secret' ? 'the secret part of ' : '';
      const question = `Delete ${part}${name} from the ${keyringName(found.source)} keyring?`;
      await confirmed(parsed, terminal, question);
      const key = await deleteKey({ ...context, only: found.source }, found.fingerprint, what);
      terminal.print(key.fingerprint);
      terminal.note('deleted');
    });
}

/** A person is asked; a script that says it has said it. */
async function confirmed(parsed: Parsed, terminal: Terminal, question: string): Promise<void> {
  if (flagOption(parsed, 'yes') || !terminal.interactive || (await terminal.confirm(question))) return;
  throw new BullaError('usage.invalid', 'given up at the prompt; nothing has changed');
}

function reasonOption(parsed: Parsed): RevocationReason | undefined {
  const text = textOption(parsed, 'reason');
  if (text === undefined) return undefined;
  const reason = revocationReasons.find((each) => each === text);
  if (reason !== undefined) return reason;
  throw new BullaError(
    'usage.invalid',
    `--reason takes ${revocationReasons.join(', ')}, not "${printable(text)}"`,
  );
}
