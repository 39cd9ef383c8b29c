/**
 * A whole sigstore instance in process, to make bundles with any fault: an authority (root, intermediate), a certificate log,
 * Rekor v1 (P-256) and v2 (Ed25519) with real Merkle trees, a timestamp authority.
 *
 *     const instance = forgeInstance();                          // keys, certificates, logs; time = seconds since 1970
 *     const root = parseTrustedRoots(trustedRootBytes(instance), 'root');
 *     const leaf = issueLeaf(instance, { email: 'a@b.c' });      // a certificate by Fulcio, with SCT; its key
 *     const { json, signature } = forgeBundle(instance, {
 *       signer: leaf,                                            // or a KeyPair: a bundle with a bare key
 *       content: { message: bytes },                             // or { payloadType, payload }: an envelope
 *       logs: ['v1'], timestamps: 1,                             // defaults: v1 with SET and proof, no timestamp
 *       body: (entry) => …, entry: { set: false },               // what the log takes in; how it answers
 *       change: (bundle) => …,                                   // the finished bundle, before it is written
 *     });
 *
 * trustedRootBytes takes a change too. Everything is by fresh keys: an instance is dear (20 ms), make one for a file.
 */
import { concatBytes, encodeBase64, utf8 } from '../../src/base/bytes.ts';
import { parseCertificate } from '../../src/keys/certificates/certificate.ts';
import {
  body1,
  body2,
  bodyInToto,
  type Body,
  type Content,
  type Leaf,
  signedBytes,
} from './bundle-forge-body.ts';
import { addEntry, type EntryOptions, type ForgedLog, forgeLog, sha256 } from './bundle-forge-log.ts';
import { forgeTimestamp, type TimestampPlan } from './bundle-forge-timestamp.ts';
import * as forge from './sigstore-forge.ts';
import type { KeyPair } from './sigstore-forge.ts';

export { type Body, type Content, type Leaf } from './bundle-forge-body.ts';

export { trustedRootBytes, type RootJson } from './bundle-forge-root.ts';

export type Instance = {
  /** When everything is signed; seconds since 1970. */
  readonly time: number;
  readonly keys: Readonly<
    Record<'root' | 'middle' | 'certificateLog' | 'timestampRoot' | 'timestamp', KeyPair>
  >;
  /** DER. */
  readonly certificates: Readonly<Record<'root' | 'middle' | 'timestampRoot' | 'timestamp', Uint8Array>>;
  readonly rekor1: ForgedLog;
  readonly rekor2: ForgedLog;
};

export function forgeInstance(time = 1_795_000_000): Instance {
  const names = ['root', 'middle', 'certificateLog', 'timestampRoot', 'timestamp'] as const;
  const keys = Object.fromEntries(names.map((name) => [name, forge.ecKey()])) as Instance['keys'];
  const valid = { from: time - 1000, to: time + 1_000_000 };
  const authority = (by: KeyPair, key: KeyPair, plan: object): Uint8Array =>
    forge.certificate({ key, by, issuer: 'root', ...valid, ...plan });
  return {
    time,
    keys,
    certificates: {
      root: authority(keys.root, keys.root, { subject: 'root', extensions: [forge.authority()] }),
      middle: authority(keys.root, keys.middle, {
        subject: 'middle',
        extensions: [forge.authority(0), forge.codeSigning],
      }),
      timestampRoot: authority(keys.timestampRoot, keys.timestampRoot, {
        subject: 'tsa root',
        issuer: 'tsa root',
        extensions: [forge.authority()],
      }),
      timestamp: timestampCertificate({ keys, time }),
    },
    rekor1: forgeLog(1, 'rekor.example', forge.ecKey()),
    rekor2: forgeLog(2, 'log2.example', forge.edKey()),
  };
}

export const timestampUsage: Uint8Array = forge.extension(
  '2.5.29.37',
  forge.der(0x30, forge.oid('1.3.6.1.5.5.7.3.8')),
  true,
);

/** A certificate of the timestamp authority. */
export function timestampCertificate(
  { keys, time }: Pick<Instance, 'keys' | 'time'>,
  plan: Partial<forge.CertificatePlan> = {},
): Uint8Array {
  return forge.certificate({
    subject: 'tsa',
    issuer: 'tsa root',
    key: keys.timestamp,
    by: keys.timestampRoot,
    from: time - 900,
    to: time + 900_000,
    extensions: [timestampUsage],
    ...plan,
  });
}

// Fulcio

export type LeafPlan = Partial<forge.CertificatePlan> & {
  readonly email?: string;
  /** In place of the mail address. */
  readonly uri?: string;
  readonly oidcIssuer?: string;
  /** More extensions. */
  readonly more?: readonly Uint8Array[];
  /** The certificate log's promises; default one. */
  readonly promises?: readonly PromisePlan[];
};

export type PromisePlan = {
  readonly key?: KeyPair;
  /** Milliseconds since 1970. */
  readonly time?: number;
  readonly extensions?: Uint8Array;
  readonly issuer?: Uint8Array;
  readonly version?: number;
};

/** A certificate as Fulcio issues it, and its key. */
export function issueLeaf(instance: Instance, plan: LeafPlan = {}): Leaf {
  const {
    email = 'alice@example.com',
    uri,
    oidcIssuer = 'https://issuer.example.com',
    more = [],
    promises = [{}],
  } = plan;
  const key = plan.key ?? forge.ecKey();
  const extensions = plan.extensions ?? [
    forge.codeSigning,
    forge.altNames([uri === undefined ? [1, email] : [6, uri]], true),
    forge.issuerText(oidcIssuer),
    forge.issuerUtf8(oidcIssuer),
    ...more,
  ];
  const whole: forge.CertificatePlan = {
    issuer: 'middle',
    by: instance.keys.middle,
    from: instance.time - 60,
    to: instance.time + 540,
    ...plan,
    key,
  };
  const bare = forge.certificate({ ...whole, extensions });
  if (promises.length === 0) return { key, der: bare };
  const list = promiseList(instance, parseCertificate(bare).signedPart, promises);
  return { key, der: forge.certificate({ ...whole, extensions: [...extensions, list] }) };
}

function promiseList(instance: Instance, part: Uint8Array, plans: readonly PromisePlan[]): Uint8Array {
  const list = concatBytes(...plans.map((plan) => vector(promiseBytes(instance, part, plan))));
  return forge.extension('1.3.6.1.4.1.11129.2.4.2', forge.der(0x04, vector(list)));
}

function promiseBytes(instance: Instance, part: Uint8Array, plan: PromisePlan): Uint8Array {
  const { key = instance.keys.certificateLog, time = instance.time * 1000 } = plan;
  const { extensions = new Uint8Array(), issuer = forge.spkiOf(instance.keys.middle), version = 0 } = plan;
  const moment = Buffer.alloc(8);
  moment.writeBigUInt64BE(BigInt(time));
  const length = Uint8Array.of(part.length >> 16, (part.length >> 8) & 0xff, part.length & 0xff);
  const signed = concatBytes(
    Uint8Array.of(version, 0),
    moment,
    Uint8Array.of(0, 1),
    sha256(issuer),
    length,
    part,
    vector(extensions),
  );
  const signature = vector(forge.signBytes(key, signed));
  const logId = sha256(forge.spkiOf(key));
  return concatBytes(
    Uint8Array.of(version),
    logId,
    moment,
    vector(extensions),
    Uint8Array.of(4, 3),
    signature,
  );
}

function vector(bytes: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes);
}

// Bundles

/** Of a bundle only what tests change; the rest is there all the same. */
export type BundleJson = {
  mediaType: string;
  verificationMaterial: Record<string, unknown> & { tlogEntries: EntryJson[] };
  messageSignature?: Record<string, unknown>;
  dsseEnvelope?: Record<string, unknown> & { signatures: Record<string, unknown>[] };
  [name: string]: unknown;
};

export type EntryJson = Record<string, unknown> & { inclusionProof: Record<string, unknown> };

export type BundlePlan = {
  readonly signer: Leaf | KeyPair;
  readonly content: Content;
  readonly logs?: readonly ('v1' | 'v2' | 'v1 intoto')[];
  readonly timestamps?: number;
  readonly version?: '0.1' | '0.2' | '0.3';
  /** Over the content's bytes; default by the signer. */
  readonly signature?: Uint8Array;
  readonly body?: (body: Body) => Body;
  readonly entry?: Partial<EntryOptions>;
  readonly timestamp?: Partial<TimestampPlan>;
  /** What it gives, or what it changed in place, is written. */
  readonly change?: (bundle: BundleJson) => unknown;
};

/** A bundle as JSON, and its signature. */
export function forgeBundle(
  instance: Instance,
  plan: BundlePlan,
): { readonly json: Uint8Array; readonly signature: Uint8Array } {
  const { signer, content, logs = ['v1'], timestamps = 0, version = '0.3', change = same } = plan;
  const key = 'der' in signer ? signer.key : signer;
  const signature = plan.signature ?? forge.signBytes(key, signedBytes(content));
  const stamp = {
    time: instance.time,
    key: instance.keys.timestamp,
    certificate: instance.certificates.timestamp,
  };
  const bundle = {
    mediaType:
      version === '0.3'
        ? 'application/vnd.dev.sigstore.bundle.v0.3+json'
        : `application/vnd.dev.sigstore.bundle+json;version=${version}`,
    verificationMaterial: {
      ...materialOf(signer, version),
      tlogEntries: logs.map((log) => entryOf(instance, log, { ...plan, signature })),
      timestampVerificationData: {
        rfc3161Timestamps: Array.from({ length: timestamps }, () => ({
          signedTimestamp: encodeBase64(forgeTimestamp(signature, { ...stamp, ...plan.timestamp })),
        })),
      },
    },
    ...contentOf(content, signature),
  };
  return { json: utf8(JSON.stringify(change(bundle as unknown as BundleJson) ?? bundle)), signature };
}

function materialOf(signer: Leaf | KeyPair, version: string): object {
  if (!('der' in signer)) return { publicKey: { hint: encodeBase64(sha256(forge.spkiOf(signer))) } };
  const certificate = { rawBytes: encodeBase64(signer.der) };
  return version === '0.3' ? { certificate } : { x509CertificateChain: { certificates: [certificate] } };
}

function contentOf(content: Content, signature: Uint8Array): object {
  const sig = encodeBase64(signature);
  if ('message' in content) {
    const digest = encodeBase64(sha256(content.message));
    return { messageSignature: { messageDigest: { algorithm: 'SHA2_256', digest }, signature: sig } };
  }
  const { payload, payloadType } = content;
  return { dsseEnvelope: { payload: encodeBase64(payload), payloadType, signatures: [{ sig }] } };
}

function entryOf(
  instance: Instance,
  log: 'v1' | 'v2' | 'v1 intoto',
  plan: BundlePlan & { readonly signature: Uint8Array },
): object {
  const body = log === 'v2' ? body2(plan) : log === 'v1 intoto' ? bodyInToto(plan) : body1(plan);
  const entry = { time: instance.time, ...plan.entry };
  return addEntry(log === 'v2' ? instance.rekor2 : instance.rekor1, plan.body?.(body) ?? body, entry);
}

function same<T>(value: T): T {
  return value;
}
