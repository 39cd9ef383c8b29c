/**
 * What is well-formed in a policy and yet probably not what its author meant: `trust check`. The
 * policy alone is looked at here, the keys in lint-keys.ts.
 */
import { printable } from '../base/bytes.ts';
import { formatReference, isNameOnly, repositoryOf, tryParseReference } from '../base/reference.ts';
import { officialImageMeant, unreachableScope } from './docker-scope.ts';
import { placeOf } from './fields.ts';
import { type KeyFiles, lintKeys, lintRoot, lintSigner } from './lint-keys.ts';
import type { Policy } from './policy.ts';
import type { Requirement, Signed, SignedBy, SignedIdentity, SigstoreSigned, Source } from './requirement.ts';
import type { Finding, Warning } from './warning.ts';

/**
 * All warnings about a policy, in the order of its text.
 * @param keys the key files that the policy names (keyPathsOf), or why they could not be read
 */
export function lintPolicy(policy: Policy, keys: KeyFiles, now: Date): readonly Warning[] {
  const findings = [
    ...lintDefault(policy.default),
    ...lintList(policy.default, undefined, keys, now),
    ...[...policy.transports].flatMap(([transport, scopes]) =>
      [...scopes].flatMap(([scope, { source, requirements }]) => [
        ...lintTransport(transport, source),
        ...lintScope(transport, scope, source),
        ...lintList(requirements, { transport, scope }, keys, now),
      ]),
    ),
    ...lintNames(policy, keys, now),
  ];
  return findings
    .toSorted((a, b) => a.source.offset - b.source.offset)
    .map(({ source, ...finding }) => ({
      ...finding,
      place: placeOf(policy, source.offset),
      path: source.path,
    }));
}

/** The named signers and roots of a trust.yaml. */
function lintNames(policy: Policy, keys: KeyFiles, now: Date): readonly Finding[] {
  const { signers = [], roots = [] } = policy;
  const lists = [...policy.transports.values()].flatMap((scopes) => [...scopes.values()]);
  const requirements = [...policy.default, ...lists.flatMap((list) => list.requirements)];
  const used = new Set(
    requirements.flatMap((each) => (each.type === 'signed' ? each.signers.map(({ name }) => name) : [])),
  );
  return [
    ...signers.flatMap((signer) => lintSigner(signer, keys, now)),
    ...signers.flatMap(({ name, source }): readonly Finding[] =>
      used.has(name)
        ? []
        : [{ code: 'signer-unused', source, message: `${name} is named by no requirement` }],
    ),
    ...roots.flatMap((root) => lintRoot(root, keys)),
  ];
}

/** Where a list of requirements applies; undefined for the global default. */
type Where = { readonly transport: string; readonly scope: string };

function lintDefault(requirements: readonly Requirement[]): readonly Finding[] {
  const [only] = requirements;
  if (only === undefined || requirements.some(({ type }) => type !== 'insecureAcceptAnything')) return [];
  const message = 'whatever no scope speaks of is accepted without a signature';
  return [{ code: 'default-accepts', source: only.source, message, hint: 'make the default reject' }];
}

const knownTransports: ReadonlySet<string> = new Set([
  'docker',
  'oci',
  'oci-archive',
  'docker-archive',
  'dir',
  'containers-storage',
  'docker-daemon',
  'tarball',
  'sif',
]);

function lintTransport(transport: string, source: Source): readonly Finding[] {
  if (knownTransports.has(transport)) return [];
  if (transport === 'atomic') {
    return [{ code: 'transport-deprecated', source, message: 'the transport atomic is going away' }];
  }
  const near = [...knownTransports].find((known) => known === transport.toLowerCase().replace(/[:/ ]+$/, ''));
  const hint = near === undefined ? {} : { hint: `write ${near}` };
  const message = `no program knows the transport "${printable(transport)}": its scopes never apply`;
  return [{ code: 'transport-unknown', source, message, ...hint }];
}

function lintScope(transport: string, scope: string, source: Source): readonly Finding[] {
  if (transport !== 'docker') return [];
  const unreachable = unreachableScope(scope);
  if (unreachable !== undefined) {
    const message = `no image is ever under the scope "${printable(scope)}": ${unreachable.why}`;
    const hint = unreachable.instead === undefined ? {} : { hint: `write ${unreachable.instead}` };
    return [{ code: 'scope-unreachable', source, message, ...hint }];
  }
  const official = officialImageMeant(scope);
  if (official === undefined) return [];
  const message = `"${printable(scope)}" is an organisation's namespace, not the official image`;
  return [{ code: 'scope-short', source, message, hint: `for the official image write ${official}` }];
}

function lintList(
  requirements: readonly Requirement[],
  where: Where | undefined,
  keys: KeyFiles,
  now: Date,
): readonly Finding[] {
  return requirements.flatMap((requirement) => [
    ...lintRequirement(requirement, requirements.length > 1),
    ...(wantsName(requirement) ? lintIdentity(requirement.signedIdentity, requirement, where) : []),
    ...lintKeys(requirement, keys, now),
  ]);
}

/** Whether it is about signatures that name the image. */
function wantsName(requirement: Requirement): requirement is SignedBy | SigstoreSigned | Signed {
  switch (requirement.type) {
    case 'signedBy':
    case 'sigstoreSigned':
      return true;
    case 'signed':
      return requirement.formats.some((format) => format === 'simple' || format === 'cosign');
    case 'insecureAcceptAnything':
    case 'reject':
    case 'signedBaseLayer':
      return false;
  }
}

function lintRequirement(requirement: Requirement, hasOthers: boolean): readonly Finding[] {
  const { type, source } = requirement;
  if (type === 'insecureAcceptAnything' && hasOthers) {
    const message = 'accepting anything beside other requirements changes nothing: all of them must hold';
    return [{ code: 'requirement-pointless', source, message }];
  }
  if (type === 'reject' && hasOthers) {
    const message = 'with reject among them, the other requirements change nothing';
    return [{ code: 'requirement-refuses', source, message }];
  }
  if (type === 'signedBaseLayer') {
    const message = 'signedBaseLayer is implemented by no program: it refuses every image';
    return [{ code: 'requirement-refuses', source, message }];
  }
  if (requirement.type === 'signedBy' && requirement.keyType !== 'GPGKeys') {
    const message = `the key type ${requirement.keyType} is implemented by no program: it refuses every image`;
    return [{ code: 'key-type-unsupported', source, message, hint: 'write GPGKeys' }];
  }
  return [];
}

const namelessTransports: ReadonlySet<string> = new Set([
  'dir',
  'oci',
  'oci-archive',
  'sif',
  'docker-archive',
  'tarball',
]);

function lintIdentity(
  identity: SignedIdentity,
  { type, source }: Requirement,
  where: Where | undefined,
): readonly Finding[] {
  if (identity.type === 'exactReference' || identity.type === 'exactRepository') return [];
  if (where !== undefined && namelessTransports.has(where.transport)) {
    const message = `images of ${where.transport} have no Docker reference, so ${identity.type} refuses all of them`;
    const hint = 'use exactReference or exactRepository';
    return [{ code: 'identity-impossible', source, message, hint }];
  }
  if (identity.type === 'remapIdentity') return lintRemap(identity, source, where);
  if (type === 'sigstoreSigned' && identity.type !== 'matchRepository') {
    const message = `cosign signs repositories without tag, which ${identity.type} refuses`;
    const hint = 'for signatures by cosign set signedIdentity to {"type": "matchRepository"}';
    return [{ code: 'identity-cosign', source, message, hint }];
  }
  const scope = where?.transport === 'docker' ? tryParseReference(where.scope) : undefined;
  if (identity.type === 'matchRepository' && scope !== undefined && !isNameOnly(scope)) {
    const message =
      'the scope is one tag or digest, but a signature for any other of the repository is accepted';
    return [{ code: 'identity-wider-than-scope', source, message }];
  }
  return [];
}

function lintRemap(
  { prefix, signedPrefix }: Extract<SignedIdentity, { type: 'remapIdentity' }>,
  source: Source,
  where: Where | undefined,
): readonly Finding[] {
  if (!isWholeName(prefix)) {
    const message = `no image's name begins with "${printable(prefix)}": names are compared with their host`;
    return [{ code: 'remap-pointless', source, message }];
  }
  if (!isWholeName(signedPrefix)) {
    const message = `"${printable(signedPrefix)}" is no complete name: every image that remapIdentity applies to is refused`;
    return [{ code: 'remap-refuses', source, message }];
  }
  const names = where?.transport === 'docker' ? withoutTag(where.scope) : '';
  if (names === '' || names.startsWith('*.') || isWithin(names, prefix) || isWithin(prefix, names)) return [];
  const message = `no image of the scope ${printable(names)} has a name under ${printable(prefix)}`;
  return [{ code: 'remap-pointless', source, message }];
}

/** A host, a namespace or a repository as normalised names begin. */
function isWholeName(name: string): boolean {
  const longer = `${name}/x/y`;
  const reference = tryParseReference(longer);
  return reference !== undefined && formatReference(reference) === longer;
}

/** The repository of a scope that is a whole reference; any other scope as it is. */
function withoutTag(scope: string): string {
  const reference = scope.includes('/') ? tryParseReference(scope) : undefined;
  return reference === undefined || isNameOnly(reference) ? scope : repositoryOf(reference);
}

function isWithin(name: string, prefix: string): boolean {
  return name === prefix || name.startsWith(`${prefix}/`);
}
