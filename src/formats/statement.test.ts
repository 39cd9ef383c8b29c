import assert from 'node:assert/strict';
import { test } from 'node:test';

import { textOf, utf8 } from '../base/bytes.ts';
import { parseJson } from '../base/json.ts';
import { sampleBundle } from '../../test/support/bundle-samples.ts';
import { cosignSignPredicateType, encodeStatement, parseStatement } from './statement.ts';

function payloadOf(name: string): Uint8Array {
  const { content } = sampleBundle(name);
  assert.equal(content.kind, 'dsse');
  return content.kind === 'dsse' ? content.payload : new Uint8Array();
}

test("statements of cosign's, of both versions", () => {
  const signed = parseStatement(payloadOf('image k-tsa'));
  assert.equal(signed.version, '1');
  assert.equal(signed.predicateType, cosignSignPredicateType);
  assert.equal(signed.subjects[0]?.name, undefined);
  assert.equal(
    signed.subjects[0]?.digests.get('sha256'),
    'acf27cee163559e5e19cf13db705b51e43a0fcf010be5e08c6c23eac11069265',
  );
  const attested = parseStatement(payloadOf('blob att-keyless-rekor1'));
  assert.equal(attested.version, '0.1');
  assert.equal(attested.subjects[0]?.name, 'hello.txt');
  assert.equal(attested.predicate?.kind, 'object');
});

test('what is written is what cosign writes for an image, and is read again', () => {
  const subjects = [{ digests: new Map([['sha256', 'ab'.repeat(32)]]), annotations: {} }];
  const bytes = encodeStatement({ subjects, predicateType: cosignSignPredicateType });
  const sample = textOf(payloadOf('image k-tsa')) ?? '';
  assert.equal(textOf(bytes), sample.replace(/[0-9a-f]{64}/, 'ab'.repeat(32)));
  const predicate = parseJson('{"b":1.50,"a":[{"é":"<\\u0000>"},null,true],"b2":12345678901234567890}', 'x');
  const named = encodeStatement({
    subjects: [{ name: 'a', digests: new Map([['sha256', 'x']]), annotations: { k: 'v' } }],
    predicateType: 'urn:x',
    predicate,
  });
  const read = parseStatement(named);
  assert.equal(read.subjects[0]?.annotations?.get('k')?.kind, 'string');
  assert.match(
    textOf(named) ?? '',
    /"predicate":\{"b":1\.50,"a":\[\{"é":"<\\u0000>"\},null,true\],"b2":12345678901234567890\}\}$/,
  );
});

const good = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ digest: { sha256: 'aa' } }],
  predicateType: 'urn:x',
};

function parse(changes: object): unknown {
  return parseStatement(utf8(JSON.stringify({ ...good, ...changes })));
}

test('a predicate may be missing, members that nobody knows are passed over', () => {
  assert.equal(parseStatement(utf8(JSON.stringify(good))).predicate, undefined);
  parse({ more: 1, predicate: null });
});

test('what is refused', () => {
  const digests = (count: number): object =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`a${index}`, 'x']));
  for (const changes of [
    { subject: [] },
    { subject: undefined },
    { subject: {} },
    { subject: [{}] },
    { subject: [{ digest: {} }] },
    { subject: [{ digest: { sha256: 1 } }] },
    { subject: [{ digest: digests(33) }] },
    { subject: Array.from({ length: 1025 }, () => ({ digest: { sha256: 'aa' } })) },
    { subject: [{ name: 1, digest: { sha256: 'aa' } }] },
    { predicateType: '' },
    { predicateType: undefined },
    { _type: 1 },
  ]) {
    assert.throws(
      () => parse(changes),
      { code: 'signature.payload-malformed' },
      JSON.stringify(changes).slice(0, 80),
    );
  }
  parse({ subject: Array.from({ length: 1024 }, () => ({ digest: digests(32) })) });
  for (const _type of ['https://in-toto.io/Statement/v2', '', 'toString', '__proto__']) {
    assert.throws(() => parse({ _type }), { code: 'signature.wrong-type' }, _type);
  }
  const text = JSON.stringify(good);
  assert.throws(() => parseStatement(utf8(text.replace('{', '{"predicateType":"urn:y",'))), {
    code: 'signature.payload-malformed',
  });
  assert.throws(() => parseStatement(utf8(text.replace('"sha256":"aa"', '"sha256":"aa","sha256":"bb"'))), {
    code: 'signature.payload-malformed',
  });
  assert.throws(() => parseStatement(utf8('')), { code: 'signature.payload-malformed' });
});
