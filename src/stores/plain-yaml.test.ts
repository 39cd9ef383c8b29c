import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';
import { parseDocument } from 'yaml';

import { parsePlainYaml } from './plain-yaml.ts';

test('what people write is plain', () => {
  const text = `# comment
---
`;
  equal(parsePlainYaml(text), undefined);
  const typical = `---
# where signatures are
default-docker:
  lookaside: https://sigs.example.com/x?y=1   # for all
docker:
    registry.example.com:5000/ns:
        lookaside: "https://sigs.example.com"
        lookaside-staging: file:///var/lib/containers/sigstore
        use-sigstore-attachments: true

    '*.example.com':
        sigstore: file:///srv/a%20b
    127.0.0.1:5000: {}
    empty.example.com:
`;
  deepEqual(parsePlainYaml(typical), parseDocument(typical).toJS({ mapAsMap: true }));
  notEqual(parsePlainYaml(typical), undefined);
});

test('what is not plain is left to the package', () => {
  const others = [
    '',
    '{}',
    '[]',
    '- a',
    'a',
    'a: b: c',
    'a: [b]',
    'a: {b: c}',
    'a: &x b',
    'a: *x',
    '*.com: b',
    'a: |\n  b',
    'a: !!str b',
    'a: b\na: c',
    'a:\n  b: c\n d: e',
    ' a: b\nc: d',
    'a: b\n  c: d',
    'a: {}\n  c: d',
    '5: a',
    '1.5: a',
    '0x1f: a',
    '1e3: b',
    'a: 5',
    'true: a',
    'null: a',
    'a:\tb',
    'a: b\r\n',
    'a: ä',
    'a: "\\n"',
    "a: 'it''s'",
    'a: b\n---\nc: d',
    'a: b\n...',
    '%YAML 1.1\n---\na: b',
    '? a\n: b',
    '<<: a',
    'a:b',
    'a: 2001-01-01',
    'a: ~',
    '"a" : b',
  ];
  for (const text of others) equal(parsePlainYaml(text), undefined, JSON.stringify(text));
});

const token = fc.constantFrom(
  'docker',
  'default-docker',
  'lookaside',
  'example.com:5000',
  'a/b',
  '127.0.0.1',
  '127.0.0.1:1',
  '1.5',
  '5',
  '0x1',
  '1e3',
  '2001-01-01',
  'Infinity',
  'NaN',
  'yes',
  'no',
  'on',
  'true',
  'Null',
  'FALSE',
  '~',
  'https://h/p?q=1&r=2#f',
  'file:///x',
  '"q: #x"',
  "'s'",
  '""',
  '"a\\b"',
  '{}',
  '[]',
  '*.c',
  '&a',
  '*a',
  '<<',
  '!t',
  '|',
  '>',
  '-',
  '?',
  '%',
  '@',
  '`',
  ',',
  '=',
  '#c',
  'a#b',
  'a:',
  ':a',
  'a b',
  '---',
  '...',
  'ä',
  '/',
  '//',
  '0',
  '00',
  '08',
  '0o7',
  '+1',
  '.5',
  '1_0',
  '1:2',
  '1:2:3',
);
const likely = fc.string({
  unit: fc.constantFrom(...Array.from('abT09./_-:@%=~?&+#')),
  minLength: 1,
  maxLength: 6,
});
const word = fc.oneof({ arbitrary: likely, weight: 3 }, { arbitrary: token, weight: 1 });
const line = fc
  .tuple(
    fc.constantFrom('', '', '', '', ' ', '  ', '\t'),
    word,
    fc.constantFrom(':', ': ', ': ', ': ', ':  ', ' : ', ' '),
    fc.option(word, { nil: '' }),
    fc.constantFrom('', '', '', ' ', ' # c', '#c', '\r'),
  )
  .map((parts) => parts.join(''));

test('what is read here, the package reads the same', () => {
  let read = 0;
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 4 }), (lines) => {
      const text = lines.join('\n');
      const mapping = parsePlainYaml(text);
      if (mapping === undefined) return;
      read += 1;
      const document = parseDocument(text, { merge: true });
      deepEqual(document.errors, [], text);
      deepEqual(mapping, document.toJS({ mapAsMap: true }), text);
    }),
    { numRuns: 30_000 },
  );
  equal(read > 100, true, `only ${read} were plain`);
});
