import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../../base/bytes.ts';
import { isBullaError } from '../../base/errors.ts';
import { decodePem, encodePem } from './pem.ts';

/** What is read, as `TYPE=hex`. */
function read(text: string): readonly string[] {
  return decodePem(utf8(text)).map(({ type, bytes }) => `${type}=${Buffer.from(bytes).toString('hex')}`);
}

const block = (type: string, body = 'AQID'): string =>
  `-----BEGIN ${type}-----\n${body}\n-----END ${type}-----\n`;

test('a block is found among text, its lines ended in either way', () => {
  assert.deepEqual(read(block('A')), ['A=010203']);
  assert.deepEqual(read(`Made: today\n\n${block('A')}and so on\n`), ['A=010203']);
  assert.deepEqual(read(block('A').replaceAll('\n', '\r\n')), ['A=010203']);
  assert.deepEqual(read(block('A').trimEnd()), ['A=010203']);
  assert.deepEqual(read(`${block('A')}${block('B', 'BAUG')}`), ['A=010203', 'B=040506']);
});

test('headers, blanks and broken lines are passed over as Go does', () => {
  assert.deepEqual(read(block('A', 'Proc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAQID')), ['A=010203']);
  assert.deepEqual(read(block('A', ' A\tQ \nI\r\nD  ')), ['A=010203']);
  assert.deepEqual(read('-----BEGIN A-----  \nAQID\n-----END A----- \t\n'), ['A=010203']);
  assert.deepEqual(read('-----BEGIN A-----\n-----END A-----\n'), ['A=']);
  assert.deepEqual(read('-----BEGIN -----\nAQID\n-----END -----\n'), ['=010203']);
});

test('what is malformed is text: a later block is the first one', () => {
  const broken = [
    block('A', 'AQI'),
    block('A', 'AQ*D'),
    block('A', 'AQID_-=='),
    block('A').replace('END A', 'END B'),
    block('A').replace('-----\nAQ', '----\nAQ'),
    block('A').replace('END A-----', 'END A----- x'),
    ` ${block('A')}`,
    block('A').replace('-----END', ' -----END'),
    '-----BEGIN A-----\n',
    '-----END A-----\n',
    `-----BEGIN A-----\nx -----BEGIN A-----\nAQID\n-----END A-----\n`,
  ];
  for (const text of broken) assert.deepEqual(read(`${text}${block('C', 'BAUG')}`), ['C=040506'], text);
  assert.deepEqual(
    read(`-----BEGIN A-----\n${block('B')}`),
    ['B=010203'],
    'of two beginnings the last counts',
  );
  assert.deepEqual(
    read('-----BEGIN A-----\nAQID\n-----END A-----\r'),
    [],
    'a carriage return alone ends no line',
  );
});

test('more than a mebibyte is refused, and nothing takes long', () => {
  assert.throws(
    () => decodePem(new Uint8Array(1_048_577)),
    (error) => isBullaError(error, 'key.malformed'),
  );
  const large = Buffer.alloc(770_000, 7);
  assert.deepEqual(decodePem(encodePem('A', large)), [{ type: 'A', bytes: new Uint8Array(large) }]);
  for (const piece of ['-----BEGIN ', '-----BEGIN A-----\n', '\n-----END ', ' \t', 'a: b\n']) {
    assert.deepEqual(read(piece.repeat(1_048_576 / piece.length - 1)), []);
  }
});

test('what is written is what OpenSSL writes', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  assert.equal(Buffer.from(encodePem('PUBLIC KEY', der)).toString(), pem);
});

test('any bytes come back, and any text is read without an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (bytes, around) => {
      fc.pre(!around.includes('-----'));
      const pem = Buffer.from(encodePem('A KEY', bytes)).toString();
      assert.deepEqual(read(`${around}\n${pem}${around}`), [`A KEY=${Buffer.from(bytes).toString('hex')}`]);
    }),
  );
  const pieces = fc.constantFrom(
    '-----BEGIN A-----',
    '-----END A-----',
    '-----',
    'BEGIN ',
    'AQID',
    '\n',
    '\r',
    ' ',
    ':',
    '=',
  );
  fc.assert(fc.property(fc.array(pieces), (parts) => void read(parts.join(''))));
});
