/** Judging signatures for trust.yaml's requirement `signed`: so many of the signers named, in these formats. */
import { printable } from '../base/bytes.ts';
import { cosignMediaType } from '../formats/cosign.ts';
import { type Counted, countDistinct } from './distinct.ts';
import type { Policy } from './policy.ts';
import type { NamedSigner, Signed, SignedFormat } from './requirement.ts';
import type { EvaluateContext, SignatureJudging } from './signature-judging.ts';
import { conclude } from './signatures.ts';
import { type JudgeBySigner, judgeOf } from './signed-signers.ts';
import type { RequirementVerdict, SignatureVerdict, StoredLike, Subject } from './verdict.ts';

/** How `signed` judges the signatures of one image. */
export function judgeSigned(
  requirement: Signed,
  policy: Policy,
  subject: Subject,
  context: EvaluateContext,
): SignatureJudging {
  const { signers, formats, threshold } = requirement;
  return {
    type: 'signed',
    isCandidate: (stored) => formats.some((format) => format === formatOf(stored)),
    passOver,
    load: async (format) => {
      const able = signers.filter(({ by }) => (by.kind === 'gpg') === (format === 'simple'));
      const judges = await Promise.all(
        able.map(async (signer) => ({ signer, judge: await judgeOf(signer, requirement, policy, context) })),
      );
      return (stored) => judgeBySigners(stored, judges, subject);
    },
    isDecided: (verdicts) => countDistinct(counted(verdicts)) >= threshold,
    conclude: (judged, verdicts) => concludeSigned(requirement, judged, verdicts),
  };
}

/** The format that a stored thing has for a policy; undefined for what is no signature. */
function formatOf({ signature }: StoredLike): SignedFormat | undefined {
  switch (signature.format) {
    case 'simple':
    case 'bundle':
    case 'attestation':
      return signature.format;
    case 'cosign':
      return signature.mediaType === cosignMediaType ? 'cosign' : undefined;
    case 'notary':
    case 'unreadable':
      return undefined;
  }
}

function passOver({ signature, location }: StoredLike): SignatureVerdict {
  const base = { format: signature.format, store: location, accepted: false };
  if (signature.format === 'unreadable') return { ...base, code: signature.code, message: signature.message };
  const kind = signature.format === 'cosign' ? printable(signature.mediaType) : signature.format;
  const message = `a signature of another kind (${kind}) than the policy wants here`;
  return { ...base, code: 'signature.wrong-type', message };
}

type NamedJudge = { readonly signer: NamedSigner; readonly judge: JudgeBySigner };

/** One verdict of what all signers' come to: accepted for those that accept it, else the refusal that says most. */
function judgeBySigners(
  stored: StoredLike,
  judges: readonly NamedJudge[],
  subject: Subject,
): SignatureVerdict {
  const verdicts = judges.map(({ signer, judge }) => ({ signer, verdict: judge(stored, subject) }));
  const accepted = verdicts.filter(({ verdict }) => verdict.accepted);
  const [first] = accepted;
  if (first !== undefined) return { ...first.verdict, countsFor: accepted.map(({ signer }) => signer.name) };
  const refusals = verdicts.map(({ verdict }) => verdict);
  const telling = refusals.find(isTelling) ?? refusals[0];
  return telling ?? passOver(stored);
}

/** Somebody who is named has signed, only not this, not so, or not then. */
function isTelling({ key, identity }: SignatureVerdict): boolean {
  return key !== undefined || identity !== undefined;
}

/** Accepted signatures, for counting. One whose signer is not known counts as nobody's. */
function counted(verdicts: readonly SignatureVerdict[]): readonly Counted[] {
  return verdicts.flatMap(({ accepted, signer, countsFor }) =>
    accepted && signer !== undefined && countsFor !== undefined ? [{ signer, names: countsFor }] : [],
  );
}

function concludeSigned(
  { signers, threshold, formats }: Signed,
  judged: readonly StoredLike[],
  verdicts: readonly SignatureVerdict[],
): RequirementVerdict {
  const accepted = counted(verdicts);
  const count = countDistinct(accepted);
  if (count >= threshold) return { type: 'signed', accepted: true, signatures: verdicts };
  const candidates = verdicts.filter((_, index) => {
    const stored = judged[index];
    if (stored === undefined) return false;
    return stored.signature.format === 'unreadable' || formats.some((format) => format === formatOf(stored));
  });
  const names = signers.map(({ name }) => name).join(', ');
  const wanted = signers.length === 1 ? names : `${threshold} of ${names}`;
  if (count === 0) {
    const others = verdicts.length === 0 ? '' : ` of the kinds ${formats.join(', ')}`;
    const refusals = verdicts.map((verdict) => ({ ...verdict, accepted: false }));
    const refused = conclude('signed', refusals, candidates, others);
    return { ...refused, signatures: verdicts, message: `${refused.message ?? ''} (wanted: ${wanted})` };
  }
  const found = [...new Set(accepted.flatMap((each) => each.names))].join(', ');
  const message = `signed by ${count} of the ${threshold} signers that are needed: ${found} (wanted: ${wanted})`;
  return { type: 'signed', accepted: false, code: 'trust.not-accepted', message, signatures: verdicts };
}
