/** A stream cut into pieces of one size. */

/** Pieces of exactly `size` bytes, the last one shorter; none for an empty stream. */
export async function* pieces(content: ReadableStream<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of content) {
    let rest = chunk;
    while (length + rest.length >= size) {
      const room = size - length;
      yield joined([...held, rest.subarray(0, room)]);
      rest = rest.subarray(room);
      held = [];
      length = 0;
    }
    if (rest.length > 0) held.push(rest);
    length += rest.length;
  }
  if (length > 0) yield joined(held);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
