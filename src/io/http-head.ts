/**
 * The head of an answer that is read without Node's parser. It takes the plain ones, and of those not one that Node would read
 * otherwise or refuse (the tests hold the two side by side); whatever is odd is left to Node.
 */

export type Head = {
  readonly status: number;
  /** Names in lower case; without set-cookie, as answers have them here. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes of the body. */
  readonly length: number;
};

/** What may come twice, and is joined; of all others two are for Node to judge. */
const joined = /^(?:cache-control|link|vary|via|warning|www-authenticate|x-[a-z-]+)$/;
/** Node leaves out those that are too many. */
const mostLines = 200;
const token = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;

/**
 * @param head without the empty line that ends it
 * @returns undefined for what has to be read with more care
 */
export function parseHead(head: Buffer): Head | undefined {
  const [first = '', ...lines] = head.toString('latin1').split('\r\n');
  const status = Number(/^HTTP\/1\.1 ([2-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(first)?.[1]);
  // those have no body, whatever their headers say
  if (Number.isNaN(status) || status === 204 || status === 304) return undefined;
  const headers = lines.length > mostLines ? undefined : headersOf(lines);
  const length = headers === undefined ? undefined : lengthOf(status, headers);
  return headers === undefined || length === undefined ? undefined : { status, headers, length };
}

function headersOf(lines: readonly string[]): Record<string, string> | undefined {
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    const [, given, untrimmed = ''] = token.exec(line) ?? [];
    if (given === undefined) return undefined;
    const name = given.toLowerCase();
    const value = untrimmed.replace(/[ \t]+$/, '');
    const before = headers[name];
    // Node keeps headers in an object that has some names already
    if (name in Object.prototype || (before !== undefined && !joined.test(name))) return undefined;
    if (name !== 'set-cookie') headers[name] = before === undefined ? value : `${before}, ${value}`;
  }
  return headers;
}

function lengthOf(status: number, headers: Readonly<Record<string, string>>): number | undefined {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers;
  if (headers['upgrade'] !== undefined) return undefined;
  if (length !== undefined && encoding === undefined)
    return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
  // nobody reads what is in the body of a redirect, so its end is of no interest
  const isRedirect = /^30[12378]$/.test(`${status}`) && headers['location'] !== undefined;
  return isRedirect && length === undefined && (encoding === undefined || encoding === 'chunked')
    ? 0
    : undefined;
}

/**
 * The end of a head.
 * @param from where to look, a few bytes before what is new
 * @returns its place and what it is: only `\r\n\r\n` is the end of a plain one
 */
export function findEmptyLine(seen: Buffer, from: number): { at: number; isPlain: boolean } | undefined {
  const found = /\r?\n\r?\n/.exec(seen.toString('latin1', from));
  return found === null ? undefined : { at: from + found.index, isPlain: found[0] === '\r\n\r\n' };
}
