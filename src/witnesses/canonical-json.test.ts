import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { parseJson } from '../base/json.ts';
import { canonicalJson } from './canonical-json.ts';

function canonical(text: string): string | undefined {
  return canonicalJson(parseJson(text, 'x'));
}

test('the example of RFC 8785 section 3.2.2', () => {
  const text = String.raw`{
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  }`;
  const wanted = String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`;
  assert.equal(canonical(text), wanted);
});

test('the sorting example of RFC 8785 section 3.2.3', () => {
  const text = String.raw`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`;
  const sorted = Object.values(JSON.parse(canonical(text) ?? '') as Record<string, number>);
  // JSON.parse puts keys that look like an index first; "1" is second here, behind \r
  assert.deepEqual(sorted, [4, 2, 6, 7, 1, 5, 3]);
  assert.match(canonical(text) ?? '', /^\{"\\r":2,"1":4,/);
});

test('what has no canonical form', () => {
  for (const text of [
    '{"a":1,"a":1}',
    '{"a":{"b":1,"\\u0062":2}}',
    '["\\ud800"]',
    '{"\\udc00":1}',
    '[1e999]',
  ]) {
    assert.equal(canonical(text), undefined, text);
  }
  assert.equal(canonical('[-0,1.0,10e-1]'), '[0,1,1]');
});

test('the form of a value does not depend on how it is spelt, and is its own', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const form = canonical(JSON.stringify(value, undefined, 2));
      if (form === undefined) return;
      assert.equal(canonical(form), form);
      assert.deepEqual(JSON.parse(form), JSON.parse(JSON.stringify(value)));
    }),
  );
});
