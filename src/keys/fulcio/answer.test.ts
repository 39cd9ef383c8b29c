import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import * as forge from '../../../test/support/sigstore-forge.ts';
import { utf8 } from '../../base/bytes.ts';
import { isBullaError } from '../../base/errors.ts';
import { parseIdentityToken } from '../oidc/identity-token.ts';
import { type AnswerRules, checkAnswer } from './answer.ts';

const now = new Date('2026-06-01T12:00:00Z');
const at = now.getTime() / 1000;
const [key, root] = [forge.ecKey(), forge.ecKey()];
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = {
  iss: 'https://i.example',
  aud: 'sigstore',
  email: 'a@example.com',
  email_verified: true,
  exp: at + 600,
};
const token = parseIdentityToken(`${part({ alg: 'RS256' })}.${part(claims)}.c2ln`, { now, source: 'a test' });
const rules: AnswerRules = { spki: forge.spkiOf(key), token, now, needSct: false };

const top = forge.certificate({
  subject: 'root',
  key: root,
  from: at - 100,
  to: at + 9000,
  extensions: [forge.authority()],
});
const leaf = forge.certificate({
  key,
  by: root,
  from: at - 5,
  to: at + 595,
  extensions: [
    forge.codeSigning,
    forge.altNames([[1, 'a@example.com']], true),
    forge.issuerUtf8('https://i.example'),
  ],
});
const pems = [leaf, top].map((each) => forge.certificatePem(each));
const body = {
  1: utf8(pems.join('')),
  2: utf8(JSON.stringify({ signedCertificateEmbeddedSct: { chain: { certificates: pems } } })),
};

test('the answers of both APIs', () => {
  assert.equal(checkAnswer(body[1], 1, rules).length, 2);
  assert.equal(checkAnswer(body[2], 2, rules).length, 2);
  // each is no answer of the other
  assert.throws(
    () => checkAnswer(body[1], 2, rules),
    (error) => isBullaError(error, 'fulcio.answer-refused'),
  );
  assert.throws(
    () => checkAnswer(body[2], 1, rules),
    (error) => isBullaError(error, 'fulcio.answer-refused'),
  );
});

test('whatever is changed in an answer, what comes of it is the same certificate or a refusal', () => {
  const change = fc.record({
    api: fc.constantFrom(1 as const, 2 as const),
    where: fc.nat(),
    to: fc.nat(255),
    cut: fc.boolean(),
  });
  fc.assert(
    fc.property(change, ({ api, where, to, cut }) => {
      const bytes = Uint8Array.from(body[api]);
      const index = where % bytes.length;
      bytes[index] = to;
      try {
        const [first] = checkAnswer(cut ? bytes.subarray(0, index) : bytes, api, rules);
        assert.deepEqual(Buffer.from(first.der), Buffer.from(leaf));
      } catch (error) {
        assert.ok(isBullaError(error, 'fulcio.answer-refused'), String(error));
      }
    }),
    { numRuns: 300 },
  );
});
