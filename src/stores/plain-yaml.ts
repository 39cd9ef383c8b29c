/**
 * The YAML that people write into registries.d, read without the YAML package: loading that costs
 * a cold process more than all the rest of a verification. Only block mappings of plain or simply
 * quoted texts are understood; for everything else the answer is "not plain" and the package
 * decides. A test holds the two together: what this reads, the package reads the same.
 */

export type PlainValue = string | boolean | null | PlainMapping;
export type PlainMapping = Map<string, PlainValue>;

type Line = { readonly indent: number; readonly key: string; readonly value: PlainValue | undefined };

const words: ReadonlyMap<string, boolean | null> = new Map<string, boolean | null>([
  ...['null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ...['true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, false] as const),
]);

const plain = '[A-Za-z0-9/](?:[A-Za-z0-9._/@%=~?&+-]|:(?=[^ ]))*';
const quoted = `"[^"\\\\]*"|'[^']*'`;
const entryPattern = new RegExp(`^( *)(${plain}|${quoted}):(?: +(${plain}|${quoted}|\\{\\}))? *(?: #.*)?$`);
const longest = 200_000;

/** The mapping that a text holds, or undefined where it is not plain (it may be fine or broken YAML). */
export function parsePlainYaml(text: string): PlainMapping | undefined {
  // printable ASCII and line feeds: nothing whose meaning depends on a rule that is not here
  if (text.length > longest || !/^[\n -~]*$/.test(text)) return undefined;
  const lines: Line[] = [];
  for (const [n, raw] of text.split('\n').entries()) {
    if (/^ *(?:#.*)?$/.test(raw) || (n === 0 && raw === '---')) continue;
    const line = parseLine(raw);
    if (line === undefined) return undefined;
    lines.push(line);
  }
  if (lines.length === 0 || lines[0]?.indent !== 0) return undefined;
  const rest = { lines, at: 0 };
  const mapping = takeMapping(rest, 0);
  return rest.at === lines.length ? mapping : undefined;
}

function parseLine(raw: string): Line | undefined {
  const match = entryPattern.exec(raw);
  if (match === null) return undefined;
  const [, blanks = '', key = '', value] = match;
  const name = textOf(key);
  const content = value === undefined || value === '{}' ? undefined : textOf(value);
  // keys and values that YAML takes for numbers or words of its own are left to the package
  if (typeof name !== 'string' || (value !== undefined && value !== '{}' && content === undefined))
    return undefined;
  return {
    indent: blanks.length,
    key: name,
    value: value === '{}' ? new Map<string, PlainValue>() : content,
  };
}

function textOf(token: string): string | boolean | null | undefined {
  if (token.startsWith('"') || token.startsWith("'")) return token.slice(1, -1);
  const word = words.get(token);
  if (word !== undefined) return word;
  return Number.isNaN(Number(token)) && !/^[0-9]{4}-/.test(token) ? token : undefined;
}

type Rest = { readonly lines: readonly Line[]; at: number };

/** Takes the lines of one indentation, with what is deeper below them; undefined for anything uneven. */
function takeMapping(rest: Rest, indent: number): PlainMapping | undefined {
  const mapping: PlainMapping = new Map();
  for (let line = rest.lines[rest.at]; line?.indent === indent; line = rest.lines[rest.at]) {
    rest.at += 1;
    const next = rest.lines[rest.at];
    const deeper = next !== undefined && next.indent > indent ? next.indent : undefined;
    if (mapping.has(line.key) || (deeper !== undefined && line.value !== undefined)) return undefined;
    const value = deeper === undefined ? (line.value ?? null) : takeMapping(rest, deeper);
    if (value === undefined) return undefined;
    mapping.set(line.key, value);
  }
  return mapping;
}
