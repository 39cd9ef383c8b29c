/**
 * policy.json from a trust.yaml. It never accepts more than its source: a scope with anything that policy.json cannot say
 * becomes `reject`. Every rule here is one that makes "the rendered file accepts" imply "the source accepts".
 */
import { cosignSignPredicateType } from '../formats/statement.ts';
import type { RequirementJson } from './edit.ts';
import { encodeIdentity, encodeMaterial, encodeRequirement } from './encode.ts';
import { type Policy, whereIs } from './policy.ts';
import type { Material, NamedSigner, Requirement, Signed, SignedIdentity, Source } from './requirement.ts';
import type { ScopeName } from './scopes.ts';

/** What a scope had to be rejected for, or fell short of. */
export type RenderNote = { readonly scope: ScopeName; readonly place: string; readonly why: string };

export type RenderedPolicy = {
  /** policy.json, as JSON.stringify takes it. */
  readonly policy: Readonly<Record<string, unknown>>;
  /** Scopes of docker, "" for its default, under which signatures are attachments: registries.d must turn them on. */
  readonly attachments: readonly string[];
  /** Scopes that became `reject`, and why. */
  readonly rejected: readonly RenderNote[];
};

/** The keys of a signer, each named as no other key is: fingerprints or hashes. @throws BullaError `trust.key-unavailable` */
export type KeyNames = (signer: NamedSigner) => Promise<readonly string[]>;

/** @throws what `keysOf` throws */
export async function renderPolicy(policy: Policy, keysOf: KeyNames): Promise<RenderedPolicy> {
  const rejected: RenderNote[] = [];
  const attachments: string[] = [];
  const render = async (
    scope: ScopeName,
    requirements: readonly Requirement[],
  ): Promise<readonly RequirementJson[]> => {
    const rendered = await renderRequirements(requirements, keysOf);
    if ('why' in rendered) {
      rejected.push({ scope, place: whereIs(policy, rendered.source), why: rendered.why });
      return [{ type: 'reject' }];
    }
    const hasAttachments = rendered.requirements.some(({ type }) => type === 'sigstoreSigned');
    if (hasAttachments && (scope.transport === 'docker' || scope.transport === ''))
      attachments.push(scope.name);
    return rendered.requirements;
  };
  const fallback = await render({ transport: '', name: '' }, policy.default);
  const transports: [string, Readonly<Record<string, readonly RequirementJson[]>>][] = [];
  for (const [transport, scopes] of policy.transports) {
    const entries: [string, readonly RequirementJson[]][] = [];
    for (const [name, { requirements }] of scopes) {
      entries.push([name, await render({ transport, name }, requirements)]);
    }
    transports.push([transport, Object.fromEntries(entries)]);
  }
  const all = transports.length === 0 ? {} : { transports: Object.fromEntries(transports) };
  return { policy: { default: fallback, ...all }, attachments: [...new Set(attachments)], rejected };
}

type Unsayable = { readonly source: Source; readonly why: string };
type RenderedList = { readonly requirements: readonly RequirementJson[] } | Unsayable;

/** The requirements of one scope as policy.json has them, or why it cannot. @throws what `keysOf` throws */
export async function renderRequirements(
  requirements: readonly Requirement[],
  keysOf: KeyNames,
): Promise<RenderedList> {
  const rendered: RequirementJson[] = [];
  for (const requirement of requirements) {
    const each =
      requirement.type === 'signed' ? await renderSigned(requirement, keysOf) : renderPlain(requirement);
    if (typeof each === 'string') return { source: requirement.source, why: each };
    rendered.push(...each);
  }
  return { requirements: rendered };
}

const asIs = (path: string): string => path;

function renderPlain(requirement: Exclude<Requirement, Signed>): readonly RequirementJson[] | string {
  const identity =
    requirement.type === 'signedBy' || requirement.type === 'sigstoreSigned'
      ? requirement.signedIdentity
      : undefined;
  if (identity !== undefined && hasMatch(identity)) return remapWithMatch;
  const encoded = encodeRequirement(requirement, asIs);
  return encoded === undefined ? 'it names no key' : [encoded];
}

const remapWithMatch = 'policy.json compares a remapped name in one way only, and the policy says match';

function hasMatch(identity: SignedIdentity): boolean {
  return identity.type === 'remapIdentity' && identity.match !== undefined;
}

/** What policy.json asks instead, or why it cannot ask it. */
async function renderSigned(signed: Signed, keysOf: KeyNames): Promise<readonly RequirementJson[] | string> {
  const why = whyNot(signed);
  if (why !== undefined) return why;
  const { signers, threshold } = signed;
  if (threshold === 1) {
    const one = renderSigners(signed, signers);
    return typeof one === 'string' ? one : [one];
  }
  if (threshold !== signers.length) {
    return `policy.json cannot count: ${threshold} of ${signers.length}`;
  }
  const all = (await Promise.all(signers.map(keysOf))).flat();
  // one signature would satisfy two requirements, and is one signer's here
  if (new Set(all).size !== all.length) return 'two of the signers have a key in common';
  const each = signers.map((signer) => renderSigners(signed, [signer]));
  return each.find((one) => typeof one === 'string') ?? each.filter((one) => typeof one !== 'string');
}

function whyNot({
  signers,
  predicateType,
  timestamp,
  log,
  signedIdentity,
  formats,
}: Signed): string | undefined {
  if (predicateType !== cosignSignPredicateType) return 'policy.json knows no predicate types';
  if (timestamp === 'required') return 'policy.json knows no timestamps';
  if (log === 'required') return 'policy.json does not ask when a log was to be believed';
  if (hasMatch(signedIdentity)) return remapWithMatch;
  for (const { name, window, by } of signers) {
    if (window.from !== undefined || window.until !== undefined) {
      return `${name} has a validity window, which policy.json cannot give`;
    }
    if (by.kind === 'certificate') {
      return `${name} is known by a certificate, and podman asks neither for certificate logs nor when an authority was to be believed`;
    }
    // an entry or timestamp that is there has to hold then; without a Rekor key podman does not look
    if (by.kind === 'sigstoreKey' && by.root !== undefined) {
      return `${name} has a root, and podman does not ask when a log was to be believed`;
    }
    const format = by.kind === 'gpg' ? 'simple' : 'cosign';
    if (!formats.includes(format)) return `${name} must sign in a format that podman does not read`;
  }
  return undefined;
}

/** One requirement that any of the signers satisfies. */
function renderSigners(
  { signedIdentity }: Signed,
  signers: readonly NamedSigner[],
): RequirementJson | string {
  const kinds = new Set(signers.map(({ by }) => by.kind));
  if (kinds.size > 1) return 'policy.json has no either-or between GPG and sigstore keys';
  const isGpg = kinds.has('gpg');
  const keys = mergeMaterial(signers.flatMap(({ by }) => (by.kind === 'certificate' ? [] : [by.keys])));
  if (keys === undefined) return 'policy.json takes key files or key data, not both at once';
  if (isGpg && keys.kind === 'data' && keys.data.length > 1) return 'policy.json takes one GPG key data only';
  const encoded = encodeMaterial('key', keys, asIs);
  if (encoded === undefined) return 'it names no key';
  const type = isGpg ? { type: 'signedBy', keyType: 'GPGKeys' } : { type: 'sigstoreSigned' };
  return { ...type, ...encoded, ...encodeIdentity(signedIdentity) };
}

function mergeMaterial(materials: readonly Material[]): Material | undefined {
  const paths = materials.flatMap((each) => (each.kind === 'paths' ? each.paths : []));
  const data = materials.flatMap((each) => (each.kind === 'data' ? each.data : []));
  if (paths.length > 0 && data.length > 0) return undefined;
  return paths.length > 0 ? { kind: 'paths', paths } : { kind: 'data', data };
}
