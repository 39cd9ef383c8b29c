/** `bulla sign-blob FILE`: a signature of a file, as a bundle and bare. */
import { Command } from 'commander';

import { encodeBase64, utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { replaceFile } from '../../io/files.ts';
import { signBlob } from '../../operations/sign-blob.ts';
import { blobArgument, onlySigner, readBlob, withBlobSigningOptions } from '../blob-options.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, textOption } from '../options.ts';
import { openSigners } from '../signers.ts';
import { openCommandWorld } from '../world.ts';
import { witnessLines } from '../witness-lines.ts';

export function command(context: CommandContext): Command {
  const sign = new Command('sign-blob')
    .description('Sign a file. The bundle holds the signature and everything that proves it.')
    .argument('<file>', blobArgument)
    .option('--bundle <file>', 'write the bundle there')
    .option('--output-signature <file>', 'write the signature alone there, base64')
    .option('--json', 'print a receipt as JSON');
  return withBlobSigningOptions(sign)
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla sign-blob --key release.private --bundle app.tar.sigstore.json app.tar',
    )
    .action((file: string, parsed: Parsed) => run(file, parsed, context));
}

async function run(file: string, parsed: Parsed, { terminal }: CommandContext): Promise<void> {
  const bundle = textOption(parsed, 'bundle');
  const output = textOption(parsed, 'outputSignature');
  if (bundle === undefined && output === undefined) {
    throw new BullaError('usage.invalid', 'nothing says where the signature goes', {
      hint: 'name a file by --bundle, or by --output-signature',
    });
  }
  await using world = await openCommandWorld(parsed, terminal);
  await using signers = openSigners(parsed, terminal);
  const [bytes, signer] = await Promise.all([readBlob(file, terminal), onlySigner(signers.all)]);
  const signed = await signBlob(bytes, signer, world);
  if (bundle !== undefined) await replaceFile(bundle, signed.bundle);
  if (output !== undefined) await replaceFile(output, utf8(encodeBase64(signed.signature)));
  const { keyId, witnessed } = signed;
  if (flagOption(parsed, 'json')) return terminal.printJson({ file, keyId, ...witnessed });
  terminal.print(
    `signed ${file} by ${witnessed.certificate?.subjects.join(', ') ?? `sigstore key ${keyId}`}`,
  );
  for (const line of witnessLines(witnessed)) terminal.print(`  ${line}`);
}
