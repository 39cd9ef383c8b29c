/** Who has signed, by a rule: the part of the judgement that is the same for bundles, attestations, attachments and blobs. */
import { isBullaError } from '../base/errors.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { signedByCertificate } from './bundle-certificate.ts';
import { type BundleRule, logsOf } from './bundle-rule.ts';
import { type Fault, fault, judgeWitnesses } from './bundle-witness.ts';
import { isSignedBy } from './evidence-message.ts';
import type { Signed } from './evidence-signer.ts';
import type { UntrustedEvidence } from './evidence.ts';

/**
 * Judges signature, signer and witnesses. What was signed is the caller's to compare with what it should be about, afterwards.
 * @param read takes the evidence apart; what it throws as a BullaError is the refusal
 */
export function judgeEvidence(read: () => UntrustedEvidence, rule: BundleRule): Signed | Fault {
  try {
    const evidence = read();
    const { signer } = rule;
    return signer.kind === 'keys'
      ? signedByKeys(evidence, signer.keys, rule)
      : signedByCertificate(evidence, signer.identity, rule);
  } catch (error) {
    if (isBullaError(error)) return fault(error.code, error.message);
    throw error;
  }
}

/**
 * The log's entry must be about the very key. An attachment may bring a certificate for a key that is judged by key, as its
 * annotations are nobody's word; a bundle says by its form which of the two has signed.
 */
function signedByKeys(
  evidence: UntrustedEvidence,
  keys: readonly SigstorePublicKey[],
  rule: BundleRule,
): Signed | Fault {
  if (evidence.certificates !== undefined && evidence.hashing === 'bundle') {
    return fault('signature.wrong-signer', 'signed by a certificate, where a key is wanted');
  }
  const key = keys.find((each) => isSignedBy(evidence, each));
  if (key === undefined) {
    const whose = keys.length === 1 ? 'the key that is wanted' : 'one of the keys that are wanted';
    return fault('signature.invalid', `the signature is not by ${whose}`);
  }
  const witnessed = judgeWitnesses(
    evidence,
    { kind: 'key', key },
    {
      logs: logsOf(rule.roots, rule.logKeys),
      authorities: rule.roots.flatMap(({ timestampAuthorities }) => timestampAuthorities),
      ...demandsOf(evidence, rule),
    },
  );
  if (!witnessed.ok) return witnessed;
  const { times, isLogged, notes } = witnessed;
  return {
    ok: true,
    signer: `key:${key.keyId}`,
    key: key.keyId,
    times,
    isLogged,
    notes,
  };
}

/**
 * Who gives a root wants what is there to be checked by it: a log entry is not passed over because the root has no log, nor a
 * timestamp because the root vouches for nothing at all.
 */
function demandsOf(
  { logEntries, timestamps }: UntrustedEvidence,
  { roots, log, timestamp }: BundleRule,
): Pick<BundleRule, 'log' | 'timestamp'> {
  const isUseless = roots.every(
    ({ transparencyLogs, timestampAuthorities }) =>
      transparencyLogs.length + timestampAuthorities.length === 0,
  );
  const mustHold = { log: logEntries.length > 0, timestamp: isUseless && timestamps.length > 0 };
  return {
    log: log === 'optional' && roots.length > 0 && mustHold.log ? 'required' : log,
    timestamp: timestamp === 'optional' && roots.length > 0 && mustHold.timestamp ? 'required' : timestamp,
  };
}
