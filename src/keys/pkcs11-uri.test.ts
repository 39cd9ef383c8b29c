import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { BullaError } from '../base/errors.ts';
import { openKeyUri } from './open-key-uri.ts';
import { ecdsaDer } from './pkcs11-key.ts';
import { parsePkcs11Uri } from './pkcs11-uri.ts';

test('what RFC 7512 writes', () => {
  const uri = parsePkcs11Uri(
    'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil;model=1.0;serial=7;slot-id=327;object=my-key;type=private;id=%69%95%3E%5C%F4%BD%EC%91?module-path=/a/b.so&pin-source=file:/etc/token_pin',
  );
  const { id, ...rest } = uri;
  assert.equal(Buffer.from(id ?? []).toString('hex'), '69953e5cf4bdec91');
  assert.deepEqual(rest, {
    token: {
      token: 'The Software PKCS#11 Softtoken',
      manufacturer: 'Snake Oil',
      model: '1.0',
      serial: '7',
    },
    name: 'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil;model=1.0;serial=7;slot-id=327;object=my-ke…',
    slotId: 327,
    label: 'my-key',
    modulePath: '/a/b.so',
    pinSource: 'file:/etc/token_pin',
  });
});

test('what names no one key is refused, and no PIN is shown', () => {
  for (const uri of [
    'pkcs11:',
    'pkcs11:token=T',
    'pkcs11:object=a;object=b',
    'pkcs11:object=a;library-version=3',
    'pkcs11:object=a;vendor-x=3',
    'pkcs11:object=a?module-name=x',
    'pkcs11:object=a?pin-value=1234&pin-source=/x',
    'pkcs11:object=a?pin-value=1234&pin-value=1234',
    'pkcs11:object=a?pin-value=1234%',
    'pkcs11:object=a?pin-value=1234%ff',
    'pkcs11:object=a b?pin-value=1234',
    'pkcs11:object=%ff?pin-value=1234',
    'pkcs11:object=a;slot-id=x?pin-value=1234',
    'pkcs11:object=a;slot-id=-1?pin-value=1234',
    'pkcs11:object=a;type=data?pin-value=1234',
    'pkcs11:object=a#pin-value=1234',
    'pkcs11://object=a',
    'pkcs11:object',
  ]) {
    assert.throws(
      () => parsePkcs11Uri(uri),
      (error) =>
        error instanceof BullaError && error.code === 'usage.invalid' && !error.message.includes('1234'),
      uri,
    );
  }
  assert.ok(!parsePkcs11Uri('pkcs11:object=a?pin-value=1234').name.includes('1234'));
});

test('any text is a URI or an error with a code', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (text) => {
      try {
        parsePkcs11Uri(`pkcs11:${text}`);
      } catch (error) {
        assert.ok(error instanceof BullaError && error.code === 'usage.invalid');
      }
    }),
  );
});

test('a module is named, absolute, and there', async () => {
  const env = {};
  await assert.rejects(openKeyUri('pkcs11:object=a', { env }), { code: 'usage.invalid' });
  await assert.rejects(openKeyUri('pkcs11:object=a?module-path=a.so', { env }), { code: 'usage.invalid' });
});

test('r and s side by side become Ecdsa-Sig-Value', () => {
  const der = (hex: string): string => Buffer.from(ecdsaDer(Buffer.from(hex, 'hex'))).toString('hex');
  assert.equal(der('00010002'), '3006020101020102');
  assert.equal(der('00807fff'), '30080202008002027fff');
  assert.equal(der('00000000'), '3006020100020100');
  const large = 'ff'.repeat(66);
  assert.equal(der(large + large), `30818a024300${large}024300${large}`);
});
