/** What the `bulla key` commands share. */
import type { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import type { KeyContext } from '../../operations/keys.ts';
import type { KeyInfo, KeySource, PassphraseSource } from '../../keys/key-info.ts';
import { flagOption, type Parsed, readPassphraseFile, textOption } from '../options.ts';
import type { Terminal } from '../terminal.ts';

/** Flags that choose one of the two keyrings. */
export function withKeyringOptions(command: Command): Command {
  return command
    .option('--gnupg', 'only in GnuPG’s keyring (GNUPGHOME)')
    .option('--own', 'only in Bulla’s own keyring ($XDG_DATA_HOME/bulla/keys)');
}

export function keyContext(parsed: Parsed, { env }: Terminal): KeyContext {
  const only = keyringOption(parsed);
  return only === undefined ? { env } : { env, only };
}

/** The keyring that --gnupg or --own chooses. @throws BullaError `usage.invalid` for both */
export function keyringOption(parsed: Parsed): KeySource | undefined {
  const gnupg = flagOption(parsed, 'gnupg');
  const own = flagOption(parsed, 'own');
  if (gnupg && own) throw new BullaError('usage.invalid', '--gnupg and --own exclude each other');
  if (gnupg) return 'gnupg';
  return own ? 'own' : undefined;
}

/** A passphrase from --passphrase-file, else from a person where one is there. */
export async function passphraseSource(parsed: Parsed, terminal: Terminal): Promise<PassphraseSource> {
  const file = textOption(parsed, 'passphraseFile');
  if (file !== undefined) return { given: await readPassphraseFile(file, terminal) };
  return terminal.interactive ? { ask: (question) => terminal.askSecret(question) } : {};
}

/**
 * Asks twice for the passphrase of a new key, and warns of an empty one.
 * @param hint how to give it where nobody can be asked
 * @throws BullaError `key.passphrase-missing`, `key.passphrase-wrong`
 */
export async function askNewPassphrase(terminal: Terminal, hint: string): Promise<string> {
  if (!terminal.interactive) {
    throw new BullaError(
      'key.passphrase-missing',
      'a new key wants a passphrase and there is no terminal to ask on',
      { hint },
    );
  }
  const passphrase = await terminal.askSecret('Passphrase of the new key');
  if ((await terminal.askSecret('The same once more')) !== passphrase) {
    throw new BullaError('key.passphrase-wrong', 'the two passphrases differ; no key was made');
  }
  if (passphrase === '') terminal.warn('the key has no passphrase: whoever gets the file signs in its name');
  return passphrase;
}

export function keyringName(source: KeySource): string {
  return source === 'gnupg' ? 'GnuPG' : 'own';
}

/** `2030-01-31`, or `never`. */
export function day(date: Date | undefined): string {
  return date === undefined ? 'never' : date.toISOString().slice(0, 10);
}

/** One word for whether a key can be used now. */
export function stateOf(key: Pick<KeyInfo, 'revoked' | 'expires'>, now: Date = new Date()): string {
  if (key.revoked) return 'revoked';
  return key.expires !== undefined && key.expires <= now ? 'expired' : 'valid';
}
