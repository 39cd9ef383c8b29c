import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseReference } from '../base/reference.ts';
import { matchIdentity } from './identity.ts';
import type { SignedIdentity } from './requirement.ts';

const a = `sha256:${'a'.repeat(64)}`;
const b = `sha256:${'b'.repeat(64)}`;
type Row = readonly [rule: SignedIdentity, intended: string | undefined, signed: string, matches: boolean];

const exact: SignedIdentity = { type: 'matchExact' };
const normal: SignedIdentity = { type: 'matchRepoDigestOrExact' };
const repository: SignedIdentity = { type: 'matchRepository' };
const reference = (dockerReference: string): SignedIdentity => ({ type: 'exactReference', dockerReference });
const named = (dockerRepository: string): SignedIdentity => ({ type: 'exactRepository', dockerRepository });
const remap = (prefix: string, signedPrefix: string): SignedIdentity => ({
  type: 'remapIdentity',
  prefix,
  signedPrefix,
});

// containers-policy.json.5, signedIdentity, row by row
const rows: readonly Row[] = [
  [exact, 'h.x/n/a:1', 'h.x/n/a:1', true],
  [exact, 'h.x/n/a:1', 'h.x/n/a:2', false],
  [exact, 'h.x/n/a:1', 'h.x/n/b:1', false],
  [exact, 'h.x/n/a:1', 'h.y/n/a:1', false],
  [exact, 'h.x/n/a:1', 'h.x/n/a', false],
  [exact, 'h.x/n/a', 'h.x/n/a', false],
  [exact, `h.x/n/a@${a}`, `h.x/n/a@${a}`, true],
  [exact, `h.x/n/a@${a}`, 'h.x/n/a:1', false],
  [exact, `h.x/n/a@${a}`, `h.x/n/a@${b}`, false],
  [exact, `h.x/n/a:1@${a}`, 'h.x/n/a:1', false],
  [exact, `h.x/n/a:1@${a}`, `h.x/n/a:1@${a}`, true],
  [exact, 'busybox:1', 'docker.io/library/busybox:1', true],
  [exact, 'docker.io/library/busybox:1', 'index.docker.io/busybox:1', true],
  [exact, 'h.x/n/a:1', 'h.x/n/A:1', false],
  [exact, 'h.x/n/a:1', '', false],
  [exact, undefined, 'h.x/n/a:1', false],

  [normal, 'h.x/n/a:1', 'h.x/n/a:1', true],
  [normal, 'h.x/n/a:1', 'h.x/n/a:2', false],
  [normal, 'h.x/n/a:1', 'h.x/n/a', false],
  [normal, 'h.x/n/a:1', `h.x/n/a@${a}`, false],
  [normal, `h.x/n/a@${a}`, 'h.x/n/a:1', true],
  [normal, `h.x/n/a@${a}`, `h.x/n/a@${b}`, true],
  [normal, `h.x/n/a@${a}`, 'h.x/n/a', false],
  [normal, `h.x/n/a@${a}`, 'h.x/n/b:1', false],
  [normal, `h.x/n/a:1@${a}`, 'h.x/n/a:1', false],
  [normal, `h.x/n/a:1@${a}`, `h.x/n/a:1@${a}`, true],
  [normal, 'h.x/n/a', 'h.x/n/a:1', false],
  [normal, undefined, 'h.x/n/a:1', false],

  [repository, 'h.x/n/a:1', 'h.x/n/a:2', true],
  [repository, 'h.x/n/a:1', 'h.x/n/a', true],
  [repository, 'h.x/n/a', 'h.x/n/a:7', true],
  [repository, `h.x/n/a@${a}`, 'h.x/n/a', true],
  [repository, 'h.x/n/a:1', 'h.x/n/b:1', false],
  [repository, 'h.x:5000/n/a:1', 'h.x/n/a:1', false],
  [repository, undefined, 'h.x/n/a:1', false],

  [reference('h.x/n/a:1'), 'h.y/other:9', 'h.x/n/a:1', true],
  [reference('h.x/n/a:1'), 'h.x/n/a:1', 'h.x/n/a:2', false],
  [reference('h.x/n/a:1'), undefined, 'h.x/n/a:1', true],
  [reference('busybox:1'), undefined, 'docker.io/library/busybox:1', true],
  [reference('h.x/n/a:1'), undefined, 'h.x/n/a', false],
  [reference('h.x/n/a:1'), undefined, 'No Reference', false],

  [named('h.x/n/a'), 'h.y/other:9', 'h.x/n/a:1', true],
  [named('h.x/n/a:7'), undefined, 'h.x/n/a:1', true],
  [named('h.x/n/a'), undefined, 'h.x/n/a', true],
  [named('h.x/n/a'), 'h.x/n/b:1', 'h.x/n/b:1', false],
  [named('h.x/n'), undefined, 'h.x/n/a:1', false],

  [remap('h.x', 'h.y'), 'h.x/n/a:1', 'h.y/n/a:1', true],
  [remap('h.x', 'h.y'), 'h.x/n/a:1', 'h.x/n/a:1', false],
  [remap('h.x', 'h.y'), 'h.x/n/a:1', 'h.y/n/a:2', false],
  [remap('h.x', 'h.y'), 'h.x/n/a:1', 'h.y/n/a', false],
  [remap('h.x', 'h.y'), `h.x/n/a@${a}`, 'h.y/n/a:2', true],
  [remap('h.x', 'h.y'), 'h.z/n/a:1', 'h.z/n/a:1', true],
  [remap('h.x', 'h.y'), 'h.x:5000/n/a:1', 'h.x:5000/n/a:1', true],
  [remap('h.x', 'h.y'), 'h.x:5000/n/a:1', 'h.y:5000/n/a:1', false],
  [remap('h.x/mirror', 'h.y/n'), 'h.x/mirror/a:1', 'h.y/n/a:1', true],
  [remap('h.x/mirror', 'h.y/n'), 'h.x/mirror2/a:1', 'h.y/n2/a:1', false],
  [remap('h.x/m/a', 'h.y/n/b'), 'h.x/m/a:1', 'h.y/n/b:1', true],
  [remap('h.x/m', 'docker.io/library'), 'h.x/m/busybox:1', 'busybox:1', true],
  [remap('h.x/m', 'docker.io'), 'h.x/m/busybox:1', 'busybox:1', false],
  [remap('h.x', 'index.docker.io'), 'h.x/library/busybox:1', 'docker.io/library/busybox:1', false],
  [remap('h.x/m/busybox', 'busybox'), 'h.x/m/busybox:1', 'busybox:1', false],
  [remap('h.x', 'h.y'), undefined, 'h.y/n/a:1', false],
];

for (const [rule, intended, signed, matches] of rows) {
  test(`${JSON.stringify(rule)}: ${intended ?? 'no reference'} signed as ${signed || '(empty)'}: ${matches}`, () => {
    const match = matchIdentity(rule, intended === undefined ? undefined : parseReference(intended), signed);
    assert.equal(match.ok, matches);
  });
}

function refusal(rule: SignedIdentity, intended: string | undefined, signed: string): string {
  const match = matchIdentity(rule, intended === undefined ? undefined : parseReference(intended), signed);
  return match.ok ? assert.fail('it matched') : match.message;
}

test('a refusal names both names and the rule that would take them', () => {
  const promoted = refusal(normal, 'h.x/prod/app:1', 'h.x/dev/app:1');
  assert.match(promoted, /signed for h\.x\/dev\/app:1, wanted h\.x\/prod\/app:1/);
  assert.match(promoted, /remapIdentity/);
  assert.match(refusal(normal, 'h.x/app:1', 'h.x/app'), /names no tag.*matchRepository/);
  assert.match(refusal(normal, 'h.x/app:1', 'h.x/app:2'), /matchRepository/);
  assert.match(refusal(normal, undefined, 'h.x/app:2'), /--as/);
  assert.match(
    refusal(remap('h.x', 'h.y'), 'h.x/a:1', 'h.x/a:1'),
    /wanted h\.y\/a:1.*h\.x\/a:1 by remapIdentity/,
  );
  assert.match(refusal(reference('h.x/a:1'), 'h.x/b:1', 'h.x/b:1'), /exactReference wants h\.x\/a:1/);
});

test('a name from a signature is made printable before it is shown', () => {
  const message = refusal(normal, 'h.x/a:1', '\u001b[31mred');
  assert.ok(!message.includes('\u001b'));
});
