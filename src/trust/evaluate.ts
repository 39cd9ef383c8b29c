/**
 * The decision (containers-policy.json.5): the scope's requirements must all accept; a signature
 * requirement accepts if any one signature of the image satisfies it.
 *
 * All signatures are read before the verdict, and none where no requirement wants any. A verdict
 * is returned; what makes a decision impossible (a store that cannot be read, a key file that is
 * not there) is thrown.
 */
import { keyringOf } from './keyrings.ts';
import type { KeyReader } from './material.ts';
import { type Policy, whereIs } from './policy.ts';
import type { Requirement, SignedBy, SigstoreSigned } from './requirement.ts';
import { selectRequirements } from './scopes.ts';
import { refuseUnreadable } from './signatures.ts';
import { concludeSignedBy, judgeSignature, ofAnotherKind } from './signed-by.ts';
import { signersOf } from './sigstore-material.ts';
import { concludeSigstoreSigned, isCandidate, judgeAttachment, noCandidate } from './sigstore-signed.ts';
import type { RequirementVerdict, StoredLike, Subject, Verdict } from './verdict.ts';

export { evaluateKeys } from './given-keys.ts';
export type { Subject, Verdict } from './verdict.ts';

export type EvaluateContext = {
  /** Keys and signatures are judged as of this moment. */
  readonly now: Date;
  /**
   * Reads a key file that the policy names. Hand in the same function for all images of a command:
   * keyrings are read and parsed once for each such function and requirement.
   */
  readonly keyring: KeyReader;
  /** Refuse what the policy accepts without asking for a signature (skopeo's --require-signed). */
  readonly requireSigned?: boolean;
};

/**
 * Judges an image by a policy.
 * @throws BullaError `trust.key-unavailable`, and whatever `subject.signatures` throws
 */
export async function evaluate(policy: Policy, subject: Subject, context: EvaluateContext): Promise<Verdict> {
  const { scope, requirements } = selectRequirements(policy, subject);
  const signatures = readOnce(subject);
  const verdicts: RequirementVerdict[] = [];
  for (const requirement of requirements) {
    const verdict = await judge(requirement, { policy, subject, context, signatures });
    verdicts.push(verdict);
    if (!verdict.accepted) return { accepted: false, scope, requirements: verdicts };
  }
  if (context.requireSigned === true && !requirements.some(wantsSignature)) verdicts.push(unsignedScope);
  // an empty list cannot be parsed; were there one, it would accept nothing
  const accepted = verdicts.length > 0 && verdicts.every((verdict) => verdict.accepted);
  return { accepted, scope, requirements: verdicts };
}

type Judging = {
  readonly policy: Policy;
  readonly subject: Subject;
  readonly context: EvaluateContext;
  readonly signatures: () => Promise<readonly StoredLike[]>;
};

async function judge(requirement: Requirement, judging: Judging): Promise<RequirementVerdict> {
  const { type } = requirement;
  // only a refusal pays for finding its line in the text
  const place = (): string => whereIs(judging.policy, requirement.source);
  switch (requirement.type) {
    case 'insecureAcceptAnything':
      return { type, accepted: true, signatures: [] };
    case 'reject':
      return refused(type, 'trust.rejected', `the policy rejects it (${place()})`);
    case 'signedBaseLayer':
      return refused(
        type,
        'trust.rejected',
        `signedBaseLayer accepts nothing, here as in podman (${place()})`,
      );
    case 'sigstoreSigned':
      return judgeSigstoreSigned(requirement, judging);
    case 'signedBy':
      return judgeSignedBy(requirement, judging, place);
  }
}

async function judgeSignedBy(
  requirement: SignedBy,
  { policy, subject, context, signatures }: Judging,
  place: () => string,
): Promise<RequirementVerdict> {
  const all = await signatures();
  const unreadable = refuseUnreadable(requirement.type, all);
  if (unreadable !== undefined) return unreadable;
  // without a signature there is nothing to judge, and the keys are not looked at (as containers/image)
  if (!all.some(({ signature }) => signature.format === 'simple')) {
    return concludeSignedBy(all.map(ofAnotherKind));
  }
  if (requirement.keyType !== 'GPGKeys') {
    const why = `the key type ${requirement.keyType} accepts nothing, here as in podman: write GPGKeys (${place()})`;
    return refused(requirement.type, 'trust.not-accepted', why);
  }
  const keyring = await keyringOf(policy, requirement, context.keyring);
  const rule = { keyring, identity: requirement.signedIdentity, now: context.now };
  return concludeSignedBy(all.map((stored) => judgeSignature(stored, rule, subject)));
}

async function judgeSigstoreSigned(
  requirement: SigstoreSigned,
  { policy, subject, context, signatures }: Judging,
): Promise<RequirementVerdict> {
  const all = await signatures();
  const unreadable = refuseUnreadable(requirement.type, all);
  if (unreadable !== undefined) return unreadable;
  // as above: without a candidate the keys are not looked at
  if (!all.some(isCandidate)) return concludeSigstoreSigned(all, all.map(noCandidate));
  const signers = await signersOf(policy, requirement, context.keyring);
  const rule = { signers, identity: () => requirement.signedIdentity, now: context.now };
  return concludeSigstoreSigned(
    all,
    all.map((stored) => judgeAttachment(stored, rule, subject)),
  );
}

function refused(
  type: string,
  code: 'trust.rejected' | 'trust.not-accepted',
  message: string,
): RequirementVerdict {
  return { type, accepted: false, code, message, signatures: [] };
}

function wantsSignature({ type }: Requirement): boolean {
  return type === 'signedBy' || type === 'sigstoreSigned';
}

const unsignedScope: RequirementVerdict = {
  type: 'requireSigned',
  accepted: false,
  code: 'trust.not-required',
  message: 'a signature is demanded (--require-signed), but the policy asks for none in this scope',
  signatures: [],
};

/** Reads the signatures when first asked for, and keeps them for the next requirement. */
function readOnce(subject: Subject): () => Promise<readonly StoredLike[]> {
  let read: Promise<readonly StoredLike[]> | undefined;
  return () => (read ??= readToUnreadable(subject));
}

/**
 * The first thing that is no signature decides, so nothing after it is read (as containers/image):
 * a web server that answers every name with its sign-in page would be asked 128 times.
 */
async function readToUnreadable(subject: Subject): Promise<readonly StoredLike[]> {
  const found: StoredLike[] = [];
  for await (const stored of subject.signatures()) {
    found.push(stored);
    if (stored.signature.format === 'unreadable') break;
  }
  return found;
}
