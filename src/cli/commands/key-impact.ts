/** `bulla key impact KEY [WHERE...]`: which images only that key vouches for. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { type ImageImpact, keyImpact, type KeyImpact } from '../../operations/key-impact.ts';
import { parseWhere } from '../../operations/where.ts';
import type { CommandContext, Outcome } from '../command.ts';
import {
  flagOption,
  type Parsed,
  policyOption,
  withRegistriesDOption,
  withRegistryOptions,
} from '../options.ts';
import { worstOutcome } from '../outcome.ts';
import {
  paceOptions,
  refuseInsecurePolicy,
  registriesOf,
  counted,
  withKeyPolicyOptions,
  withPaceOptions,
  withSteps,
} from '../rotation-options.ts';
import { openCommandWorld } from '../world.ts';

export function impactCommand(context: CommandContext): Command {
  const impact = new Command('impact')
    .description(
      'List the images that would no longer be accepted without a key. Exit 0 none, 1 some, 3 where something could not be looked at.',
    )
    .argument(
      '<key>',
      'fingerprint, key ID, mail, user ID, public key file, key URI, or SHA-256 of a sigstore key',
    )
    .argument(
      '[where...]',
      'registries, namespaces, repositories, images (default: what the policy names with that key)',
    )
    .option('--json', 'print every image as JSON');
  withPaceOptions(withKeyPolicyOptions(withRegistriesDOption(withRegistryOptions(impact))));
  return impact
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla key impact release@example.com --policy policy.json registry.example.com/ns/\n  $ bulla key impact cosign.pub --policy trust.yaml registry.example.com',
    )
    .action((key: string, where: readonly string[], parsed: Parsed) => run(key, where, parsed, context));
}

async function run(
  key: string,
  texts: readonly string[],
  parsed: Parsed,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  refuseInsecurePolicy(parsed);
  const policy = policyOption(parsed);
  const where = texts.map(parseWhere);
  const request = {
    key,
    offline: flagOption(parsed, 'offline'),
    ...paceOptions(parsed),
    ...(where.length > 0 && { where }),
    ...(policy !== undefined && { policy }),
  };
  await using world = await openCommandWorld(parsed, terminal, registriesOf(where));
  const impact = await withSteps(terminal, async (progress) => keyImpact({ ...request, progress }, world));
  if (flagOption(parsed, 'json')) terminal.printJson(impactJson(impact));
  else for (const line of impactLines(impact)) terminal.print(line);
  for (const { error } of impact.missed) terminal.error(error);
  if (!impact.isBelieved) terminal.warn('the policy believes that key nowhere');
  const missed = impact.missed.map(({ error }) => error.exitCode);
  context.finish(worstOutcome([0, ...impact.images.map(outcomeOf), ...missed]));
}

function outcomeOf({ isDecided, lost }: ImageImpact): Outcome {
  if (!isDecided) return 3;
  return lost.length > 0 ? 1 : 0;
}

function impactLines({ images }: KeyImpact): readonly string[] {
  const shown = images.filter((each) => !each.isDecided || each.lost.length > 0);
  const lines = shown.flatMap(({ image, digest, lost, isDecided, reason }) => [
    `${isDecided ? 'lost' : 'undecided'} ${image} ${digest}${lost.length > 0 ? ` (${tagsOf(image, lost)})` : ''}`,
    ...(reason === undefined ? [] : [`  ${printable(reason.message, 1000)} [${reason.code}]`]),
  ]);
  const { total, lost, kept, refused, undecided } = countsOf(images);
  const counts = `${lost} lost, ${kept} accepted without it, ${refused} not accepted now`;
  return [
    ...lines,
    `${counted(total, 'manifest')}: ${counts}${undecided > 0 ? `, ${undecided} undecided` : ''}`,
  ];
}

function tagsOf(image: string, names: readonly string[]): string {
  return names.map((name) => name.slice(image.length - 'docker://'.length + 1)).join(', ');
}

/** Each manifest once, by the worst that is to be said of it. */
function countsOf(
  images: readonly ImageImpact[],
): Readonly<Record<'total' | 'lost' | 'kept' | 'refused' | 'undecided', number>> {
  const decided = images.filter(({ isDecided }) => isDecided);
  const lost = decided.filter((each) => each.lost.length > 0).length;
  const kept = decided.filter((each) => each.lost.length === 0 && each.kept.length > 0).length;
  return {
    total: images.length,
    lost,
    kept,
    refused: decided.length - lost - kept,
    undecided: images.length - decided.length,
  };
}

function impactJson({ missed, ...impact }: KeyImpact): object {
  return {
    ...impact,
    counts: countsOf(impact.images),
    missed: missed.map(({ what, error: { code, message, hint } }) => {
      return { what, error: { code, message, ...(hint !== undefined && { hint }) } };
    }),
  };
}
