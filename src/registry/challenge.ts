/** WWW-Authenticate (RFC 9110 section 11.6.1): several challenges, parameters quoted or not. */

export type Challenge = {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. A name given twice has its first value. */
  readonly parameters: ReadonlyMap<string, string>;
};

/** A server that sends more than this is not read: no registry needs a hundredth of it. */
const longestHeader = 16_384;

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const parameter = new RegExp(`(${token})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))`, 'y');
const scheme = new RegExp(`(${token})(?:[ \\t]+|(?=,)|$)`, 'y');
const token68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const separators = /[ \t,]*/y;

/** The challenges of a header; what cannot be read ends the list, and what was read before it counts. */
export function parseChallenges(header: string | undefined): readonly Challenge[] {
  if (header === undefined || header.length > longestHeader) return [];
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  for (;;) {
    take(separators);
    if (at >= header.length) return challenges;
    const current = challenges.at(-1);
    // a parameter is tried first: a scheme is never followed by an equals sign
    const pair = current === undefined ? null : take(parameter);
    if (pair !== null && current !== undefined) {
      const name = (pair[1] ?? '').toLowerCase();
      const value = pair[2]?.replace(/\\(.)/g, '$1') ?? pair[3] ?? '';
      if (!current.parameters.has(name)) current.parameters.set(name, value);
      continue;
    }
    const name = take(scheme);
    if (name === null) return challenges;
    challenges.push({ scheme: (name[1] ?? '').toLowerCase(), parameters: new Map() });
    parameter.lastIndex = at;
    if (!parameter.test(header)) take(token68);
  }
}
