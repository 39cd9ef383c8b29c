import assert from 'node:assert/strict';
import { test } from 'node:test';

import { moveLeadingFlags } from './global-flags.ts';

const cases: readonly (readonly [string, string, string])[] = [
  ['nothing', '', ''],
  ['flags stay behind the command', 'verify --policy p IMAGE', 'verify --policy p IMAGE'],
  ['skopeo’s place for them', '--policy p --debug verify IMAGE', 'verify IMAGE --policy p --debug'],
  ['with an equals sign', '--registries.d=d sign IMAGE', 'sign IMAGE --registries.d=d'],
  ['before a double dash', '--debug verify -- IMAGE', 'verify --debug -- IMAGE'],
  [
    '--tls-verify alone does not swallow the image',
    'verify --tls-verify IMAGE',
    'verify --tls-verify=true IMAGE',
  ],
  ['only flags', '--version', '--version'],
];
for (const [name, given, expected] of cases) {
  test(name, () =>
    assert.deepEqual(moveLeadingFlags(given.split(' ').filter(Boolean)), expected.split(' ').filter(Boolean)),
  );
}
