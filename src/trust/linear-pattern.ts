/**
 * Patterns that take time by the length of the text, whatever the pattern: what RE2 has (cosign's engine) and V8's linear engine
 * can keep, which refuses what it cannot: look-around, references back, large counts. Counts are written out here; the rest is
 * refused.
 */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';

/** A pattern, and what its counts may come to when they are written out. */
const mostPattern = 1024;
const mostExpanded = 1024;

/**
 * A pattern for whole texts: ECMAScript's syntax without flags, wrapped as `^(?:…)$`, so that anchors of its own change nothing.
 * @throws BullaError `usage.invalid` for one that is empty, does not compile, is longer than 1024 characters, or has
 *   look-around, references back, named groups, `\p`, `\u{`, inline flags, characters beyond ASCII, or a counted group
 */
export function parsePattern(text: string): RegExp {
  return compile(text, text, (source) => `^(?:${source})$`, hints.whole);
}

/**
 * A pattern for any part of a text, as Go's regexp has it (RE2): what means the same in both languages, and nothing else.
 * @throws BullaError `usage.invalid` as `parsePattern`, for counted groups that come to more than 1024 characters only, and for classes
 *   that Go reads otherwise: `[[:alpha:]]`, `[]a]`
 */
export function parseGoPattern(text: string): RegExp {
  const why = /\[\^?\]|\[[^\]]*\[:/.test(text.replaceAll(/\\[\s\S]/g, '..'))
    ? 'a class with [: or with ] as its first character is not known here'
    : undefined;
  if (why !== undefined) throw invalid(text, why, hints.anywhere);
  return compile(text, withoutEscapes(text), (source) => source, hints.anywhere);
}

const hints = {
  whole: 'patterns are matched with whole texts: write .* where anything may stand',
  anywhere: 'patterns match anywhere in the text: write ^ and $ where it is to be the whole',
} as const;
type Hint = (typeof hints)[keyof typeof hints];

function compile(given: string, text: string, wrap: (source: string) => string, hint: Hint): RegExp {
  if (text === '') throw invalid(given, 'it is empty', hint);
  if (text.length > mostPattern) throw invalid(given, `it is longer than ${mostPattern} characters`, hint);
  try {
    const source = withoutCounts(text, hint === hints.anywhere);
    // by itself first: `a)|(?:b` compiles only inside the wrapping, and would step out of its anchors
    void new RegExp(text, 'u');
    allowLinear();
    return new RegExp(wrap(source), linear);
  } catch (cause) {
    if (cause instanceof Refused) throw invalid(given, cause.message, hint);
    throw invalid(
      given,
      cause instanceof Error ? printable(cause.message, 300) : 'it does not compile',
      hint,
    );
  }
}

/** Why a pattern is not taken. */
class Refused extends Error {}

/** Go takes a backslash before any punctuation; ECMAScript only where it says something. */
function withoutEscapes(text: string): string {
  return text.replaceAll(
    /\\([!"#%&',:;<=>@_`~ -])|\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]/g,
    (part, character: string | undefined) =>
      character ?? (part.startsWith('[') ? part.replaceAll(/\\([!"#%&',:;<=>@_`~ ])/g, '$1') : part),
  );
}

/**
 * V8's own flag. To leave its usual engine only once that one backtracks too often would not do: for many optional parts in a row it
 * takes seconds to compile.
 */
const linear = 'l';

/** Once, before the first pattern is compiled. */
let isAllowed = false;
function allowLinear(): void {
  if (isAllowed) return;
  isAllowed = true;
  process.getBuiltinModule('node:v8').setFlagsFromString('--enable-experimental-regexp-engine');
}

/** An escape, a class, the beginning of a group, a count, or one character. */
const token = /\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]|\((?:\?:)?|\{[0-9]+(?:,[0-9]*)?\}\??|[\s\S]/y;

/** The pattern with each counted character, or group, written out: `a{2,3}` is `aaa?`. */
function withoutCounts(text: string, withGroups: boolean): string {
  // what stands in each group that is still open, the outermost first
  const open: string[][] = [[]];
  token.lastIndex = 0;
  while (token.lastIndex < text.length) {
    const at = token.lastIndex;
    const [part = ''] = token.exec(text) ?? [];
    const why = whyNot(part, text.slice(at));
    if (why !== undefined) throw new Refused(why);
    const parts = open.at(-1) ?? [];
    const counted = /^\{([0-9]+)(,?)([0-9]*)\}(\??)$/.exec(part);
    if (counted !== null) parts.push(repeated(parts.pop() ?? '', counted, withGroups));
    else if (withGroups && part.startsWith('(')) open.push([part]);
    else if (withGroups && part === ')' && open.length > 1)
      open.at(-2)?.push(`${(open.pop() ?? []).join('')})`);
    else parts.push(part);
  }
  const whole = open.flat().join('');
  if (whole.length > mostExpanded) throw new Refused('its counts are too large');
  return whole;
}

function whyNot(part: string, rest: string): string | undefined {
  if (/[^\u0020-\u007e]/.test(part)) return 'it has characters beyond printable ASCII';
  if (rest.startsWith('(?') && part !== '(?:')
    return 'of all groups that begin with (? only (?: is known here';
  if (/^\\(?:[1-9pPkc]|u\{)/.test(rest) && part.startsWith('\\'))
    return `${rest.slice(0, 2)} is not known here`;
  return undefined;
}

function repeated(
  atom: string,
  [, low = '', comma = '', high = '', lazy = '']: readonly string[],
  withGroups: boolean,
): string {
  if (/^[)*+?^$|(]?$/.test(atom) || atom === '(?:' || atom.startsWith('\\b') || atom.startsWith('\\B')) {
    throw new Refused(
      withGroups
        ? 'a count stands behind a character, a class or a group'
        : 'a count stands behind one character or class only, never behind a group',
    );
  }
  const [least, most] = [Number(low), comma === '' ? Number(low) : Number(high || low)];
  if (most < least || (most + 1) * atom.length > mostExpanded)
    throw new Refused('its counts are wrong or too large');
  const tail = comma !== '' && high === '' ? `${atom}*${lazy}` : `${atom}?${lazy}`.repeat(most - least);
  return `${atom.repeat(least)}${tail}`;
}

function invalid(text: string, why: string, hint: Hint): BullaError {
  return new BullaError('usage.invalid', `the pattern "${printable(text, 100)}" cannot be used: ${why}`, {
    hint,
  });
}
