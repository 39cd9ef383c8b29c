import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { type IdentityToken, parseIdentityToken } from './identity-token.ts';

const now = new Date('2026-06-01T12:00:00Z');
const seconds = now.getTime() / 1000;
const part = (value: object | string): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

type Claims = Readonly<Record<string, unknown>>;
const claims: Claims = {
  iss: 'https://issuer.example',
  aud: 'sigstore',
  sub: 'user-1',
  exp: seconds + 600,
};

function token(changes: Claims = {}, header: object | string = { alg: 'RS256' }): string {
  return `${part(header)}.${part({ ...claims, ...changes })}.${part('signature')}`;
}

const read = (text: string, audiences?: readonly string[]): IdentityToken =>
  parseIdentityToken(text, { now, source: 'a test', ...(audiences !== undefined && { audiences }) });
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

test('what a token says; blanks around it do not count', () => {
  const found = read(` ${token()}\n`);
  assert.equal(found.raw, token());
  assert.equal(found.issuer, 'https://issuer.example');
  assert.equal(found.principal, 'user-1');
  assert.equal(found.email, undefined);
  assert.equal(found.expires, now.getTime() + 600_000);
});

test('the principal is the mail address where the issuer has verified it', () => {
  for (const verified of [true, 'true']) {
    assert.equal(
      read(token({ email: 'a@example.com', email_verified: verified })).principal,
      'a@example.com',
    );
  }
  for (const verified of [false, undefined, 'false', 1]) {
    const unverified = token({ email: 'a@example.com', email_verified: verified });
    assert.throws(() => read(unverified), code('oidc.token-malformed'));
  }
  assert.throws(() => read(token({ sub: undefined })), code('oidc.token-malformed'));
});

test('the audience is one of those wanted', () => {
  read(token({ aud: ['other', 'sigstore'] }));
  read(token({ aud: 'client' }), ['client', 'sigstore']);
  for (const aud of ['other', [], ['other'], 'Sigstore', 'sigstore ']) {
    assert.throws(() => read(token({ aud })), code('oidc.token-wrong-audience'), JSON.stringify(aud));
  }
  for (const aud of [undefined, 5, [5], {}]) {
    assert.throws(() => read(token({ aud })), code('oidc.token-malformed'), JSON.stringify(aud));
  }
});

test('expired, not valid yet, and no time at all', () => {
  for (const exp of [seconds, seconds - 1, 0]) {
    assert.throws(() => read(token({ exp })), code('oidc.token-expired'), String(exp));
  }
  read(token({ nbf: seconds + 59, exp: seconds + 0.5 }));
  for (const changes of [
    { nbf: seconds + 61 },
    { exp: undefined },
    { exp: '9999999999' },
    { exp: 1e15 },
    { exp: -1 },
  ]) {
    assert.throws(() => read(token(changes)), code('oidc.token-malformed'), JSON.stringify(changes));
  }
});

test('what is no JWT', () => {
  const [header = '', payload = '', signature = ''] = token().split('.');
  const twice = part('{"iss":"a","iss":"b","aud":"sigstore","sub":"u","exp":9999999999}');
  const texts = [
    ...[
      'x',
      '..',
      `${header}.${payload}`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature}.${signature}`,
    ],
    ...[
      `${header}.${payload}=.${signature}`,
      `${header}.${payload}.a+/=`,
      `${header} .${payload}.${signature}`,
    ],
    ...[
      `${header}.${twice}.${signature}`,
      `${header}.${part('[]')}.${signature}`,
      `${part('{}')}.${payload}.${signature}`,
    ],
    `${header}.${Buffer.from([0xff, 0xfe]).toString('base64url')}.${signature}`,
    token({ iss: '' }),
    token({ more: 'x'.repeat(70_000) }),
  ];
  for (const text of texts) assert.throws(() => read(text), code('oidc.token-malformed'), text.slice(0, 60));
});

test('no error holds a part of the token', () => {
  fc.assert(
    fc.property(fc.record({ at: fc.nat(), to: fc.string({ minLength: 1, maxLength: 3 }) }), ({ at, to }) => {
      const good = token();
      const index = at % good.length;
      const bad = good.slice(0, index) + to + good.slice(index + 1);
      try {
        read(bad);
      } catch (error) {
        assert.ok(isBullaError(error));
        const said = `${error.message} ${error.hint ?? ''}`;
        for (const each of bad.split('.'))
          assert.ok(each.length < 12 || !said.includes(each.slice(0, 12)), said);
      }
    }),
  );
});
