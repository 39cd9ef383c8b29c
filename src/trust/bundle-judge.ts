/** Judging what hangs on an image: bundles, cosign 2's attestations, and `.sig` attachments by identity. */
import { printable } from '../base/bytes.ts';
import { hexOf } from '../base/digest.ts';
import type { ErrorCode } from '../base/errors.ts';
import { parseBundle } from '../formats/bundle-parse.ts';
import { cosignMediaType, parseCosignPayload, signatureOf } from '../formats/cosign.ts';
import { type Envelope, parseEnvelope } from '../formats/dsse.ts';
import type { Signature } from '../formats/signature.ts';
import { cosignSignPredicateType, type Statement } from '../formats/statement.ts';
import type { BundleRule } from './bundle-rule.ts';
import { type Fault, fault } from './bundle-witness.ts';
import { judgeEvidence } from './evidence-judge.ts';
import type { Signed } from './evidence-signer.ts';
import { orFault, type Place, proven, refused, signedBy } from './evidence-verdict.ts';
import { evidenceOfAnnotations, evidenceOfBundle, type UntrustedEvidence } from './evidence.ts';
import { matchIdentity } from './identity.ts';
import { claimedIdentity } from './claimed-identity.ts';
import type { SignedIdentity } from './requirement.ts';
import { foreignPredicate, readStatement, wrongSubject } from './statement-judge.ts';
import type { SignatureVerdict, StoredLike, Subject } from './verdict.ts';

type Judged = Pick<Subject, 'manifestDigest' | 'dockerReference'>;

/**
 * Judges a bundle about an image: a DSSE envelope with an in-toto statement. In this order: its form; the predicate type (a foreign
 * one is passed over: `signature.wrong-predicate`); signature, signer and witnesses; the subject.
 */
export function judgeBundle(stored: StoredLike, rule: BundleRule, subject: Judged): SignatureVerdict {
  const { signature } = stored;
  if (signature.format !== 'bundle') return ofOtherFormat(stored, 'a bundle');
  return judgeEnvelope(stored, rule, subject, () => {
    const bundle = parseBundle(signature.json);
    const { content } = bundle;
    if (content.kind === 'dsse') {
      return { envelope: content, evidence: () => evidenceOfBundle(bundle, content) };
    }
    return fault('signature.wrong-type', 'a signature of bytes, where a statement about an image is wanted');
  });
}

/** Judges an attestation of cosign up to 2 (`.att`), by the same order. */
export function judgeOldAttestation(stored: StoredLike, rule: BundleRule, subject: Judged): SignatureVerdict {
  const { signature } = stored;
  if (signature.format !== 'attestation') return ofOtherFormat(stored, 'an attestation');
  return judgeEnvelope(stored, rule, subject, () => {
    const envelope = parseEnvelope(signature.envelope);
    const signed = {
      content: { kind: 'dsse', payloadType: envelope.payloadType, payload: envelope.payload },
      signature: envelope.signature,
      hashing: 'bundle',
    } as const;
    return { envelope, evidence: () => evidenceOfAnnotations(signature.annotations, signed) };
  });
}

type Opened = { readonly envelope: Envelope; readonly evidence: () => UntrustedEvidence };

function judgeEnvelope(
  stored: StoredLike,
  rule: BundleRule,
  subject: Judged,
  open: () => Opened | Fault,
): SignatureVerdict {
  const opened = orFault(open);
  if ('ok' in opened) return refused(placeOf(stored), opened);
  const read = readStatement(opened.envelope.payloadType, opened.envelope.payload);
  if (!read.ok) return refused(placeOf(stored), read);
  const { statement } = read;
  const untrusted = { predicateType: statement.predicateType };
  const foreign = foreignPredicate(statement, rule);
  if (foreign !== undefined) return { ...refused(placeOf(stored), foreign), untrusted };
  const signed = judgeEvidence(opened.evidence, rule);
  if (!signed.ok) return { ...refused(placeOf(stored), signed), untrusted };
  const wrong = wrongSubject(statement, digestsOf(subject), rule);
  const verdict = stated(stored, signed, statement, wrong);
  const isAsked = rule.predicateType !== cosignSignPredicateType;
  return verdict.accepted && isAsked ? { ...verdict, statement: opened.envelope.payload } : verdict;
}

/** The statement is vouched for by here. */
function stated(
  stored: StoredLike,
  signed: Signed,
  { predicateType }: Statement,
  wrong: Fault | undefined,
): SignatureVerdict {
  const base = { ...proven(placeOf(stored), signed), predicateType };
  if (wrong !== undefined) return { ...base, accepted: false, code: wrong.code, message: wrong.message };
  const message = [`${signedBy(signed)}, stating ${printable(predicateType)}`, ...signed.notes].join('; ');
  return { ...base, accepted: true, code: 'accepted', message };
}

/**
 * Judges a `.sig` attachment, whose payload names digest and repository.
 * @param identity the rule for its name; default: as for `--key` (matchRepoDigestOrExact; a name without tag counts for the
 *   repository, as cosign writes them)
 */
export function judgeSigAttachment(
  stored: StoredLike,
  rule: BundleRule,
  subject: Judged,
  identity?: SignedIdentity,
): SignatureVerdict {
  const { signature } = stored;
  if (signature.format !== 'cosign') return ofOtherFormat(stored, 'a signature attachment');
  const signed = judgeEvidence(() => evidenceOfAttachment(signature), rule);
  if (!signed.ok) return refused(placeOf(stored), signed);
  const base = proven(placeOf(stored), signed);
  const claim = orFault(() => parseCosignPayload(signature.payload));
  if ('ok' in claim) return { ...base, accepted: false, code: claim.code, message: claim.message };
  const { dockerReference, manifestDigest } = claim;
  const named = { ...base, ...(signed.identity === undefined && { identity: dockerReference }) };
  const refuse = (code: ErrorCode, message: string): SignatureVerdict => ({
    ...named,
    accepted: false,
    code,
    message,
  });
  if (manifestDigest !== subject.manifestDigest) {
    const message = `signed for the manifest ${manifestDigest}, this image's is ${subject.manifestDigest}`;
    return refuse('signature.wrong-digest', message);
  }
  const match = matchIdentity(
    identity ?? claimedIdentity(dockerReference),
    subject.dockerReference,
    dockerReference,
  );
  if (!match.ok) return refuse('signature.wrong-identity', match.message);
  const message = [`${signedBy(signed)} for ${printable(dockerReference)}`, ...signed.notes].join('; ');
  return { ...named, reference: dockerReference, accepted: true, code: 'accepted', message };
}

function evidenceOfAttachment(signature: Extract<Signature, { format: 'cosign' }>): UntrustedEvidence {
  const { payload, annotations } = signature;
  const signed = { signature: signatureOf(signature), hashing: 'simple' } as const;
  return evidenceOfAnnotations(annotations, { ...signed, content: { kind: 'message', message: payload } });
}

function digestsOf({ manifestDigest }: Judged): ReadonlyMap<string, string> {
  return new Map([['sha256', hexOf(manifestDigest)]]);
}

/** Judges whatever format a sigstore signature has; a GPG signature is of another kind. */
export function judgeStored(
  stored: StoredLike,
  rule: BundleRule,
  subject: Judged,
  identity?: SignedIdentity,
): SignatureVerdict {
  const { signature } = stored;
  switch (signature.format) {
    case 'bundle':
      return judgeBundle(stored, rule, subject);
    case 'attestation':
      return judgeOldAttestation(stored, rule, subject);
    case 'cosign':
      return signature.mediaType === cosignMediaType
        ? judgeSigAttachment(stored, rule, subject, identity)
        : refused(
            placeOf(stored),
            fault(
              'signature.wrong-type',
              `an attachment of the type ${printable(signature.mediaType)}, which is no signature`,
            ),
          );
    case 'simple':
    case 'notary':
    case 'unreadable':
      return ofOtherFormat(stored, 'a sigstore one');
  }
}

/** The verdict on what is of another format than the one that is judged. */
export function ofOtherFormat(stored: StoredLike, wanted: string): SignatureVerdict {
  const { signature } = stored;
  if (signature.format === 'unreadable')
    return refused(placeOf(stored), fault(signature.code, signature.message));
  return refused(
    placeOf(stored),
    fault('signature.wrong-type', `a ${signature.format} signature, where ${wanted} is wanted`),
  );
}

function placeOf({ signature, location }: StoredLike): Place {
  return { format: signature.format, store: location };
}
