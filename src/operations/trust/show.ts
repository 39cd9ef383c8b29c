/** `trust show`: the policy as rows, podman's columns and names. */
import { BullaError } from '../../base/errors.ts';
import { isNameOnly, tryParseReference } from '../../base/reference.ts';
import type { SystemEnvironment } from '../../registry/environment.ts';
import { lookasideScopes } from '../../stores/lookup-lookaside.ts';
import { readRegistriesD, type RegistriesD } from '../../stores/registries-d.ts';
import { keyPathsOf, type KeyFiles } from '../../trust/lint-keys.ts';
import type { Policy } from '../../trust/policy.ts';
import type { Requirement, SignedBy } from '../../trust/requirement.ts';
import { loadPolicy } from '../judge/policy-file.ts';
import { certificatesOf, readKeyFiles } from './keys.ts';

export type ShowTrustRequest = {
  /** Default: the policy that the search path finds. */
  readonly file?: string;
  /** registries.d folder to read alone. */
  readonly registriesD?: string;
  readonly environment: SystemEnvironment;
};

/** One requirement, named as `podman image trust show --json` names things. */
export type TrustRow = {
  /** `all` for the global default, `repository` for docker, else the transport. */
  readonly transport: string;
  readonly name?: string;
  readonly repo_name?: string;
  /** Where signatures are read: the lookaside's URL. */
  readonly sigstore?: string;
  /** `accept`, `reject`, `signed`, `sigstoreSigned`, `signedBaseLayer`. */
  readonly type: string;
  /** Mail addresses of the keys, or `N/A` for sigstore keys. */
  readonly gpg_id?: string;
};

export type TrustShown = {
  readonly file: string;
  /** The file as it is. */
  readonly text: string;
  readonly rows: readonly TrustRow[];
  /** Key files that could not be read: their rows have no mail address. */
  readonly problems: readonly BullaError[];
};

/**
 * Reads the policy into rows: the default first, then transports and scopes in order of their bytes.
 * @throws BullaError `policy.malformed`, `policy.not-found`, `registries-d.*`, `io.*`
 */
export async function showTrust(request: ShowTrustRequest): Promise<TrustShown> {
  const { environment, registriesD } = request;
  const policy = await loadPolicy(request.file, environment);
  const { file, text } = policy;
  const [keys, stores] = await Promise.all([
    readKeyFiles(keyPathsOf(policy)),
    readRegistriesD({
      env: environment.env,
      uid: environment.uid,
      ...(registriesD !== undefined && { dir: registriesD }),
    }),
  ]);
  const problems = [...keys.values()].filter((bytes) => bytes instanceof BullaError);
  return { file, text, rows: rowsOf(policy, keys, stores), problems };
}

function rowsOf(policy: Policy, keys: KeyFiles, stores: RegistriesD): readonly TrustRow[] {
  const rows = (
    requirements: readonly Requirement[],
    row: Omit<TrustRow, 'type'>,
    scope: string,
  ): readonly TrustRow[] => {
    const store = lookasideOf(scope, stores);
    return requirements.map((requirement) => {
      const id = idOf(requirement, keys);
      return {
        ...row,
        ...(store !== '' && { sigstore: store }),
        type: typeNames[requirement.type],
        ...(id !== '' && { gpg_id: id }),
      };
    });
  };
  return [
    ...rows(policy.default, { transport: 'all', name: '* (default)', repo_name: 'default' }, ''),
    ...inByteOrder(policy.transports).flatMap(([transport, scopes]) =>
      inByteOrder(scopes).flatMap(([scope, { requirements }]) => {
        const name = scope === '' ? {} : { name: scope, repo_name: scope };
        const shown = transport === 'docker' ? 'repository' : transport;
        return rows(requirements, { transport: shown, ...name }, scope);
      }),
    ),
  ];
}

const typeNames: Readonly<Record<Requirement['type'], string>> = {
  insecureAcceptAnything: 'accept',
  reject: 'reject',
  signedBy: 'signed',
  signed: 'signed',
  sigstoreSigned: 'sigstoreSigned',
  signedBaseLayer: 'signedBaseLayer',
};

function inByteOrder<T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] {
  return [...map].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function idOf(requirement: Requirement, keys: KeyFiles): string {
  if (requirement.type === 'sigstoreSigned') return 'N/A';
  return requirement.type === 'signedBy' ? mailsOf(requirement, keys).join(', ') : '';
}

/** The mail address of each user ID, or all of the user ID where there is none. */
function mailsOf({ keys }: SignedBy, files: KeyFiles): readonly string[] {
  return certificatesOf(keys, files)
    .flatMap(({ certificates }) => certificates)
    .flatMap(({ userIds }) => userIds)
    .map((userId) => /<([^>]*)>/.exec(userId)?.[1] ?? userId);
}

/**
 * The lookaside of a scope. podman stops at the first section that it finds; here, as when
 * signatures are read, a section without a lookaside leaves it to the next one. Empty where
 * nothing is configured.
 */
function lookasideOf(scope: string, { docker, defaultDocker }: RegistriesD): string {
  const sections = [
    ...(scope === '' ? [] : lookupNames(scope)).map((name) => docker.get(name)),
    defaultDocker,
  ];
  return sections.find((section) => section?.read !== undefined)?.read?.url ?? '';
}

function lookupNames(scope: string): readonly string[] {
  const reference = tryParseReference(scope);
  if (reference !== undefined && !isNameOnly(reference)) return lookasideScopes(reference);
  const parts = scope.split('/');
  const parents = parts.map((_, index) => parts.slice(0, parts.length - index).join('/'));
  const labels = (parts[0] ?? '').replace(/:.*$/, '').split('.');
  return [...parents, ...labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`)];
}
