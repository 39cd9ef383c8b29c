/** Judging signature attachments by their signers and an identity rule: the requirement sigstoreSigned. */
import { printable } from '../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import type { SignedClaim } from '../formats/claim.ts';
import {
  cosignAnnotations,
  cosignMediaType,
  type CosignSignature,
  parseCosignPayload,
  signatureOf,
} from '../formats/cosign.ts';
import { readUntrustedCosign } from '../formats/cosign-untrusted.ts';
import { type SigstorePublicKey, verifySigstoreSignature } from '../keys/sigstore/public-key.ts';
import { type Match, matchIdentity } from './identity.ts';
import type { SignedIdentity } from './requirement.ts';
import { conclude } from './signatures.ts';
import type { FindSigners } from './sigstore-signer.ts';
import type { RequirementVerdict, SignatureVerdict, StoredLike, Subject } from './verdict.ts';

/** What a signature attachment is judged by. */
export type SigstoreRule = {
  readonly signers: FindSigners;
  /** The identity rule for a signature with that claim. */
  readonly identity: (claim: SignedClaim) => SignedIdentity;
  readonly now: Date;
};

type Named = Pick<Subject, 'manifestDigest' | 'dockerReference'>;

/** Whether it is a signature in an attachment: only those are candidates of sigstoreSigned. */
export function isCandidate({ signature }: StoredLike): boolean {
  return signature.format === 'cosign' && signature.mediaType === cosignMediaType;
}

/**
 * Judges one signature, in this order: who may have signed (log entry, certificate), the signature, the
 * payload's form, the manifest's digest, the name. Nothing of the payload is looked at before its
 * signature holds.
 */
export function judgeAttachment(stored: StoredLike, rule: SigstoreRule, subject: Named): SignatureVerdict {
  const { signature, location } = stored;
  if (signature.format !== 'cosign' || !isCandidate(stored)) return noCandidate(stored);
  const base = { format: signature.format, store: location };
  const refused = (code: ErrorCode, message: string): SignatureVerdict => {
    return { ...base, untrusted: readUntrustedCosign(signature), accepted: false, code, message };
  };
  const signed = verifyAttachment(signature, rule);
  if (!signed.ok) return refused(signed.code, signed.message);
  const { key, identity, note } = signed;
  const proven = { ...base, ...(identity === undefined ? { key: key.keyId } : { identity }) };
  const claim = readClaim(signature);
  if (!claim.ok) return { ...proven, accepted: false, code: claim.code, message: claim.message };
  const named = identity === undefined ? { ...proven, identity: claim.dockerReference } : proven;
  const match = matchClaim(claim, rule, subject);
  if (!match.ok) return { ...named, accepted: false, code: match.code, message: match.message };
  const by = identity === undefined ? key.keyId : printable(identity);
  const message = `signed by ${by} for ${printable(claim.dockerReference)}${note === undefined ? '' : `; ${note}`}`;
  return {
    ...named,
    ...(note !== undefined && { notes: [note] }),
    reference: claim.dockerReference,
    accepted: true,
    code: 'accepted',
    message,
  };
}

type Fault = { readonly ok: false; readonly code: ErrorCode; readonly message: string };
type Signed = {
  readonly ok: true;
  readonly key: SigstorePublicKey;
  readonly identity?: string;
  readonly note?: string;
};

function verifyAttachment(attachment: CosignSignature, { signers, now }: SigstoreRule): Signed | Fault {
  const { payload, annotations } = attachment;
  try {
    const signature = signatureOf(attachment);
    const certificate = annotations[cosignAnnotations.certificate];
    const chain = annotations[cosignAnnotations.chain];
    const logEntry = annotations[cosignAnnotations.bundle];
    const found = signers({ payload, signature, certificate, chain, logEntry }, now.getTime());
    if (!found.ok) return found;
    const { keys, ...rest } = found;
    const key = keys.find((each) => verifySigstoreSignature(each, payload, signature));
    if (key !== undefined) return { ...rest, key };
    const whose = keys.length === 1 ? 'the key' : 'one of the keys';
    return {
      ok: false,
      code: 'signature.invalid',
      message: `the signature is not by ${whose} that ${keys.length === 1 ? 'is' : 'are'} wanted`,
    };
  } catch (error) {
    return faultOf(error);
  }
}

function readClaim({ payload }: CosignSignature): (SignedClaim & { readonly ok: true }) | Fault {
  try {
    return { ok: true, ...parseCosignPayload(payload) };
  } catch (error) {
    return faultOf(error);
  }
}

function faultOf(error: unknown): Fault {
  if (!isBullaError(error)) throw error;
  return { ok: false, code: error.code, message: error.message };
}

function matchClaim(claim: SignedClaim, rule: SigstoreRule, subject: Named): { readonly ok: true } | Fault {
  // only sha256 can match: it is what subject.manifestDigest is
  if (claim.manifestDigest !== subject.manifestDigest) {
    const message = `signed for the manifest ${claim.manifestDigest}, this image's is ${subject.manifestDigest}`;
    return { ok: false, code: 'signature.wrong-digest', message };
  }
  const match: Match = matchIdentity(rule.identity(claim), subject.dockerReference, claim.dockerReference);
  return match.ok ? match : { ...match, code: 'signature.wrong-identity' };
}

/** The verdict on what sigstoreSigned does not read. */
export function noCandidate({ signature, location }: StoredLike): SignatureVerdict {
  const base = { format: signature.format, store: location, accepted: false };
  if (signature.format === 'unreadable') return { ...base, code: signature.code, message: signature.message };
  const what =
    signature.format === 'cosign'
      ? `an attachment of the type ${printable(signature.mediaType)}, which is no signature`
      : `a ${signature.format} signature, where a sigstore one is wanted`;
  return { ...base, code: 'signature.wrong-type', message: what };
}

function isReason(stored: StoredLike | undefined): boolean {
  return stored !== undefined && (isCandidate(stored) || stored.signature.format === 'unreadable');
}

/** Any accepted signature is enough. `judged` are the signatures that the verdicts are about, in their order. */
export function concludeSigstoreSigned(
  judged: readonly StoredLike[],
  verdicts: readonly SignatureVerdict[],
): RequirementVerdict {
  const candidates = verdicts.filter((_, index) => isReason(judged[index]));
  const attachments = verdicts.filter(({ format }) => format === 'cosign').length;
  const counts = `${verdicts.length - attachments} of another kind, ${attachments} sigstore attachments that are no signature`;
  return conclude('sigstoreSigned', verdicts, candidates, verdicts.length === 0 ? '' : ` (${counts})`);
}
