/** Judging signatures against a keyring and an identity rule: the requirement signedBy. */
import { printable } from '../base/bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import { verifySimpleSigning } from '../formats/simple-signing.ts';
import type { Keyring } from '../keys/openpgp/keyring.ts';
import { matchIdentity } from './identity.ts';
import type { SignedIdentity } from './requirement.ts';
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
export function judgeSignature(stored: StoredLike, rule: SimpleRule, subject: Subject): SignatureVerdict {
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

/**
 * One stored thing that is no signature refuses the image, whatever stands beside it: containers/image
 * does not get past reading it. Undefined where there is none.
 */
export function refuseUnreadable(all: readonly StoredLike[]): RequirementVerdict | undefined {
  const bad = all.find(({ signature }) => signature.format === 'unreadable');
  if (bad === undefined) return undefined;
  const verdict = ofAnotherKind(bad);
  const { message } = verdict;
  const code = verdict.code === 'accepted' ? 'signature.unrecognized' : verdict.code;
  return { type: 'signedBy', accepted: false, code, message, signatures: [verdict] };
}

/** Any accepted signature is enough. */
export function concludeSignedBy(verdicts: readonly SignatureVerdict[]): RequirementVerdict {
  const type = 'signedBy';
  if (verdicts.some(({ accepted }) => accepted)) return { type, accepted: true, signatures: verdicts };
  const simple = verdicts.filter(({ format }) => format === 'simple' || format === 'unreadable');
  if (simple.length === 0) {
    const others =
      verdicts.length === 0 ? '' : ` (${verdicts.length} of another kind, which signedBy does not read)`;
    const message = `a signature is required, but the image has none${others}`;
    return { type, accepted: false, code: 'trust.no-signature', message, signatures: verdicts };
  }
  const reasons = simple.map(({ message }) => message);
  const message =
    reasons.length === 1
      ? (reasons[0] ?? '')
      : `none of ${reasons.length} signatures is accepted: ${[...new Set(reasons)].slice(0, 5).join('; ')}`;
  return { type, accepted: false, code: 'trust.not-accepted', message, signatures: verdicts };
}
