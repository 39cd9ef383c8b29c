/** What proves a signature, as the annotations of an attachment hold it: texts as cosign and skopeo write them. */
import { encodeBase64, hexOfBytes } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { encodePem } from '../keys/sigstore/pem.ts';
import type { UntrustedLogEntry } from '../witnesses/log-entry.ts';
import type { CosignProof } from './cosign.ts';

export type Proof = {
  /** DER: the signer's own, then those up to the root. */
  readonly certificates?: readonly [Uint8Array, ...Uint8Array[]] | undefined;
  /** Of Rekor v1: it has a SET, the one proof that an attachment holds. */
  readonly logEntry?: UntrustedLogEntry;
  /** RFC 3161, DER. */
  readonly timestamp?: Uint8Array;
};

/**
 * The annotations' texts. The chain holds all above the signer's own, the root too, as skopeo writes it: podman and skopeo leave
 * the last one of it aside, so an intermediate that stood last would be lost.
 * @throws BullaError `usage.unsupported` for an entry of a log that gives no SET
 */
export function encodeProof({ certificates, logEntry, timestamp }: Proof): CosignProof {
  const [leaf, ...above] = certificates ?? [];
  return {
    ...(leaf !== undefined && { certificate: pemText(leaf), chain: above.map(pemText).join('') }),
    ...(logEntry !== undefined && { bundle: encodeSet(logEntry) }),
    ...(timestamp !== undefined && {
      timestamp: JSON.stringify({ SignedRFC3161Timestamp: encodeBase64(timestamp) }),
    }),
  };
}

function pemText(der: Uint8Array): string {
  return Buffer.from(encodePem('CERTIFICATE', der)).toString('latin1');
}

/** Numbers as JSON numbers, written from their digits: none is lost. */
function encodeSet({
  signedEntryTimestamp,
  integratedTime,
  logIndex,
  logId,
  body,
}: UntrustedLogEntry): string {
  if (signedEntryTimestamp === undefined || integratedTime === undefined) {
    throw new BullaError('usage.unsupported', 'a .sig attachment has no place for an entry of a Rekor v2', {
      hint: 'sign as a bundle: --signature-format bundle',
    });
  }
  const set = `"SignedEntryTimestamp":"${encodeBase64(signedEntryTimestamp)}"`;
  const entry = `"body":"${encodeBase64(body)}","integratedTime":${integratedTime}`;
  return `{${set},"Payload":{${entry},"logIndex":${logIndex},"logID":"${hexOfBytes(logId)}"}}`;
}
