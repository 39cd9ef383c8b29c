/** `bulla verify IMAGE...`: the verdict, by policy or by key. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { parseImageName } from '../../base/image-name.ts';
import { parseReference } from '../../base/reference.ts';
import type { JudgedBy } from '../../operations/judge.ts';
import { type ImageVerdict, verify } from '../../operations/verify.ts';
import type { CommandContext, Outcome } from '../command.ts';
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
import { worstOutcome } from '../outcome.ts';
import { verdictJson, verdictLines } from '../verdict.ts';
import { openCommandWorld, platformOption } from '../world.ts';

export function command(context: CommandContext): Command {
  const verify = new Command('verify')
    .description('Judge images: by the policy, or by a key. Exit 0 accepted, 1 refused, 3 could not decide.')
    .argument('<image...>', 'images; a name without transport means docker://')
    .option(
      '--key <file>',
      'judge by this public key instead of a policy: OpenPGP keyring or PEM (sigstore); repeatable',
      collect,
    )
    .option(
      '--as <ref>',
      'the Docker reference claimed for the image: the identity to match, the scope to use',
    )
    .option('--all', 'judge each instance of a list')
    .option('--explain', 'tell scope, requirements, every signature and its reason')
    .option('--json', 'print the verdicts as JSON');
  withPlatformOptions(withPolicyOptions(withRegistriesDOption(withRegistryOptions(verify))));
  return verify
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla verify --policy policy.json docker://registry.example.com/ns/app:1.0',
    )
    .action((images: readonly string[], parsed: Parsed) => run(images, parsed, context));
}

async function run(images: readonly string[], parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const json = flagOption(parsed, 'json');
  try {
    const by = judgedBy(parsed, context);
    const as = textOption(parsed, 'as');
    const platform = platformOption(parsed);
    const names = images.map(parseImageName);
    await using world = await openCommandWorld(parsed, terminal, names);
    const verdicts = await verify(
      {
        images: names,
        by,
        all: flagOption(parsed, 'all'),
        requireSigned: flagOption(parsed, 'requireSigned'),
        ...(as !== undefined && { as: parseReference(as) }),
        ...(platform !== undefined && { platform }),
      },
      world,
    );
    if (json) terminal.printJson(verdicts.map(verdictJson));
    else print(verdicts, flagOption(parsed, 'explain'), context);
    context.finish(worstOutcome(verdicts.map(outcomeOf)));
  } catch (error) {
    // nothing was judged: an empty list is the one document that is true
    if (json) terminal.printJson([]);
    throw error;
  }
}

/** What judges; two judges at once are refused: which of them decides would be a guess. */
export function judgedBy(parsed: Parsed, { terminal }: CommandContext): JudgedBy {
  const files = listOption(parsed, 'key');
  const file = policyOption(parsed);
  const insecure = flagOption(parsed, 'insecurePolicy');
  if ([files.length > 0, file !== undefined, insecure].filter(Boolean).length > 1) {
    throw new BullaError('usage.invalid', '--key, --policy and --insecure-policy exclude each other');
  }
  if (insecure) {
    terminal.warn('--insecure-policy accepts anything');
    return { kind: 'insecure-accept-anything' };
  }
  if (files.length > 0) return { kind: 'keys', files };
  return { kind: 'policy', ...(file !== undefined && { file }) };
}

function print(verdicts: readonly ImageVerdict[], explain: boolean, { terminal }: CommandContext): void {
  for (const verdict of verdicts) {
    if (verdict.error !== undefined) terminal.error(verdict.error);
    for (const line of verdictLines(verdict, explain, (word, colour) => terminal.paint(word, colour)))
      terminal.print(line);
  }
}

function outcomeOf(verdict: ImageVerdict): Outcome {
  if (verdict.error !== undefined) return verdict.error.exitCode;
  return verdict.accepted ? 0 : 1;
}
