import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isBullaError } from '../base/errors.ts';
import { booleanOption, countOption, durationOption, policyOption } from './options.ts';

const usage = (error: unknown): boolean => isBullaError(error, 'usage.invalid');

test('booleans', () => {
  assert.equal(booleanOption({}, 'tlsVerify', '--tls-verify'), undefined);
  assert.equal(booleanOption({ tlsVerify: 'false' }, 'tlsVerify', '--tls-verify'), false);
  assert.equal(booleanOption({ tlsVerify: 'true' }, 'tlsVerify', '--tls-verify'), true);
  assert.throws(() => booleanOption({ tlsVerify: 'no' }, 'tlsVerify', '--tls-verify'), usage);
});

test('counts', () => {
  assert.equal(countOption({ n: '3' }, 'n', '-n'), 3);
  for (const value of ['-1', '1.5', '', 'x', '99999999999'])
    assert.throws(() => countOption({ n: value }, 'n', '-n'), usage);
  assert.throws(() => countOption({ n: '0' }, 'n', '-n', 1), usage);
});

test('durations, as Go writes them', () => {
  assert.equal(durationOption({ t: '30s' }, 't', '-t'), 30_000);
  assert.equal(durationOption({ t: '2m30s' }, 't', '-t'), 150_000);
  assert.equal(durationOption({ t: '1.5h' }, 't', '-t'), 5_400_000);
  for (const value of ['', '30', 's', '30s ', '-1s', '0s', '1d'])
    assert.throws(() => durationOption({ t: value }, 't', '-t'), usage);
});

test('two names for one policy may not disagree', () => {
  assert.equal(policyOption({ signaturePolicy: 'a' }), 'a');
  assert.equal(policyOption({ policy: 'a', signaturePolicy: 'a' }), 'a');
  assert.throws(() => policyOption({ policy: 'a', signaturePolicy: 'b' }), usage);
});
