import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../base/bytes.ts';
import { path, treeHash } from '../../test/support/bundle-forge-log.ts';
import { isIncluded, leafHash } from './merkle.ts';

const leaves = Array.from({ length: 70 }, (_, index) => leafHash(utf8(`leaf ${index}`)));

function proofOf(index: number, size: number): Parameters<typeof isIncluded>[0] {
  const tree = leaves.slice(0, size);
  return {
    leaf: tree[index] ?? new Uint8Array(32),
    index: BigInt(index),
    size: BigInt(size),
    hashes: path(index, tree),
    root: treeHash(tree),
  };
}

test('every leaf of every small tree, as RFC 9162 section 2.1.3.1 makes its path', () => {
  for (let size = 1; size <= 33; size += 1) {
    for (let index = 0; index < size; index += 1) {
      assert.equal(isIncluded(proofOf(index, size)), true, `${index} of ${size}`);
    }
  }
});

test('another index, size, leaf or root, one hash more or less', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 70 }), fc.nat(69), fc.nat(80), (size, at, other) => {
      const proof = proofOf(at % size, size);
      const { hashes, index, leaf } = proof;
      assert.equal(isIncluded({ ...proof, leaf: leafHash(leaf) }), false);
      assert.equal(isIncluded({ ...proof, root: leaf }), false);
      assert.equal(isIncluded({ ...proof, hashes: [...hashes, leaf] }), false);
      assert.equal(isIncluded({ ...proof, hashes: hashes.slice(1) }), false);
      assert.equal(isIncluded({ ...proof, hashes: hashes.map((hash) => hash.subarray(1)) }), false);
      if (BigInt(other) !== index) assert.equal(isIncluded({ ...proof, index: BigInt(other) }), false);
      for (const impossible of [-1n, BigInt(size), 2n ** 63n]) {
        assert.equal(isIncluded({ ...proof, index: impossible }), false);
      }
      assert.equal(isIncluded({ ...proof, size: 0n }), false);
    }),
  );
});
