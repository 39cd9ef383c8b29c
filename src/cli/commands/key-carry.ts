/** `bulla key export` and `bulla key import`. */
import { Command } from 'commander';

import { limits } from '../../base/limits.ts';
import { readBoundedFile, replaceFile } from '../../io/files.ts';
import { exportKey, importKeys } from '../../operations/keys.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, textOption } from '../options.ts';
import { keyContext, keyringOption, passphraseSource, withKeyringOptions } from './key-options.ts';

export function exportCommand({ terminal }: CommandContext): Command {
  return withKeyringOptions(new Command('export'))
    .description('Write a key’s public certificate to a file, or to standard output.')
    .argument('<key>', 'fingerprint, key ID, mail or user ID')
    .option('-a, --armor', 'as text')
    .option('-o, --output <file>', 'file to write')
    .option('--secret', 'the secret key, as it is protected, in place of the public certificate')
    .option(
      '--passphrase-file <file>',
      'file whose first line is the key’s passphrase (GnuPG asks for it with --secret)',
    )
    .addHelpText('after', '\nExample:\n  $ bulla key export --armor release@example.com -o release.pub.asc')
    .action(async (id: string, parsed: Parsed) => {
      const secret = flagOption(parsed, 'secret');
      const passphrase = await passphraseSource(parsed, terminal);
      const armor = flagOption(parsed, 'armor');
      const bytes = await exportKey(keyContext(parsed, terminal), id, { armor, secret, passphrase });
      if (secret)
        terminal.warn('this is the secret key: whoever has it and its passphrase signs in its name');
      const file = textOption(parsed, 'output');
      if (file === undefined) terminal.write(bytes);
      else await replaceFile(file, bytes, secret ? 0o600 : 0o644);
    });
}

const wordOf = { public: 'public key', secret: 'secret key', revocation: 'revocation of key' } as const;

export function importCommand({ terminal }: CommandContext): Command {
  return new Command('import')
    .description('Take in public keys, secret keys or a revocation certificate.')
    .argument('<file>', 'key file, armored or binary; - is standard input')
    .option('--gnupg', 'into GnuPG’s keyring (default: Bulla’s own)')
    .option(
      '--passphrase-file <file>',
      'passphrase of a secret key that must be protected anew to be readable',
    )
    .addHelpText('after', '\nExample:\n  $ bulla key import release.pub.asc')
    .action(async (file: string, parsed: Parsed) => {
      const bytes =
        file === '-'
          ? await terminal.readInput(limits.keyringBytes)
          : await readBoundedFile(file, limits.keyringBytes);
      const passphrase = await passphraseSource(parsed, terminal);
      const target = keyringOption(parsed) ?? 'own';
      const imported = await importKeys({ env: terminal.env }, bytes, target, passphrase);
      for (const { fingerprint, what, changed, unprotected } of imported) {
        terminal.print(fingerprint);
        terminal.note(`${wordOf[what]} ${fingerprint}: ${changed ? 'taken in' : 'here already, unchanged'}`);
        if (unprotected) terminal.warn(`secret key ${fingerprint} has no passphrase`);
      }
    });
}
