import { deepEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { parseSigstoreParams } from './sigstore-params.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

test('a private key, with and without a passphrase file', async () => {
  deepEqual(await parseSigstoreParams(utf8('privateKeyFile: "/keys/a.private"\n'), 'p.yaml'), {
    privateKeyFile: '/keys/a.private',
  });
  const both = '# release\nprivateKeyFile: a.private\nprivateKeyPassphraseFile: pass\n';
  deepEqual(await parseSigstoreParams(utf8(both), 'p.yaml'), {
    privateKeyFile: 'a.private',
    privateKeyPassphraseFile: 'pass',
  });
});

test('Fulcio and Rekor are refused by name, not passed over', async () => {
  for (const more of ['rekorURL: https://r.example.com', 'fulcio:\n  fulcioURL: https://f.example.com']) {
    await rejects(
      parseSigstoreParams(utf8(`privateKeyFile: a\n${more}\n`), 'p.yaml'),
      code('usage.unsupported'),
    );
  }
});

test('what is no parameter file is refused', async () => {
  const bad = [
    '',
    'privateKeyPassphraseFile: pass',
    'privateKeyFile: ""',
    'privateKeyFile: [a]',
    'privateKeyFile: 1',
    'privateKeyFile: a\nprivateKeyFile: b',
    'privateKeyFile: a\nprivatekeyfile: b',
    'privateKeyFile: a\n---\nprivateKeyFile: b',
    'privateKeyFile: &a x\nprivateKeyPassphraseFile: *a',
    'privateKeyFile: !!str a',
    '- privateKeyFile: a',
    'privateKeyFile: a: b',
    '\ttab',
  ];
  for (const text of bad) {
    await rejects(parseSigstoreParams(utf8(text), 'p.yaml'), code('usage.invalid'), text);
  }
  await rejects(parseSigstoreParams(new Uint8Array([0xff]), 'p.yaml'), code('usage.invalid'));
});
