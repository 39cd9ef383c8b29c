/** docs/reference/exit-codes.md and the table in base/errors.ts say the same, and every code is in use. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { errorCodes } from '../base/errors.ts';

const page = readFileSync(new URL('../../docs/reference/exit-codes.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `([a-z.-]+)` \| ([0-9]) \| (.*) \|$/gm)].map(
  ([, code = '', exit, meaning = '']) => ({ code, exit: Number(exit), meaning }),
);

test('the page has each code once, with its exit code, in the order of the table', () => {
  assert.deepEqual(
    rows.map(({ code, exit }) => [code, exit]),
    Object.entries(errorCodes),
  );
});

test('each row says something of its own', () => {
  const meanings = rows.map(({ meaning }) => meaning);
  assert.equal(new Set(meanings).size, meanings.length);
  for (const meaning of meanings) assert.match(meaning, /^[A-Z`].{20,}[.?]$/);
});

test('the page explains each exit code', () => {
  const explained = [...page.matchAll(/^\| ([0-9]) \| /gm)].map(([, exit]) => Number(exit));
  assert.deepEqual(new Set(explained), new Set([0, ...Object.values(errorCodes)]));
  assert.equal(explained.length, 5);
});

test('every code is in use', () => {
  const source = new URL('../', import.meta.url);
  const text = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && path !== 'base/errors.ts')
    .map((path) => readFileSync(new URL(path, source), 'utf8'))
    .join('\n');
  // keys/openpgp/verify.ts composes its codes: `signature.${why}`
  const composed = (code: string): boolean =>
    code.startsWith('signature.') && text.includes(`'${code.slice('signature.'.length)}'`);
  const unused = Object.keys(errorCodes).filter((code) => !text.includes(`'${code}'`) && !composed(code));
  assert.deepEqual(unused, []);
});
