/** `bulla pull SRC [NAME]`: an image that the policy accepts, into podman or Docker. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName, parseImageName, transports } from '../../base/image-name.ts';
import type { JudgedBy } from '../../operations/judge.ts';
import { pull } from '../../operations/pull.ts';
import type { CommandContext } from '../command.ts';
import {
  flagOption,
  type Parsed,
  policyOption,
  withPlatformOptions,
  withPolicyOptions,
  withRegistriesDOption,
  withRegistryOptions,
} from '../options.ts';
import { openProgress } from '../progress.ts';
import { verdictJson, verdictLines } from '../verdict.ts';
import { openCommandWorld, platformOption } from '../world.ts';

export function command(context: CommandContext): Command {
  const pulling = new Command('pull')
    .description(
      'Fetch an image into podman (or Docker) if the policy accepts it. The engine gets exactly the bytes that were judged; a refused image is never given to it.',
    )
    .argument('<source>', 'docker://…, a folder or an archive; a name without transport means docker://')
    .argument(
      '[name]',
      'the engine’s name for it: containers-storage:NAME, docker-daemon:NAME:TAG; a name without transport is podman’s. Default: the source’s',
    )
    .option('--json', 'print the receipt, or the verdict, as JSON');
  withPlatformOptions(withPolicyOptions(withRegistriesDOption(withRegistryOptions(pulling))));
  return pulling
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla pull --policy policy.json docker://registry.example.com/ns/app:1.0',
    )
    .action((source: string, name: string | undefined, parsed: Parsed) =>
      run(parseImageName(source), name === undefined ? undefined : engineName(name), parsed, context),
    );
}

function engineName(text: string): ImageName {
  const isFull = transports.some((each) => text.startsWith(`${each}:`));
  return isFull ? parseImageName(text) : { transport: 'containers-storage', name: text };
}

async function run(
  source: ImageName,
  destination: ImageName | undefined,
  parsed: Parsed,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  const by = judgeOption(parsed, context);
  const platform = platformOption(parsed);
  await using world = await openCommandWorld(parsed, terminal, [source]);
  const progress = await openProgress(terminal);
  const outcome = await pull(
    {
      source,
      by,
      requireSigned: flagOption(parsed, 'requireSigned'),
      ...(destination !== undefined && { destination }),
      ...(platform !== undefined && { platform }),
      onItem: ({ kind, digest, size }) => progress.item(`${kind} ${digest} ${size} bytes`),
      onProgress: (state) => progress.update(state),
    },
    world,
  ).finally(() => progress.end());
  const json = flagOption(parsed, 'json');
  if (outcome.copied) {
    const { digest, mediaType, size } = outcome;
    const image = formatImageName(outcome.destination);
    if (json)
      terminal.printJson({ image, source: formatImageName(source), copied: true, digest, mediaType, size });
    else terminal.print(digest);
    return;
  }
  const { verdict } = outcome;
  if (json)
    terminal.printJson({ image: formatImageName(source), copied: false, verdict: verdictJson(verdict) });
  else
    for (const line of verdictLines(verdict, false, (word, colour) => terminal.paint(word, colour)))
      terminal.print(line);
  context.finish(1);
}

function judgeOption(parsed: Parsed, { terminal }: CommandContext): JudgedBy {
  const file = policyOption(parsed);
  if (!flagOption(parsed, 'insecurePolicy')) return { kind: 'policy', ...(file !== undefined && { file }) };
  if (file !== undefined)
    throw new BullaError('usage.invalid', '--policy and --insecure-policy exclude each other');
  terminal.warn('--insecure-policy accepts anything');
  return { kind: 'insecure-accept-anything' };
}
