// what is accepted and refused is what skopeo 1.22 does with the same files, but where a comment says otherwise
import { deepEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { parseSigstoreParams, type SigstoreParams } from './sigstore-params.ts';

const parse = (text: string): Promise<SigstoreParams> => parseSigstoreParams(utf8(text), '/etc/params.yaml');
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

const fulcio = (rest: string): string => `fulcio: {fulcioURL: "https://f.example", ${rest}}\n`;
const rekor = 'rekorURL: https://r.example\n';

test('a private key, with and without a passphrase file and a Rekor', async () => {
  const key = { kind: 'file', privateKeyFile: '/keys/a.private' };
  deepEqual(await parse('privateKeyFile: /keys/a.private\n'), { key });
  deepEqual(
    await parse('# mine\nprivateKeyFile: "/keys/a.private"\nprivateKeyPassphraseFile: /keys/a.pass\n'),
    {
      key: { ...key, privateKeyPassphraseFile: '/keys/a.pass' },
    },
  );
  deepEqual(await parse(`privateKeyFile: /keys/a.private\n${rekor}`), { key, rekorUrl: 'https://r.example' });
});

test('Fulcio with a token, with a browser and with a device', async () => {
  const [fulcioUrl, rekorUrl] = ['https://f.example', 'https://r.example'];
  deepEqual(await parse(fulcio('oidcMode: staticToken, oidcIDToken: a.b.c') + rekor), {
    key: { kind: 'fulcio', fulcioUrl, mode: 'staticToken', idToken: 'a.b.c' },
    rekorUrl,
  });
  deepEqual(await parse(fulcio('oidcMode: deviceGrant, oidcIssuerURL: "https://i.example"') + rekor), {
    key: { kind: 'fulcio', fulcioUrl, mode: 'deviceGrant', issuerUrl: 'https://i.example' },
    rekorUrl,
  });
  const client =
    'oidcMode: interactive, oidcIssuerURL: "https://i.example", oidcClientID: me, oidcClientSecret: s';
  deepEqual(await parse(fulcio(client) + rekor), {
    key: {
      kind: 'fulcio',
      fulcioUrl,
      mode: 'interactive',
      issuerUrl: 'https://i.example',
      clientId: 'me',
      clientSecret: 's',
    },
    rekorUrl,
  });
});

test('what a mode has no use for is passed over, and what is empty is not there', async () => {
  const token = fulcio(
    'oidcMode: staticToken, oidcIDToken: a.b.c, oidcIssuerURL: "https://i.example", oidcClientID: x',
  );
  deepEqual((await parse(token + rekor)).key, {
    kind: 'fulcio',
    fulcioUrl: 'https://f.example',
    mode: 'staticToken',
    idToken: 'a.b.c',
  });
  deepEqual((await parse(`${token}${rekor}privateKeyPassphraseFile: /keys/a.pass`)).key.kind, 'fulcio');
  deepEqual((await parse(`privateKeyFile: ""\n${token}${rekor}`)).key.kind, 'fulcio');
  deepEqual((await parse('privateKeyFile: /keys/a.private\nfulcio:\nrekorURL: ""\n')).rekorUrl, undefined);
});

test('a source of the key is missing, or there twice', async () => {
  const token = fulcio('oidcMode: staticToken, oidcIDToken: a.b.c');
  for (const text of ['{}', rekor, 'privateKeyPassphraseFile: b', `privateKeyFile: a\n${token}${rekor}`]) {
    await rejects(parse(text), code('usage.invalid'), text);
  }
});

test('Fulcio without what its mode needs', async () => {
  const parts = [
    'oidcIDToken: a.b.c',
    'oidcMode: nonsense, oidcIssuerURL: "https://i.example"',
    'oidcMode: staticToken',
    'oidcMode: interactive',
    'oidcMode: deviceGrant, oidcIDToken: a.b.c',
    'oidcMode: staticToken, oidcIDToken: a.b.c, extra: 1',
    'oidcMode: staticToken, oidcIDToken: 5',
    'oidcMode: interactive, oidcIssuerURL: "ftp://i.example"',
  ];
  for (const part of parts) await rejects(parse(fulcio(part) + rekor), code('usage.invalid'), part);
  await rejects(
    parse(`fulcio: {oidcMode: staticToken, oidcIDToken: a.b.c}\n${rekor}`),
    code('usage.invalid'),
  );
  await rejects(parse(`fulcio: {}\n${rekor}`), code('usage.invalid'));
  await rejects(parse(`fulcio: text\n${rekor}`), code('usage.invalid'));
});

test('Fulcio without a Rekor is refused: skopeo signs then, and nobody can ever verify it', async () => {
  await rejects(parse(fulcio('oidcMode: staticToken, oidcIDToken: a.b.c')), code('usage.invalid'));
});

test('what is no such file', async () => {
  const texts = [
    ...['', 'text', '[]', 'privateKeyFile: [a]', 'privateKeyFile: 5'],
    'privateKeyFile: a\nprivateKeyFile: b',
    'privateKeyFile: a\nother: b',
    'privateKeyFile: &a a\nprivateKeyPassphraseFile: *a',
    'privateKeyFile: !!str a',
    'privateKeyFile: a\n---\nprivateKeyFile: b',
    ...['privateKeyFile: "a', '- privateKeyFile: a', 'privateKeyFile: a: b', '\ttab'],
    'privatekeyfile: a',
    'privateKeyFile: a\nrekorURL: "r example"',
  ];
  for (const text of texts) await rejects(parse(text), code('usage.invalid'), text);
  await rejects(parseSigstoreParams(new Uint8Array([0xff]), 'p.yaml'), code('usage.invalid'));
});

test('no error repeats the token', async () => {
  const secret = 'eyJhbGciOiJub25lIn0.e30.c2ln';
  for (const text of [
    `fulcio: {oidcMode: staticToken, oidcIDToken: ${secret}}`,
    `fulcio: {fulcioURL: "https://f.example", oidcIDToken: "${secret}`,
    `fulcio: {oidcIDToken: ${secret}, oidcIDToken: ${secret}}`,
  ]) {
    await rejects(
      parse(text),
      (error) => isBullaError(error) && !`${error.message} ${error.hint ?? ''}`.includes('c2ln'),
    );
  }
});
