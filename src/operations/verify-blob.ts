/** `verify-blob`: is this file signed by somebody who is believed. */
import type { JudgedBy } from './judge.ts';
import { isBullaError } from '../base/errors.ts';
import { publicKeyOfCertificate } from '../keys/certificates/chain.ts';
import { loadEd25519ph } from '../keys/sigstore/bundle-signature.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import {
  type Artifact,
  judgeBlob,
  readBareSignature,
  readBlobBundle,
  type UntrustedBlobSignature,
} from '../trust/blob-judge.ts';
import { anyPredicateType } from '../trust/bundle-rule.ts';
import { loadDigestVerification } from '../trust/digest-signature.ts';
import { type GivenKeys, rulesOf } from '../trust/given-keys.ts';
import type { SignatureVerdict } from '../trust/verdict.ts';
import { BullaError } from '../base/errors.ts';
import { readGiven } from './judge/keys.ts';
import type { World } from './world.ts';

export type { Artifact } from '../trust/blob-judge.ts';

/** What proves a file, and what to call it in the verdict. */
export type BlobProof =
  /** sigstore's bundle, or the older one of cosign. */
  | { readonly kind: 'bundle'; readonly json: Uint8Array; readonly name: string }
  /** base64, with the signer's certificate (PEM) where there is one. */
  | {
      readonly kind: 'signature';
      readonly text: Uint8Array;
      readonly certificate?: string;
      readonly name: string;
    };

export type VerifyBlobRequest = {
  readonly artifact: Artifact;
  readonly proof: BlobProof;
  readonly by: Extract<JudgedBy, { kind: 'keys' | 'identity' }>;
};

/**
 * Judges a file's signature: a message signature, or a statement whose subject the file is (any predicate type, unless
 * `by.predicateType` names one). A signature that does not hold is a refusal.
 * @throws BullaError `usage.unsupported` where a digest alone cannot be verified (Ed25519), `usage.invalid` (a GPG key),
 *   `key.*`, `trusted-root.*`, `io.*`
 */
export async function verifyBlob(
  { artifact, proof, by }: VerifyBlobRequest,
  world: World,
): Promise<SignatureVerdict> {
  const given = await readGiven({ ...by, predicateType: by.predicateType ?? anyPredicateType }, world);
  if (given.sigstore === undefined && given.identity === undefined) {
    throw new BullaError(
      'usage.invalid',
      'a file’s signature is verified by a sigstore key (PEM), not by an OpenPGP keyring',
    );
  }
  const read = readOnce(artifact, proof);
  await loadSchemes(read, artifact, given);
  const verdicts = rulesOf(given, world.now()).map((rule) => judgeBlob(read, artifact, rule, proof.name));
  const [verdict] = [...verdicts.filter(({ accepted }) => accepted), ...verdicts];
  if (verdict === undefined) throw new BullaError('internal.bug', 'nothing was judged');
  return verdict;
}

function readOnce(artifact: Artifact, proof: BlobProof): () => UntrustedBlobSignature {
  return () =>
    proof.kind === 'bundle'
      ? readBlobBundle(proof.json, artifact)
      : readBareSignature(proof.text, proof.certificate, artifact);
}

/** What node:crypto has not is loaded for the keys that need it. */
async function loadSchemes(
  read: () => UntrustedBlobSignature,
  artifact: Artifact,
  { sigstore = [] }: GivenKeys,
): Promise<void> {
  const signature = orNothing(read);
  if (signature === undefined) return;
  const keys = [...sigstore, ...keyOfCertificate(signature)];
  await loadEd25519ph(keys);
  if (artifact.kind === 'digest' && signature.envelope === undefined) await loadDigestVerification(keys);
}

function keyOfCertificate({ evidence }: UntrustedBlobSignature): readonly SigstorePublicKey[] {
  const [leaf] = evidence.certificates ?? [];
  const key = leaf === undefined ? undefined : publicKeyOfCertificate(leaf);
  return key === undefined ? [] : [key];
}

/** What cannot be read is refused where it is judged. */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}
