/** `bulla key generate`, and its `gpg`: by flags, or on a terminal by the questions that gpg asks. */
import { resolve } from 'node:path';

import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { parseExpiry } from '../../keys/expiry.ts';
import { type KeyType, keyTypes } from '../../keys/key-info.ts';
import { generateKey, type GenerateTarget } from '../../operations/keys.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, readPassphraseFile, textOption } from '../options.ts';
import type { Terminal } from '../terminal.ts';
import { sigstoreCommand } from './key-generate-sigstore.ts';
import { askNewPassphrase, day } from './key-options.ts';

const usualExpiry = '2y';

export function generateCommand(context: CommandContext): Command {
  const generate = new Command('generate')
    .description('Make a signing key.')
    .addHelpText('after', '\nExample:\n  $ bulla key generate gpg --user-id "Release <release@example.com>"');
  generate.addCommand(gpgCommand(context));
  generate.addCommand(sigstoreCommand(context));
  return generate;
}

function gpgCommand({ terminal }: CommandContext): Command {
  return new Command('gpg')
    .description('Make an OpenPGP key that signs, with its revocation certificate; prints its fingerprint.')
    .option('--user-id <id>', 'whose key it is: "Name <mail>"; without it you are asked')
    .option('--type <type>', `${keyTypes.join(', ')} (default: rsa3072)`)
    .option(
      '--expires <when>',
      `0 (never), 30d, 2w, 18m, 2y, or a date like 2030-01-31 (default: ${usualExpiry})`,
    )
    .option('--passphrase-file <file>', 'file whose first line is the passphrase; an empty file means none')
    .option(
      '--output-prefix <path>',
      'write PATH.private.asc, PATH.pub.asc and PATH.revoke.asc and nothing else',
    )
    .option('--gnupg', 'into GnuPG’s keyring (default: Bulla’s own)')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla key generate gpg --user-id "Release <release@example.com>" --expires 2y --passphrase-file pass',
    )
    .action(async (parsed: Parsed) => {
      const target = targetOf(parsed, terminal);
      const wish = textOption(parsed, 'userId') === undefined ? await asked(parsed, terminal) : given(parsed);
      const expires = parseExpiry(wish.expires);
      const passphrase = await newPassphrase(parsed, terminal, target);
      const made = await generateKey(
        { env: terminal.env },
        {
          userId: wish.userId,
          type: wish.type,
          ...(expires !== undefined && { expires }),
          ...(passphrase !== undefined && { passphrase }),
        },
        target,
      );
      terminal.print(made.fingerprint);
      terminal.note(
        `${wish.type} key for ${printable(wish.userId)}, expires: ${day(expires)}; in ${made.places.join(', ')}`,
      );
    });
}

function targetOf(parsed: Parsed, terminal: Terminal): GenerateTarget {
  const prefix = textOption(parsed, 'outputPrefix');
  const gnupg = flagOption(parsed, 'gnupg');
  if (prefix !== undefined && gnupg) {
    throw new BullaError('usage.invalid', '--output-prefix and --gnupg exclude each other');
  }
  if (prefix === '') throw new BullaError('usage.invalid', '--output-prefix is empty');
  if (prefix !== undefined) return { prefix: resolve(terminal.cwd, prefix) };
  return gnupg ? 'gnupg' : 'own';
}

type Wish = { readonly userId: string; readonly type: KeyType; readonly expires: string };

function given(parsed: Parsed): Wish {
  return {
    userId: textOption(parsed, 'userId') ?? '',
    type: keyType(textOption(parsed, 'type') ?? 'rsa3072'),
    expires: textOption(parsed, 'expires') ?? usualExpiry,
  };
}

function keyType(text: string): KeyType {
  const type = keyTypes.find((each) => each === text);
  if (type !== undefined) return type;
  throw new BullaError('usage.invalid', `"${printable(text)}" is no type of key`, {
    hint: `the types are ${keyTypes.join(', ')}`,
  });
}

/** gpg's questions, in gpg's order: kind, size, expiry, name, mail, is that right. */
async function asked(parsed: Parsed, terminal: Terminal): Promise<Wish> {
  if (!terminal.interactive) {
    throw new BullaError('usage.invalid', 'whose key shall it be? There is no terminal to ask on', {
      hint: 'give --user-id "Name <mail>"',
    });
  }
  const type = textOption(parsed, 'type') === undefined ? await askType(terminal) : given(parsed).type;
  const expires =
    textOption(parsed, 'expires') ??
    (await terminal.ask('When shall it expire? 0 (never), 30d, 2w, 18m, 2y, or a date', usualExpiry));
  parseExpiry(expires);
  const name = (await terminal.ask('Real name')).trim();
  const mail = (await terminal.ask('Mail address')).trim();
  const userId = mail === '' ? name : `${name} <${mail}>`.trim();
  if (
    !(await terminal.confirm(
      `A ${type} key for "${printable(userId)}", expires: ${day(parseExpiry(expires))}. Is that right?`,
    ))
  ) {
    throw new BullaError('usage.invalid', 'given up at the prompt; no key was made');
  }
  return { userId, type, expires };
}

async function askType(terminal: Terminal): Promise<KeyType> {
  const kind = (await terminal.ask('Kind of key: rsa, ed25519 or p256', 'rsa')).trim().toLowerCase();
  if (kind !== 'rsa') return keyType(kind);
  return keyType(`rsa${(await terminal.ask('Size: 3072 or 4096 bits', '3072')).trim()}`);
}

/** Undefined: gpg-agent asks for it. @throws BullaError `key.passphrase-missing` */
async function newPassphrase(
  parsed: Parsed,
  terminal: Terminal,
  target: GenerateTarget,
): Promise<string | undefined> {
  const file = textOption(parsed, 'passphraseFile');
  if (file !== undefined) return readPassphraseFile(resolve(terminal.cwd, file), terminal);
  if (target === 'gnupg' && terminal.interactive) return undefined;
  return askNewPassphrase(terminal, 'give --passphrase-file; an empty file means no passphrase');
}
