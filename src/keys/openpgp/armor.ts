/** ASCII armor of keys (RFC 9580 section 6). */
import { bytesEqual, concatBytes, decodeBase64 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';

const keyLabels: ReadonlySet<string> = new Set(['PUBLIC KEY BLOCK', 'PRIVATE KEY BLOCK']);

/**
 * The packets of a key file: itself where it is binary, else the content of its armored blocks, one
 * after another. Text outside the blocks is ignored, as gpg does: people file keys with comments.
 * @throws BullaError `key.malformed`
 */
export function unarmorKeys(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0 || ((bytes[0] ?? 0) & 0x80) !== 0) return bytes;
  const parts: Uint8Array[] = [];
  let open: { label: string; lines: string[] } | undefined;
  // the blocks are ASCII; latin1 leaves every byte of the text around them one character
  for (const raw of Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('latin1')
    .split('\n')) {
    const line = raw.trimEnd();
    const mark = /^-----(BEGIN|END) PGP ([A-Z0-9 ,/]{1,40})-----$/u.exec(line);
    if (mark === null) {
      open?.lines.push(line);
    } else if (mark[1] === 'BEGIN') {
      if (open !== undefined) throw malformed('an armored block has no end');
      open = { label: mark[2] ?? '', lines: [] };
    } else {
      if (open === undefined || open.label !== mark[2])
        throw malformed('an armored block ends that did not begin');
      parts.push(unarmorBlock(open.label, open.lines));
      open = undefined;
    }
  }
  if (open !== undefined) throw malformed('an armored block has no end');
  if (parts.length === 0) throw malformed('it is neither binary nor armored OpenPGP');
  return concatBytes(...parts);
}

/** A block's lines: headers, an empty line, base64, and perhaps `=` and a checksum. */
function unarmorBlock(label: string, lines: readonly string[]): Uint8Array {
  if (!keyLabels.has(label)) throw malformed(`it holds a PGP ${label}, not a key`);
  const empty = lines.indexOf('');
  if (empty < 0 || !lines.slice(0, empty).every((line) => /^[A-Za-z0-9-]+:/u.test(line))) {
    throw malformed('the headers of an armored block are malformed');
  }
  const body = lines.slice(empty + 1).filter((line) => line !== '');
  const checksum = /^=[A-Za-z0-9+/]{4}$/u.test(body.at(-1) ?? '') ? body.pop()?.slice(1) : undefined;
  const content = decodeBase64(body.join(''));
  if (content === undefined || content.length === 0) {
    throw malformed('the base64 of an armored block is malformed');
  }
  if (checksum !== undefined && !bytesEqual(decodeBase64(checksum) ?? content, crc24(content))) {
    throw malformed('the checksum of an armored block does not fit');
  }
  return content;
}

/** RFC 9580 section 6.1.1. */
function crc24(bytes: Uint8Array): Uint8Array {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x800000) === 0 ? crc << 1 : (crc << 1) ^ 0x1864cfb;
  }
  return Uint8Array.of((crc >> 16) & 0xff, (crc >> 8) & 0xff, crc & 0xff);
}

function malformed(why: string): BullaError {
  return new BullaError('key.malformed', `the key file is malformed: ${why}`);
}
