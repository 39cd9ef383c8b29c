/** Merkle trees of transparency logs (RFC 9162 section 2.1). */
import { bytesEqual } from '../base/bytes.ts';
import { crypto } from '../base/node.ts';

/** The hash of a leaf's bytes. */
export function leafHash(entry: Uint8Array): Uint8Array {
  return crypto.createHash('sha256').update(Uint8Array.of(0)).update(entry).digest();
}

/** The hash of two neighbours' hashes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return crypto.createHash('sha256').update(Uint8Array.of(1)).update(left).update(right).digest();
}

export type Inclusion = {
  readonly leaf: Uint8Array;
  readonly index: bigint;
  readonly size: bigint;
  /** From the leaf's sibling upwards; each of 32 bytes. */
  readonly hashes: readonly Uint8Array[];
  readonly root: Uint8Array;
};

/** Whether the leaf is at that index of the tree with that root (RFC 9162 section 2.1.3.2). */
export function isIncluded({ leaf, index, size, hashes, root }: Inclusion): boolean {
  if (index < 0n || index >= size) return false;
  let [node, last] = [index, size - 1n];
  let hash = leaf;
  for (const sibling of hashes) {
    if (last === 0n || sibling.length !== 32) return false;
    if ((node & 1n) === 1n || node === last) {
      hash = nodeHash(sibling, hash);
      // up to where it has a left neighbour: on the way there is none to the right
      while ((node & 1n) === 0n && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n && bytesEqual(hash, root);
}
