/** Signers of a trust.yaml by a sigstore key or a certificate, whatever format the signature came in. */
import { BullaError } from '../base/errors.ts';
import { parseSigstorePublicKey, type SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { parseTrustedRoots } from '../keys/trusted-root/parse.ts';
import type { TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import { judgeStored } from './bundle-judge.ts';
import type { BundleRule } from './bundle-rule.ts';
import type { PolicyText } from './fields.ts';
import { type KeyReader, readMaterial, rememberLoaded } from './material.ts';
import type { Policy } from './policy.ts';
import type { NamedRoot, NamedSigner, Signed } from './requirement.ts';
import type { EvaluateContext } from './signature-judging.ts';
import type { JudgeBySigner } from './signed-signers.ts';
import { signersByKey } from './sigstore-keys.ts';
import { judgeAttachment } from './sigstore-signed.ts';
import { withinWindow } from './time-window.ts';
import type { SignatureVerdict, StoredLike, Subject } from './verdict.ts';

/** @throws BullaError `trust.key-unavailable` */
export async function judgeSigstore(
  signer: NamedSigner,
  requirement: Signed,
  policy: Policy,
  context: EvaluateContext,
): Promise<JudgeBySigner> {
  const { by } = signer;
  const { now, view } = context;
  const all = by.kind === 'sigstoreKey' ? await keysOfSigner(policy, signer, context.keyring) : [];
  const keys = view?.sigstore(all) ?? all;
  const root = by.kind === 'gpg' ? undefined : by.root;
  const roots = root === undefined ? [] : await rootsOf(root, policy, context);
  const rule = ruleOf(signer, requirement, { keys, roots }, now);
  return (stored, subject) => {
    const isPlain = root === undefined && stored.signature.format === 'cosign';
    const verdict = isPlain
      ? judgePlain(stored, keys, requirement, subject, now)
      : judgeStored(stored, rule, subject, requirement.signedIdentity);
    const times = (verdict.times ?? []).map((time) => Date.parse(time));
    return withinWindow(verdict, signer, times, now);
  };
}

/**
 * A `.sig` attachment by a key without root, as policy.json's sigstoreSigned judges it: what else hangs on it is not even
 * parsed. Were it, a rendered policy.json would accept what its source refuses.
 */
function judgePlain(
  stored: StoredLike,
  keys: readonly SigstorePublicKey[],
  { signedIdentity }: Signed,
  subject: Subject,
  now: Date,
): SignatureVerdict {
  const signers = (untrusted: Parameters<typeof signersByKey>[0]): ReturnType<typeof signersByKey> =>
    signersByKey(untrusted, keys, undefined);
  const verdict = judgeAttachment(stored, { signers, identity: () => signedIdentity, now }, subject);
  return verdict.accepted && verdict.key !== undefined
    ? { ...verdict, signer: `key:${verdict.key}` }
    : verdict;
}

function ruleOf(
  { by }: NamedSigner,
  { log, timestamp, sct, predicateType }: Signed,
  { keys, roots }: { readonly keys: readonly SigstorePublicKey[]; readonly roots: readonly TrustedRoot[] },
  now: Date,
): BundleRule {
  const base = { predicateType, sct, now: now.getTime() };
  if (by.kind !== 'certificate') {
    return { ...base, signer: { kind: 'keys', keys }, roots, log: log ?? 'optional', timestamp };
  }
  return {
    ...base,
    signer: { kind: 'identity', identity: by.identity },
    // an instance without any log lives by its timestamps; where the policy itself says log: required, it does not
    roots: log === 'required' ? roots.filter(({ transparencyLogs }) => transparencyLogs.length > 0) : roots,
    log: log ?? 'required',
    // a certificate is judged by a trusted time, never by now: it lives for minutes, its signatures for years
    timestamp: log === 'optional' ? 'required' : timestamp,
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

async function rootsOf(
  root: NamedRoot,
  policy: PolicyText,
  { keyring: read, publicRoots }: EvaluateContext,
): Promise<readonly TrustedRoot[]> {
  if (root.from.kind === 'file') return rootsOfFile(policy, root, read);
  if (publicRoots !== undefined) return publicRoots();
  throw new BullaError('trust.key-unavailable', "sigstore's public instance is not at hand here");
}

const rootsOfFile: (policy: PolicyText, root: NamedRoot, read: KeyReader) => Promise<readonly TrustedRoot[]> =
  rememberLoaded(async ({ from }: NamedRoot, read) =>
    from.kind === 'file' ? parseTrustedRoots(await read(from.path), from.path) : [],
  );
