/** `bulla sign IMAGE...`: signs what is already there, moving nothing. */
import { Command, Option } from 'commander';

import type { Digest } from '../../base/digest.ts';
import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName, parseImageName } from '../../base/image-name.ts';
import { type MadeSignature, sign, type SignReceipt, type SignRequest } from '../../operations/sign.ts';
import type { World } from '../../operations/world.ts';
import type { Signature } from '../../formats/signature.ts';
import { replaceFile } from '../../io/files.ts';
import type { CommandContext, Outcome } from '../command.ts';
import { identityOption, parseInstances } from '../copy-options.ts';
import {
  booleanOption,
  collect,
  flagOption,
  listOption,
  type Parsed,
  textOption,
  withPlatformOptions,
  withRegistriesDOption,
  withRegistryOptions,
  withSigningOptions,
} from '../options.ts';
import { worstOutcome } from '../outcome.ts';
import { openSigners } from '../signers.ts';
import { witnessLines } from '../witness-lines.ts';
import { openCommandWorld, platformOption } from '../world.ts';

export function command(context: CommandContext): Command {
  const sign = new Command('sign')
    .description(
      'Sign images that are already in a registry or a dir: folder. No layer is moved: one manifest is read, one signature stored.',
    )
    .argument('<image...>', 'images; a name without transport means docker://')
    .option(
      '--multi-arch <which>',
      'for a list: system, all, index-only, or platforms like linux/amd64,linux/arm64',
      'all',
    )
    .option('-a, --annotations <key=value>', 'say this in sigstore signatures; repeatable', collect)
    .option('--bundle <file>', 'write the bundle to a file as well')
    .addOption(
      new Option('--upload <bool>', 'store the signatures; false: with --bundle only').default(
        undefined,
        'true',
      ),
    )
    .option('--dry-run', 'do everything but store the signatures; no log and no Fulcio is asked')
    .option('--json', 'print the receipts as JSON');
  withPlatformOptions(withRegistriesDOption(withRegistryOptions(withSigningOptions(sign))));
  return sign
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla sign --sign-by release@example.com docker://registry.example.com/ns/app:1.0\n  $ bulla sign --sign-by-sigstore-private-key release.private docker://registry.example.com/ns/app:1.0\n  $ bulla sign --key release.private --rekor-url https://rekor.example.com docker://registry.example.com/ns/app:1.0',
    )
    .action((images: readonly string[], parsed: Parsed) => run(images, parsed, context));
}

async function run(images: readonly string[], parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const json = flagOption(parsed, 'json');
  const receipts: SignReceipt[] = [];
  try {
    context.finish(worstOutcome(await signAll(images, parsed, context, receipts)));
  } finally {
    // also where nothing was signed: an empty list is the one document that is true
    if (json) terminal.printJson(receipts);
  }
}

/** Signs each image and adds its receipt; one that cannot be signed does not keep the others from it. */
async function signAll(
  images: readonly string[],
  parsed: Parsed,
  context: CommandContext,
  receipts: SignReceipt[],
): Promise<readonly Outcome[]> {
  const { terminal } = context;
  const names = images.map(parseImageName);
  const identities = listOption(parsed, 'signIdentity').map(identityOption);
  const instances = parseInstances(textOption(parsed, 'multiArch') ?? 'all');
  const more = sigstoreOptions(parsed, images.length);
  await using world = await openCommandWorld(parsed, terminal, names);
  // keys open while the manifests are on their way
  await using signers = openSigners(parsed, terminal);
  const outcomes: Outcome[] = [];
  const platform = platformOption(parsed);
  const dryRun = flagOption(parsed, 'dryRun');
  for (const image of names) {
    try {
      const request = {
        image,
        signers: signers.all,
        identities,
        instances,
        dryRun,
        ...more,
      };
      const receipt = await sign({ ...request, ...(platform !== undefined && { platform }) }, world);
      warnOfTag(image, receipt, dryRun, world);
      receipts.push(receipt);
      if (!flagOption(parsed, 'json'))
        printReceipt(receipt, { dryRun, isStored: more.upload !== false }, context);
      outcomes.push(0);
    } catch (error) {
      // a key that does not open is said once, not for each image
      await signers.all;
      terminal.error(error);
      outcomes.push(error instanceof BullaError ? error.exitCode : 3);
    }
  }
  return outcomes;
}

/** As far as the flags tell before a key is open. */
function expectedFormats(parsed: Parsed): NonNullable<SignRequest['expected']> {
  const formats = listOption(parsed, 'signatureFormat');
  const isSigstore = ['signBySigstorePrivateKey', 'signBySigstore', 'key', 'keyless'].some(
    (name) => parsed[name] !== undefined,
  );
  return isSigstore && (formats.length === 0 || formats.includes('cosign')) ? ['cosign'] : [];
}

type SigstoreOptions = Pick<SignRequest, 'expected' | 'annotations' | 'upload' | 'made'>;

/** cosign's flags of what is said, and where it goes. @throws BullaError `usage.invalid` */
function sigstoreOptions(parsed: Parsed, images: number): SigstoreOptions {
  const annotations = listOption(parsed, 'annotations').map(parseAnnotation);
  const upload = booleanOption(parsed, 'upload', '--upload');
  const file = textOption(parsed, 'bundle');
  if (file === undefined && upload === false) {
    throw new BullaError('usage.invalid', '--upload=false leaves nothing of the signature without --bundle');
  }
  if (file !== undefined && images > 1) {
    throw new BullaError('usage.invalid', '--bundle writes one bundle, and there are several images');
  }
  return {
    expected: expectedFormats(parsed),
    ...(annotations.length > 0 && { annotations: Object.fromEntries(annotations) }),
    ...(upload !== undefined && { upload }),
    ...(file !== undefined && { made: writeBundle(file) }),
  };
}

function parseAnnotation(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new BullaError('usage.invalid', `-a takes key=value, not "${printable(text, 80)}"`);
}

/** Of a list the last bundle, which is its own, would silently stand for all. */
function writeBundle(file: string): (signature: Signature, digest: Digest) => Promise<void> {
  let written: Digest | undefined;
  return async (signature, digest) => {
    if (signature.format !== 'bundle') return;
    if (written !== undefined) {
      throw new BullaError(
        'usage.invalid',
        `--bundle writes one bundle, and there are those of ${written} and ${digest}`,
        {
          hint: 'sign with one key, and of a list one manifest by its digest',
        },
      );
    }
    written = digest;
    await replaceFile(file, signature.json);
  };
}

function warnOfTag(image: ImageName, receipt: SignReceipt, dryRun: boolean, world: World): void {
  if (image.transport !== 'docker' || image.reference.tag === undefined) return;
  const what = dryRun ? 'it is now' : 'what was signed is';
  world.warn(`${formatImageName(image)} is a tag and may move; ${what} ${receipt.digest}`);
}

type Mode = { readonly dryRun: boolean; readonly isStored: boolean };

function printReceipt(receipt: SignReceipt, mode: Mode, { terminal }: CommandContext): void {
  terminal.print(`${receipt.image} ${receipt.digest}`);
  for (const made of receipt.signatures) {
    const digest = made.digest === receipt.digest ? '' : ` of ${made.digest}`;
    const isNew = made.added || !mode.isStored;
    const state = mode.dryRun ? 'would sign' : isNew ? 'signed' : 'signed before, byte for byte,';
    const what = made.format === 'bundle' ? ', as a bundle' : ` for ${made.identity}`;
    terminal.print(`  ${state}${digest}${what}`);
    terminal.print(`    by ${signerOf(made)}, ${mode.isStored ? made.location : 'not stored'}`);
    for (const line of witnessLines(made)) terminal.print(`    ${line}`);
  }
}

function signerOf({ format, keyId, certificate }: MadeSignature): string {
  if (certificate === undefined) return format === 'simple' ? keyId : `sigstore key ${keyId}`;
  return `${printable(certificate.subjects.join(', '))} (${printable(certificate.issuer)})`;
}
