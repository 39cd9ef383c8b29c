/** `bulla copy SRC DST`: as skopeo copy, with all that hangs on the image. */
import { resolve } from 'node:path';

import { Command } from 'commander';

import { utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName, parseImageName } from '../../base/image-name.ts';
import { replaceFile } from '../../io/files.ts';
import { type Copied, copy, type CopyRequest } from '../../operations/copy.ts';
import type { CopiedItem } from '../../operations/copy-blobs.ts';
import type { CommandContext } from '../command.ts';
import {
  additionalTags,
  copiedOption,
  identityOption,
  openCopyWorlds,
  refuseUnsupported,
  withCopyOptions,
  withTwinOptions,
} from '../copy-options.ts';
import {
  countOption,
  flagOption,
  listOption,
  type Parsed,
  policyOption,
  textOption,
  withPlatformOptions,
  withPolicyOptions,
  withRegistriesDOption,
  withRegistryOptions,
  withSigningOptions,
} from '../options.ts';
import { packingOption, withPackingOptions } from '../packing-options.ts';
import { openProgress } from '../progress.ts';
import { openSigners, type Signers } from '../signers.ts';
import { verdictJson, verdictLines } from '../verdict.ts';
import { platformOption } from '../world.ts';

export function command(context: CommandContext): Command {
  const copying = new Command('copy')
    .description(
      'Copy an image as the policy allows it, its bytes unchanged, with its signatures and whatever hangs on it. The name comes last.',
    )
    .argument(
      '<source>',
      'docker://…, a folder (oci:, dir:), an archive or an engine; a name without transport means docker://',
    )
    .argument('<destination>', 'the same');
  withPackingOptions(withCopyOptions(withTwinOptions(copying)));
  withPlatformOptions(
    withPolicyOptions(withRegistriesDOption(withRegistryOptions(withSigningOptions(copying)))),
  );
  return copying
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla copy --policy policy.json --sign-by release@example.com \\\n      docker://dev.example.com/ns/app:1.0 docker://prod.example.com/ns/app:1.0',
    )
    .action((source: string, destination: string, parsed: Parsed) =>
      run(parseImageName(source), parseImageName(destination), parsed, context),
    );
}

async function run(
  source: ImageName,
  destination: ImageName,
  parsed: Parsed,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  const request = requestOf(source, destination, parsed, context);
  await using worlds = await openCopyWorlds(parsed, terminal, { source, destination });
  // keys open while the manifests are on their way
  await using signers = isSigning(parsed) ? openSigners(parsed, terminal) : noSigners;
  const progress = await openProgress(terminal);
  const outcome = await copy(
    {
      ...request,
      signers: signers.all,
      onItem: (item) => progress.item(itemLine(item)),
      onProgress: (state) => progress.update(state),
    },
    worlds,
  ).finally(() => progress.end());
  const json = flagOption(parsed, 'json');
  if (!outcome.copied) {
    if (json)
      terminal.printJson({
        image: formatImageName(destination),
        copied: false,
        verdict: verdictJson(outcome.verdict),
      });
    else
      for (const line of verdictLines(outcome.verdict, false, (word, colour) => terminal.paint(word, colour)))
        terminal.print(line);
    context.finish(1);
    return;
  }
  const digestFile = textOption(parsed, 'digestfile');
  // as the peers write it: nothing but the digest, no line end
  if (digestFile !== undefined) await replaceFile(resolve(terminal.cwd, digestFile), utf8(outcome.digest));
  if (json)
    terminal.printJson({ image: formatImageName(destination), source: formatImageName(source), ...outcome });
  else printReceipt(outcome, destination, context);
}

const noSigners: Signers = { all: Promise.resolve([]), [Symbol.asyncDispose]: async () => undefined };

const signingFlags = ['signBy', 'signBySigstorePrivateKey', 'signBySigstore', 'key', 'keyless'];

function isSigning(parsed: Parsed): boolean {
  if (signingFlags.some((name) => parsed[name] !== undefined)) return true;
  if (parsed['signIdentity'] !== undefined || parsed['signatureFormat'] !== undefined) {
    throw new BullaError('usage.invalid', '--sign-identity and --signature-format go with a key', {
      hint: 'name one by --sign-by, --sign-by-sigstore-private-key or --key',
    });
  }
  return false;
}

function requestOf(
  source: ImageName,
  destination: ImageName,
  parsed: Parsed,
  { terminal }: CommandContext,
): CopyRequest {
  refuseUnsupported(parsed);
  const file = policyOption(parsed);
  const insecure = flagOption(parsed, 'insecurePolicy');
  if (insecure && file !== undefined)
    throw new BullaError('usage.invalid', '--policy and --insecure-policy exclude each other');
  if (insecure) terminal.warn('--insecure-policy accepts anything');
  const platform = platformOption(parsed);
  const { instances, changes } = copiedOption(parsed);
  const packing = packingOption(parsed, destination, terminal);
  const parallelBlobs = countOption(parsed, 'imageParallelCopies', '--image-parallel-copies', 1);
  return {
    source,
    destination,
    instances,
    changes: { ...changes, ...(packing !== undefined && { packing }) },
    by: insecure
      ? { kind: 'insecure-accept-anything' }
      : { kind: 'policy', ...(file !== undefined && { file }) },
    requireSigned: flagOption(parsed, 'requireSigned'),
    removeSignatures: flagOption(parsed, 'removeSignatures'),
    removeListSignatures: flagOption(parsed, 'removeListSignatures'),
    attachments: parsed['attachments'] !== false,
    preserveDigests: flagOption(parsed, 'preserveDigests'),
    additionalTags: additionalTags(listOption(parsed, 'additionalTag'), destination),
    identities: listOption(parsed, 'signIdentity').map(identityOption),
    ...(platform !== undefined && { platform }),
    ...(parallelBlobs !== undefined && { parallelBlobs }),
  };
}

function itemLine({ kind, digest, size, sent, mounted, from }: CopiedItem): string {
  if (from !== undefined) return `${kind} ${digest} ${size} bytes, was ${from}`;
  const how = mounted === true ? ', mounted' : sent ? '' : ', there already';
  return `${kind} ${digest} ${size} bytes${how}`;
}

function printReceipt(copied: Copied, destination: ImageName, { terminal }: CommandContext): void {
  terminal.print(`${formatImageName(destination)} ${copied.digest}`);
  const { signatures, attachments } = copied.carried;
  if (copied.sourceDigest !== copied.digest) terminal.print(`  changed from ${copied.sourceDigest}`);
  const { served } = copied;
  if (served !== undefined)
    terminal.print(`  served there: ${served ?? 'without a manifest, so by no digest'}`);
  if (signatures + attachments > 0)
    terminal.print(`  carried along: ${signatures} signatures, ${attachments} attachments`);
  for (const made of copied.signatures) {
    const of = made.digest === copied.digest ? '' : ` of ${made.digest}`;
    const what = made.format === 'bundle' ? ', as a bundle' : ` for ${made.identity}`;
    terminal.print(`  signed${of}${what}`);
    terminal.print(`    by ${made.keyId}, ${made.location}`);
  }
}
