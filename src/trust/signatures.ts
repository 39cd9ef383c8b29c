/** What the verdicts on single signatures come to, whatever kind of signature a requirement wants. */
import type { RequirementVerdict, SignatureVerdict, StoredLike } from './verdict.ts';

/**
 * One stored thing that is no signature refuses the image, whatever stands beside it: containers/image
 * does not get past reading it. Undefined where there is none.
 */
export function refuseUnreadable(type: string, all: readonly StoredLike[]): RequirementVerdict | undefined {
  for (const { signature, location } of all) {
    if (signature.format !== 'unreadable') continue;
    const { format, code, message } = signature;
    const verdict: SignatureVerdict = { format, store: location, accepted: false, code, message };
    return { type, accepted: false, code, message, signatures: [verdict] };
  }
  return undefined;
}

/**
 * Any accepted signature is enough.
 * @param candidates those of the verdicts that are about signatures of the wanted kind
 * @param passedOver what is said of the others where there is no candidate
 */
export function conclude(
  type: string,
  verdicts: readonly SignatureVerdict[],
  candidates: readonly SignatureVerdict[],
  passedOver: string,
): RequirementVerdict {
  if (verdicts.some(({ accepted }) => accepted)) return { type, accepted: true, signatures: verdicts };
  if (candidates.length === 0) {
    const message = `a signature is required, but the image has none${passedOver}`;
    return { type, accepted: false, code: 'trust.no-signature', message, signatures: verdicts };
  }
  const reasons = candidates.map(({ message }) => message);
  const message =
    reasons.length === 1
      ? (reasons[0] ?? '')
      : `none of ${reasons.length} signatures is accepted: ${[...new Set(reasons)].slice(0, 5).join('; ')}`;
  return { type, accepted: false, code: 'trust.not-accepted', message, signatures: verdicts };
}
