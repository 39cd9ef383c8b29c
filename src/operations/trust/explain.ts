/** `trust explain IMAGE`: which policy, which scope and why, which keys, which stores. Nothing is fetched. */
import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName } from '../../base/image-name.ts';
import type { Reference } from '../../base/reference.ts';
import type { SystemEnvironment } from '../../registry/environment.ts';
import { describeOrigin, lookupLookaside } from '../../stores/lookup-lookaside.ts';
import { readRegistriesD } from '../../stores/registries-d.ts';
import { keyPathsOf, type KeyFiles } from '../../trust/lint-keys.ts';
import { type Policy, whereIs } from '../../trust/policy.ts';
import { describeText } from '../../trust/identity-rule.ts';
import type { NamedSigner, Requirement, Signed, SignedIdentity } from '../../trust/requirement.ts';
import { listCandidates, type ScopeName, selectRequirements } from '../../trust/scopes.ts';
import { loadPolicy } from '../judge/policy-file.ts';
import { scopeSubjectOf } from '../subject.ts';
import { certificatesOf, readKeyFiles } from './keys.ts';

export type ExplainTrustRequest = {
  readonly image: ImageName;
  /** The Docker reference claimed for the image. */
  readonly as?: Reference;
  /** Default: the policy that the search path finds. */
  readonly file?: string;
  /** registries.d folder to read alone. */
  readonly registriesD?: string;
  readonly environment: SystemEnvironment;
  readonly now: Date;
};

export type ExplainedKey = {
  /** Absent for key data inside the policy. */
  readonly path?: string;
  readonly fingerprint?: string;
  readonly userIds?: readonly string[];
  /** Why the key can accept nothing: it is missing, malformed, expired or revoked. */
  readonly problem?: string;
};

export type ExplainedRequirement = {
  readonly type: Requirement['type'];
  /** `file:line:column: JSON path`. */
  readonly place: string;
  readonly keys?: readonly ExplainedKey[];
  readonly signedIdentity?: SignedIdentity;
  /** trust.yaml's `signed`: how many of whom, and in which formats. */
  readonly signed?: {
    readonly threshold: number;
    readonly signers: readonly { readonly name: string; readonly type: string; readonly from: string }[];
    readonly formats: readonly string[];
    readonly predicateType: string;
  };
};

export type TrustExplanation = {
  readonly image: string;
  readonly file: string;
  /** Every scope that could have applied, in the order of looking; `found` says which are in the policy. */
  readonly candidates: readonly (ScopeName & { readonly found: boolean; readonly applies: boolean })[];
  /** The one that applies; transport and name "" is the global default. */
  readonly scope: ScopeName;
  readonly requirements: readonly ExplainedRequirement[];
  /** Where signatures would be read. */
  readonly stores: readonly { readonly location: string; readonly from: string }[];
};

/**
 * Explains what the policy asks of an image.
 * @throws BullaError `policy.malformed`, `policy.not-found`, `registries-d.*`, `io.*`
 */
export async function explainTrust(request: ExplainTrustRequest): Promise<TrustExplanation> {
  const { image, environment, now } = request;
  const policy = await loadPolicy(request.file, environment);
  const subject = await scopeSubjectOf(image, request.as);
  const { scope, requirements } = selectRequirements(policy, subject);
  const keys = await readKeyFiles(keyPathsOf(policy));
  const isChosen = (other: ScopeName): boolean =>
    other.transport === scope.transport && other.name === scope.name;
  const candidates = listCandidates(policy, subject).map(({ scope: name, found }) => ({
    ...name,
    found: found !== undefined,
    applies: isChosen(name),
  }));
  const fallback = { transport: '', name: '', found: true };
  return {
    image: formatImageName(image),
    file: policy.file,
    candidates: [...candidates, { ...fallback, applies: isChosen(fallback) }],
    scope,
    requirements: requirements.map((requirement) => explain(requirement, policy, keys, now)),
    stores: [...(await storesOf(request)), ...storesBeyond(policy, request)],
  };
}

function explain(requirement: Requirement, policy: Policy, files: KeyFiles, now: Date): ExplainedRequirement {
  const { type, source } = requirement;
  const base = { type, place: whereIs(policy, source) };
  if (requirement.type === 'sigstoreSigned') return { ...base, signedIdentity: requirement.signedIdentity };
  if (requirement.type === 'signed') return { ...base, ...explainSigned(requirement) };
  if (requirement.type !== 'signedBy') return base;
  const keys = certificatesOf(requirement.keys, files).flatMap(({ path, certificates, problem }) => {
    const named = path === undefined ? {} : { path };
    if (problem !== undefined) return [{ ...named, problem: problem.message }];
    return certificates.map(({ fingerprint, userIds, revoked, expires }): ExplainedKey => {
      const wrong = revoked ? 'revoked' : expires !== undefined && expires <= now ? 'expired' : undefined;
      return { ...named, fingerprint, userIds, ...(wrong !== undefined && { problem: wrong }) };
    });
  });
  return { ...base, keys, signedIdentity: requirement.signedIdentity };
}

function explainSigned(signed: Signed): Pick<ExplainedRequirement, 'signed' | 'signedIdentity'> {
  const { threshold, signers, formats, predicateType, signedIdentity } = signed;
  const shown = signers.map(({ name, by }) => ({ name, type: by.kind, from: originOf(by) }));
  return { signed: { threshold, signers: shown, formats, predicateType }, signedIdentity };
}

function originOf(by: NamedSigner['by']): string {
  if (by.kind !== 'certificate') {
    return by.keys.kind === 'paths' ? by.keys.paths.join(', ') : 'keys in the policy';
  }
  const { issuer, subject, fields = {} } = by.identity;
  const rules = Object.entries(fields).map(([name, rule]) => `${name} ${describeText(rule)}`);
  const whose = subject === undefined ? rules : [describeText(subject), ...rules];
  return `${whose.join(', ')} by ${describeText(issuer)}, root ${by.root.name}`;
}

/** A trust.yaml looks at every store of a registry, whatever registries.d turns on. */
function storesBeyond({ stores }: Policy, { image }: ExplainTrustRequest): TrustExplanation['stores'] {
  if (stores !== 'everywhere' || image.transport !== 'docker') return [];
  return [{ location: 'sigstore attachments and referrers in the registry', from: 'stores: everywhere' }];
}

async function storesOf({
  image,
  environment,
  registriesD,
}: ExplainTrustRequest): Promise<TrustExplanation['stores']> {
  switch (image.transport) {
    case 'dir':
      return [{ location: image.path, from: 'the folder itself' }];
    case 'docker': {
      const dir = registriesD === undefined ? {} : { dir: registriesD };
      const config = await readRegistriesD({ env: environment.env, uid: environment.uid, ...dir });
      const { read, useSigstoreAttachments, attachmentsFrom } = lookupLookaside(config, image.reference);
      const attachments = useSigstoreAttachments
        ? [{ location: 'sigstore attachments in the registry', from: describeOrigin(attachmentsFrom) }]
        : [];
      return [{ location: read.url, from: describeOrigin(read.from) }, ...attachments];
    }
    case 'oci':
      return [];
    case 'oci-archive':
    case 'docker-archive':
    case 'containers-storage':
    case 'docker-daemon':
      throw new BullaError(
        'image.unsupported',
        `${formatImageName(image)}: this transport is not supported yet`,
      );
  }
}
