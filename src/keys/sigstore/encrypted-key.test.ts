import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, scryptSync, verify } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { secretbox } from '@noble/ciphers/salsa.js';
import fc from 'fast-check';

import { utf8 } from '../../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { decryptPrivateKey, encryptPrivateKey, withCosignPassword } from './encrypted-key.ts';
import { openSigstoreKey } from './private-key.ts';

/** Made by cosign 3.1 and by skopeo 1.22 under the passphrase `cosignpw`, with their public keys. */
const ofCosign = `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJFazFMWkoxTURGbFFwNUVMZ1hJTnBsbk1mTEEwd1ZY
K0lBOWhqUkdrZFowPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJQN0lrcjQzMDBZSkNKR1ZBZ3J5REFZWFAvZWFrZy9XbyJ9LCJj
aXBoZXJ0ZXh0IjoiVkVrVFliRG9FVGlYS3E2RE14ZnE4VmhGUXlNT3Fyc20xKzdL
TGR6WXdqYm9CNVByQXRGTHlickVXak9UZUVGYkdGdk1TejdDajhzSXVtSktQb3ph
NnZrUTBWeEpLRm9uS05iUUxSRWlDSHJ5Rk9vT05HM1k1OVl1Ty9HYXBlMmNoeWM5
MXVqcHpaNVlQc0I1ME16ckJobzRIQWIzOGdQZVBWU0I3c2JBVnpUTlBERU40SkZw
WkZ5Y3FMdHNjaGRDaEJTR2ttWm43OHJ0eWc9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
`;
const publicOfCosign =
  'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWvIqVT5YmjpzFfJwTn9UaYgReo56L+J1baMJ91eHXIe3coksf2d1+mvib5pmZqgPLl5fQk+Jsada9t1EU1BYkg==';
const ofSkopeo = `-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJZSFcvNXFZVFJDOFBQZ0ZseE1IWVB2Nk9BeVQ3Ym5Q
SS8xMzNlbWhRdjhVPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiIwdnRtclhPS3ZLZmRKclQweW5NU1FMbkFZWm9rWmg4QyJ9LCJj
aXBoZXJ0ZXh0IjoiZmJpZFhvVzB0TWlMOW1RaDQ5dGNqb2VTSlNJcjR2ZGJ3N0JX
WkNwMldUUmk0cVo1eEl4dlpFbXEraFRaRnJucVFMeEVESXVoc1EyYmp0WEZKQkow
WlV4U3BYMUxGM1FSYmgzZU9wbnhkbGtscjNla3NFK1lLOW8vUlhUd05TcTdqMkQx
ZWZpRmwwL0FsSFVINjZoTHVQSFFPMm8vOENyTW5YSG5WVFZzeTlLK2U0YWYvNUxt
cDBCVVpNekpTd1dYeHhVS1NuRTZ2cXdRTHc9PSJ9
-----END ENCRYPTED COSIGN PRIVATE KEY-----
`;
const publicOfSkopeo =
  'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEt3W9i9Cjf6NX6k0kbTMdVufluXxx5HUWzchZka3wAd1Rvr5u/682h31l+02ofsJUoByoDxn0MadzHT9/V7jXzQ==';

const message = utf8('{"critical":{}}');
const refused =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    isBullaError(error, code);

test('keys of cosign and skopeo open, and sign what their public keys verify', async () => {
  const real = [
    [ofCosign, publicOfCosign],
    [ofSkopeo, publicOfSkopeo],
  ] as const;
  for (const [pem, spki] of real) {
    const der = Buffer.from(spki, 'base64');
    await using signer = await openSigstoreKey(utf8(pem), { passphrase: { given: 'cosignpw' } });
    assert.deepEqual(
      [signer.kind, signer.keyId],
      ['sigstore', createHash('sha256').update(der).digest('hex')],
    );
    const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
    assert.ok(verify('sha256', message, publicKey, await signer.sign(message)));
  }
});

const open = (pem: string, passphrase: object): Promise<unknown> =>
  openSigstoreKey(utf8(pem), { passphrase });

test('a wrong passphrase and changed ciphertext are refused; without any there is nobody to ask', async () => {
  await assert.rejects(open(ofCosign, { given: 'cosignpW' }), refused('key.passphrase-wrong'));
  await assert.rejects(open(ofCosign, { given: '' }), refused('key.passphrase-wrong'));
  const changed = edited(ofCosign, (json) => json.replace('"VEkT', '"WEkT'));
  await assert.rejects(open(changed, { given: 'cosignpw' }), refused('key.passphrase-wrong'));
  await assert.rejects(open(ofCosign, {}), refused('key.passphrase-missing'));
});

test('the process goes on while scrypt runs', async () => {
  let isOpen = false;
  const opening = openSigstoreKey(utf8(ofCosign), { passphrase: { given: 'cosignpw' } }).then(() => {
    isOpen = true;
  });
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  assert.equal(isOpen, false);
  await opening;
});

test('the passphrase is asked for once, with the key’s name, and not for a file that cannot be opened', async () => {
  const questions: string[] = [];
  const passphrase = {
    ask: async (question: string) => {
      questions.push(question);
      return 'cosignpw';
    },
  };
  await openSigstoreKey(utf8(ofSkopeo), { passphrase, name: 'a.private' });
  await assert.rejects(openSigstoreKey(utf8('junk'), { passphrase }));
  assert.deepEqual(questions, ['Passphrase of a.private']);
});

const ask = async (): Promise<string> => 'asked';

test('a file comes before COSIGN_PASSWORD, and that before a person', () => {
  const env = { COSIGN_PASSWORD: '' };
  assert.deepEqual(withCosignPassword({ given: 'file', ask }, env), { given: 'file', ask });
  assert.deepEqual(withCosignPassword({ ask }, env), { given: '', ask });
  assert.deepEqual(withCosignPassword({ ask }, {}), { ask });
});

/** The same file with its JSON changed. */
function edited(pem: string, edit: (json: string) => string): string {
  const [begin = '', ...rest] = pem.trimEnd().split('\n');
  const end = rest.pop() ?? '';
  const json = edit(Buffer.from(rest.join(''), 'base64').toString());
  return `${begin}\n${Buffer.from(json).toString('base64')}\n${end}\n`;
}

test('scrypt parameters out of the three sets are refused before any work', async () => {
  const wrong = [
    ['65536', '1048576'],
    ['65536', '16384'],
    ['65536', '65536.0'],
    ['65536', '6.5536e4'],
    ['65536', '-65536'],
    ['65536', '"65536"'],
    ['"r":8', '"r":16'],
    ['"r":8', '"r":1'],
    ['"p":1', '"p":2147483647'],
    ['"p":1', '"p":0'],
    ['"scrypt"', '"argon2id"'],
    ['nacl/secretbox', 'aes'],
  ] as const;
  const passphrase = { ask: () => assert.fail('asked for a passphrase') };
  for (const [from, to] of wrong) {
    const pem = edited(ofCosign, (json) => json.replace(from, to));
    await assert.rejects(openSigstoreKey(utf8(pem), { passphrase }), refused('key.unusable'), to);
  }
});

test('all three sets of parameters open', async () => {
  for (const n of [32_768, 131_072]) {
    const salt = Buffer.alloc(32, 1);
    const nonce = Buffer.alloc(24, 2);
    const key = scryptSync('old', salt, 32, { N: n, r: 8, p: 1, maxmem: 2 ** 28 });
    const pem = edited(ofCosign, (json) => {
      const kdf = { name: 'scrypt', params: { N: n, r: 8, p: 1 }, salt: salt.toString('base64') };
      const cipher = { name: 'nacl/secretbox', nonce: nonce.toString('base64') };
      const ciphertext = Buffer.from(secretbox(key, nonce).seal(utf8('secret'))).toString('base64');
      return JSON.stringify({ ...(JSON.parse(json) as object), kdf, cipher, ciphertext });
    });
    const opened = await decryptPrivateKey(utf8(pem), { given: 'old' }, 'key');
    assert.equal(Buffer.from(opened).toString(), 'secret');
  }
});

test('the JSON is read strictly', async () => {
  const wrong = [
    ['{"kdf"', '{"extra":1,"kdf"'],
    ['{"kdf"', '{"ciphertext":"","kdf"'],
    ['"kdf":', '"KDF":'],
    ['"p":1', '"p":1,"p":1'],
    ['"p":1', '"p":1,"x":1'],
    [',"p":1', ''],
    ['"params":{"N":65536,"r":8,"p":1}', '"params":null'],
    ['dZ0="', 'dZ0"'],
    ['dZ0="', 'dZ1="'],
    ['dZ0="', 'dZ0=\\n"'],
    ['"salt":"Ek1L', '"salt":"'],
    ['"nonce":"P7Ik', '"nonce":"'],
    ['"nonce":"P7Ik', '"nonce":"P7I-'],
    ['}}', '}}}'],
    ['"nacl/secretbox",', '"nacl/secretbox"'],
    ['"ciphertext":"', '"ciphertext":7,"x":"'],
  ] as const;
  const passphrase = { ask: () => assert.fail('asked for a passphrase') };
  for (const [from, to] of wrong) {
    const pem = edited(ofCosign, (json) => {
      // '}}' stands once inside and is meant at the end
      const at = from === '}}' ? json.length - 1 : json.indexOf(from);
      return `${json.slice(0, at)}${to}${json.slice(at + (from === '}}' ? 1 : from.length))}`;
    });
    await assert.rejects(
      openSigstoreKey(utf8(pem), { passphrase }),
      refused('key.malformed'),
      `${from} -> ${to}`,
    );
  }
});

test('other kinds of PEM are refused by name', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const passphrase = { given: '' };
  const others = [
    privateKey.export({ type: 'pkcs8', format: 'pem' }),
    privateKey.export({ type: 'sec1', format: 'pem' }),
    privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' }),
    publicKey.export({ type: 'spki', format: 'pem' }),
  ];
  for (const pem of others) {
    await assert.rejects(openSigstoreKey(utf8(pem), { passphrase }), refused('key.unusable'));
  }
  await assert.rejects(openSigstoreKey(utf8('-----BEGIN'), { passphrase }), refused('key.none'));
});

test('a file changed anywhere never opens to another key, and fails with a code', async () => {
  // a change that scrypt has to judge costs a third of a second: those are few
  const text = utf8(ofSkopeo);
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length - 1), fc.nat(255), async (at, value) => {
      fc.pre(text[at] !== value);
      const changed = Uint8Array.from(text);
      changed[at] = value;
      const asked = Symbol('asked');
      const outcome = await decryptPrivateKey(changed, { ask: () => Promise.reject(asked) }, 'key').catch(
        (error: unknown) => error,
      );
      assert.ok(outcome === asked || isBullaError(outcome), String(outcome));
    }),
    { numRuns: 400 },
  );
});

test('what is encrypted opens with its passphrase only, and twice it is not the same', async () => {
  const pkcs8 = utf8('any bytes');
  const [one, two] = await Promise.all([encryptPrivateKey(pkcs8, 'pässword'), encryptPrivateKey(pkcs8, '')]);
  assert.match(Buffer.from(one).toString(), /^-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n/);
  assert.deepEqual(
    Buffer.from(await decryptPrivateKey(one, { given: 'pässword' }, 'one')),
    Buffer.from(pkcs8),
  );
  assert.deepEqual(Buffer.from(await decryptPrivateKey(two, { given: '' }, 'two')), Buffer.from(pkcs8));
  await assert.rejects(decryptPrivateKey(one, { given: '' }, 'one'), refused('key.passphrase-wrong'));
  const salts = [one, two].map((pem) => /"salt":"([^"]+)"/.exec(json(pem))?.[1]);
  assert.notEqual(salts[0], salts[1]);
  assert.match(json(one), /"params":\{"N":65536,"r":8,"p":1\}/);
});

function json(pem: Uint8Array): string {
  const body = Buffer.from(pem).toString().split('\n').slice(1, -2).join('');
  return Buffer.from(body, 'base64').toString();
}
