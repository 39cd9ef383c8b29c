/** PEM (RFC 7468) as Go's encoding/pem reads it: that is what containers/image and cosign do with key files. */
import { decodeBase64, encodeBase64, utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';

/** More than any key needs, with whatever text stands around it. */
const mostBytes = 1_048_576;

export type PemBlock = {
  /** The label: `PUBLIC KEY`. */
  readonly type: string;
  readonly bytes: Uint8Array;
};

/**
 * The well-formed blocks of a text in their order; Go's reader gives the first of them. Text around a block,
 * headers (`Name: value`) before its base64 and blanks in it are passed over; a block that is malformed
 * is text. Of several BEGIN lines before one END line the last counts.
 * @throws BullaError `key.malformed` for more than 1 MiB
 */
export function decodePem(bytes: Uint8Array): readonly PemBlock[] {
  if (bytes.length > mostBytes) throw new BullaError('key.malformed', 'the key file is larger than 1 MiB');
  const lines = linesOf(Buffer.from(bytes).toString('latin1'));
  const blocks: PemBlock[] = [];
  let begin: number | undefined;
  for (const [index, line] of lines.entries()) {
    const start = line.lastIndexOf('-----BEGIN ');
    // one in the middle of a line makes Go give up on what is before the next END line
    if (start >= 0) begin = start === 0 ? index : undefined;
    if (!line.startsWith('-----END ') || begin === undefined) continue;
    const block = blockOf(lines.slice(begin, index), line);
    if (block !== undefined) blocks.push(block);
    begin = undefined;
  }
  return blocks;
}

/** Without their ends and the blanks before these. */
function linesOf(text: string): readonly string[] {
  const lines = text.split('\n');
  return lines.map((line, index) => {
    // a carriage return is a part of the line's end only where a line feed follows
    const ended = index < lines.length - 1 && line.endsWith('\r') ? line.slice(0, -1) : line;
    return withoutBlanks(ended);
  });
}

/** Not by a regular expression: `[ \t]+$` takes quadratic time. */
function withoutBlanks(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t')) end -= 1;
  return line.slice(0, end);
}

function blockOf([first = '', ...rest]: readonly string[], last: string): PemBlock | undefined {
  const type = /^-----BEGIN (.*)-----$/s.exec(first)?.[1];
  if (type === undefined || last !== `-----END ${type}-----`) return undefined;
  const body = rest.findIndex((line) => !line.includes(':'));
  const base64 = body < 0 ? '' : rest.slice(body).join('').replace(/[ \t]/g, '');
  const bytes = decodeBase64(base64);
  return bytes === undefined ? undefined : { type, bytes };
}

/** One block, its base64 in lines of 64 characters. */
export function encodePem(type: string, bytes: Uint8Array): Uint8Array {
  const lines = encodeBase64(bytes).match(/.{1,64}/g) ?? [];
  return utf8(`-----BEGIN ${type}-----\n${lines.map((line) => `${line}\n`).join('')}-----END ${type}-----\n`);
}
