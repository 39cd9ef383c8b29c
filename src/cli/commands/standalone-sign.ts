/** `bulla standalone-sign MANIFEST REF KEY -o SIGNATURE`, as skopeo's. */
import { Command } from 'commander';

import { limits } from '../../base/limits.ts';
import { parseReference } from '../../base/reference.ts';
import { readBoundedFile, replaceFile } from '../../io/files.ts';
import { openSigner } from '../../keys/open-signer.ts';
import { standaloneSign } from '../../operations/standalone.ts';
import type { CommandContext } from '../command.ts';
import { type Parsed, readPassphraseFile, textOption } from '../options.ts';

export function command(context: CommandContext): Command {
  return new Command('standalone-sign')
    .description('Sign a manifest file for a reference, without a registry.')
    .argument('<manifest>', 'a manifest as the registry serves it')
    .argument('<reference>', 'the Docker reference that the signature speaks of')
    .argument('<key>', 'GPG key: fingerprint, key ID, mail or user ID')
    .requiredOption('-o, --output <file>', 'where to write the signature')
    .option('--passphrase-file <file>', 'file whose first line is the key’s passphrase')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla standalone-sign manifest.json registry.example.com/ns/app:1.0 release@example.com -o app.signature',
    )
    .action((manifest: string, reference: string, key: string, parsed: Parsed) =>
      run({ manifest, reference, key }, parsed, context),
    );
}

type Words = { readonly manifest: string; readonly reference: string; readonly key: string };

async function run(words: Words, parsed: Parsed, { terminal }: CommandContext): Promise<void> {
  const reference = parseReference(words.reference);
  const manifest = await readBoundedFile(words.manifest, limits.manifestBytes);
  const file = textOption(parsed, 'passphraseFile');
  const given = file === undefined ? undefined : await readPassphraseFile(file, terminal);
  const passphrase = {
    ...(given !== undefined && { given }),
    ...(terminal.interactive && { ask: (question: string) => terminal.askSecret(question) }),
  };
  await using signer = await openSigner(words.key, { env: terminal.env, passphrase });
  const signature = await standaloneSign(manifest, reference, signer, new Date());
  await replaceFile(textOption(parsed, 'output') ?? '', signature);
}
