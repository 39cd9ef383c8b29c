/** `bulla attest IMAGE`: a signed statement about an image, hung on it. */
import { Command, Option } from 'commander';

import { printable } from '../../base/bytes.ts';
import type { Digest } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { parseImageName } from '../../base/image-name.ts';
import type { Signature } from '../../formats/signature.ts';
import { replaceFile } from '../../io/files.ts';
import { attest, type AttestReceipt } from '../../operations/attest.ts';
import { attestedOption, withAttestedOptions } from '../attest-options.ts';
import type { CommandContext } from '../command.ts';
import {
  booleanOption,
  flagOption,
  type Parsed,
  textOption,
  withRegistriesDOption,
  withRegistryOptions,
  withSigningOptions,
} from '../options.ts';
import { openSigners } from '../signers.ts';
import type { Terminal } from '../terminal.ts';
import { witnessLines } from '../witness-lines.ts';
import { openCommandWorld } from '../world.ts';

export function command(context: CommandContext): Command {
  const attest = new Command('attest')
    .description('Sign a statement about an image (an SBOM, its provenance) and hang it on the image.')
    .argument('<image>', 'image in a registry; of a list the list itself is meant')
    .option('--bundle <file>', 'write the bundle to a file as well')
    .addOption(
      new Option('--upload <bool>', 'store the attestation; false: with --bundle only').default(
        undefined,
        'true',
      ),
    )
    .option('--json', 'print the receipt as JSON');
  withAttestedOptions(attest);
  withRegistriesDOption(withRegistryOptions(withSigningOptions(attest)));
  return attest
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla attest --key release.private --type spdxjson --predicate sbom.json docker://registry.example.com/ns/app:1.0',
    )
    .action((image: string, parsed: Parsed) => run(image, parsed, context));
}

async function run(image: string, parsed: Parsed, { terminal }: CommandContext): Promise<void> {
  const name = parseImageName(image);
  const upload = booleanOption(parsed, 'upload', '--upload') ?? true;
  const file = textOption(parsed, 'bundle');
  if (file === undefined && !upload) {
    throw new BullaError(
      'usage.invalid',
      '--upload=false leaves nothing of the attestation without --bundle',
    );
  }
  await using world = await openCommandWorld(parsed, terminal, [name]);
  // keys open while files and manifests are read
  await using signers = openSigners(parsed, terminal);
  const attested = await attestedOption(parsed);
  const made = file === undefined ? {} : { made: writeBundle(file) };
  const receipt = await attest({ image: name, attested, signers: signers.all, upload, ...made }, world);
  if (flagOption(parsed, 'json')) terminal.printJson(receipt);
  else printReceipt(receipt, terminal);
}

function writeBundle(file: string): (signature: Signature, digest: Digest) => Promise<void> {
  let isWritten = false;
  return async (signature) => {
    if (signature.format !== 'bundle') return;
    if (isWritten) throw new BullaError('usage.invalid', '--bundle writes one bundle: attest with one key');
    isWritten = true;
    await replaceFile(file, signature.json);
  };
}

function printReceipt({ image, digest, attestations }: AttestReceipt, terminal: Terminal): void {
  terminal.print(`${image} ${digest}`);
  for (const made of attestations) {
    const { predicateType, keyId, certificate, location, added } = made;
    const who =
      certificate === undefined
        ? `sigstore key ${keyId}`
        : `${printable(certificate.subjects.join(', '))} (${printable(certificate.issuer)})`;
    terminal.print(`  ${added ? 'attested' : 'made'} ${printable(predicateType)}`);
    terminal.print(`    by ${who}, ${location}`);
    for (const line of witnessLines(made)) terminal.print(`    ${line}`);
  }
}
