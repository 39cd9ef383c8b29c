/**
 * Which part of a policy speaks of an image (containers-policy.json.5, "Supported transports and
 * their scopes"): the exact identity, then its namespaces from narrow to wide, then the
 * transport's default "", then the global default. Exactly one list applies; nothing is inherited.
 */
import type { Digest } from '../base/digest.ts';
import { formatReference, isNameOnly, type Reference, repositoryOf } from '../base/reference.ts';
import type { Policy, Scope } from './policy.ts';
import type { Requirement } from './requirement.ts';

/** What a transport calls an image in a policy; the identity "" means: only the transport's default. */
export type ScopeNames = { readonly identity: string; readonly namespaces: readonly string[] };

/** An image as a policy looks it up. */
export type ScopeSubject = ScopeNames & { readonly transport: string };

/** Name "" is a transport's default; transport and name "" is the global default. */
export type ScopeName = { readonly transport: string; readonly name: string };

export type Selection = { readonly scope: ScopeName; readonly requirements: readonly Requirement[] };

/** A scope that could have applied, in the order of looking, and what the policy has under it. */
export type Candidate = { readonly scope: ScopeName; readonly found: Scope | undefined };

/** The one list of requirements that applies to an image. */
export function selectRequirements(policy: Policy, subject: ScopeSubject): Selection {
  const scopes = policy.transports.get(subject.transport);
  const name = namesOf(subject).find((candidate) => scopes?.has(candidate));
  const scope = name === undefined ? undefined : scopes?.get(name);
  if (name === undefined || scope === undefined) {
    return { scope: { transport: '', name: '' }, requirements: policy.default };
  }
  return { scope: { transport: subject.transport, name }, requirements: scope.requirements };
}

/** All scopes that could have applied, in the order of looking; the global default, always there, is left out. */
export function listCandidates(policy: Policy, subject: ScopeSubject): readonly Candidate[] {
  const scopes = policy.transports.get(subject.transport);
  return namesOf(subject).map((name) => ({
    scope: { transport: subject.transport, name },
    found: scopes?.get(name),
  }));
}

function namesOf(subject: ScopeSubject): readonly string[] {
  return subject.identity === '' ? [''] : [subject.identity, ...subject.namespaces, ''];
}

/**
 * docker (and atomic): the whole reference, the repository, its parents, the host with its port,
 * then the wildcards of the host without port: `*.b.c` before `*.c`. A reference with tag and
 * digest, which containers/image refuses here, is followed by the one with the tag alone.
 */
export function dockerScopes(reference: Reference): ScopeNames {
  const { tag, digest } = reference;
  const repository = repositoryOf(reference);
  const tagged = tag !== undefined && digest !== undefined ? [`${repository}:${tag}`] : [];
  const parents = [...pathAndParents(repository), ...wildcardsOf(reference.domain)];
  const namespaces = [...tagged, ...parents];
  return {
    identity: formatReference(reference),
    namespaces: isNameOnly(reference) ? namespaces.slice(1) : namespaces,
  };
}

/** docker-daemon: a named image as docker, one named by its ID only by the empty scope. */
export function daemonScopes(image: Reference | Digest): ScopeNames {
  return typeof image === 'string' ? archiveScopes() : dockerScopes(image);
}

/**
 * dir, oci, oci-archive, sif: the path and its parents, but not `/`.
 * @param path absolute, symbolic links resolved, no trailing slash
 */
export function pathScopes(path: string): ScopeNames {
  const parents: string[] = [];
  for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
    parents.push(path.slice(0, slash));
  }
  return { identity: path, namespaces: parents };
}

/** docker-archive, tarball: only the empty scope. */
export function archiveScopes(): ScopeNames {
  return { identity: '', namespaces: [] };
}

/** An image in containers/storage: its store, and a name, an image ID (64 hexadecimal digits) or both. */
export type StorageImage = {
  readonly driver: string;
  /** The store's absolute root. */
  readonly root: string;
  readonly reference?: Reference;
  readonly id?: string;
};

/** containers-storage: `[driver@root]name@id`, without the ID, the repository and its parents, `[driver@root]`, `[root]`. */
export function storageScopes({ driver, root, reference, id }: StorageImage): ScopeNames {
  const store = `[${driver}@${root}]`;
  const stores = [store, `[${root}]`];
  const suffix = id === undefined ? '' : `@${id}`;
  if (reference === undefined) return { identity: `${store}${suffix}`, namespaces: stores };
  const name = formatReference(reference);
  const repository = repositoryOf(reference);
  const both = reference.tag !== undefined && reference.digest !== undefined;
  const names = [
    ...(id === undefined ? [] : [name]),
    ...(both ? [`${repository}:${reference.tag}`] : []),
    ...pathAndParents(repository),
  ];
  return {
    identity: `${store}${name}${suffix}`,
    namespaces: [...names.map((each) => `${store}${each}`), ...stores],
  };
}

function pathAndParents(repository: string): readonly string[] {
  const parts = repository.split('/');
  return parts.map((_, index) => parts.slice(0, parts.length - index).join('/'));
}

function wildcardsOf(domain: string): readonly string[] {
  const labels = domain.replace(/:.*$/, '').split('.');
  return labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`);
}
