/** `bulla sign IMAGE...`: signs what is already there, moving nothing. */
import { Command } from 'commander';

import type { Platform } from '../../base/descriptor.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName, parseImageName } from '../../base/image-name.ts';
import { formatReference, parseReference, type Reference } from '../../base/reference.ts';
import { sign, type SignedInstances, type SignReceipt } from '../../operations/sign.ts';
import type { World } from '../../operations/world.ts';
import type { CommandContext, Outcome } from '../command.ts';
import {
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
    .option('--dry-run', 'do everything but store the signatures')
    .option('--json', 'print the receipts as JSON');
  withPlatformOptions(withRegistriesDOption(withRegistryOptions(withSigningOptions(sign))));
  return sign
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla sign --sign-by release@example.com docker://registry.example.com/ns/app:1.0\n  $ bulla sign --sign-by-sigstore-private-key release.private docker://registry.example.com/ns/app:1.0',
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
  const identities = listOption(parsed, 'signIdentity').map(parseIdentity);
  const instances = parseInstances(textOption(parsed, 'multiArch') ?? 'all');
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
      };
      const receipt = await sign({ ...request, ...(platform !== undefined && { platform }) }, world);
      warnOfTag(image, receipt, dryRun, world);
      receipts.push(receipt);
      if (!flagOption(parsed, 'json')) printReceipt(receipt, dryRun, context);
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

/** As skopeo: fully qualified and with a tag or digest, so that nobody signs for another name than they read. */
function parseIdentity(text: string): Reference {
  const reference = parseReference(text);
  if (formatReference(reference) === text) return reference;
  throw new BullaError(
    'usage.invalid',
    `--sign-identity ${text} is short for ${formatReference(reference)}`,
    {
      hint: 'write the reference in full',
    },
  );
}

function parseInstances(text: string): SignedInstances {
  if (text === 'system' || text === 'all' || text === 'index-only') return { kind: text };
  return { kind: 'platforms', platforms: text.split(',').map(parsePlatform) };
}

function parsePlatform(text: string): Platform {
  const match = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9.]+))?$/.exec(text);
  const [, os, architecture, variant] = match ?? [];
  if (os === undefined || architecture === undefined) {
    throw new BullaError(
      'usage.invalid',
      `--multi-arch takes system, all, index-only or platforms like linux/arm64, not "${text}"`,
    );
  }
  return { os, architecture, ...(variant !== undefined && { variant }) };
}

function warnOfTag(image: ImageName, receipt: SignReceipt, dryRun: boolean, world: World): void {
  if (image.transport !== 'docker' || image.reference.tag === undefined) return;
  const what = dryRun ? 'it is now' : 'what was signed is';
  world.warn(`${formatImageName(image)} is a tag and may move; ${what} ${receipt.digest}`);
}

function printReceipt(receipt: SignReceipt, dryRun: boolean, { terminal }: CommandContext): void {
  terminal.print(`${receipt.image} ${receipt.digest}`);
  for (const made of receipt.signatures) {
    const digest = made.digest === receipt.digest ? '' : ` of ${made.digest}`;
    const state = dryRun ? 'would sign' : made.added ? 'signed' : 'signed before, byte for byte,';
    terminal.print(`  ${state}${digest} for ${made.identity}`);
    const kind = made.format === 'cosign' ? 'sigstore key ' : '';
    terminal.print(`    by ${kind}${made.keyId}, ${made.location}`);
  }
}
