/** What `trust check` says about the keys of a policy: they are read now, not when an image comes. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { Certificate as Authority } from '../keys/certificates/certificate.ts';
import { readAuthorities } from '../keys/certificates/pem.ts';
import type { Certificate } from '../keys/openpgp/certificate.ts';
import { parseKeyring } from '../keys/openpgp/keyring.ts';
import { parseSigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { parseTrustedRoots } from '../keys/trusted-root/parse.ts';
import { parseRekorKey } from '../witnesses/rekor-set.ts';
import type { Policy } from './policy.ts';
import type { Material, NamedRoot, NamedSigner, Requirement, Source } from './requirement.ts';
import type { Finding } from './warning.ts';

/** Key files by path as the policy spells it: their bytes, or why they cannot be read. */
export type KeyFiles = ReadonlyMap<string, Uint8Array | BullaError>;

/** Every path of a file that a policy names: keys, logs' keys, authorities, roots. Each once, in order. */
export function keyPathsOf(policy: Policy): readonly string[] {
  const roots = (policy.roots ?? []).flatMap(({ from }) => (from.kind === 'file' ? [from.path] : []));
  const paths = allMaterials(policy).flatMap((each) => (each.kind === 'paths' ? each.paths : []));
  return [...new Set([...paths, ...roots])];
}

/** Keys, logs' keys and authorities that stand in the policy itself. */
export function keyDataOf(policy: Policy): readonly Uint8Array[] {
  return allMaterials(policy).flatMap((each) => (each.kind === 'data' ? each.data : []));
}

function allMaterials(policy: Policy): readonly Material[] {
  const lists = [
    policy.default,
    ...[...policy.transports.values()].flatMap((scopes) => [...scopes.values()]),
  ];
  const requirements = lists.flatMap((list) => ('requirements' in list ? list.requirements : list));
  return [
    ...requirements.flatMap(materialsOf),
    ...(policy.signers ?? []).flatMap(({ by }) => (by.kind === 'certificate' ? [] : [by.keys])),
  ];
}

/** What a file should hold. */
type Holds = 'openpgp' | 'sigstore-key' | 'rekor-key' | 'authorities';

/** All key material of a requirement; that of `signed` is its signers'. */
export function materialsOf(requirement: Requirement): readonly Material[] {
  return partsOf(requirement).map(([material]) => material);
}

function partsOf(requirement: Requirement): readonly (readonly [Material, Holds])[] {
  if (requirement.type === 'signedBy') return [[requirement.keys, 'openpgp']];
  if (requirement.type !== 'sigstoreSigned') return [];
  const { signer, rekorKeys } = requirement;
  const logs = rekorKeys === undefined ? [] : [[rekorKeys, 'rekor-key'] as const];
  switch (signer.kind) {
    case 'keys':
      return [[signer.keys, 'sigstore-key'], ...logs];
    case 'fulcio':
      return [[signer.fulcio.ca, 'authorities'], ...logs];
    case 'pki': {
      const { caRoots, caIntermediates: more } = signer.pki;
      return [[caRoots, 'authorities'], ...(more === undefined ? [] : [[more, 'authorities'] as const])];
    }
  }
}

const soon = 30 * 24 * 3600 * 1000;

/** Warnings about the keys of one requirement. */
export function lintKeys(requirement: Requirement, files: KeyFiles, now: Date): readonly Finding[] {
  return partsOf(requirement).flatMap(([material, holds]) => {
    const findings = lintMaterial(material, holds, requirement.source, files, now);
    const relative = material.kind === 'paths' ? material.paths.filter((path) => !path.startsWith('/')) : [];
    return [...relative.map((path) => relativePath(path, requirement.source)), ...findings];
  });
}

/** Warnings about the keys of a trust.yaml's signer. */
export function lintSigner(
  { by, source, window }: NamedSigner,
  files: KeyFiles,
  now: Date,
): readonly Finding[] {
  const { until } = window;
  const ended: readonly Finding[] =
    until === undefined || until > now.getTime()
      ? []
      : [
          {
            code: 'key-expired',
            source,
            message: 'its window has ended: only what was witnessed before is accepted',
          },
        ];
  if (by.kind === 'certificate') return ended;
  const holds = by.kind === 'gpg' ? 'openpgp' : 'sigstore-key';
  return [...ended, ...lintMaterial(by.keys, holds, source, files, now)];
}

/** Warnings about a trust.yaml's root. */
export function lintRoot({ from, source }: NamedRoot, files: KeyFiles): readonly Finding[] {
  if (from.kind !== 'file') return [];
  return lintFile(
    from.path,
    files.get(from.path),
    source,
    (bytes) => void parseTrustedRoots(bytes, from.path),
  );
}

function lintMaterial(
  material: Material,
  holds: Holds,
  source: Source,
  files: KeyFiles,
  now: Date,
): readonly Finding[] {
  const named =
    material.kind === 'data'
      ? material.data.map((bytes, index) => ({ name: `key data ${index + 1}`, bytes }))
      : material.paths.map((path) => ({ name: path, bytes: files.get(path) }));
  if (named.length === 0) {
    return [{ code: 'key-empty', source, message: 'no key is named: every image is refused' }];
  }
  return named.flatMap(({ name, bytes }) =>
    lintFile(name, bytes, source, (content) => {
      switch (holds) {
        case 'openpgp':
          return lintKeyring(source, name, content, now);
        case 'sigstore-key':
          return void parseSigstorePublicKey(content);
        case 'rekor-key':
          return void parseRekorKey(content);
        case 'authorities':
          return readAuthorities(content).flatMap((each) => lintAuthority(each, source, name, now));
      }
    }),
  );
}

function relativePath(name: string, source: Requirement['source']): Finding {
  const message = `the path ${printable(name)} means another file in every working directory`;
  return { code: 'key-path-relative', source, message, hint: 'write an absolute path' };
}

/** @param look reads the file's content; what it throws is what is wrong with it */
function lintFile(
  name: string,
  bytes: Uint8Array | BullaError | undefined,
  source: Source,
  look: (bytes: Uint8Array) => readonly Finding[] | void,
): readonly Finding[] {
  if (bytes === undefined) return [];
  if (bytes instanceof BullaError) return [{ code: 'key-unavailable', source, message: bytes.message }];
  try {
    return look(bytes) ?? [];
  } catch (error) {
    if (!(error instanceof BullaError)) throw error;
    return [{ code: 'key-malformed', source, message: `${printable(name)}: ${error.message}` }];
  }
}

function lintAuthority({ notAfter }: Authority, source: Source, name: string, now: Date): readonly Finding[] {
  const left = notAfter - now.getTime();
  if (left > soon) return [];
  const day = dayOf(new Date(notAfter));
  return left < 0
    ? [{ code: 'key-expired', source, message: `${printable(name)}: a certificate expired on ${day}` }]
    : [{ code: 'key-expires-soon', source, message: `${printable(name)}: a certificate expires on ${day}` }];
}

function lintKeyring(source: Source, name: string, bytes: Uint8Array, now: Date): readonly Finding[] {
  return parseKeyring(bytes).certificates.flatMap((certificate) => {
    const finding = lintCertificate(certificate, now);
    if (finding === undefined) return [];
    const who = printable(certificate.userIds[0] ?? 'no user ID');
    const message = `${printable(name)}: the key ${certificate.fingerprint} (${who}) ${finding.says}`;
    return [{ code: finding.code, source, message }];
  });
}

type KeyFinding = {
  readonly code: 'key-revoked' | 'key-expired' | 'key-expires-soon' | 'key-malformed';
  readonly says: string;
};

function lintCertificate(certificate: Certificate, now: Date): KeyFinding | undefined {
  if (certificate.revoked) return { code: 'key-revoked', says: 'is revoked: nothing it signed is accepted' };
  const { expires } = certificate;
  if (expires !== undefined && expires <= now) {
    const says = `expired on ${dayOf(expires)}: nothing it signed is accepted, earlier signatures included`;
    return { code: 'key-expired', says };
  }
  const signing = [certificate, ...certificate.subkeys].filter(
    (key) => key.bound && key.usage.sign && !key.revoked && (key.expires === undefined || key.expires > now),
  );
  if (signing.length === 0) return { code: 'key-malformed', says: 'has no part that can sign now' };
  if (expires === undefined || expires.getTime() - now.getTime() > soon) return undefined;
  return { code: 'key-expires-soon', says: `expires on ${dayOf(expires)}, and with it everything it signed` };
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}
