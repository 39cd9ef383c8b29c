/**
 * The decision (containers-policy.json.5, docs/formats/trust-yaml.md): the scope's requirements must all accept; one of
 * policy.json's accepts if any one signature of the image satisfies it.
 *
 * A verdict is returned; what makes a decision impossible (a store that cannot be read, a key file that is not there) is thrown.
 */
import { judgingOf } from './judging.ts';
import { type Policy, whereIs } from './policy.ts';
import { type Replay, replay } from './replay.ts';
import type { Requirement } from './requirement.ts';
import { selectRequirements } from './scopes.ts';
import type { EvaluateContext, SignatureJudging } from './signature-judging.ts';
import { refuseUnreadable } from './signatures.ts';
import type { RequirementVerdict, SignatureVerdict, StoredLike, Subject, Verdict } from './verdict.ts';

export { evaluateKeys } from './given-keys.ts';
export type { EvaluateContext } from './signature-judging.ts';
export type { Subject, Verdict } from './verdict.ts';

/**
 * Judges an image by a policy. By a policy.json all signatures are read before the verdict, and none where no requirement
 * wants any, as containers/image does; by a trust.yaml reading ends where a requirement is decided.
 * @throws BullaError `trust.key-unavailable`, and whatever `subject.signatures` throws
 */
export async function evaluate(policy: Policy, subject: Subject, context: EvaluateContext): Promise<Verdict> {
  const { scope, requirements } = selectRequirements(policy, subject);
  await using signatures = replay(() => subject.signatures());
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

/** One image under one policy. */
type Case = {
  readonly policy: Policy;
  readonly subject: Subject;
  readonly context: EvaluateContext;
  readonly signatures: Replay<StoredLike>;
};

async function judge(requirement: Requirement, image: Case): Promise<RequirementVerdict> {
  const { type } = requirement;
  // only a refusal pays for finding its line in the text
  const refused = (what: string): RequirementVerdict => {
    const message = `${what} (${whereIs(image.policy, requirement.source)})`;
    return { type, accepted: false, code: 'trust.rejected', message, signatures: [] };
  };
  switch (requirement.type) {
    case 'insecureAcceptAnything':
      return { type, accepted: true, signatures: [] };
    case 'reject':
      return refused('the policy rejects it');
    case 'signedBaseLayer':
      return refused('signedBaseLayer accepts nothing, here as in podman');
    case 'signedBy':
    case 'sigstoreSigned':
    case 'signed': {
      const judging = judgingOf(requirement, image.policy, image.subject, image.context);
      return image.policy.dialect === 'trust.yaml'
        ? judgeUntilDecided(judging, image)
        : judgeAll(judging, image);
    }
  }
}

/**
 * As containers/image: the first thing that is no signature decides, so nothing after it is read (a web server that answers
 * every name with its sign-in page would be asked 128 times).
 */
async function judgeAll(judging: SignatureJudging, { signatures }: Case): Promise<RequirementVerdict> {
  const all: StoredLike[] = [];
  for await (const stored of signatures.all()) {
    all.push(stored);
    if (stored.signature.format === 'unreadable') break;
  }
  const unreadable = refuseUnreadable(judging.type, all);
  if (unreadable !== undefined) return unreadable;
  // without a signature there is nothing to judge, and the keys are not looked at
  if (!all.some(judging.isCandidate)) return judging.conclude(all, all.map(judging.passOver));
  const impossible = judging.impossible?.();
  if (impossible !== undefined) return impossible;
  const verdicts: SignatureVerdict[] = [];
  for (const stored of all) verdicts.push(await judgeOne(judging, stored));
  return judging.conclude(all, verdicts);
}

/** trust.yaml: what is no signature is one that does not count. */
async function judgeUntilDecided(
  judging: SignatureJudging,
  { signatures, context }: Case,
): Promise<RequirementVerdict> {
  const [all, verdicts]: [StoredLike[], SignatureVerdict[]] = [[], []];
  for await (const stored of signatures.all()) {
    const isCandidate = judging.isCandidate(stored);
    const impossible = isCandidate ? judging.impossible?.() : undefined;
    if (impossible !== undefined) return impossible;
    all.push(stored);
    verdicts.push(await judgeOne(judging, stored));
    if (context.everySignature !== true && judging.isDecided(verdicts)) break;
  }
  return judging.conclude(all, verdicts);
}

async function judgeOne(judging: SignatureJudging, stored: StoredLike): Promise<SignatureVerdict> {
  if (!judging.isCandidate(stored)) return judging.passOver(stored);
  const judgeBy = await judging.load(stored.signature.format);
  return judgeBy(stored);
}

function wantsSignature({ type }: Requirement): boolean {
  return type === 'signedBy' || type === 'sigstoreSigned' || type === 'signed';
}

const unsignedScope: RequirementVerdict = {
  type: 'requireSigned',
  accepted: false,
  code: 'trust.not-required',
  message: 'a signature is demanded (--require-signed), but the policy asks for none in this scope',
  signatures: [],
};
