/** `bulla verify IMAGE...`: the verdict, by policy, by key or by certificate. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import type { JudgedBy } from '../../operations/judge.ts';
import type { CommandContext } from '../command.ts';
import { withForOption } from '../for-option.ts';
import { givenJudge, withSignerOptions } from '../judge-options.ts';
import {
  collect,
  flagOption,
  type Parsed,
  policyOption,
  textOption,
  withPlatformOptions,
  withPolicyOptions,
  withRegistriesDOption,
  withRegistryOptions,
} from '../options.ts';
import { readPredicateType } from '../predicate-type.ts';
import { runVerify } from '../verify-run.ts';

export function command(context: CommandContext): Command {
  const verify = new Command('verify')
    .description(
      'Judge images: by the policy, by a key, or by whom a certificate is about. Exit 0 accepted, 1 refused, 3 could not decide.',
    )
    .argument('<image...>', 'images; a name without transport means docker://')
    .option(
      '--key <key>',
      'judge by this public key instead of a policy: OpenPGP keyring, PEM (sigstore), or a key’s URI; repeatable',
      collect,
    )
    .option(
      '--type <type>',
      'with a key or certificate: the statement that is wanted (default: cosign’s signature)',
    )
    .option(
      '--as <ref>',
      'the Docker reference claimed for the image: the identity to match, the scope to use',
    )
    .option('--all', 'judge each instance of a list')
    .option('--explain', 'tell scope, requirements, every signature and its reason')
    .option('--json', 'print the verdicts as JSON');
  withPlatformOptions(
    withPolicyOptions(withRegistriesDOption(withRegistryOptions(withForOption(withSignerOptions(verify))))),
  );
  return verify
    .addHelpText(
      'after',
      `
Example:
  $ bulla verify --policy policy.json docker://registry.example.com/ns/app:1.0
  $ bulla verify --certificate-identity alice@example.com --certificate-oidc-issuer https://accounts.example.com \\
      --trusted-root trusted_root.json docker://registry.example.com/ns/app:1.0`,
    )
    .action((images: readonly string[], parsed: Parsed) =>
      runVerify(images, parsed, context, () => judgedBy(parsed, context)),
    );
}

/** What judges; two judges at once are refused: which of them decides would be a guess. */
export function judgedBy(parsed: Parsed, { terminal }: CommandContext): JudgedBy {
  const type = textOption(parsed, 'type');
  const given = givenJudge(parsed, terminal, type === undefined ? undefined : readPredicateType(type));
  const file = policyOption(parsed);
  const insecure = flagOption(parsed, 'insecurePolicy');
  if ([given !== undefined, file !== undefined, insecure].filter(Boolean).length > 1) {
    throw new BullaError(
      'usage.invalid',
      '--key or --certificate-identity, --policy and --insecure-policy exclude each other',
    );
  }
  if (type !== undefined && given === undefined) {
    throw new BullaError('usage.invalid', '--type goes with --key or --certificate-identity');
  }
  if (insecure) {
    terminal.warn('--insecure-policy accepts anything');
    return { kind: 'insecure-accept-anything' };
  }
  const offline = flagOption(parsed, 'offline');
  return given ?? { kind: 'policy', offline, ...(file !== undefined && { file }) };
}
