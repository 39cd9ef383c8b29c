/** What the commands that read a transfer bundle have in common: whom this side believes, and how contents and verdicts are printed. */
import { type Command, Option } from 'commander';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { PackedKey } from '../operations/transfer/keys.ts';
import type { TransferShown } from '../operations/transfer/show.ts';
import type { TransferTrust } from '../operations/transfer/verify.ts';
import type { ImageVerdict } from '../operations/verify.ts';
import type { CommandContext, Outcome } from './command.ts';
import { givenJudge, withSignerOptions } from './judge-options.ts';
import { collect, flagOption, listOption, type Parsed, policyOption } from './options.ts';
import { worstOutcome } from './outcome.ts';
import type { Terminal } from './terminal.ts';
import { verdictJson, verdictLines } from './verdict.ts';

/** Flags that say whom this side believes. */
export function withTrustOptions(command: Command): Command {
  return withSignerOptions(
    command
      .option(
        '--policy <file>',
        'policy.json or trust.yaml of this side to judge by; none is searched for but what BULLA_POLICY names',
      )
      .addOption(new Option('--signature-policy <file>', 'alias of --policy').hideHelp())
      .option('--insecure-policy', 'accept anything that is whole, whoever made it')
      .option('--require-signed', 'refuse images that the policy accepts without a signature')
      .option(
        '--key <key>',
        'judge by this public key of this side: OpenPGP keyring, PEM (sigstore), or a key’s URI; repeatable',
        collect,
      )
      .option(
        '--fingerprint <fpr>',
        'judge by the key in the bundle that has this whole fingerprint, which you know from elsewhere; repeatable',
        collect,
      ),
  );
}

/**
 * Whom the flags say that this side believes. What a search path finds is nobody's word for this file, so it does not count.
 * @throws BullaError `usage.invalid`
 */
export function trustOption(parsed: Parsed, terminal: Terminal): TransferTrust {
  const fingerprints = listOption(parsed, 'fingerprint');
  // nothing is fetched, whatever stands in the environment
  const given = givenJudge({ ...parsed, offline: true }, terminal, undefined, fingerprints.length > 0);
  const file = policyOption(parsed) ?? named(terminal.env['BULLA_POLICY']);
  const insecure = flagOption(parsed, 'insecurePolicy');
  const isPolicyNamed = policyOption(parsed) !== undefined;
  if ([given !== undefined, isPolicyNamed, insecure].filter(Boolean).length > 1) {
    throw new BullaError(
      'usage.invalid',
      '--key, --fingerprint or --certificate-identity, --policy and --insecure-policy exclude each other',
    );
  }
  if (insecure) terminal.warn('--insecure-policy accepts anything');
  const policy = file === undefined ? undefined : ({ kind: 'policy', file, offline: true } as const);
  const by = given ?? (insecure ? ({ kind: 'insecure-accept-anything' } as const) : policy);
  return {
    ...(by !== undefined && { by }),
    fingerprints,
    requireSigned: flagOption(parsed, 'requireSigned'),
  };
}

function named(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

export function isTrusting({ by }: TransferTrust): boolean {
  return by !== undefined;
}

/** Verdicts as `verify` prints them. */
export function printVerdicts(
  verdicts: readonly ImageVerdict[],
  explain: boolean,
  { terminal }: CommandContext,
): void {
  for (const verdict of verdicts) {
    if (verdict.error !== undefined) terminal.error(verdict.error);
    for (const line of verdictLines(verdict, explain, (word, colour) => terminal.paint(word, colour)))
      terminal.print(line);
  }
}

/** Says that nothing was done, and why. @param said what the JSON says besides */
export function printRefusal(
  verdicts: readonly ImageVerdict[],
  said: object,
  json: boolean,
  context: CommandContext,
): void {
  if (json) context.terminal.printJson({ ...said, verdicts: verdicts.map((each) => verdictJson(each)) });
  else printVerdicts(verdicts, false, context);
  context.finish(worstOutcome(verdicts.map(outcomeOf)));
}

export function outcomeOf({ accepted, error }: ImageVerdict): Outcome {
  if (error !== undefined) return error.exitCode;
  return accepted ? 0 : 1;
}

/** Keys, policy, roots and registries.d of a bundle, for people. */
export function trustLines({ keys, policy, roots, registriesD }: TransferShown): readonly string[] {
  return [
    ...keys.flatMap(keyLines),
    ...(policy === undefined
      ? []
      : [
          `policy ${policy.file}${policy.problem === undefined ? '' : `: ${printable(policy.problem, 500)}`}`,
          ...policy.scopes.map(
            ({ scope, requirements }) =>
              `  ${scope === '' ? 'default' : printable(scope, 300)}: ${requirements.join(', ')}`,
          ),
        ]),
    ...roots.map(
      ({ file, services, problem }) =>
        `trusted root ${file}: ${problem === undefined ? `${services} services` : printable(problem, 500)}`,
    ),
    ...registriesD.map((each) => `registries.d ${printable(each)}`),
  ];
}

const kinds: Readonly<Record<PackedKey['kind'], string>> = {
  gpg: 'GPG key',
  sigstore: 'sigstore key',
  certificate: 'certificate',
  unreadable: 'key file',
};

function keyLines({
  file,
  kind,
  fingerprint,
  algorithm,
  userIds = [],
  problem,
}: PackedKey): readonly string[] {
  if (fingerprint === undefined) return [`${kinds[kind]} ${file}: ${printable(problem ?? '', 500)}`];
  const what = algorithm === undefined ? kinds[kind] : `${kinds[kind]} (${algorithm})`;
  const says =
    userIds.length === 0 ? [] : [`  says it is ${userIds.map((each) => printable(each)).join(', ')}`];
  return [`${what} ${fingerprint}`, ...says];
}
