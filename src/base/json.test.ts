import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { isBullaError } from './errors.ts';
import { type JsonValue, parseJson, parseJsonLeaving, positionOf } from './json.ts';

/** The value as JSON.parse would give it (the last of double members wins). */
function plain(value: JsonValue): unknown {
  switch (value.kind) {
    case 'object':
      return Object.fromEntries(value.members.map((member) => [member.key, plain(member.value)]));
    case 'array':
      return value.items.map(plain);
    case 'number':
      return Number(value.text);
    case 'string':
    case 'boolean':
      return value.value;
    case 'null':
      return null;
  }
}

test('agrees with JSON.parse on every JSON value', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const text = JSON.stringify(value, undefined, 1);
      assert.deepEqual(plain(parseJson(text, 'x')), JSON.parse(text));
    }),
  );
});

test('accepts and refuses exactly the texts that JSON.parse does', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"',
    '\\',
    '1',
    '-',
    '01',
    '1.5e3',
    'true',
    'nul',
    'null',
    ' ',
    '\n',
    '\t',
    '\u0001',
    '\ufeff',
    '\\u12',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      const text = pieces.join('');
      let expected: { value: unknown } | undefined;
      try {
        expected = { value: JSON.parse(text) };
      } catch {
        expected = undefined;
      }
      if (expected === undefined)
        assert.throws(
          () => parseJson(text, 'x'),
          (error) => isBullaError(error, 'json.malformed'),
        );
      else assert.deepEqual(plain(parseJson(text, 'x')), expected.value);
    }),
    { numRuns: 2000 },
  );
});

test('double members are kept, in order, with their places', () => {
  const text = '{"a": 1,\n  "a": 2}';
  const value = parseJson(text, 'x');
  assert.equal(value.kind, 'object');
  if (value.kind !== 'object') return;
  assert.deepEqual(
    value.members.map((member) => [member.key, positionOf(text, member.offset)]),
    [
      ['a', { line: 1, column: 2 }],
      ['a', { line: 2, column: 3 }],
    ],
  );
});

test('an error names line and column', () => {
  assert.throws(() => parseJson('{\n "a": ?}', 'policy.json'), /^BullaError: policy\.json:2:7: /);
});

test('deep nesting is refused, not a stack overflow', () => {
  const deep = '['.repeat(100_000);
  assert.throws(
    () => parseJson(deep, 'x'),
    (error) => isBullaError(error, 'json.malformed'),
  );
});

test('numbers keep every digit', () => {
  const value = parseJson('12345678901234567890', 'x');
  assert.deepEqual(value, { kind: 'number', offset: 0, text: '12345678901234567890' });
});

test('a string of megabytes, with and without escapes', () => {
  const plain = 'a'.repeat(12_000_000);
  for (const text of [plain, `${plain}\\n`, '\\\\'.repeat(4_000_000), '\\"'.repeat(4_000_000)]) {
    const value = parseJson(`"${text}"`, 'x');
    assert.equal(value.kind === 'string' && value.value, JSON.parse(`"${text}"`));
  }
  assert.throws(() => parseJson(`"${plain}`, 'x'), { code: 'json.malformed' });
  assert.throws(() => parseJson(`"${plain}\\"`, 'x'), { code: 'json.malformed' });
});

test('a member that is left as text is checked as strictly, and is the same', () => {
  const reads = (parse: () => JsonValue | undefined): JsonValue | undefined => {
    try {
      return parse();
    } catch (error) {
      assert.ok(isBullaError(error, 'json.malformed'), String(error));
      return undefined;
    }
  };
  const noise = fc.constantFrom('', '{', '}', '[', ']', ',', ':', '"', '1', ' ', 'null', '\\');
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), noise, fc.nat(40), (value, put, at) => {
      const good = `{"a":1,"p":${JSON.stringify(value)},"b":{"p":2}}`;
      const text = good.slice(0, at) + put + good.slice(at);
      const whole = reads(() => parseJson(text, 'x'));
      const partial = reads(() => parseJsonLeaving('p', text, 'x').object);
      assert.equal(partial === undefined, whole === undefined, text);
    }),
    { numRuns: 500 },
  );
  const { object, left } = parseJsonLeaving('p', '{"a":{"p":1}, "p" : [1, {"x":2}] ,"c":3}', 'x');
  assert.equal(left, '[1, {"x":2}]');
  assert.equal(object.kind === 'object' && object.members.length, 3);
  assert.equal(parseJsonLeaving('p', '[{"p":1}]', 'x').left, undefined);
  const deep = `{"p":${'['.repeat(65)}${']'.repeat(65)}}`;
  assert.throws(() => parseJsonLeaving('p', deep, 'x'), { code: 'json.malformed' });
});
