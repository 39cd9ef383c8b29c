/** Public keys, signatures and payloads. */
import { encodeBase64, utf8 } from '../../src/base/bytes.ts';
import { cosignAnnotations } from '../../src/formats/cosign.ts';
import { type Bench, changed, data, type SigstoreCase } from './sigstore-case.ts';
import * as forge from './sigstore-forge.ts';

export function keyCases(bench: Bench): readonly SigstoreCase[] {
  return [...keys(bench), ...signatures(bench), ...payloads(bench)];
}

function keys({ payload, key, other }: Bench): readonly SigstoreCase[] {
  const good = forge.attach(payload, key);
  const [pem, otherPem] = [forge.pemOf(key), forge.pemOf(other)];
  const rsa = forge.rsaKey();
  const kinds = [
    ['RSA 2048', rsa],
    ['P-384', forge.ecKey('P-384')],
    ['P-521', forge.ecKey('P-521')],
    ['Ed25519', forge.edKey()],
  ] as const;
  const pkcs1 = rsa.publicKey.export({ type: 'pkcs1', format: 'pem' });
  const unusable = 'trust.key-unavailable';
  return [
    { name: 'a key', requirement: { keyData: data(pem) }, attachment: good, code: 'accepted' },
    {
      name: 'another key',
      requirement: { keyData: data(otherPem) },
      attachment: good,
      code: 'signature.invalid',
    },
    {
      name: 'the second of two keys',
      requirement: { keyDatas: [data(otherPem), data(pem)] },
      attachment: good,
      code: 'accepted',
    },
    {
      name: 'neither of two keys',
      requirement: { keyDatas: [data(otherPem), data(forge.pemOf(rsa))] },
      attachment: good,
      code: 'signature.invalid',
    },
    {
      name: 'two PEM blocks, the first decides',
      requirement: { keyData: data(pem + otherPem) },
      attachment: good,
      code: 'accepted',
    },
    {
      name: 'two PEM blocks, the second does not count',
      requirement: { keyData: data(otherPem + pem) },
      attachment: good,
      code: 'signature.invalid',
    },
    {
      name: 'text before the PEM block',
      requirement: { keyData: data(`a key\n${pem}`) },
      attachment: good,
      code: 'accepted',
    },
    {
      name: 'one key of two does not load',
      requirement: { keyDatas: [data(pem), data('none')] },
      attachment: good,
      code: unusable,
    },
    { name: 'an empty key', requirement: { keyData: '' }, attachment: good, code: unusable },
    {
      name: 'a private key',
      requirement: { keyData: data(key.privateKey.export({ type: 'pkcs8', format: 'pem' })) },
      attachment: good,
      code: unusable,
    },
    ...kinds.map(([name, pair]): SigstoreCase => {
      return {
        name,
        requirement: { keyData: data(forge.pemOf(pair)) },
        attachment: forge.attach(payload, pair),
        code: 'accepted',
      };
    }),
    {
      name: 'RSA in PKCS#1',
      requirement: { keyData: data(pkcs1) },
      attachment: forge.attach(payload, rsa),
      code: 'accepted',
    },
  ];
}

function signatures({ payload, key }: Bench): readonly SigstoreCase[] {
  const requirement = { keyData: data(forge.pemOf(key)) };
  const good = forge.attach(payload, key);
  const text = good.annotations[cosignAnnotations.signature] ?? '';
  const spelt = (signature: string | undefined): SigstoreCase['attachment'] => changed(good, { signature });
  const malformed = { requirement, code: 'signature.malformed' } as const;
  const stricter = 'signature-base64';
  const padded = signedToPad(key, payload);
  // the last letter before the padding has bits that mean nothing, and base64 leaves them zero
  const strayBits = encodeBase64(padded).replace(/.(?==+$)/, (letter) =>
    String.fromCharCode(letter.charCodeAt(0) + 1),
  );
  return [
    { ...malformed, name: 'no signature annotation', attachment: spelt(undefined) },
    { ...malformed, name: 'an empty signature', attachment: spelt('') },
    { ...malformed, name: 'no base64', attachment: spelt('no base64') },
    { ...malformed, name: 'URL-safe base64', attachment: spelt(`${text.slice(0, 8)}-_${text.slice(10)}`) },
    {
      ...malformed,
      name: 'base64 without padding',
      attachment: spelt(encodeBase64(padded).replace(/=+$/, '')),
    },
    { ...malformed, stricter, name: 'base64 with stray bits', attachment: spelt(strayBits) },
    { ...malformed, name: 'base64 with a blank', attachment: spelt(`${text} `) },
    {
      ...malformed,
      stricter,
      name: 'base64 in two lines',
      attachment: spelt(`${text.slice(0, 40)}\n${text.slice(40)}`),
    },
    {
      requirement,
      name: 'a byte too many',
      attachment: spelt(encodeBase64(Buffer.concat([Buffer.from(text, 'base64'), Buffer.of(0)]))),
      code: 'signature.invalid',
    },
    {
      requirement,
      name: 'SHA-384',
      attachment: spelt(encodeBase64(forge.signBytes(key, payload, 'sha384'))),
      code: 'signature.invalid',
    },
    {
      requirement,
      name: 'an annotation that nobody knows',
      attachment: { ...good, annotations: { ...good.annotations, 'example.com/x': 'y' } },
      code: 'accepted',
    },
    {
      requirement,
      name: 'an unread certificate',
      attachment: changed(good, { certificate: 'garbage', chain: 'garbage' }),
      code: 'accepted',
    },
    {
      requirement,
      name: 'an unread log entry',
      attachment: changed(good, { bundle: 'garbage' }),
      code: 'accepted',
    },
    {
      requirement,
      name: 'another media type',
      attachment: { ...good, mediaType: 'application/vnd.dsse.envelope.v1+json' },
      code: 'signature.wrong-type',
    },
  ];
}

/** A signature whose length asks for padding; ECDSA's varies. */
function signedToPad(key: forge.KeyPair, payload: Uint8Array): Uint8Array {
  for (;;) {
    const signature = forge.signBytes(key, payload);
    if (signature.length % 3 !== 0) return signature;
  }
}

function payloads({ payload, key, digest }: Bench): readonly SigstoreCase[] {
  const requirement = { keyData: data(forge.pemOf(key)) };
  const text = Buffer.from(payload).toString();
  const made = (
    name: string,
    json: string,
    code: SigstoreCase['code'] = 'signature.payload-malformed',
  ): SigstoreCase => {
    return { name: `payload: ${name}`, requirement, attachment: forge.attach(utf8(json), key), code };
  };
  const optional = (value: string): string => text.replace('"optional":{}', `"optional":${value}`);
  return [
    made('optional null, as cosign writes it', optional('null'), 'accepted'),
    made(
      'unknown members of optional',
      optional('{"a":{"b":[1,null]},"creator":"x","timestamp":1e3}'),
      'accepted',
    ),
    made('optional twice', text.replace('"optional":{}', '"optional":{},"optional":{}')),
    made('a member of optional twice', optional('{"a":1,"a":1}')),
    made('optional is a list', optional('[]')),
    made('a timestamp of half seconds', optional('{"timestamp":1.5}')),
    made('no optional', text.replace(',"optional":{}', '')),
    made('an unknown member', text.replace('{"critical"', '{"x":1,"critical"')),
    made('an unknown member of critical', text.replace('"critical":{', '"critical":{"x":1,')),
    made('critical in capitals', text.replace('"critical"', '"Critical"')),
    made('something behind', `${text}{}`),
    made('blanks behind', `${text}\n `, 'accepted'),
    made(
      'the type of simple signing',
      text.replace('cosign container image signature', 'atomic container signature'),
      'signature.wrong-type',
    ),
    made('type null', text.replace('"cosign container image signature"', 'null'), 'signature.wrong-type'),
    made('no digest', text.replace(digest, 'sha256:1')),
    made('another digest', text.replace(digest, `sha256:${'0'.repeat(64)}`), 'signature.wrong-digest'),
    made('another name', text.replace('ns/app:1', 'ns/app:2'), 'signature.wrong-identity'),
    made('a name without tag', text.replace('ns/app:1', 'ns/app'), 'signature.wrong-identity'),
    made('no name', text.replace('registry.example.com/ns/app:1', ''), 'signature.wrong-identity'),
  ];
}
