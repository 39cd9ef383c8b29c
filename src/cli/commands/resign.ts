/** `bulla resign --from OLD --to NEW WHERE...`: new signatures for a rotated key. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { BullaError, errorCodes } from '../../base/errors.ts';
import { exists } from '../../io/files.ts';
import type { SigningPlan } from '../../operations/sign/plan.ts';
import { parseWhere } from '../../operations/where.ts';
import {
  resign,
  type ResignedImage,
  type ResignReceipt,
  type ResignRequest,
} from '../../operations/resign.ts';
import type { CommandContext, Outcome } from '../command.ts';
import {
  collect,
  flagOption,
  listOption,
  type Parsed,
  policyOption,
  textOption,
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
import { openSigners } from '../signers.ts';
import type { Terminal } from '../terminal.ts';
import { openCommandWorld } from '../world.ts';

export function command(context: CommandContext): Command {
  const resign = withResignOptions(new Command('resign'))
    .description(
      'Sign anew, with a new key, what an old key has signed: only digests that verify under the old key and the policy, each for what the old signature was made for, in its format and store. Old signatures stay.',
    )
    .argument('<where...>', 'REGISTRY, REGISTRY/NAMESPACE, REGISTRY/REPOSITORY (all tags), or an image');
  withPaceOptions(withKeyPolicyOptions(withRegistriesDOption(withRegistryOptions(resign))));
  return resign
    .addHelpText(
      'after',
      `
Example:
  $ bulla resign --from old.pub.asc --to new@example.com --policy policy.json --dry-run registry.example.com/ns/
  $ bulla resign --from old.pub.asc --to new@example.com --policy policy.json --yes --rate 10/s registry.example.com/ns/
  $ bulla resign --from old.pub.asc --to new@example.com --digests released.txt --yes registry.example.com/ns/app`,
    )
    .action((where: readonly string[], parsed: Parsed) => run(where, parsed, context));
}

function withResignOptions(command: Command): Command {
  return command
    .requiredOption('--from <key>', 'the old key: a public key file, a key URI, or a key of the keyrings')
    .requiredOption(
      '--to <key>',
      'the new key: a GPG key as for --sign-by, or a sigstore private key file or URI',
    )
    .option('--sign-passphrase-file <file>', 'file whose first line is the new key’s passphrase', collect)
    .option(
      '--digests <file>',
      'record of digests that are known to be good, one a line; also names images without a tag',
    )
    .option(
      '--compromised-since <when>',
      'a date: believe the old key only by the record, or by trusted times before',
    )
    .option(
      '--trusted-root <file>',
      'trusted_root.json, for the times of old signatures; repeatable',
      collect,
    )
    .option(
      '--rekor-key <file>',
      'a log’s public key (PEM), for the times of old signatures; repeatable',
      collect,
    )
    .option(
      '--rekor-url <url>',
      'transparency log (Rekor v1) that is to see the new signatures; repeatable',
      collect,
    )
    .option(
      '--timestamp-server-url <url>',
      'RFC 3161 authority that is to see the new signatures; repeatable',
      collect,
    )
    .option('--dry-run', 'print what would be done')
    .option('--yes', 'do not ask')
    .option('--json', 'print the plan, or what was done, as JSON');
}

async function run(texts: readonly string[], parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const json = flagOption(parsed, 'json');
  const request = requestOf(texts, parsed, terminal);
  const signing = await signingFlags(parsed);
  await using world = await openCommandWorld(parsed, terminal, registriesOf(request.where));
  await using signers = openSigners(signing, terminal);
  const receipt = await withSteps(terminal, async (progress) =>
    resign({ ...request, to: theOne(signers.all), progress }, world),
  );
  if (json) terminal.printJson(receiptJson(receipt));
  else for (const line of receiptLines(receipt)) terminal.print(line);
  if (request.dryRun === true) terminal.note('nothing is signed yet: this is a dry run');
  for (const { error } of receipt.missed) terminal.error(error);
  if (receipt.unseen.length > 0) {
    terminal.warn(
      `${receipt.unseen.length} digests of the record were found under no tag; write REPOSITORY@DIGEST to name an image without one`,
    );
  }
  if (!receipt.isDone && request.dryRun !== true) {
    throw new BullaError('usage.invalid', 'given up at the prompt; nothing has changed');
  }
  context.finish(
    worstOutcome([...receipt.images.map(outcomeOf), ...receipt.missed.map(({ error }) => error.exitCode)]),
  );
}

async function theOne(all: Promise<readonly SigningPlan[]>): Promise<SigningPlan> {
  const [plan] = await all;
  if (plan === undefined) throw new BullaError('internal.bug', 'no key was opened');
  return plan;
}

function requestOf(texts: readonly string[], parsed: Parsed, terminal: Terminal): Omit<ResignRequest, 'to'> {
  refuseInsecurePolicy(parsed);
  const dryRun = flagOption(parsed, 'dryRun');
  const isAsked = !dryRun && !flagOption(parsed, 'yes');
  if (isAsked && !terminal.interactive) {
    throw new BullaError('usage.invalid', 'nobody can be asked whether the plan is right', {
      hint: 'look at it with --dry-run, then give --yes',
    });
  }
  const policy = policyOption(parsed);
  const digests = textOption(parsed, 'digests');
  const since = textOption(parsed, 'compromisedSince');
  return {
    from: textOption(parsed, 'from') ?? '',
    where: texts.map(parseWhere),
    dryRun,
    witnesses: {
      trustedRoots: listOption(parsed, 'trustedRoot'),
      rekorKeys: listOption(parsed, 'rekorKey'),
      offline: flagOption(parsed, 'offline'),
    },
    ...paceOptions(parsed),
    ...(policy !== undefined && { policy }),
    ...(digests !== undefined && { digests }),
    ...(since !== undefined && { compromisedSince: parseDate(since) }),
    ...(isAsked && { confirm: (plan) => confirm(plan, terminal, flagOption(parsed, 'json')) }),
  };
}

/** A day begins at midnight, UTC: what is not said is taken to be early, which believes less. */
function parseDate(text: string): Date {
  const isDate = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const [date, day] = [new Date(isDate ? text : ''), new Date(isDate ? text.slice(0, 10) : '')];
  const isRead = [date, day].every((each) => !Number.isNaN(each.getTime()));
  // 2026-02-30 is March to Node, at whatever hour
  if (isRead && day.toISOString().startsWith(text.slice(0, 10))) return date;
  throw new BullaError(
    'usage.invalid',
    `--compromised-since takes a date like 2026-11-20 or 2026-11-20T08:00:00Z, not "${printable(text, 60)}"`,
  );
}

/** A file or URI is a sigstore key, as --key takes it; all else names a GPG key. */
async function signingFlags(parsed: Parsed): Promise<Parsed> {
  const { trustedRoot, ...rest } = parsed;
  const to = textOption(parsed, 'to') ?? '';
  const { isKeyUri } = await import('../../keys/open-key-uri.ts');
  const isSigstore = isKeyUri(to) || (await exists(to));
  const roots =
    Array.isArray(trustedRoot) && trustedRoot.length === 1 ? { trustedRoot: String(trustedRoot[0]) } : {};
  return { ...rest, ...(isSigstore ? { key: [to], ...roots } : { signBy: [to] }) };
}

async function confirm(plan: ResignReceipt, terminal: Terminal, json: boolean): Promise<boolean> {
  for (const line of receiptLines(plan)) {
    if (json) terminal.note(line);
    else terminal.print(line);
  }
  const planned = plan.images.filter(({ state }) => state === 'planned');
  const count = planned
    .flatMap(({ signatures }) => signatures)
    .filter(({ state }) => state === 'planned').length;
  return terminal.confirm(
    `Make ${counted(count, 'signature')} of ${counted(planned.length, 'manifest')} by ${plan.to}?`,
  );
}

function outcomeOf({ state, reason }: ResignedImage): Outcome {
  if (state === 'refused') return 1;
  return state === 'failed' ? errorCodes[reason?.code ?? 'internal.bug'] : 0;
}

const stateWords: Readonly<Record<ResignedImage['state'], string>> = {
  planned: 'would sign',
  signed: 'signed',
  there: 'signed before',
  'not-by-old': 'passed over',
  refused: 'refused',
  failed: 'failed',
};

function receiptLines(receipt: ResignReceipt): readonly string[] {
  return [...receipt.images.flatMap(imageLines), countLine(receipt)];
}

function imageLines({
  state,
  image,
  digest,
  names,
  isList,
  signatures,
  reason,
}: ResignedImage): readonly string[] {
  const tags = names.map((name) => name.slice(image.length - 'docker://'.length + 1));
  const shown = `${tags.slice(0, 5).join(', ')}${tags.length > 5 ? `, and ${tags.length - 5} more` : ''}`;
  const made = signatures.map((each) => {
    const what = each.format === 'bundle' ? 'as a bundle' : `for ${printable(each.identity)}`;
    const word =
      each.state === 'there'
        ? ', there already'
        : each.state === 'planned' && state === 'failed'
          ? ', not stored'
          : '';
    return `  ${what}, ${each.location}${word}`;
  });
  const why =
    reason === undefined
      ? []
      : [
          `  ${signatures.length > 0 && state !== 'failed' ? 'not under all its names: ' : ''}${printable(reason.message, 1000)} [${reason.code}]`,
        ];
  const hint = reason?.hint === undefined ? [] : [`  hint: ${reason.hint}`];
  return [
    `${stateWords[state]} ${image} ${digest} (${shown})${isList ? ', a list' : ''}`,
    ...made,
    ...why,
    ...hint,
  ];
}

function countLine({ images, missed }: ResignReceipt): string {
  const counts = Object.entries(stateWords).flatMap(([state, word]) => {
    const count = images.filter((each) => each.state === state).length;
    return count === 0 ? [] : [`${count} ${word}`];
  });
  const unseen = missed.length === 0 ? [] : [`${missed.length} not looked at`];
  return `${counted(images.length, 'manifest')}: ${[...counts, ...unseen].join(', ')}`;
}

function receiptJson({ missed, ...receipt }: ResignReceipt): object {
  return {
    ...receipt,
    missed: missed.map(({ what, error: { code, message, hint } }) => {
      return { what, error: { code, message, ...(hint !== undefined && { hint }) } };
    }),
  };
}
