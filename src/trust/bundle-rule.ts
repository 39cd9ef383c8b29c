/** By what sigstore signatures are judged outside of policy.json: signer, witnesses, and what has to be said of the image. */
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import type { TransparencyLog, TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import type { CertificateIdentity } from './identity-rule.ts';

/**
 * `optional`: none is asked for; one that is there must hold where what is given can check it, else it is named as unchecked.
 * `ignored`: not looked at.
 */
export type Demand = 'required' | 'optional' | 'ignored';

export type BundleSigner =
  /** Any of them. A certificate that comes with a signature never stands in for a key. */
  | { readonly kind: 'keys'; readonly keys: readonly SigstorePublicKey[] }
  /** Anybody to whom a trusted root's authority has certified this identity. */
  | { readonly kind: 'identity'; readonly identity: CertificateIdentity };

/** Stands for every predicate type. */
export const anyPredicateType = 'any';

export type BundleRule = {
  readonly signer: BundleSigner;
  /** Each is one instance: certificate, log, timestamp and SCT must all hold by one and the same. */
  readonly roots: readonly TrustedRoot[];
  /** Logs known by their key alone (`--rekor-key`), besides those of the roots. */
  readonly logKeys?: readonly SigstorePublicKey[];
  readonly log: Demand;
  readonly timestamp: Demand;
  /** Whether a certificate must be in a certificate log. */
  readonly sct: Demand;
  /** What a statement has to say of the image; `anyPredicateType` where that is asked for. Attachments (`.sig`) have none. */
  readonly predicateType: string;
  /** The name that the statement's subject must have. Default: any, or none. */
  readonly subjectName?: string;
  /** Milliseconds since 1970. Certificates are judged by it where no witness is demanded and none is there. */
  readonly now: number;
};

/** All logs whose entries count: those of the roots given and those known by their key. */
export function logsOf(
  roots: readonly TrustedRoot[],
  keys: BundleRule['logKeys'] = [],
): readonly TransparencyLog[] {
  return [...roots.flatMap(({ transparencyLogs }) => transparencyLogs), ...keys.map(logOfKey)];
}

const logs = new WeakMap<SigstorePublicKey, TransparencyLog>();

/** Rekor v1's id is its key's; of v2 a key alone does not tell the name that goes into the id. */
function logOfKey(key: SigstorePublicKey): TransparencyLog {
  const logId = new Uint8Array(Buffer.from(key.keyId, 'hex'));
  const known = logs.get(key) ?? {
    baseUrl: '',
    key,
    logId,
    checkpointKeyId: logId,
    validFor: { start: Number.NEGATIVE_INFINITY },
  };
  logs.set(key, known);
  return known;
}
