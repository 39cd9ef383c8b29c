/** Writing DER (X.690 section 10.1): lengths in their shortest form. */
import { concatBytes } from '../../base/bytes.ts';

/** One element; its content is the parts in a row. */
export function encodeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  return concatBytes(Uint8Array.of(tag, ...lengthOf(content.length)), content);
}

function lengthOf(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 0x100)) bytes.unshift(left % 0x100);
  return [0x80 + bytes.length, ...bytes];
}
