/** `bulla key generate sigstore`: an encrypted key file that podman, skopeo and cosign sign with too. */
import { resolve } from 'node:path';

import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { readBoundedFile } from '../../io/files.ts';
import { withCosignPassword } from '../../keys/sigstore/encrypted-key.ts';
import { freeKeyFiles, writeKeyFiles } from '../../keys/sigstore/key-files.ts';
import {
  importPrivateKey,
  makeKeyPair,
  type SigstoreKeyPair,
  sigstoreKeyTypes,
} from '../../keys/sigstore/private-key.ts';
import type { CommandContext } from '../command.ts';
import { type Parsed, readPassphraseFile, textOption } from '../options.ts';
import type { Terminal } from '../terminal.ts';
import { askNewPassphrase } from './key-options.ts';

export function sigstoreCommand({ terminal }: CommandContext): Command {
  return new Command('sigstore')
    .description(
      'Make a sigstore key pair: PREFIX.private, encrypted, and PREFIX.pub; prints the key’s ID, the SHA-256 of its public part.',
    )
    .requiredOption('--output-prefix <prefix>', 'where to write; nothing is overwritten')
    .option('--passphrase-file <file>', 'file whose first line is the passphrase (default: COSIGN_PASSWORD)')
    .option('--type <type>', `${sigstoreKeyTypes.join(', ')} (default: ecdsa-p256)`)
    .option('--import <file>', 'take over a plain PEM private key instead; - is standard input')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla key generate sigstore --output-prefix release --passphrase-file pass\n  $ bulla key generate sigstore --import openssl.pem --output-prefix release --passphrase-file pass',
    )
    .action(async (parsed: Parsed) => {
      const prefix = textOption(parsed, 'outputPrefix') ?? '';
      if (prefix === '') throw new BullaError('usage.invalid', '--output-prefix is empty');
      const make = maker(parsed, terminal);
      const files = await freeKeyFiles(resolve(terminal.cwd, prefix));
      const pair = await make();
      await writeKeyFiles(files, pair, await newPassphrase(parsed, terminal));
      terminal.print(pair.publicKey.keyId);
      terminal.note(`private key in ${files.private}, public key in ${files.public}`);
    });
}

/** What gives the key pair, once all flags are known to be right. */
function maker(parsed: Parsed, terminal: Terminal): () => Promise<SigstoreKeyPair> {
  const file = textOption(parsed, 'import');
  const typed = textOption(parsed, 'type');
  if (file !== undefined && typed !== undefined) {
    throw new BullaError('usage.invalid', '--import and --type exclude each other');
  }
  if (file === '-') return async () => importPrivateKey(await terminal.readInput(limits.keyringBytes));
  if (file !== undefined) {
    const path = resolve(terminal.cwd, file);
    return async () => importPrivateKey(await readBoundedFile(path, limits.keyringBytes));
  }
  const type = sigstoreKeyTypes.find((each) => each === (typed ?? 'ecdsa-p256'));
  if (type !== undefined) return async () => makeKeyPair(type);
  throw new BullaError('usage.invalid', `"${printable(typed ?? '')}" is no type of key`, {
    hint: `the types are ${sigstoreKeyTypes.join(', ')}`,
  });
}

/** The file, else COSIGN_PASSWORD, else a person, who types it twice. @throws BullaError `key.passphrase-missing`, `key.passphrase-wrong` */
async function newPassphrase(parsed: Parsed, terminal: Terminal): Promise<string> {
  const file = textOption(parsed, 'passphraseFile');
  if (file !== undefined) return readPassphraseFile(resolve(terminal.cwd, file), terminal);
  const { given } = withCosignPassword({}, terminal.env);
  if (given === undefined)
    return askNewPassphrase(
      terminal,
      'give --passphrase-file or COSIGN_PASSWORD; an empty one means no passphrase',
    );
  if (given === '') terminal.warn('COSIGN_PASSWORD is empty: whoever gets the file signs in its name');
  return given;
}
