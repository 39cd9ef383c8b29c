/** `bulla bundle create IMAGE... -o FILE`: images, signatures, attachments, keys and policy into one file. */
import { resolve } from 'node:path';

import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { parseImageName } from '../../base/image-name.ts';
import type { JudgedBy } from '../../operations/judge.ts';
import type { PackedInstances } from '../../operations/transfer/contents.ts';
import {
  createTransfer,
  type CreateTransferRequest,
  type TransferCreated,
} from '../../operations/transfer/create.ts';
import { referenceText } from '../../operations/transfer/format.ts';
import { printRefusal } from '../bundle-options.ts';
import type { CommandContext } from '../command.ts';
import { copiedOption } from '../copy-options.ts';
import { givenJudge, withSignerOptions } from '../judge-options.ts';
import {
  collect,
  flagOption,
  listOption,
  type Parsed,
  policyOption,
  textOption,
  withPlatformOptions,
  withPolicyOptions,
  withRegistriesDOption,
  withRegistryOptions,
} from '../options.ts';
import { openProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { openCommandWorld, platformOption } from '../world.ts';

export function createCommand(context: CommandContext): Command {
  const command = new Command('create')
    .description(
      'Pack images that the policy accepts into one file, with all that hangs on them. The policy that judged, its keys and roots and the registries.d go along, to be looked at.',
    )
    .argument('<image...>', 'images in registries; a name without transport means docker://')
    .requiredOption('-o, --output <file>', 'the file to make; one that is there is replaced')
    .option(
      '--multi-arch <which>',
      'of lists: all, system, or platforms like linux/amd64,linux/arm64 (default: all)',
    )
    .option(
      '--key <key>',
      'public key to send along: OpenPGP keyring, PEM, or a key’s URI; without a policy it judges; repeatable',
      collect,
    )
    .option('--json', 'print the receipt, or the verdicts that refused, as JSON');
  withPlatformOptions(
    withPolicyOptions(withRegistriesDOption(withRegistryOptions(withSignerOptions(command)))),
  );
  return command
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla bundle create --policy policy.json --key release.pub \\\n      docker://registry.example.com/ns/app:1.0 docker://registry.example.com/ns/db:7 -o release.tar',
    )
    .action((images: readonly string[], parsed: Parsed) => run(images, parsed, context));
}

async function run(images: readonly string[], parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const names = images.map(parseImageName);
  const file = outputOption(parsed);
  const request = requestOf(parsed, terminal);
  await using world = await openCommandWorld(parsed, terminal, names);
  const progress = await openProgress(terminal);
  const outcome = await createTransfer(
    {
      ...request,
      images: names,
      output: resolve(terminal.cwd, file),
      onProgress: (state) => progress.update(state),
    },
    world,
  ).finally(() => progress.end());
  const json = flagOption(parsed, 'json');
  if (!outcome.created) printRefusal(outcome.verdicts, { file, created: false }, json, context);
  else if (json) terminal.printJson(receiptJson(outcome, file));
  else printReceipt(outcome, file, terminal);
}

function outputOption(parsed: Parsed): string {
  const output = textOption(parsed, 'output') ?? '';
  if (output !== '-' && output !== '') return output;
  throw new BullaError('usage.invalid', 'a transfer bundle is written to a file', {
    hint: '-o FILE: it gets its name once it is whole, which a pipe could not tell',
  });
}

function requestOf(parsed: Parsed, terminal: Terminal): Omit<CreateTransferRequest, 'images' | 'output'> {
  const platform = platformOption(parsed);
  const policy = policyOption(parsed);
  const by = judgeOption(parsed, terminal);
  return {
    ...(by !== undefined && { by }),
    requireSigned: flagOption(parsed, 'requireSigned'),
    instances: instancesOption(parsed),
    ...(platform !== undefined && { platform }),
    trust: {
      // what judged here is what the far side may look at, wherever it was found
      ...(by?.kind === 'policy' && { policy: policy ?? { found: true } }),
      keys: listOption(parsed, 'key'),
      trustedRoots: listOption(parsed, 'trustedRoot'),
      registriesD: by?.kind === 'policy' || textOption(parsed, 'registries.d') !== undefined,
    },
  };
}

function receiptJson({ created, size, images, trust }: TransferCreated, file: string): object {
  return {
    file,
    created,
    size,
    images: images.map((each) => ({ ...each, reference: referenceText(each.reference) })),
    trust,
  };
}

function printReceipt({ images, size, trust }: TransferCreated, file: string, terminal: Terminal): void {
  for (const { reference, digest, signatures, attachments } of images) {
    terminal.print(`${referenceText(reference)} ${digest}`);
    if (signatures.length + attachments.length > 0)
      terminal.print(`  with it: ${signatures.length} signatures, ${attachments.length} attachments`);
  }
  for (const each of trust) terminal.print(each);
  terminal.note(`${file}: ${images.length} images, ${size} bytes`);
}

function instancesOption(parsed: Parsed): PackedInstances {
  const which = textOption(parsed, 'multiArch') ?? 'all';
  const { instances } = copiedOption({ multiArch: which });
  switch (instances.kind) {
    case 'all':
    case 'system':
      return { kind: instances.kind };
    case 'platforms':
      return {
        kind: 'platforms',
        platforms: [...new Set(which.split(','))].toSorted(),
      };
    case 'index-only':
      throw new BullaError('usage.invalid', '--multi-arch index-only would carry a list without its images');
  }
}

/** The policy judges; where none is named and keys or an identity are, those do. What is left is sent along. */
function judgeOption(parsed: Parsed, terminal: Terminal): JudgedBy | undefined {
  const file = policyOption(parsed);
  const insecure = flagOption(parsed, 'insecurePolicy');
  if (insecure && file !== undefined)
    throw new BullaError('usage.invalid', '--policy and --insecure-policy exclude each other');
  if (insecure) terminal.warn('--insecure-policy accepts anything');
  const isNamed = insecure || file !== undefined;
  const { key: keys, trustedRoot: roots, ...others } = parsed;
  const isSent =
    isNamed ||
    (listOption(parsed, 'key').length === 0 &&
      parsed['certificateIdentity'] === undefined &&
      parsed['certificateIdentityRegexp'] === undefined);
  const given = givenJudge(isSent ? others : { ...others, key: keys, trustedRoot: roots }, terminal);
  if (isNamed && given !== undefined)
    throw new BullaError(
      'usage.invalid',
      '--certificate-identity, --policy and --insecure-policy exclude each other',
    );
  if (insecure) return { kind: 'insecure-accept-anything' };
  if (given !== undefined) return given;
  const offline = flagOption(parsed, 'offline');
  return { kind: 'policy', offline, ...(file !== undefined && { file }) };
}
