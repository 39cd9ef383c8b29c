/** Judging signatures against a keyring and an identity rule: the requirement signedBy. */
import { printable } from '../base/bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import { verifySimpleSigning } from '../formats/simple-signing.ts';
import type { Keyring } from '../keys/openpgp/keyring.ts';
import { matchIdentity } from './identity.ts';
import type { SignedIdentity } from './requirement.ts';
import { conclude } from './signatures.ts';
import type { RequirementVerdict, SignatureVerdict, StoredLike, Subject } from './verdict.ts';

/** What a simple signature is judged by. */
export type SimpleRule = {
  readonly keyring: Keyring;
  readonly identity: SignedIdentity;
  readonly now: Date;
};

/**
 * Judges one signature, in this order: the signature itself, its key, the payload's form, the
 * manifest's digest, the name. Nothing of the payload is looked at before the key has been accepted.
 */
export function judgeSignature(
  stored: StoredLike,
  rule: SimpleRule,
  subject: Pick<Subject, 'manifestDigest' | 'dockerReference'>,
): SignatureVerdict {
  const { signature, location } = stored;
  const base = { format: signature.format, store: location };
  if (signature.format !== 'simple') return ofAnotherKind(stored);
  const result = verifySimpleSigning(signature.blob, rule.keyring, rule.now);
  if (!result.ok) {
    const { code, message, untrusted } = result;
    return { ...base, untrusted, accepted: false, code, message };
  }
  const signed = { ...base, key: result.fingerprint, identity: result.claim.dockerReference };
  const refused = (code: ErrorCode, message: string): SignatureVerdict => ({
    ...signed,
    accepted: false,
    code,
    message,
  });
  // only sha256 can match: it is what subject.manifestDigest is
  if (result.claim.manifestDigest !== subject.manifestDigest) {
    const message = `signed for the manifest ${result.claim.manifestDigest}, this image's is ${subject.manifestDigest}`;
    return refused('signature.wrong-digest', message);
  }
  const match = matchIdentity(rule.identity, subject.dockerReference, result.claim.dockerReference);
  if (!match.ok) return refused('signature.wrong-identity', match.message);
  const message = `signed by ${result.fingerprint} for ${printable(result.claim.dockerReference)}`;
  return { ...signed, accepted: true, code: 'accepted', message };
}

/** The verdict on a signature that signedBy does not read. */
export function ofAnotherKind({ signature, location }: StoredLike): SignatureVerdict {
  const base = { format: signature.format, store: location, accepted: false };
  if (signature.format === 'unreadable') {
    return { ...base, code: signature.code, message: signature.message };
  }
  const message = `a ${signature.format} signature, where a GPG one is wanted`;
  return { ...base, code: 'signature.wrong-type', message };
}

/** Any accepted signature is enough. */
export function concludeSignedBy(verdicts: readonly SignatureVerdict[]): RequirementVerdict {
  const simple = verdicts.filter(({ format }) => format === 'simple' || format === 'unreadable');
  const others =
    verdicts.length === 0 ? '' : ` (${verdicts.length} of another kind, which signedBy does not read)`;
  return conclude('signedBy', verdicts, simple, others);
}
