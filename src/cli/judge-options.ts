/** Flags that say whom to believe without a policy, by cosign's names: a key, or whom a certificate is about; and who witnesses it. */
import { type Command, Option } from 'commander';

import { BullaError } from '../base/errors.ts';
import type { JudgedBy, WitnessFiles } from '../operations/judge.ts';
import type { CertificateIdentity, FulcioField, TextRule } from '../trust/identity-rule.ts';
import { parsePattern } from '../trust/linear-pattern.ts';
import { collect, flagOption, listOption, type Parsed, textOption } from './options.ts';
import type { Terminal } from './terminal.ts';

/** cosign's flags for fields of certificates: GitHub's own, as it wrote them first. */
const githubFields: readonly (readonly [flag: string, option: string, field: FulcioField, what: string])[] = [
  ['trigger', 'certificateGithubWorkflowTrigger', 'github-workflow-trigger', 'the event'],
  ['sha', 'certificateGithubWorkflowSha', 'github-workflow-sha', 'the commit'],
  ['name', 'certificateGithubWorkflowName', 'github-workflow-name', 'the workflow’s name'],
  ['repository', 'certificateGithubWorkflowRepository', 'github-workflow-repository', 'the repository'],
  ['ref', 'certificateGithubWorkflowRef', 'github-workflow-ref', 'the branch or tag'],
];

/** Adds them. `--key` is the caller's to describe. */
export function withSignerOptions(command: Command): Command {
  command
    .option('--certificate-identity <subject>', 'the certificate’s subject: mail address, URI or user name')
    .option('--certificate-identity-regexp <pattern>', 'the same as a pattern for the whole subject')
    .option('--certificate-oidc-issuer <url>', 'who identified the signer; needed with an identity')
    .option('--certificate-oidc-issuer-regexp <pattern>', 'the same as a pattern for the whole issuer');
  for (const [flag, , , what] of githubFields) {
    command.option(`--certificate-github-workflow-${flag} <text>`, `GitHub’s workflow: ${what}`);
  }
  command
    .option('--trusted-root <file>', 'trusted_root.json with authorities and logs; repeatable', collect)
    .option('--rekor-key <file>', 'a log’s public key (PEM); repeatable', collect)
    .option('--require-log', 'with a key: demand a log entry too')
    .option('--insecure-ignore-tlog', 'do not look at log entries')
    .option('--insecure-ignore-sct', 'let certificates be in no certificate log')
    .addOption(new Option('--private-infrastructure', 'cosign’s name of --insecure-ignore-tlog').hideHelp());
  return withGoBooleans(command, [
    '--insecure-ignore-tlog',
    '--insecure-ignore-sct',
    '--private-infrastructure',
  ]);
}

/** cosign's flags may have their value behind `=`; commander's may not. */
function withGoBooleans(command: Command, flags: readonly string[]): Command {
  const parse = command.parseOptions.bind(command);
  command.parseOptions = (argv) => {
    const plain = argv.flatMap((word) => {
      const [, flag, value] = /^(--[a-z-]+)=(true|false)$/.exec(word) ?? [];
      if (flag === undefined || !flags.includes(flag)) return [word];
      return value === 'true' ? [flag] : [];
    });
    return parse(plain);
  };
  return command;
}

/**
 * What the flags name, or undefined where they name neither key nor identity.
 * @param predicateType what statements have to say; default cosign's sign/v1
 * @param isKeyed keys come from elsewhere too: the flags that go with keys have something to go with
 * @throws BullaError `usage.invalid`
 */
export function givenJudge(
  parsed: Parsed,
  terminal: Terminal,
  predicateType?: string,
  isKeyed: boolean = false,
): JudgedBy | undefined {
  const files = listOption(parsed, 'key');
  const identity = identityOption(parsed);
  const hasKeys = files.length > 0 || isKeyed;
  if (hasKeys && identity !== undefined) {
    throw new BullaError('usage.invalid', '--key and --certificate-identity exclude each other', {
      hint: 'a key and a certificate are two ways to say who signed: name one of them',
    });
  }
  const witnesses = witnessOptions(parsed, predicateType);
  if (!hasKeys && identity === undefined) {
    refuseLone(parsed);
    return undefined;
  }
  if (witnesses.ignoreLog === true) {
    if (witnesses.requireLog === true) {
      throw new BullaError('usage.invalid', '--require-log and --insecure-ignore-tlog contradict each other');
    }
    terminal.warn('--insecure-ignore-tlog: log entries are not looked at');
  }
  if (witnesses.ignoreSct === true)
    terminal.warn('--insecure-ignore-sct: certificates need not be in a certificate log');
  return identity === undefined
    ? { kind: 'keys', files, ...witnesses }
    : { kind: 'identity', identity, ...witnesses };
}

/** What says how to judge by a key or certificate says nothing without one. */
function refuseLone(parsed: Parsed): void {
  const lone = [
    ['trustedRoot', '--trusted-root'],
    ['rekorKey', '--rekor-key'],
    ['requireLog', '--require-log'],
    ['insecureIgnoreTlog', '--insecure-ignore-tlog'],
    ['privateInfrastructure', '--private-infrastructure'],
    ['insecureIgnoreSct', '--insecure-ignore-sct'],
    ...githubFields.map(([flag, option]) => [option, `--certificate-github-workflow-${flag}`] as const),
  ].find(([option = '']) => parsed[option] !== undefined);
  if (lone === undefined) return;
  throw new BullaError('usage.invalid', `${lone[1]} goes with --key or --certificate-identity`);
}

function witnessOptions(parsed: Parsed, predicateType: string | undefined): WitnessFiles {
  return {
    trustedRoots: listOption(parsed, 'trustedRoot'),
    rekorKeys: listOption(parsed, 'rekorKey'),
    requireLog: flagOption(parsed, 'requireLog'),
    ignoreLog: flagOption(parsed, 'insecureIgnoreTlog') || flagOption(parsed, 'privateInfrastructure'),
    ignoreSct: flagOption(parsed, 'insecureIgnoreSct'),
    offline: flagOption(parsed, 'offline'),
    ...(predicateType !== undefined && { predicateType }),
  };
}

/** Subject and issuer, never one without the other: anybody's certificate by that issuer, or that name by anybody. */
function identityOption(parsed: Parsed): CertificateIdentity | undefined {
  const subject = textRule(parsed, 'certificateIdentity', '--certificate-identity');
  const issuer = textRule(parsed, 'certificateOidcIssuer', '--certificate-oidc-issuer');
  if (subject === undefined && issuer === undefined) return undefined;
  if (subject === undefined || issuer === undefined) {
    const missing = subject === undefined ? '--certificate-identity' : '--certificate-oidc-issuer';
    throw new BullaError('usage.invalid', `${missing} is missing`, {
      hint: '--certificate-identity and --certificate-oidc-issuer go together, or their -regexp twins',
    });
  }
  const fields = githubFields.flatMap(([flag, option, field]) => {
    const text = textOption(parsed, option);
    if (text === '') throw new BullaError('usage.invalid', `--certificate-github-workflow-${flag} is empty`);
    return text === undefined ? [] : [[field, { kind: 'exact', text }] as const];
  });
  return { subject, issuer, ...(fields.length > 0 && { fields: Object.fromEntries(fields) }) };
}

function textRule(parsed: Parsed, option: string, flag: string): TextRule | undefined {
  const text = textOption(parsed, option);
  const pattern = textOption(parsed, `${option}Regexp`);
  if (text !== undefined && pattern !== undefined) {
    throw new BullaError('usage.invalid', `${flag} and ${flag}-regexp exclude each other`);
  }
  if (text === '') throw new BullaError('usage.invalid', `${flag} is empty`);
  if (pattern !== undefined) return { kind: 'pattern', pattern: parsePattern(pattern) };
  return text === undefined ? undefined : { kind: 'exact', text };
}
