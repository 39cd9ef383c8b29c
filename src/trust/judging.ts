/** How each kind of requirement judges signatures; evaluate.ts decides which are read. */
import { keyringOf } from './keyrings.ts';
import { type Policy, whereIs } from './policy.ts';
import type { Signed, SignedBy, SigstoreSigned } from './requirement.ts';
import { concludeSignedBy, judgeSignature, ofAnotherKind } from './signed-by.ts';
import type { EvaluateContext, SignatureJudging } from './signature-judging.ts';
import { judgeSigned } from './signed.ts';
import { signersOf } from './sigstore-material.ts';
import { concludeSigstoreSigned, isCandidate, judgeAttachment, noCandidate } from './sigstore-signed.ts';
import type { SignatureVerdict, Subject } from './verdict.ts';

export function judgingOf(
  requirement: SignedBy | SigstoreSigned | Signed,
  policy: Policy,
  subject: Subject,
  context: EvaluateContext,
): SignatureJudging {
  switch (requirement.type) {
    case 'signedBy':
      return judgingSignedBy(requirement, policy, subject, context);
    case 'sigstoreSigned':
      return judgingSigstoreSigned(requirement, policy, subject, context);
    case 'signed':
      return judgeSigned(requirement, policy, subject, context);
  }
}

function judgingSignedBy(
  requirement: SignedBy,
  policy: Policy,
  subject: Subject,
  { keyring: read, now, view }: EvaluateContext,
): SignatureJudging {
  const { type, keyType, signedIdentity } = requirement;
  return {
    type,
    isCandidate: ({ signature }) => signature.format === 'simple',
    passOver: ofAnotherKind,
    impossible: () => {
      if (keyType === 'GPGKeys') return undefined;
      const place = whereIs(policy, requirement.source);
      const message = `the key type ${keyType} accepts nothing, here as in podman: write GPGKeys (${place})`;
      return { type, accepted: false, code: 'trust.not-accepted', message, signatures: [] };
    },
    load: async () => {
      const keyring = await keyringOf(policy, requirement, read);
      const rule = { keyring: view?.keyring(keyring) ?? keyring, identity: signedIdentity, now };
      return (stored) => judgeSignature(stored, rule, subject);
    },
    isDecided: isAccepted,
    conclude: (_, verdicts) => concludeSignedBy(verdicts),
  };
}

function judgingSigstoreSigned(
  requirement: SigstoreSigned,
  policy: Policy,
  subject: Subject,
  { keyring: read, now, view }: EvaluateContext,
): SignatureJudging {
  return {
    type: requirement.type,
    isCandidate,
    passOver: noCandidate,
    load: async () => {
      const signers = (await signersOf(policy, requirement, read))(view);
      const rule = { signers, identity: () => requirement.signedIdentity, now };
      return (stored) => judgeAttachment(stored, rule, subject);
    },
    isDecided: isAccepted,
    conclude: concludeSigstoreSigned,
  };
}

function isAccepted(verdicts: readonly SignatureVerdict[]): boolean {
  return verdicts.at(-1)?.accepted === true;
}
