/** `bulla standalone-verify MANIFEST REF FINGERPRINTS SIGNATURE`, as skopeo's. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { parseReference } from '../../base/reference.ts';
import { readBoundedFile } from '../../io/files.ts';
import { exportPublicKeys } from '../../operations/keys.ts';
import { standaloneVerify } from '../../operations/standalone.ts';
import type { CommandContext } from '../command.ts';
import { type Parsed, textOption } from '../options.ts';

export function command(context: CommandContext): Command {
  return new Command('standalone-verify')
    .description('Verify a signature file: by one of the keys, of this manifest, for exactly this reference.')
    .argument('<manifest>', 'a manifest as the registry serves it')
    .argument('<reference>', 'the Docker reference that the signature must speak of')
    .argument('<fingerprints>', 'primary fingerprints, separated by commas; or "any", with --public-key-file')
    .argument('<signature>', 'the signature file')
    .option('--public-key-file <file>', 'keyring to verify with (default: your keyrings)')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla standalone-verify --public-key-file release.pub.asc manifest.json registry.example.com/ns/app:1.0 any app.signature',
    )
    .action((manifest: string, reference: string, fingerprints: string, signature: string, parsed: Parsed) =>
      run({ manifest, reference, fingerprints, signature }, parsed, context),
    );
}

type Words = {
  readonly manifest: string;
  readonly reference: string;
  readonly fingerprints: string;
  readonly signature: string;
};

async function run(words: Words, parsed: Parsed, { terminal }: CommandContext): Promise<void> {
  const file = textOption(parsed, 'publicKeyFile');
  const fingerprints = parseFingerprints(words.fingerprints, file !== undefined);
  const [manifest, signature, keyring] = await Promise.all([
    readBoundedFile(words.manifest, limits.manifestBytes),
    readBoundedFile(words.signature, limits.signatureBytes),
    file === undefined
      ? exportPublicKeys(fingerprints ?? [], terminal.env)
      : readBoundedFile(file, limits.keyringBytes),
  ]);
  const request = { manifest, signature, keyring, reference: parseReference(words.reference) };
  const verified = standaloneVerify(
    { ...request, ...(fingerprints !== undefined && { fingerprints }) },
    new Date(),
  );
  terminal.print(`Signature verified using fingerprint ${verified.fingerprint}, digest ${verified.digest}`);
}

/** Undefined for `any`, which only a key file makes safe: else any key of the user's would do. */
function parseFingerprints(text: string, hasFile: boolean): readonly string[] | undefined {
  if (text === 'any') {
    if (hasFile) return undefined;
    throw new BullaError('usage.invalid', '"any" needs --public-key-file');
  }
  const fingerprints = text.split(',').map((each) => each.trim().toUpperCase());
  const bad = fingerprints.find((each) => !/^[0-9A-F]{40}$/.test(each));
  if (bad === undefined) return fingerprints;
  throw new BullaError('usage.invalid', `"${bad}" is not a fingerprint of 40 hexadecimal digits`);
}
