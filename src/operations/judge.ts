/** Who judges: a policy, keys named on the command line, or nobody. */
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';
import type { TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import { evaluate, type EvaluateContext, evaluateKeys } from '../trust/evaluate.ts';
import type { CertificateIdentity } from '../trust/identity-rule.ts';
import type { Policy } from '../trust/policy.ts';
import type { Subject, Verdict } from '../trust/verdict.ts';
import type { ListHint } from '../stores/store.ts';
import { type GivenKeys, signPredicateType } from '../trust/given-keys.ts';
import { loadPolicy } from './judge/policy-file.ts';
import type { SignaturesWanted } from './subject.ts';
import type { World } from './world.ts';

/** Who is believed besides the signer, and what is asked of them; the parts of `GivenKeys`, as files. */
export type WitnessFiles = {
  /** trusted_root.json. Default: none for keys, sigstore's public instance for an identity. */
  readonly trustedRoots?: readonly string[];
  /** Rekor's public keys, PEM. */
  readonly rekorKeys?: readonly string[];
  readonly requireLog?: boolean;
  readonly ignoreLog?: boolean;
  readonly ignoreSct?: boolean;
  /** A predicate type; for any but cosign's sign/v1 only statements count. */
  readonly predicateType?: string;
  /** The public instance's root is not fetched: the one that was fetched last counts, or the one that came with Bulla. */
  readonly offline?: boolean;
};

/** Keys that are at hand already, which count as those in files do. */
export type HeldKeys = Pick<GivenKeys, 'keyring' | 'sigstore'>;

export type JudgedBy =
  /** policy.json or trust.yaml; without `file` what $BULLA_POLICY names, else the policy.json of containers/image's search path. */
  | {
      readonly kind: 'policy';
      readonly file?: string;
      /** One that is parsed already, in place of a file. */
      readonly given?: Policy;
      readonly offline?: boolean;
    }
  /** OpenPGP keyrings and sigstore public keys (PEM, or by URI), any of which may have signed for the image's own name. */
  | ({ readonly kind: 'keys'; readonly files: readonly string[]; readonly held?: HeldKeys } & WitnessFiles)
  /** A certificate that a trusted root's authority has issued for this identity. */
  | ({ readonly kind: 'identity'; readonly identity: CertificateIdentity } & WitnessFiles)
  /** `--insecure-policy`: everything is accepted. */
  | { readonly kind: 'insecure-accept-anything' };

export type Judge = {
  readonly judge: (subject: Subject) => Promise<Verdict>;
  /** What it looks at. A policy's verdict is podman's, so it goes by the same stores. */
  readonly looks: SignaturesWanted;
  /** The predicate type that counts, which bundles may say of themselves. */
  readonly hint?: ListHint;
  /** A sigstore signature of a list counts for the instances that it names, as for cosign; for a policy it does not. */
  readonly countsLists?: true;
  /** Where statements are asked for: the same signers, of a manifest as such. */
  readonly judgeSigned?: (subject: Subject) => Promise<Verdict>;
};

/** What --insecure-policy says of everything. */
const anything: Verdict = {
  accepted: true,
  scope: null,
  requirements: [{ type: 'insecureAcceptAnything', accepted: true, signatures: [] }],
};

/**
 * Opens the judge once for all images of a command.
 * @throws BullaError `policy.*`, `key.*`, `trusted-root.*`, `io.*`, `usage.invalid`
 */
export async function openJudge(by: JudgedBy, requireSigned: boolean, world: World): Promise<Judge> {
  switch (by.kind) {
    case 'insecure-accept-anything':
      if (requireSigned)
        throw new BullaError('usage.invalid', '--insecure-policy and --require-signed contradict each other');
      return { judge: async () => anything, looks: 'as-configured' };
    case 'keys':
    case 'identity': {
      const { readGiven } = await import('./judge/keys.ts');
      const { looks, ...keys } = await readGiven(by, world);
      const hint = { predicateType: keys.predicateType ?? signPredicateType };
      const signed = { ...keys, predicateType: signPredicateType };
      return {
        judge: (subject) => evaluateKeys(keys, subject, world.now()),
        looks,
        ...(looks !== 'for-simple' && { countsLists: true }),
        hint,
        ...(looks === 'for-statements' && {
          judgeSigned: (subject: Subject) => evaluateKeys(signed, subject, world.now()),
        }),
      };
    }
    case 'policy': {
      const { judge, looks } = await openPolicyJudge(by, requireSigned, world);
      return { judge: (subject) => judge(subject), looks };
    }
  }
}

/** A policy that judges, as it is or with its keys seen otherwise. */
export type PolicyJudge = {
  readonly policy: Policy;
  readonly judge: (subject: Subject, how?: Asked) => Promise<Verdict>;
  readonly looks: SignaturesWanted;
};

/** How the policy is asked. */
export type Asked = Pick<EvaluateContext, 'view' | 'everySignature'>;

/**
 * Opens a policy once for all images of a command.
 * @throws BullaError `policy.*`, `io.*`
 */
export async function openPolicyJudge(
  by: Omit<Extract<JudgedBy, { kind: 'policy' }>, 'kind'>,
  requireSigned: boolean,
  world: World,
): Promise<PolicyJudge> {
  const policy = by.given ?? (await loadPolicy(by.file, world.environment));
  let roots: Promise<readonly TrustedRoot[]> | undefined;
  const publicRoots = (): Promise<readonly TrustedRoot[]> => (roots ??= readPublicRoots(by, world));
  const context = { keyring: readKeyFile, requireSigned, publicRoots };
  return {
    policy,
    judge: (subject, how = {}) => evaluate(policy, subject, { ...context, ...how, now: world.now() }),
    // a policy.json's verdict is podman's, so it goes by the same stores
    looks: policy.stores === 'everywhere' ? 'everywhere' : 'as-configured',
  };
}

/** sigstore's public instance, for a trust.yaml that names it. */
async function readPublicRoots(
  { offline = false }: { readonly offline?: boolean },
  world: World,
): Promise<readonly TrustedRoot[]> {
  const { publicTrustedRoots } = await import('./judge/public-root.ts');
  return publicTrustedRoots(world, { offline });
}

async function readKeyFile(path: string): Promise<Uint8Array> {
  return readBoundedFile(path, limits.keyringBytes);
}
