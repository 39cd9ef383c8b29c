/** Judging by keys or by a certificate identity that were given by hand (`verify --key`, `--certificate-identity`), without a policy. */
import { printable } from '../base/bytes.ts';
import { cosignMediaType } from '../formats/cosign.ts';
import type { Keyring } from '../keys/openpgp/keyring.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import type { TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import type { BundleRule, BundleSigner, Demand } from './bundle-rule.ts';
import { claimedIdentity } from './claimed-identity.ts';
import type { CertificateIdentity } from './identity-rule.ts';
import { defaultIdentity } from './requirement.ts';
import { conclude } from './signatures.ts';
import { concludeSignedBy, judgeSignature } from './signed-by.ts';
import { signersByKey } from './sigstore-keys.ts';
import { judgeAttachment } from './sigstore-signed.ts';
import type { RequirementVerdict, SignatureVerdict, StoredLike, Subject, Verdict } from './verdict.ts';

/** formats/statement.ts has it too; importing it for one text would cost every start. */
export const signPredicateType = 'https://sigstore.dev/cosign/sign/v1';

/** Keys or an identity, any of which may have signed. */
export type GivenKeys = {
  /** For GPG signatures. */
  readonly keyring?: Keyring;
  /** For sigstore's (parseSigstorePublicKey). */
  readonly sigstore?: readonly SigstorePublicKey[];
  /** For certificates: an authority, a certificate log, a log and a trusted time of one of `roots` are required. */
  readonly identity?: CertificateIdentity;
  /** What is there of log entries and timestamps must hold by them. */
  readonly roots?: readonly TrustedRoot[];
  /** Rekor's (parseRekorKey): a log entry that is there must hold. Without them and roots it is named as not checked. */
  readonly rekorKeys?: readonly SigstorePublicKey[];
  /** A log entry must be there, and hold. */
  readonly requireLog?: boolean;
  /** `--insecure-ignore-tlog`: log entries are not looked at, and tell no time. */
  readonly ignoreLog?: boolean;
  /** `--insecure-ignore-sct`: a certificate need not be in a certificate log. */
  readonly ignoreSct?: boolean;
  /** What a statement has to say of the image. Default: cosign's sign/v1. For another one only statements count. */
  readonly predicateType?: string;
};

/**
 * Judges an image by what was given: one requirement, with the identity rule that a policy has by default
 * (matchRepoDigestOrExact), so that a signature made for another image of the repository does not pass. A
 * sigstore signature that names a repository only, as cosign makes them, counts for all of it; bundles name none. An
 * image without a Docker reference needs one (`--as`). Reading ends with the first signature that is accepted.
 */
export async function evaluateKeys(keys: GivenKeys, subject: Subject, now: Date): Promise<Verdict> {
  const judge = judgeBy(keys, subject, now);
  const [stored, verdicts]: [StoredLike[], SignatureVerdict[]] = [[], []];
  for await (const each of subject.signatures()) {
    const verdict = await judge(each);
    stored.push(each);
    verdicts.push(verdict);
    if (verdict.accepted) break;
  }
  const requirement = concludeBy(keys, stored, verdicts);
  return { accepted: requirement.accepted, scope: null, requirements: [requirement] };
}

/** One signature's verdict. */
export type JudgeStored = (stored: StoredLike) => SignatureVerdict | Promise<SignatureVerdict>;

/** Judges signatures one by one. The code for bundles and certificates is loaded where one is met: a signature by key alone does without. */
export function judgeBy(
  keys: GivenKeys,
  subject: Pick<Subject, 'manifestDigest' | 'dockerReference'>,
  now: Date,
): JudgeStored {
  const { keyring, sigstore } = keys;
  const bySigstore = sigstore !== undefined || keys.identity !== undefined;
  const byCertificate = judgeByRules(keys, subject, now);
  return (stored) => {
    const { format } = stored.signature;
    if (keyring !== undefined && (!bySigstore || format === 'simple')) {
      return judgeSignature(stored, { keyring, identity: defaultIdentity, now }, subject);
    }
    if (format === 'cosign' && wantsStatements(keys)) return noStatement(stored);
    const isPlain = keys.roots === undefined && keys.identity === undefined && keys.ignoreLog !== true;
    if (sigstore === undefined || !isPlain || format === 'bundle' || format === 'attestation') {
      return byCertificate(stored);
    }
    return judgeAttachment(stored, attachmentRule(keys, sigstore, now), subject);
  };
}

/** As containers/image judges by a key, with its log rule. */
function attachmentRule(
  { rekorKeys, requireLog = false }: GivenKeys,
  sigstore: readonly SigstorePublicKey[],
  now: Date,
): Parameters<typeof judgeAttachment>[1] {
  const log =
    rekorKeys === undefined && !requireLog ? undefined : { keys: rekorKeys ?? [], demanded: requireLog };
  return {
    signers: (untrusted) => signersByKey(untrusted, sigstore, log),
    identity: ({ dockerReference }) => claimedIdentity(dockerReference),
    now,
  };
}

function judgeByRules(
  keys: GivenKeys,
  subject: Pick<Subject, 'manifestDigest' | 'dockerReference'>,
  now: Date,
): (stored: StoredLike) => Promise<SignatureVerdict> {
  const rules = rulesOf(keys, now);
  return async (stored) => {
    const { judgeStored, ofOtherFormat } = await import('./bundle-judge.ts');
    const { loadEd25519ph } = await import('../keys/sigstore/bundle-signature.ts');
    await loadEd25519ph(keys.sigstore ?? []);
    const verdicts = rules.map((rule) => judgeStored(stored, rule, subject));
    // somebody who is named has signed, only not this: that says more than that another has not
    const [first = ofOtherFormat(stored, 'another')] = verdicts;
    return (
      verdicts.find(({ accepted }) => accepted) ??
      verdicts.find(({ signer }) => signer !== undefined) ??
      first
    );
  };
}

/** The rules that were given: one for the keys, one for the identity. */
export function rulesOf(keys: GivenKeys, now: Date): readonly BundleRule[] {
  const { sigstore, identity, roots = [], rekorKeys, requireLog, ignoreLog, ignoreSct } = keys;
  // an instance without any log lives by its timestamps; where a log is asked for by name, it does not
  const counting =
    requireLog === true && rekorKeys === undefined
      ? roots.filter(({ transparencyLogs }) => transparencyLogs.length > 0)
      : roots;
  const rule = (signer: BundleSigner, log: Demand): BundleRule => ({
    signer,
    roots: counting,
    ...(rekorKeys !== undefined && { logKeys: rekorKeys }),
    log: ignoreLog === true ? 'ignored' : log,
    timestamp: 'optional',
    sct: ignoreSct === true ? 'ignored' : 'required',
    predicateType: keys.predicateType ?? signPredicateType,
    now: now.getTime(),
  });
  return [
    ...(sigstore === undefined
      ? []
      : [rule({ kind: 'keys', keys: sigstore }, requireLog === true ? 'required' : 'optional')]),
    ...(identity === undefined ? [] : [rule({ kind: 'identity', identity }, 'required')]),
  ];
}

function wantsStatements({ predicateType = signPredicateType }: GivenKeys): boolean {
  return predicateType !== signPredicateType;
}

function noStatement({ signature, location }: StoredLike): SignatureVerdict {
  const message = 'a signature without a statement, where a statement is wanted';
  return {
    format: signature.format,
    store: location,
    accepted: false,
    code: 'signature.wrong-predicate',
    message,
  };
}

function concludeBy(
  keys: GivenKeys,
  stored: readonly StoredLike[],
  verdicts: readonly SignatureVerdict[],
): RequirementVerdict {
  const { keyring, sigstore, identity } = keys;
  if (sigstore === undefined && identity === undefined) return concludeSignedBy(verdicts);
  const type =
    keyring === undefined
      ? sigstore === undefined
        ? 'certificateIdentity'
        : 'sigstoreSigned'
      : 'signedByKeys';
  const candidates = verdicts.filter((verdict, index) =>
    isCandidate(stored[index], verdict, keyring !== undefined),
  );
  return conclude(type, verdicts, candidates, passedOver(stored, verdicts));
}

/** Statements of another type, and what is of another kind, are passed over: they are no bad signatures. */
function isCandidate(stored: StoredLike | undefined, { code }: SignatureVerdict, withGpg: boolean): boolean {
  if (stored === undefined || code === 'signature.wrong-predicate') return false;
  const { signature } = stored;
  switch (signature.format) {
    case 'bundle':
    case 'attestation':
    case 'unreadable':
      return true;
    case 'simple':
      return withGpg;
    case 'cosign':
      return signature.mediaType === cosignMediaType || withGpg;
    case 'notary':
      return false;
  }
}

/** What there is instead of a signature that counts. */
function passedOver(stored: readonly StoredLike[], verdicts: readonly SignatureVerdict[]): string {
  if (verdicts.length === 0) return '';
  const types = new Set(
    verdicts.flatMap(({ code, untrusted }) => {
      const type = code === 'signature.wrong-predicate' ? untrusted?.['predicateType'] : undefined;
      return typeof type === 'string' ? [printable(type)] : [];
    }),
  );
  const statements =
    types.size === 0
      ? ''
      : `; statements of the type ${[...types].slice(0, 5).join(', ')}, which --type asks for`;
  const attachments = stored.filter(({ signature }) => signature.format === 'cosign').length;
  return ` (${stored.length - attachments} of another kind, ${attachments} sigstore attachments that are no signature${statements})`;
}
