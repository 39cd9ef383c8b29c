/**
 * Ranges of versions, as skopeo's `images-by-semver` has them: the grammar and the meaning of Masterminds/semver 3.4, which
 * differs from npm's in that commas are AND, missing parts of `>` and `<=` stand for all of them, and calendar versions count.
 */
import { printable } from './bytes.ts';
import { BullaError } from './errors.ts';

/** A version; `pre` is empty where it is a release. Build metadata takes no part in any comparison. */
type Version = { readonly numbers: readonly [bigint, bigint, bigint]; readonly pre: string };

type Constraint = {
  readonly operator: string;
  readonly version: Version;
  /** How many of its numbers are there: 0 for `*`, 1 for `1` and `1.x`, 2 for `1.2`. */
  readonly given: 0 | 1 | 2 | 3;
};

/** Longer than any range that a person writes. */
const longestRange = 512;

/**
 * Reads a range: alternatives joined by `||`, each of constraints that all hold, joined by commas or blanks.
 * @returns whether a tag is a version that the range admits; what is no version is not
 * @throws BullaError `usage.invalid`
 */
export function parseVersionRange(text: string): (tag: string) => boolean {
  if (text.length > longestRange) throw invalid(text, `it is longer than ${longestRange} characters`);
  const spaced = text.replaceAll(/[\t\n\f\r ]+/g, ' ').replaceAll(betweenPattern, '>= $1, <= $2');
  const alternatives = spaced.split('||').map((part) => parseAll(part, text));
  return (tag) => {
    const version = parseVersion(tag);
    if (version === undefined) return false;
    return alternatives.some((all) => all.every((each) => admits(each, version)));
  };
}

const identifiers = '[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*';
const pattern = `v?(?:[0-9]+|[xX*])(?:\\.(?:[0-9]+|[xX*])){0,2}(?:-${identifiers})?(?:\\+${identifiers})?`;
/** `1.2 - 2.0`: from the one to the other. */
const betweenPattern = new RegExp(` ?(${pattern}) - (${pattern}) ?`, 'g');
const constraintPattern = new RegExp(
  ` ?(!=|>=|=>|<=|=<|~>|=|>|<|~|\\^|) ?v?([0-9]+|[xX*])(?:\\.([0-9]+|[xX*]))?(?:\\.([0-9]+|[xX*]))?(?:-(${identifiers}))?(?:\\+${identifiers})?`,
  'y',
);
const separatorPattern = / ?, ?| (?=.)/y;

function parseAll(part: string, whole: string): readonly Constraint[] {
  const found: Constraint[] = [];
  let at = 0;
  for (;;) {
    constraintPattern.lastIndex = at;
    const match = constraintPattern.exec(part);
    if (match === null) throw invalid(whole, 'it is no range of versions');
    found.push(constraintOf(match, whole));
    at = constraintPattern.lastIndex;
    if (/^ ?$/.test(part.slice(at))) return found;
    separatorPattern.lastIndex = at;
    if (!separatorPattern.test(part)) throw invalid(whole, 'it is no range of versions');
    at = separatorPattern.lastIndex;
  }
}

function constraintOf([, operator = '', ...parts]: RegExpExecArray, whole: string): Constraint {
  const [major = '*', minor = '*', patch = '*', pre = ''] = parts.map((each) => each ?? undefined);
  const given = isAny(major) ? 0 : isAny(minor) ? 1 : isAny(patch) ? 2 : 3;
  const numbers = [major, minor, patch].map((each, index) => (index < given ? each : '0'));
  const version = parseVersion(`${numbers.join('.')}${pre === '' ? '' : `-${pre}`}`);
  if (version === undefined) throw invalid(whole, 'it names what is no version');
  return { operator, version, given };
}

const versionPattern = new RegExp(
  `^v?([0-9]+)(?:\\.([0-9]+))?(?:\\.([0-9]+))?(?:-(${identifiers}))?(?:\\+${identifiers})?$`,
);
function isAny(number: string): boolean {
  return /^[xX*]$/.test(number);
}

/** Numbers have 64 bits. */
const largest = 0xffff_ffff_ffff_ffffn;

function parseVersion(text: string): Version | undefined {
  if (text.length > 256) return undefined;
  const [match, major = '0', minor = '0', patch = '0', pre = ''] = versionPattern.exec(text) ?? [];
  if (match === undefined) return undefined;
  const numbers = [BigInt(major), BigInt(minor), BigInt(patch)] as const;
  if (numbers.some((each) => each > largest) || pre.split('.').some((each) => /^0[0-9]+$/.test(each)))
    return undefined;
  return { numbers, pre };
}

/** Less than 0: the first comes before the second (semver.org, item 11). */
function compare(one: Version, other: Version): number {
  for (const index of [0, 1, 2] as const) {
    const [a, b] = [one.numbers[index], other.numbers[index]];
    if (a !== b) return a < b ? -1 : 1;
  }
  if (one.pre === other.pre) return 0;
  if (one.pre === '' || other.pre === '') return one.pre === '' ? 1 : -1;
  const [left, right] = [one.pre.split('.'), other.pre.split('.')];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const order = compareIdentifiers(left[index] ?? '', right[index] ?? '');
    if (order !== 0) return order;
  }
  return 0;
}

function compareIdentifiers(one: string, other: string): number {
  if (one === other) return 0;
  if (one === '' || other === '') return one === '' ? -1 : 1;
  const [a, b] = [numberOf(one), numberOf(other)];
  if (a !== undefined && b !== undefined) return a < b ? -1 : 1;
  if (a === undefined && b === undefined) return one < other ? -1 : 1;
  return a === undefined ? 1 : -1;
}

function numberOf(identifier: string): bigint | undefined {
  if (!/^[0-9]+$/.test(identifier)) return undefined;
  const number = BigInt(identifier);
  return number > largest ? undefined : number;
}

function admits({ operator, version: wanted, given }: Constraint, version: Version): boolean {
  const isExact = given === 3;
  // a pre-release is asked for by one
  if (version.pre !== '' && wanted.pre === '') return false;
  const order = compare(version, wanted);
  const [major, minor] = version.numbers;
  const [wantedMajor, wantedMinor] = wanted.numbers;
  switch (operator) {
    case '':
    case '=':
      return isExact ? order === 0 : admitsTilde(version, wanted, given);
    case '!=':
      if (given === 1) return major !== wantedMajor;
      if (given !== 2 || major !== wantedMajor || minor !== wantedMinor) return order !== 0;
      return wanted.pre === '' && version.pre === '' ? false : version.pre !== wanted.pre;
    case '>':
      if (given === 1) return major > wantedMajor;
      return given === 2 && major === wantedMajor ? minor > wantedMinor : order > 0;
    case '<':
      return order < 0;
    case '>=':
    case '=>':
      return order >= 0;
    case '<=':
    case '=<':
      if (isExact) return order <= 0;
      return major < wantedMajor || (major === wantedMajor && (given === 1 || minor <= wantedMinor));
    case '~':
    case '~>':
      return admitsTilde(version, wanted, given);
    default:
      return admitsCaret(version, wanted, given);
  }
}

/** `~1.2.3`: the same minor version, not before it; `~1`: the same major one; `~0.0.0` and `~*`: all. */
function admitsTilde(version: Version, wanted: Version, given: Constraint['given']): boolean {
  if (compare(version, wanted) < 0) return false;
  const isZero = wanted.numbers.every((each) => each === 0n);
  if (isZero && (given === 0 || given === 3)) return true;
  const isSameMinor = given === 1 || version.numbers[1] === wanted.numbers[1];
  return version.numbers[0] === wanted.numbers[0] && isSameMinor;
}

/** `^1.2.3`: the same first number that is not 0, not before it. */
function admitsCaret(version: Version, wanted: Version, given: Constraint['given']): boolean {
  if (compare(version, wanted) < 0) return false;
  const [major, minor, patch] = version.numbers;
  const [wantedMajor, wantedMinor, wantedPatch] = wanted.numbers;
  if (wantedMajor > 0n || given === 1) return major === wantedMajor;
  if (major > 0n) return false;
  if (wantedMinor > 0n || given === 2) return minor === wantedMinor;
  // `^*` is `^0.0.0` there
  return minor === 0n && patch === wantedPatch;
}

function invalid(text: string, why: string): BullaError {
  return new BullaError('usage.invalid', `"${printable(text, 100)}" cannot be used: ${why}`, {
    hint: 'a range reads like >= 1.2.0, < 2 || ^3.1',
  });
}
