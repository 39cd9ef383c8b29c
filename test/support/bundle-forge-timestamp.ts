/** RFC 3161 responses for bundle-forge.ts, with any fault. */
import { utf8 } from '../../src/base/bytes.ts';
import { crypto } from '../../src/base/node.ts';
import { parseCertificate } from '../../src/keys/certificates/certificate.ts';
import { der, type KeyPair, oid, signBytes } from './sigstore-forge.ts';

export type TimestampPlan = {
  /** Seconds since 1970. */
  readonly time: number;
  /** Of the authority's certificate, and it. */
  readonly key: KeyPair;
  readonly certificate: Uint8Array;
  /** Certificates that come with it; default none. */
  readonly embedded?: readonly Uint8Array[];
  readonly status?: number;
  /** Of the imprint and of the signature. */
  readonly hash?: 'sha256' | 'sha384' | 'sha512' | 'sha1';
  /** As text, default from `time`: `20261122110913Z`. */
  readonly genTime?: string;
  /** Signed attributes that are left out: `type`, `digest`, `certificate`. */
  readonly without?: readonly ('type' | 'digest' | 'certificate')[];
  /** The certificate that the signed attribute names; default the signer's. */
  readonly named?: Uint8Array;
  /** How often the signer's info is there; default once. */
  readonly signers?: number;
  /** What is put behind the fields of TSTInfo. */
  readonly more?: readonly Uint8Array[];
  /** What is changed in TSTInfo after its hash was signed. */
  readonly content?: (info: Uint8Array) => Uint8Array;
};

const hashOids: Readonly<Record<string, string>> = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
};
const signatureOids: Readonly<Record<string, string>> = {
  'ec sha256': '1.2.840.10045.4.3.2',
  'ec sha384': '1.2.840.10045.4.3.3',
  'ec sha512': '1.2.840.10045.4.3.4',
  'rsa sha256': '1.2.840.113549.1.1.1',
  'rsa sha384': '1.2.840.113549.1.1.12',
  'rsa sha512': '1.2.840.113549.1.1.13',
  'ed25519 sha512': '1.3.101.112',
};
const infoOid = '1.2.840.113549.1.9.16.1.4';

/** A TimeStampResp about a signature. */
export function forgeTimestamp(signature: Uint8Array, plan: TimestampPlan): Uint8Array {
  const { hash = 'sha256', status = 0, embedded = [], signers = 1 } = plan;
  const info = timestampInfo(signature, plan, hash);
  const signer = signerInfo(info, plan, hash);
  const signedData = der(
    0x30,
    integer(3),
    der(0x31, algorithm(hash)),
    der(0x30, oid(infoOid), der(0xa0, der(0x04, plan.content?.(info) ?? info))),
    ...(embedded.length > 0 ? [der(0xa0, ...embedded)] : []),
    der(0x31, ...Array.from({ length: signers }, () => signer)),
  );
  const token = der(0x30, oid('1.2.840.113549.1.7.2'), der(0xa0, signedData));
  return der(0x30, der(0x30, integer(status)), token);
}

function timestampInfo(signature: Uint8Array, plan: TimestampPlan, hash: string): Uint8Array {
  const text = new Date(plan.time * 1000).toISOString().replace(/[-:T]|\.\d+/g, '');
  return der(
    0x30,
    integer(1),
    oid('1.2.3.4'),
    der(0x30, algorithm(hash), der(0x04, digest(hash, signature))),
    integer(77),
    der(0x18, utf8(plan.genTime ?? text)),
    ...(plan.more ?? []),
  );
}

function signerInfo(info: Uint8Array, plan: TimestampPlan, hash: string): Uint8Array {
  const { certificate, key, named = certificate, without = [] } = plan;
  const { issuer, serial } = parseCertificate(certificate);
  const all = {
    type: attribute('1.2.840.113549.1.9.3', oid(infoOid)),
    digest: attribute('1.2.840.113549.1.9.4', der(0x04, digest(hash, info))),
    certificate: attribute(
      '1.2.840.113549.1.9.16.2.47',
      der(0x30, der(0x30, der(0x30, der(0x04, digest('sha256', named))))),
    ),
  };
  const kept = (['type', 'digest', 'certificate'] as const)
    .filter((each) => !without.includes(each))
    .map((each) => all[each]);
  const signed = signBytes(key, der(0x31, ...kept), hash);
  const kind = key.privateKey.asymmetricKeyType;
  return der(
    0x30,
    integer(1),
    der(0x30, issuer, der(0x02, serial)),
    algorithm(hash),
    der(0xa0, ...kept),
    der(0x30, oid(signatureOids[`${kind} ${hash}`] ?? '1.2.3')),
    der(0x04, signed),
  );
}

function attribute(id: string, value: Uint8Array): Uint8Array {
  return der(0x30, oid(id), der(0x31, value));
}

function algorithm(hash: string): Uint8Array {
  return der(0x30, oid(hashOids[hash] ?? '1.2.3'), der(0x05));
}

function digest(hash: string, bytes: Uint8Array): Uint8Array {
  return crypto.createHash(hash).update(bytes).digest();
}

function integer(number: number): Uint8Array {
  return der(0x02, Uint8Array.of(number));
}
