/** Log entries beside a signature by a key. */
import { encodeBase64, utf8 } from '../../src/base/bytes.ts';
import { cosignAnnotations } from '../../src/formats/cosign.ts';
import { type Bench, changed, data, type SigstoreCase } from './sigstore-case.ts';
import * as forge from './sigstore-forge.ts';

type Json = Record<string, unknown>;

export function logCases(bench: Bench): readonly SigstoreCase[] {
  return [...keysOfLog(bench), ...entries(bench), ...bodies(bench)];
}

function logged(
  bench: Bench,
  changes: Partial<forge.EntryPlan> = {},
  rekor = bench.rekor,
): SigstoreCase['attachment'] {
  const signed = forge.attach(bench.payload, bench.key);
  const text = signed.annotations[cosignAnnotations.signature] ?? '';
  const plan = {
    signature: Buffer.from(text, 'base64'),
    payload: bench.payload,
    signer: forge.pemOf(bench.key),
    time: bench.logged,
  };
  return changed(signed, { bundle: forge.logEntry(rekor, { ...plan, ...changes }) });
}

function byLog({ key, rekor }: Bench): Json {
  return { keyData: data(forge.pemOf(key)), rekorPublicKeyData: data(forge.pemOf(rekor)) };
}

const invalid = 'signature.log-entry-invalid';

function keysOfLog(bench: Bench): readonly SigstoreCase[] {
  const { key, other, rekor, payload } = bench;
  const requirement = byLog(bench);
  const [pem, otherPem, rekorPem] = [key, other, rekor].map((each) => data(forge.pemOf(each)));
  const good = logged(bench);
  const { keyData: _, ...log } = requirement;
  return [
    { name: 'a logged key', requirement, attachment: good, code: 'accepted' },
    {
      name: 'no log entry',
      requirement,
      attachment: forge.attach(payload, key),
      code: 'signature.log-entry-missing',
    },
    {
      name: 'another log',
      requirement: { ...requirement, rekorPublicKeyData: otherPem },
      attachment: good,
      code: invalid,
    },
    {
      name: 'the second of two logs',
      requirement: { keyData: pem, rekorPublicKeyDatas: [otherPem, rekorPem] },
      attachment: good,
      code: 'accepted',
    },
    {
      name: 'a log with an RSA key',
      requirement: { ...requirement, rekorPublicKeyData: data(forge.pemOf(forge.rsaKey())) },
      attachment: good,
      code: 'trust.key-unavailable',
    },
    {
      name: 'the second of two logged keys',
      requirement: { ...log, keyDatas: [otherPem, pem] },
      attachment: good,
      code: 'accepted',
    },
    {
      name: 'another logged key',
      requirement: { ...requirement, keyData: otherPem },
      attachment: good,
      code: invalid,
    },
    {
      name: 'logged for another key',
      requirement,
      attachment: logged(bench, { signer: forge.pemOf(other) }),
      code: invalid,
    },
    {
      name: 'logged for another payload',
      requirement,
      attachment: logged(bench, { payload: utf8('{}') }),
      code: invalid,
    },
    {
      name: 'logged for another signature',
      requirement,
      attachment: logged(bench, { signature: forge.signBytes(key, payload) }),
      code: invalid,
    },
    // the entry fits its key, but the signature is by neither
    {
      name: 'logged, but not signed by that key',
      requirement: { ...requirement, keyData: otherPem },
      attachment: logged(bench, { signer: forge.pemOf(other) }),
      code: 'signature.invalid',
    },
    {
      name: 'logged before the epoch',
      requirement,
      attachment: logged(bench, { time: -1 }),
      code: 'accepted',
    },
  ];
}

function entries(bench: Bench): readonly SigstoreCase[] {
  const requirement = byLog(bench);
  const good = logged(bench);
  const text = good.annotations[cosignAnnotations.bundle] ?? '';
  const rewritten = (name: string, bundle: string, code: SigstoreCase['code'] = invalid): SigstoreCase => {
    return { name: `entry: ${name}`, requirement, attachment: changed(good, { bundle }), code };
  };
  const signed = (name: string, entry: (entry: Json) => Json): SigstoreCase => {
    return { name: `entry: ${name}`, requirement, attachment: logged(bench, { entry }), code: invalid };
  };
  const set = JSON.parse(text) as { SignedEntryTimestamp: string; Payload: Json };
  return [
    rewritten('empty', ''),
    rewritten('no JSON', 'x'),
    rewritten('a list', `[${text}]`),
    rewritten('something behind', `${text} {}`),
    rewritten('blanks around', ` ${text}\n`, 'accepted'),
    rewritten(
      'indented, members in another order',
      JSON.stringify(
        {
          Payload: Object.fromEntries(Object.entries(set.Payload).toReversed()),
          SignedEntryTimestamp: set.SignedEntryTimestamp,
        },
        undefined,
        2,
      ),
      'accepted',
    ),
    rewritten('a number spelt otherwise', text.replace('"logIndex":7', '"logIndex":70e-1'), 'accepted'),
    rewritten('letters as escapes', text.replace('"logID"', String.raw`"\u006cogID"`), 'accepted'),
    rewritten('an unknown member', text.replace('{', '{"x":1,')),
    rewritten('a member twice', text.replace('{', `{"SignedEntryTimestamp":"${set.SignedEntryTimestamp}",`)),
    rewritten('a member of the payload twice', text.replace('"logIndex":7', '"logIndex":7,"logIndex":7')),
    rewritten('a member in small letters', text.replace('"Payload"', '"payload"')),
    rewritten('another time', text.replace(/"integratedTime":\d+/, '"integratedTime":1')),
    rewritten('another index', text.replace('"logIndex":7', '"logIndex":8')),
    rewritten('no timestamp', text.replace(/"SignedEntryTimestamp":"[^"]*"/, '"SignedEntryTimestamp":""')),
    rewritten('payload null', text.replace(/"Payload":.*$/, '"Payload":null}')),
    rewritten(
      'timestamp is no base64',
      text.replace('"SignedEntryTimestamp":"', '"SignedEntryTimestamp":"-'),
    ),
    signed('an unknown member of the payload', (entry) => ({ ...entry, x: 1 })),
    signed('no logID', (entry) => ({ ...entry, logID: undefined })),
    signed('logID is a number', (entry) => ({ ...entry, logID: 1 })),
    signed('half a second', (entry) => ({ ...entry, integratedTime: 1.5 })),
    signed('more than 64 bits', (entry) => ({ ...entry, integratedTime: 1e20 })),
    signed('time as text', (entry) => ({ ...entry, integratedTime: '1' })),
  ];
}

function bodies(bench: Bench): readonly SigstoreCase[] {
  const requirement = byLog(bench);
  const made = (
    name: string,
    change: (text: string) => string,
    code: SigstoreCase['code'] = invalid,
    stricter?: string,
  ): SigstoreCase => {
    const entry = (plan: Json): Json => {
      const body = Buffer.from(String(plan['body']), 'base64').toString();
      return { ...plan, body: encodeBase64(utf8(change(body))) };
    };
    return {
      name: `body: ${name}`,
      requirement,
      attachment: logged(bench, { entry }),
      code,
      ...(stricter !== undefined && { stricter }),
    };
  };
  const signer = (name: string, pem: string, code: SigstoreCase['code'] = invalid): SigstoreCase => {
    return { name: `body: ${name}`, requirement, attachment: logged(bench, { signer: pem }), code };
  };
  const pem = forge.pemOf(bench.key);
  const parse = (text: string): { spec: { data: Json; signature: Json } } =>
    JSON.parse(text) as ReturnType<typeof parse>;
  return [
    made('blanks around', (text) => ` ${text}\n`, 'accepted'),
    made('unknown members', (text) => text.replace('"spec":{', '"x":1,"spec":{"y":2,'), 'accepted'),
    made('empty', () => ''),
    made('no JSON', () => 'x'),
    made('another kind', (text) => text.replace('hashedrekord', 'rekord')),
    made('another version', (text) => text.replace('0.0.1', '0.0.2')),
    made('no version', (text) => text.replace('"apiVersion":"0.0.1",', '')),
    made('no spec', (text) => text.replace('"spec"', '"other"')),
    made('no signature', (text) => JSON.stringify({ ...parse(text), spec: { data: parse(text).spec.data } })),
    made('no data', (text) =>
      JSON.stringify({ ...parse(text), spec: { signature: parse(text).spec.signature } }),
    ),
    made('SHA-512', (text) => text.replace('"sha256"', '"sha512"')),
    made(
      'the hash in capitals',
      (text) => text.replace(/"value":"([0-9a-f]+)"/, (_, hex: string) => `"value":"${hex.toUpperCase()}"`),
      'accepted',
    ),
    made('kind twice', (text) => text.replace('"kind"', '"kind":"x","kind"'), invalid, 'log-entry-members'),
    made('kind in capitals', (text) => text.replace('"kind"', '"Kind"'), invalid, 'log-entry-members'),
    signer('the key in another PEM type', pem.replaceAll('PUBLIC KEY', 'WHATEVER'), 'accepted'),
    signer('the key behind text', `text\n${pem}`, 'accepted'),
    signer('a line behind the key', `${pem}\n`),
    signer('two keys', pem + pem),
    signer('no PEM', 'key'),
  ];
}
