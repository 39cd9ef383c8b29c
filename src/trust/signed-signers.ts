/** What each kind of signer of a trust.yaml makes of a signature. */
import type { Keyring } from '../keys/openpgp/keyring.ts';
import type { PolicyText } from './fields.ts';
import { loadKeyring } from './keyrings.ts';
import { type KeyReader, rememberLoaded } from './material.ts';
import type { Policy } from './policy.ts';
import type { NamedSigner, Signed } from './requirement.ts';
import type { EvaluateContext } from './signature-judging.ts';
import { judgeSignature } from './signed-by.ts';
import { withinWindow } from './time-window.ts';
import type { SignatureVerdict, StoredLike, Subject } from './verdict.ts';

/** One signer's verdict on one signature. */
export type JudgeBySigner = (stored: StoredLike, subject: Subject) => SignatureVerdict;

/**
 * Opens a signer for a requirement.
 * @throws BullaError `trust.key-unavailable`
 */
export async function judgeOf(
  signer: NamedSigner,
  requirement: Signed,
  policy: Policy,
  context: EvaluateContext,
): Promise<JudgeBySigner> {
  if (signer.by.kind === 'gpg') return judgeByKeyring(signer, requirement, policy, context);
  // certificates, logs and timestamps are loaded with it, and a GPG key needs none of them
  const { judgeSigstore } = await import('./signed-sigstore.ts');
  return judgeSigstore(signer, requirement, policy, context);
}

async function judgeByKeyring(
  signer: NamedSigner,
  { signedIdentity }: Signed,
  policy: Policy,
  { keyring: read, now, view }: EvaluateContext,
): Promise<JudgeBySigner> {
  const keyring = await keyringOfSigner(policy, signer, read);
  const rule = { keyring: view?.keyring(keyring) ?? keyring, identity: signedIdentity, now };
  return (stored, subject) => {
    const verdict = judgeSignature(stored, rule, subject);
    if (!verdict.accepted || verdict.key === undefined) return verdict;
    // nothing witnesses a GPG signature, so its window is judged now
    return withinWindow({ ...verdict, signer: `gpg:${verdict.key}` }, signer, [], now);
  };
}

const keyringOfSigner: (policy: PolicyText, signer: NamedSigner, read: KeyReader) => Promise<Keyring> =
  rememberLoaded(async ({ by }: NamedSigner, read) =>
    by.kind === 'gpg' ? loadKeyring(by.keys, read) : loadKeyring({ kind: 'data', data: [] }, read),
  );
