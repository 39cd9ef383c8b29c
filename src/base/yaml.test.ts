import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isBullaError } from './errors.ts';
import { parseYaml } from './yaml.ts';

// YAML 1.2.2 section 10.3: what the core schema takes for a number, a boolean and null
test('values are those of the core schema, numbers as they are written', async () => {
  const text = 'a: 2026-01-01\nb: 0x10\nc: yes\nd: ~\ne:\nf: [true, "1"]\ng:\n  h: |\n    x\n    y\n';
  const value = await parseYaml(text, 'f');
  assert.ok(value.kind === 'object');
  assert.deepEqual(
    value.members.map(({ key, value: member }) => [key, member.kind]),
    [
      ['a', 'string'],
      ['b', 'number'],
      ['c', 'string'],
      ['d', 'null'],
      ['e', 'null'],
      ['f', 'array'],
      ['g', 'object'],
    ],
  );
  const number = value.members[1]?.value;
  assert.ok(number?.kind === 'number');
  assert.equal(number.text, '0x10');
  assert.equal(text.slice(number.offset, number.offset + 4), '0x10');
});

test('what a reader would have to look up elsewhere is refused, with its place', async () => {
  const texts = [
    'a: &x 1',
    'a: 1\nb: *x',
    '<<: { a: 1 }',
    'a: !!str 1',
    'a: !x 1',
    '%YAML 1.2\n---\na: 1',
    '%TAG ! tag:x,2026:\n---\na: 1',
    'a: 1\n---\nb: 1',
    'a: 1\na: 2',
    '1: a',
    '? [a]\n: b',
    'a: [1',
    'a: "\\ud800"',
    '\uFEFFa: 1',
    '',
    '# only a remark',
    `${'['.repeat(70)}${']'.repeat(70)}`,
  ];
  for (const text of texts) {
    await assert.rejects(
      parseYaml(text, 'f'),
      (error) => isBullaError(error, 'yaml.malformed') && /^f:[0-9]+:[0-9]+: /.test(error.message),
      text,
    );
  }
});
