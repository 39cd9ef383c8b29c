/** What `trust check` says about the keys of a policy: they are read now, not when an image comes. */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { Certificate } from '../keys/openpgp/certificate.ts';
import { parseKeyring } from '../keys/openpgp/keyring.ts';
import type { Policy } from './policy.ts';
import type { Material, Requirement } from './requirement.ts';
import type { Finding } from './warning.ts';

/** Key files by path as the policy spells it: their bytes, or why they cannot be read. */
export type KeyFiles = ReadonlyMap<string, Uint8Array | BullaError>;

/** Every path of a file that a policy names: keys, logs' keys, authorities. Each once, in order. */
export function keyPathsOf(policy: Policy): readonly string[] {
  const lists = [
    policy.default,
    ...[...policy.transports.values()].flatMap((scopes) => [...scopes.values()]),
  ];
  const requirements = lists.flatMap((list) => ('requirements' in list ? list.requirements : list));
  return [
    ...new Set(
      requirements.flatMap(materialsOf).flatMap((each) => (each.kind === 'paths' ? each.paths : [])),
    ),
  ];
}

/** All key material of a requirement. */
export function materialsOf(requirement: Requirement): readonly Material[] {
  if (requirement.type === 'signedBy') return [requirement.keys];
  if (requirement.type !== 'sigstoreSigned') return [];
  const { signer, rekorKeys } = requirement;
  const logs = rekorKeys === undefined ? [] : [rekorKeys];
  switch (signer.kind) {
    case 'keys':
      return [signer.keys, ...logs];
    case 'fulcio':
      return [signer.fulcio.ca, ...logs];
    case 'pki':
      return [signer.pki.caRoots, ...(signer.pki.caIntermediates ? [signer.pki.caIntermediates] : [])];
  }
}

const soon = 30 * 24 * 3600 * 1000;

/** Warnings about the keys of one requirement. */
export function lintKeys(requirement: Requirement, files: KeyFiles, now: Date): readonly Finding[] {
  const { source } = requirement;
  const materials = materialsOf(requirement);
  return materials.flatMap((material): readonly Finding[] => {
    const named =
      material.kind === 'data'
        ? material.data.map((bytes, index) => ({ name: `key data ${index + 1}`, bytes }))
        : material.paths.map((path) => ({ name: path, bytes: files.get(path) }));
    if (named.length === 0) {
      return [{ code: 'key-empty', source, message: 'no key is named: every image is refused' }];
    }
    const relative = named
      .filter(({ name }) => material.kind === 'paths' && !name.startsWith('/'))
      .map(({ name }): Finding => relativePath(name, source));
    return [...relative, ...named.flatMap(({ name, bytes }) => lintFile(requirement, name, bytes, now))];
  });
}

function relativePath(name: string, source: Requirement['source']): Finding {
  const message = `the path ${printable(name)} means another file in every working directory`;
  return { code: 'key-path-relative', source, message, hint: 'write an absolute path' };
}

function lintFile(
  requirement: Requirement,
  name: string,
  bytes: Uint8Array | BullaError | undefined,
  now: Date,
): readonly Finding[] {
  const { source } = requirement;
  if (bytes === undefined) return [];
  if (bytes instanceof BullaError) return [{ code: 'key-unavailable', source, message: bytes.message }];
  if (requirement.type === 'signedBy') return lintKeyring(requirement, name, bytes, now);
  // what is inside a PEM file is read when sigstoreSigned is judged
  if (textOf(bytes)?.includes('-----BEGIN ') === true) return [];
  return [{ code: 'key-malformed', source, message: `${printable(name)} holds no PEM block` }];
}

function lintKeyring(
  { source }: Requirement,
  name: string,
  bytes: Uint8Array,
  now: Date,
): readonly Finding[] {
  try {
    return parseKeyring(bytes).certificates.flatMap((certificate) => {
      const finding = lintCertificate(certificate, now);
      if (finding === undefined) return [];
      const who = printable(certificate.userIds[0] ?? 'no user ID');
      const message = `${printable(name)}: the key ${certificate.fingerprint} (${who}) ${finding.says}`;
      return [{ code: finding.code, source, message }];
    });
  } catch (error) {
    if (!(error instanceof BullaError)) throw error;
    return [{ code: 'key-malformed', source, message: `${printable(name)}: ${error.message}` }];
  }
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
