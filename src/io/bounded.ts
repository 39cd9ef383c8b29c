/** Many things at once, but not too many. */

/**
 * Maps `items` with at most `most` calls under way; results are in the items' order. The first
 * rejection rejects the whole; calls under way are not waited for.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  most: number,
  map: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    // the iterator is shared: each worker takes the next item
    for (const [index, item] of queue) results[index] = await map(item, index);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
  return results;
}
