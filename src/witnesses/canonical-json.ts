/** JSON in its canonical form (RFC 8785): what a transparency log signs. */
import type { JsonObject, JsonValue } from '../base/json.ts';

/**
 * The canonical text of a value: members in the order of their UTF-16 units, no blanks, numbers and
 * strings as ECMAScript writes them. Undefined where the value has none: a member twice, half a
 * surrogate pair, a number that no 64-bit float holds.
 */
export function canonicalJson(value: JsonValue): string | undefined {
  switch (value.kind) {
    case 'null':
      return 'null';
    case 'boolean':
      return String(value.value);
    case 'number':
      return canonicalNumber(value.text);
    case 'string':
      return canonicalString(value.value);
    case 'array': {
      const items = value.items.map(canonicalJson);
      return items.includes(undefined) ? undefined : `[${items.join(',')}]`;
    }
    case 'object':
      return canonicalObject(value);
  }
}

function canonicalObject({ members }: JsonObject): string | undefined {
  // comparing strings in ECMAScript is by UTF-16 units
  const sorted = members.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const written: string[] = [];
  for (const [index, { key, value }] of sorted.entries()) {
    if (sorted[index + 1]?.key === key) return undefined;
    const [name, text] = [canonicalString(key), canonicalJson(value)];
    if (name === undefined || text === undefined) return undefined;
    written.push(`${name}:${text}`);
  }
  return `{${written.join(',')}}`;
}

function canonicalString(text: string): string | undefined {
  return text.isWellFormed() ? JSON.stringify(text) : undefined;
}

function canonicalNumber(text: string): string | undefined {
  const number = Number(text);
  // String(-0) is 0, as RFC 8785 wants it
  return Number.isFinite(number) ? String(number) : undefined;
}
