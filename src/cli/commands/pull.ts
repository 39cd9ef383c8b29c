/** `bulla pull SRC [NAME]`: an image that the policy accepts, into podman or Docker. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName, parseImageName } from '../../base/image-name.ts';
import { isNameOnly, parseReference, type Reference } from '../../base/reference.ts';
import type { JudgedBy } from '../../operations/judge.ts';
import { pull, type Pulled, type PullRequest, tagsOf } from '../../operations/pull.ts';
import type { World } from '../../operations/world.ts';
import type { CommandContext, Outcome } from '../command.ts';
import { judgedByPolicy } from '../copy-options.ts';
import { engineName } from '../engine-name.ts';
import {
  flagOption,
  type Parsed,
  policyOption,
  withPlatformOptions,
  withPodmanOptions,
  withPodmanPlatformOptions,
  withPolicyOptions,
  withRegistriesDOption,
  withRegistryOptions,
} from '../options.ts';
import { worstOutcome } from '../outcome.ts';
import { openProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
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
    .option('-a, --all-tags', 'pull every tag of the repository that is an image, each judged by itself')
    .option('--json', 'print the receipt, or the verdict, as JSON');
  withPodmanPlatformOptions(withPodmanOptions(pulling));
  withPlatformOptions(withPolicyOptions(withRegistriesDOption(withRegistryOptions(pulling))));
  return pulling
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla pull --policy policy.json docker://registry.example.com/ns/app:1.0',
    )
    .action((text: string, name: string | undefined, parsed: Parsed) => {
      const destination = name === undefined ? undefined : engineName(name);
      return run({ text, source: parseImageName(text), destination }, parsed, context);
    });
}

type Asked = {
  readonly text: string;
  /** What the argument says; of all tags, with the tag that it does not have. */
  readonly source: ImageName;
  readonly destination: ImageName | undefined;
};

async function run(asked: Asked, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const by = judgeOption(parsed, context);
  const platform = platformOption(parsed);
  const repository = flagOption(parsed, 'allTags') ? repositoryOption(asked) : undefined;
  await using world = await openCommandWorld(parsed, terminal, [asked.source]);
  const request = {
    by,
    requireSigned: flagOption(parsed, 'requireSigned'),
    ...(platform !== undefined && { platform }),
  };
  if (repository === undefined) {
    const { source, destination } = asked;
    const outcome = await pullOne(
      { ...request, source, ...(destination !== undefined && { destination }) },
      terminal,
      world,
    );
    print(source, outcome, flagOption(parsed, 'json'), terminal);
    context.finish(outcome.copied ? 0 : 1);
    return;
  }
  const outcomes: Outcome[] = [];
  const receipts: object[] = [];
  for (const tag of await tagsOf(repository, world)) {
    const source: ImageName = { transport: 'docker', reference: { ...repository, tag } };
    const outcome = await pullOne({ ...request, source }, terminal, world).catch((error: unknown) =>
      failed(error, terminal),
    );
    outcomes.push(outcome instanceof BullaError ? outcome.exitCode : outcome.copied ? 0 : 1);
    if (outcome instanceof BullaError)
      receipts.push({ image: formatImageName(source), copied: false, error: errorJson(outcome) });
    else if (flagOption(parsed, 'json')) receipts.push(receiptOf(source, outcome));
    else print(source, outcome, false, terminal);
  }
  if (flagOption(parsed, 'json')) terminal.printJson(receipts);
  context.finish(worstOutcome(outcomes));
}

/** One tag that cannot be pulled keeps none of the others from it. */
function failed(error: unknown, terminal: Terminal): BullaError {
  if (!(error instanceof BullaError)) throw error;
  terminal.error(error);
  return error;
}

function errorJson({ code, message, hint }: BullaError): object {
  return { code, message, ...(hint !== undefined && { hint }) };
}

/** @throws BullaError `usage.invalid` where there is a tag, or a name to be pulled under */
function repositoryOption({ text, source, destination }: Asked): Reference {
  if (source.transport !== 'docker' || destination !== undefined)
    throw new BullaError('usage.invalid', '--all-tags goes with a repository of a registry, and no name');
  const reference = parseReference(text.replace(/^docker:\/\//, ''));
  if (isNameOnly(reference)) return reference;
  throw new BullaError('usage.invalid', `--all-tags goes without a tag or digest: ${text}`);
}

async function pullOne(request: PullRequest, terminal: Terminal, world: World): Promise<Pulled> {
  const progress = await openProgress(terminal);
  return await pull(
    {
      ...request,
      onItem: ({ kind, digest, size }) => progress.item(`${kind} ${digest} ${size} bytes`),
      onProgress: (state) => progress.update(state),
    },
    world,
  ).finally(() => progress.end());
}

function receiptOf(source: ImageName, outcome: Pulled): object {
  if (!outcome.copied)
    return { image: formatImageName(source), copied: false, verdict: verdictJson(outcome.verdict) };
  const { digest, mediaType, size } = outcome;
  const image = formatImageName(outcome.destination);
  return { image, source: formatImageName(source), copied: true, digest, mediaType, size };
}

function print(source: ImageName, outcome: Pulled, json: boolean, terminal: Terminal): void {
  if (json) terminal.printJson(receiptOf(source, outcome));
  else if (outcome.copied) terminal.print(outcome.digest);
  else
    for (const line of verdictLines(outcome.verdict, false, (word, colour) => terminal.paint(word, colour)))
      terminal.print(line);
}

/** podman pull's --policy says when to ask the registry; here it is the file that judges, as everywhere. */
const podmansPolicies: readonly string[] = ['always', 'missing', 'never', 'newer', 'ifnotpresent'];

function judgeOption(parsed: Parsed, { terminal }: CommandContext): JudgedBy {
  const file = policyOption(parsed);
  if (file !== undefined && podmansPolicies.includes(file) && !existsSync(resolve(terminal.cwd, file)))
    throw new BullaError('usage.invalid', `--policy names a policy file, and there is none called ${file}`, {
      hint: 'podman’s --policy always is what bulla pull does; it has no missing, never and newer',
    });
  return judgedByPolicy(parsed, terminal);
}
