/** Signature attachments, log entries and certificates with any fault, made with keys of the test's own. */
import { concatBytes, encodeBase64, utf8 } from '../../src/base/bytes.ts';
import { crypto } from '../../src/base/node.ts';
import { cosignAttachment, type CosignProof, type CosignSignature } from '../../src/formats/cosign.ts';
import { encodePem } from '../../src/keys/sigstore/pem.ts';

type NodeKey = import('node:crypto').KeyObject;
export type KeyPair = { readonly privateKey: NodeKey; readonly publicKey: NodeKey };

export function ecKey(namedCurve = 'P-256'): KeyPair {
  return crypto.generateKeyPairSync('ec', { namedCurve });
}

export function rsaKey(modulusLength = 2048): KeyPair {
  return crypto.generateKeyPairSync('rsa', { modulusLength });
}

export function edKey(): KeyPair {
  return crypto.generateKeyPairSync('ed25519');
}

export function spkiOf({ publicKey }: KeyPair): Uint8Array {
  return new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
}

export function pemOf(pair: KeyPair): string {
  return pemText('PUBLIC KEY', spkiOf(pair));
}

export function pemText(type: string, bytes: Uint8Array): string {
  return Buffer.from(encodePem(type, bytes)).toString();
}

/** As sigstore signs: SHA-256, but Ed25519 the message itself. */
export function signBytes({ privateKey }: KeyPair, message: Uint8Array, hash = 'sha256'): Uint8Array {
  return new Uint8Array(
    crypto.sign(privateKey.asymmetricKeyType === 'ed25519' ? null : hash, message, privateKey),
  );
}

export function attach(payload: Uint8Array, by: KeyPair, proof: CosignProof = {}): CosignSignature {
  return cosignAttachment(payload, signBytes(by, payload), proof);
}

// DER

export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  const { length } = content;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return concatBytes(Uint8Array.of(tag, ...head), content);
}

export function oid(text: string): Uint8Array {
  const [a = 0, b = 0, ...rest] = text.split('.').map(Number);
  const bytes = [a * 40 + b, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(0x06, Uint8Array.from(bytes));
}

export function extension(id: string, value: Uint8Array, critical = false): Uint8Array {
  return der(0x30, oid(id), ...(critical ? [der(0x01, Uint8Array.of(0xff))] : []), der(0x04, value));
}

/** GeneralNames by their number: 1 mail, 2 host, 6 URI, 7 address, 0 other. */
export function altNames(
  names: readonly (readonly [number, string | Uint8Array])[],
  critical = false,
): Uint8Array {
  const parts = names.map(([number, value]) =>
    der((number === 0 ? 0xa0 : 0x80) + number, typeof value === 'string' ? utf8(value) : value),
  );
  return extension('2.5.29.17', der(0x30, ...parts), critical);
}

export const codeSigning: Uint8Array = usages('1.3.6.1.5.5.7.3.3');

export function usages(...ids: readonly string[]): Uint8Array {
  return extension('2.5.29.37', der(0x30, ...ids.map(oid)));
}

export function authority(pathLength?: number): Uint8Array {
  const limit = pathLength === undefined ? [] : [der(0x02, Uint8Array.of(pathLength))];
  return extension('2.5.29.19', der(0x30, der(0x01, Uint8Array.of(0xff)), ...limit), true);
}

/** Fulcio's issuer in its first form, the bare text. */
export function issuerText(issuer: string): Uint8Array {
  return extension('1.3.6.1.4.1.57264.1.1', utf8(issuer));
}

/** And in its second, a UTF8String. */
export function issuerUtf8(issuer: string): Uint8Array {
  return extension('1.3.6.1.4.1.57264.1.8', der(0x0c, utf8(issuer)));
}

export type CertificatePlan = {
  readonly subject?: string;
  readonly issuer?: string;
  readonly key: KeyPair;
  /** Who signs; default: the key itself. */
  readonly by?: KeyPair;
  /** Seconds since 1970. */
  readonly from: number;
  readonly to: number;
  readonly extensions?: readonly Uint8Array[];
  readonly version?: 1 | 3;
  readonly hash?: 'sha256' | 'sha1' | 'sha384';
};

const signatureOids: Readonly<Record<string, readonly [string, boolean]>> = {
  'ec sha256': ['1.2.840.10045.4.3.2', false],
  'ec sha384': ['1.2.840.10045.4.3.3', false],
  'ec sha1': ['1.2.840.10045.4.1', false],
  'rsa sha256': ['1.2.840.113549.1.1.11', true],
  'rsa sha384': ['1.2.840.113549.1.1.12', true],
  'rsa sha1': ['1.2.840.113549.1.1.5', true],
  'ed25519 sha256': ['1.3.101.112', false],
};

export function certificate(plan: CertificatePlan): Uint8Array {
  const { key, by = key, subject = 'leaf', issuer = 'root', from, to, version = 3, hash = 'sha256' } = plan;
  const [id = '', hasNull] = signatureOids[`${by.privateKey.asymmetricKeyType} ${hash}`] ?? [];
  const algorithm = der(0x30, oid(id), ...(hasNull === true ? [der(0x05)] : []));
  const extensions = plan.extensions ?? [];
  const part = der(
    0x30,
    ...(version === 3 ? [der(0xa0, der(0x02, Uint8Array.of(2)))] : []),
    der(0x02, Uint8Array.of(0x11, 0x22)),
    algorithm,
    name(issuer),
    der(0x30, time(from), time(to)),
    name(subject),
    spkiOf(key),
    ...(extensions.length === 0 ? [] : [der(0xa3, der(0x30, ...extensions))]),
  );
  return der(0x30, part, algorithm, der(0x03, Uint8Array.of(0), signBytes(by, part, hash)));
}

function name(common: string): Uint8Array {
  return der(0x30, der(0x31, der(0x30, oid('2.5.4.3'), der(0x0c, utf8(common)))));
}

function time(seconds: number): Uint8Array {
  const text = new Date(seconds * 1000).toISOString().replace(/[-:T]|\.\d+/g, '');
  return der(0x17, utf8(text.slice(2)));
}

export function certificatePem(...certificates: readonly Uint8Array[]): string {
  return certificates.map((each) => pemText('CERTIFICATE', each)).join('');
}

// Rekor

export type EntryPlan = {
  readonly signature: Uint8Array;
  readonly payload: Uint8Array;
  /** PEM of the key or certificate. */
  readonly signer: string;
  /** Seconds since 1970. */
  readonly time: number;
  /** What is changed in the entry before it is logged. */
  readonly body?: (body: Record<string, unknown>) => unknown;
  /** What is changed in the signed payload before it is signed. */
  readonly entry?: (entry: Record<string, unknown>) => Record<string, unknown>;
};

/** The annotation; `rekor` signs it. */
export function logEntry(rekor: KeyPair, plan: EntryPlan): string {
  const { signature, payload, signer, time: integratedTime, body = same, entry = same } = plan;
  const hash = crypto.createHash('sha256').update(payload).digest('hex');
  const record = {
    apiVersion: '0.0.1',
    kind: 'hashedrekord',
    spec: {
      data: { hash: { algorithm: 'sha256', value: hash } },
      signature: { content: encodeBase64(signature), publicKey: { content: encodeBase64(utf8(signer)) } },
    },
  };
  const logID = crypto.createHash('sha256').update(spkiOf(rekor)).digest('hex');
  const Payload = entry({
    // in the order of the canonical form
    body: encodeBase64(utf8(JSON.stringify(body(record)))),
    integratedTime,
    logID,
    logIndex: 7,
  });
  const SignedEntryTimestamp = encodeBase64(signBytes(rekor, utf8(JSON.stringify(Payload))));
  return JSON.stringify({ SignedEntryTimestamp, Payload });
}

function same<T>(value: T): T {
  return value;
}
