/** Judging by keys that were given by hand (`verify --key`), without a policy. */
import { isNameOnly, tryParseReference } from '../base/reference.ts';
import type { SignedClaim } from '../formats/claim.ts';
import type { Keyring } from '../keys/openpgp/keyring.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { defaultIdentity, type SignedIdentity } from './requirement.ts';
import { conclude } from './signatures.ts';
import { concludeSignedBy, judgeSignature } from './signed-by.ts';
import { signersByKey } from './sigstore-keys.ts';
import { concludeSigstoreSigned, judgeAttachment } from './sigstore-signed.ts';
import type { RequirementVerdict, SignatureVerdict, StoredLike, Subject, Verdict } from './verdict.ts';

/** Keys, any of which may have signed. */
export type GivenKeys = {
  /** For GPG signatures. */
  readonly keyring?: Keyring;
  /** For sigstore's (parseSigstorePublicKey). */
  readonly sigstore?: readonly SigstorePublicKey[];
  /** Rekor's (parseRekorKey): a log entry that is there must hold. Without them it is named as not checked. */
  readonly rekorKeys?: readonly SigstorePublicKey[];
  /** A log entry must be there, and hold by `rekorKeys`. */
  readonly requireLog?: boolean;
};

/**
 * Judges an image by keys alone: one requirement, with the identity rule that a policy has by default
 * (matchRepoDigestOrExact), so that a signature made for another image of the repository does not pass. A
 * sigstore signature that names a repository only, as cosign makes them, counts for all of it. An
 * image without a Docker reference needs one (`--as`). Reading ends with the first signature that is accepted.
 */
export async function evaluateKeys(keys: GivenKeys, subject: Subject, now: Date): Promise<Verdict> {
  const judge = judgeBy(keys, subject, now);
  const [stored, verdicts]: [StoredLike[], SignatureVerdict[]] = [[], []];
  for await (const each of subject.signatures()) {
    const verdict = judge(each);
    stored.push(each);
    verdicts.push(verdict);
    if (verdict.accepted) break;
  }
  const requirement = concludeBy(keys, stored, verdicts);
  return { accepted: requirement.accepted, scope: null, requirements: [requirement] };
}

function judgeBy(keys: GivenKeys, subject: Subject, now: Date): (stored: StoredLike) => SignatureVerdict {
  const { keyring, sigstore, rekorKeys, requireLog = false } = keys;
  const log =
    rekorKeys === undefined && !requireLog ? undefined : { keys: rekorKeys ?? [], demanded: requireLog };
  return (stored) => {
    if (keyring !== undefined && (sigstore === undefined || stored.signature.format === 'simple')) {
      return judgeSignature(stored, { keyring, identity: defaultIdentity, now }, subject);
    }
    const rule = {
      signers: (untrusted: Parameters<typeof signersByKey>[0]) =>
        signersByKey(untrusted, sigstore ?? [], log),
      identity: identityFor,
      now,
    };
    return judgeAttachment(stored, rule, subject);
  };
}

function identityFor({ dockerReference }: SignedClaim): SignedIdentity {
  const reference = tryParseReference(dockerReference);
  return reference !== undefined && isNameOnly(reference) ? { type: 'matchRepository' } : defaultIdentity;
}

function concludeBy(
  { keyring, sigstore }: GivenKeys,
  stored: readonly StoredLike[],
  verdicts: readonly SignatureVerdict[],
): RequirementVerdict {
  if (sigstore === undefined) return concludeSignedBy(verdicts);
  if (keyring === undefined) return concludeSigstoreSigned(stored, verdicts);
  return conclude('signedByKeys', verdicts, verdicts, '');
}
