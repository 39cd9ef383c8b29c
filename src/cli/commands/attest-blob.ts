/** `bulla attest-blob FILE`: a signed statement about a file, as a bundle. */
import { basename } from 'node:path';

import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { replaceFile } from '../../io/files.ts';
import { attestBlob } from '../../operations/attest.ts';
import { attestedOption, withAttestedOptions } from '../attest-options.ts';
import { blobArgument, onlySigner, readBlob, withBlobSigningOptions } from '../blob-options.ts';
import type { CommandContext } from '../command.ts';
import { type Parsed, textOption } from '../options.ts';
import { openSigners } from '../signers.ts';
import { openCommandWorld } from '../world.ts';
import { witnessLines } from '../witness-lines.ts';

export function command(context: CommandContext): Command {
  const attest = new Command('attest-blob')
    .description('Sign a statement about a file (an SBOM, its provenance).')
    .argument('<file>', blobArgument)
    .option('--bundle <file>', 'write the bundle there');
  return withBlobSigningOptions(withAttestedOptions(attest))
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla attest-blob --key release.private --type slsaprovenance1 --predicate build.json --bundle app.tar.sigstore.json app.tar',
    )
    .action((file: string, parsed: Parsed) => run(file, parsed, context));
}

async function run(path: string, parsed: Parsed, { terminal }: CommandContext): Promise<void> {
  const bundle = textOption(parsed, 'bundle');
  if (bundle === undefined) throw new BullaError('usage.invalid', 'name a file for the bundle by --bundle');
  await using world = await openCommandWorld(parsed, terminal);
  await using signers = openSigners(parsed, terminal);
  const [bytes, attested, signer] = await Promise.all([
    readBlob(path, terminal),
    attestedOption(parsed),
    onlySigner(signers.all),
  ]);
  const file = { name: path === '-' ? '-' : basename(path), bytes };
  const made = await attestBlob({ attested, file, signer }, world);
  await replaceFile(bundle, made.bundle);
  terminal.print(`attested ${printable(made.predicateType)} of ${path}`);
  for (const line of witnessLines(made.witnessed)) terminal.print(`  ${line}`);
}
