/** Counting signers: a name counts once, however many keys it has, and so does a key, under however many names. */

/** One accepted signature: whose it is, and the names that it may count for. */
export type Counted = { readonly signer: string; readonly names: readonly string[] };

/**
 * The largest number of names that can be given a signer each, no signer given twice: a maximum matching, by augmenting
 * paths. Taking signatures as they come would undercount: what Alice's key is taken for may be all that Bob's could be.
 */
export function countDistinct(signatures: readonly Counted[]): number {
  const namesOf = new Map<string, Set<string>>();
  for (const { signer, names } of signatures) {
    namesOf.set(signer, new Set([...(namesOf.get(signer) ?? []), ...names]));
  }
  const takenBy = new Map<string, string>();
  const place = (signer: string, tried: Set<string>): boolean => {
    for (const name of namesOf.get(signer) ?? []) {
      if (tried.has(name)) continue;
      tried.add(name);
      const other = takenBy.get(name);
      if (other !== undefined && !place(other, tried)) continue;
      takenBy.set(name, signer);
      return true;
    }
    return false;
  };
  return [...namesOf.keys()].filter((signer) => place(signer, new Set())).length;
}
