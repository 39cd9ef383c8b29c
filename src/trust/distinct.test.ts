import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { type Counted, countDistinct } from './distinct.ts';

test('a signer counts once under many names, a name once with many keys', () => {
  assert.equal(countDistinct([]), 0);
  assert.equal(countDistinct([{ signer: 'k1', names: ['a', 'b'] }]), 1);
  assert.equal(
    countDistinct([
      { signer: 'k1', names: ['a'] },
      { signer: 'k1', names: ['b'] },
    ]),
    1,
  );
  assert.equal(
    countDistinct([
      { signer: 'k1', names: ['a'] },
      { signer: 'k2', names: ['a'] },
    ]),
    1,
  );
  assert.equal(countDistinct([{ signer: 'k1', names: [] }]), 0);
});

test('whoever may count for several names leaves the rare one to whom it alone is left', () => {
  const signatures = [
    { signer: 'alice', names: ['team', 'alice'] },
    { signer: 'bob', names: ['team'] },
  ];
  assert.equal(countDistinct(signatures), 2);
  assert.equal(countDistinct(signatures.toReversed()), 2);
});

const signature = fc.record({
  signer: fc.constantFrom('k1', 'k2', 'k3', 'k4'),
  names: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')),
});

/** Every way to give signers names, tried one after the other. */
function largest(signers: readonly string[], given: ReadonlySet<string>, all: readonly Counted[]): number {
  const [signer, ...rest] = signers;
  if (signer === undefined) return 0;
  const names = all.filter((each) => each.signer === signer).flatMap((each) => each.names);
  const ways = names
    .filter((name) => !given.has(name))
    .map((name) => 1 + largest(rest, new Set([...given, name]), all));
  return Math.max(largest(rest, given, all), ...ways);
}

test('it is the largest number that any way of giving names comes to', () => {
  fc.assert(
    fc.property(fc.array(signature, { maxLength: 6 }), (signatures) => {
      const signers = [...new Set(signatures.map((each) => each.signer))];
      assert.equal(countDistinct(signatures), largest(signers, new Set(), signatures));
    }),
  );
});
