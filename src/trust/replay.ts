/** A sequence that is fetched while it is read, and read again from what was fetched. */

export type Replay<T> = AsyncDisposable & {
  /** Everything, from the first on; what no reader has asked for yet is fetched then. One reader at a time. */
  all(): AsyncGenerator<T, void, void>;
};

/** @param open is called when the first item is asked for; an error of its sequence reaches the reader who asks for more. */
export function replay<T>(open: () => AsyncIterable<T>): Replay<T> {
  const fetched: T[] = [];
  let source: AsyncIterator<T> | undefined;
  let ended = false;
  const fetch = async (): Promise<boolean> => {
    if (ended) return false;
    source ??= open()[Symbol.asyncIterator]();
    const next = await source.next();
    if (next.done === true) ended = true;
    else fetched.push(next.value);
    return !ended;
  };
  return {
    async *all() {
      for (let at = 0; at < fetched.length || (await fetch()); at += 1) yield fetched[at] as T;
    },
    [Symbol.asyncDispose]: async () => {
      if (!ended) await source?.return?.();
    },
  };
}
