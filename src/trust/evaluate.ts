/**
 * The decision (containers-policy.json.5): the scope's requirements must all accept; a signature
 * requirement accepts if any one signature of the image satisfies it.
 *
 * All signatures are read before the verdict, and none where no requirement wants any. A verdict
 * is returned; what makes a decision impossible (a store that cannot be read, a key file that is
 * not there) is thrown.
 */
import { BullaError } from '../base/errors.ts';
import type { Keyring } from '../keys/openpgp/keyring.ts';
import { keyringOf, type KeyReader } from './keyrings.ts';
import { type Policy, whereIs } from './policy.ts';
import { defaultIdentity, type Requirement, type SignedBy } from './requirement.ts';
import { selectRequirements } from './scopes.ts';
import { concludeSignedBy, judgeSignature, ofAnotherKind, refuseUnreadable } from './signed-by.ts';
import type { RequirementVerdict, SignatureVerdict, StoredLike, Subject, Verdict } from './verdict.ts';

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
 * @throws BullaError `trust.key-unavailable`, `trust.not-evaluated` (sigstoreSigned), and whatever `subject.signatures` throws
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

/**
 * Judges an image by keys alone, as `verify --key` does: one requirement, with the identity rule
 * that a policy has by default (matchRepoDigestOrExact), so that a signature made for another
 * image of the repository does not pass. An image without a Docker reference needs one (`--as`).
 * Reading ends with the first signature that is accepted.
 */
export async function evaluateKeys(keyring: Keyring, subject: Subject, now: Date): Promise<Verdict> {
  const rule = { keyring, identity: defaultIdentity, now };
  const verdicts: SignatureVerdict[] = [];
  for await (const stored of subject.signatures()) {
    const verdict = judgeSignature(stored, rule, subject);
    verdicts.push(verdict);
    if (verdict.accepted) break;
  }
  const requirement = concludeSignedBy(verdicts);
  return { accepted: requirement.accepted, scope: null, requirements: [requirement] };
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
      throw new BullaError('trust.not-evaluated', `${place()}: sigstoreSigned cannot be judged yet`, {
        hint: 'use signedBy with GPG keys for this scope',
      });
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
  const unreadable = refuseUnreadable(all);
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
