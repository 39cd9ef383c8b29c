/** Signers of a trust.yaml by a sigstore key or a certificate. */
import { parseSigstorePublicKey, type SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import type { PolicyText } from './fields.ts';
import { type KeyReader, readMaterial, rememberLoaded } from './material.ts';
import type { Policy } from './policy.ts';
import type { NamedSigner, Signed } from './requirement.ts';
import type { EvaluateContext } from './signature-judging.ts';
import type { JudgeBySigner } from './signed-signers.ts';
import { signersByKey } from './sigstore-keys.ts';
import { judgeAttachment } from './sigstore-signed.ts';
import { withinWindow } from './time-window.ts';

/** @throws BullaError `trust.key-unavailable` */
export async function judgeSigstore(
  signer: NamedSigner,
  requirement: Signed,
  policy: Policy,
  context: EvaluateContext,
): Promise<JudgeBySigner> {
  const { now } = context;
  const keys = await keysOfSigner(policy, signer, context.keyring);
  const rule = {
    signers: (untrusted: Parameters<typeof signersByKey>[0]) => signersByKey(untrusted, keys, undefined),
    identity: () => requirement.signedIdentity,
    now,
  };
  return (stored, subject) => {
    const verdict = judgeAttachment(stored, rule, subject);
    if (!verdict.accepted || verdict.key === undefined) return verdict;
    return withinWindow({ ...verdict, signer: `key:${verdict.key}` }, signer, [], now);
  };
}

const keysOfSigner: (
  policy: PolicyText,
  signer: NamedSigner,
  read: KeyReader,
) => Promise<readonly SigstorePublicKey[]> = rememberLoaded(async ({ by }: NamedSigner, read) =>
  by.kind === 'sigstoreKey'
    ? (await readMaterial(by.keys, read)).map((bytes) => parseSigstorePublicKey(bytes))
    : [],
);
