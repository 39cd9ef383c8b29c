import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { Command } from 'commander';

import { isBullaError } from '../base/errors.ts';
import type { JudgedBy } from '../operations/judge.ts';
import { matchesText } from '../trust/identity-rule.ts';
import { givenJudge, withSignerOptions } from './judge-options.ts';
import { collect, type Parsed } from './options.ts';
import type { Terminal } from './terminal.ts';

/** Warnings are all that is said to it. */
const quiet = { warn: () => undefined } as unknown as Terminal;

function given(...argv: readonly string[]): JudgedBy | undefined {
  const command = withSignerOptions(new Command().exitOverride())
    .option('--key <key>', '', collect)
    .argument('[image]');
  command.parse(argv, { from: 'user' });
  return givenJudge(command.opts<Parsed>(), quiet);
}

function refuses(...argv: readonly string[]): void {
  throws(
    () => given(...argv),
    (error) => isBullaError(error, 'usage.invalid'),
    argv.join(' '),
  );
}

const whole = ['--certificate-identity', 'a@b.c', '--certificate-oidc-issuer', 'https://i'] as const;

test('subject and issuer go together, each once', () => {
  const by = given(...whole, 'image');
  equal(by?.kind, 'identity');
  refuses('--certificate-identity', 'a@b.c');
  refuses('--certificate-identity-regexp', '.*');
  refuses('--certificate-oidc-issuer', 'https://i');
  refuses(...whole, '--certificate-identity-regexp', '.*');
  refuses(...whole, '--key', 'k.pub');
  refuses('--certificate-identity', '', '--certificate-oidc-issuer', 'https://i');
  refuses('--certificate-identity-regexp', '', '--certificate-oidc-issuer', 'https://i');
  refuses('--certificate-identity-regexp', '(', '--certificate-oidc-issuer', 'https://i');
});

test('patterns are of the whole text', () => {
  const by = given('--certificate-identity-regexp', 'a@b', '--certificate-oidc-issuer-regexp', 'https://.*');
  if (by?.kind !== 'identity' || by.identity.subject === undefined) throw new Error('no identity');
  equal(matchesText(by.identity.subject, 'a@b.c'), false);
  equal(matchesText(by.identity.issuer, 'https://i'), true);
});

test('fields of GitHub’s workflows', () => {
  const by = given(...whole, '--certificate-github-workflow-repository', 'acme/app');
  deepEqual(by?.kind === 'identity' ? by.identity.fields : undefined, {
    'github-workflow-repository': { kind: 'exact', text: 'acme/app' },
  });
  refuses(...whole, '--certificate-github-workflow-ref', '');
});

test('what says how to judge says nothing alone', () => {
  equal(given('image'), undefined);
  for (const lone of [
    ['--trusted-root', 'f'],
    ['--rekor-key', 'f'],
    ['--require-log'],
    ['--insecure-ignore-tlog'],
    ['--insecure-ignore-sct'],
    ['--certificate-github-workflow-sha', 'x'],
  ]) {
    refuses(...lone, 'image');
  }
  refuses('--key', 'k', '--require-log', '--insecure-ignore-tlog');
});

test('cosign’s flags with their value', () => {
  const ignores = (...flags: readonly string[]): boolean | undefined => {
    const by = given('--key', 'k', ...flags, 'image');
    return by?.kind === 'keys' ? by.ignoreLog : undefined;
  };
  equal(ignores('--insecure-ignore-tlog=true'), true);
  equal(ignores('--insecure-ignore-tlog'), true);
  equal(ignores('--private-infrastructure'), true);
  equal(ignores('--insecure-ignore-tlog=false'), false);
  equal(ignores(), false);
});
