/** The named roots and signers of a trust.yaml. */
import { printable } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import {
  type Fields,
  malformed,
  type Member,
  type Node,
  readFields,
  readObject,
  readText,
  sourceOf,
} from './fields.ts';
import {
  type CertificateIdentity,
  type FulcioField,
  fulcioFields,
  parsePattern,
  type TextRule,
} from './identity-rule.ts';
import { typeOf } from './parse-identity.ts';
import { materialsOf } from './parse-sigstore.ts';
import type { Material, NamedRoot, NamedSigner, TimeWindow } from './requirement.ts';

/** Makes a path that stands in the file absolute. */
export type Resolve = (path: string) => string;

export type Named<T> = ReadonlyMap<string, T>;

/** Key paths as they are to be opened. */
export function resolveMaterial(material: Material, resolve: Resolve): Material {
  return material.kind === 'data' ? material : { kind: 'paths', paths: material.paths.map(resolve) };
}

/** @throws BullaError `policy.malformed` */
export function parseRoots(node: Member | undefined, resolve: Resolve): Named<NamedRoot> {
  return mapNamed(node, (name, member) => {
    const fields = readFields(member, ['file', 'tuf']);
    const [file, tuf] = [readText(fields, 'file'), readText(fields, 'tuf')];
    if ((file === '') === (tuf === '')) throw malformed(member, 'expected one of file, tuf');
    if (file !== '') return { source: sourceOf(member), name, from: { kind: 'file', path: resolve(file) } };
    if (tuf === 'public-good') return { source: sourceOf(member), name, from: { kind: 'public-good' } };
    const hint =
      'for a TUF repository of your own: bulla trust update --tuf-mirror URL --tuf-root FILE -o F, then file: F';
    throw malformed(fields.members.get('tuf') ?? member, 'expected public-good', hint);
  });
}

/** @throws BullaError `policy.malformed` */
export function parseSigners(
  node: Member | undefined,
  roots: Named<NamedRoot>,
  resolve: Resolve,
): Named<NamedSigner> {
  return mapNamed(node, (name, member) => {
    const base = { source: sourceOf(member), name };
    const type = typeOf(member, ['sigstoreKey', 'gpg', 'certificate'], 'signer type');
    switch (type) {
      case 'sigstoreKey': {
        const fields = readFields(member, ['type', ...windowFields, ...sigstoreKeys, 'root']);
        const keys = resolveMaterial(keysOf(fields, sigstoreKeys), resolve);
        const root = fields.members.has('root') ? { root: rootOf(fields, roots) } : {};
        return { ...base, window: windowOf(fields), by: { kind: type, keys, ...root } };
      }
      case 'gpg': {
        const fields = readFields(member, ['type', ...windowFields, ...gpgKeys]);
        const keys = resolveMaterial(keysOf(fields, gpgKeys), resolve);
        return { ...base, window: windowOf(fields), by: { kind: type, keys } };
      }
      case 'certificate': {
        const fields = readFields(member, ['type', ...windowFields, 'root', ...identityFields]);
        const by = { kind: type, root: rootOf(fields, roots), identity: identityOf(fields) };
        return { ...base, window: windowOf(fields), by };
      }
    }
  });
}

const windowFields = ['validFrom', 'validUntil'];
const gpgKeys = ['keyPath', 'keyPaths', 'keyData'];
const sigstoreKeys = [...gpgKeys, 'keyDatas'];

/** Reads a mapping whose keys are names. */
function mapNamed<T>(node: Member | undefined, read: (name: string, member: Member) => T): Named<T> {
  if (node === undefined) return new Map();
  const { members } = readObject(node, (name) =>
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)
      ? undefined
      : { why: `"${printable(name)}" is no name`, hint: 'letters, digits, ".", "_" and "-" make a name' },
  );
  return new Map([...members].map(([name, member]) => [name, read(name, member)]));
}

function keysOf(fields: Fields, keys: readonly string[]): Material {
  const [material, ...more] = materialsOf(fields, keys);
  if (material !== undefined && more.length === 0) return material;
  throw malformed(fields.self, `expected one of ${keys.join(', ')}`);
}

function rootOf(fields: Fields, roots: Named<NamedRoot>): NamedRoot {
  const name = readText(fields, 'root');
  const root = roots.get(name);
  if (root !== undefined) return root;
  const node = fields.members.get('root');
  if (node === undefined) throw malformed(fields.self, 'the key "root" is missing', 'name one of roots');
  const known = roots.size === 0 ? 'there are none' : `there are ${[...roots.keys()].join(', ')}`;
  throw malformed(node, `no root is called "${printable(name)}"`, `roots names them: ${known}`);
}

/** trust.yaml's spelling of a field: `sourceRepositoryUri`. */
export function yamlField(field: FulcioField): string {
  return field.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

const fieldNames = Object.keys(fulcioFields) as readonly FulcioField[];
const identityFields = ['issuer', 'subject', ...fieldNames.map(yamlField)].flatMap((name) => [
  name,
  `${name}Pattern`,
]);

function identityOf(fields: Fields): CertificateIdentity {
  const issuer = textRule(fields, 'issuer');
  if (issuer === undefined) throw malformed(fields.self, 'expected one of issuer, issuerPattern');
  const subject = textRule(fields, 'subject');
  const rules = fieldNames.flatMap((name) => {
    const rule = textRule(fields, yamlField(name));
    return rule === undefined ? [] : [[name, rule] as const];
  });
  if (subject === undefined && rules.length === 0) {
    const hint =
      'subject, subjectPattern, sourceRepositoryUri, …: an issuer alone is everybody with an account';
    throw malformed(fields.self, 'it says by whom they were identified, and not who they are', hint);
  }
  return { issuer, ...(subject !== undefined && { subject }), fields: Object.fromEntries(rules) };
}

function textRule(fields: Fields, name: string): TextRule | undefined {
  const pattern = fields.members.get(`${name}Pattern`);
  if (pattern === undefined) {
    const text = readText(fields, name);
    return text === '' ? undefined : { kind: 'exact', text };
  }
  if (fields.members.has(name)) throw malformed(pattern, `${name} and ${name}Pattern at once`);
  try {
    return { kind: 'pattern', pattern: parsePattern(readText(fields, `${name}Pattern`)) };
  } catch (error) {
    if (isBullaError(error)) throw malformed(pattern, error.message, error.hint);
    throw error;
  }
}

function windowOf(fields: Fields): TimeWindow {
  const from = momentOf(fields, 'validFrom');
  const until = momentOf(fields, 'validUntil');
  if (from !== undefined && until !== undefined && from >= until) {
    throw malformed(fields.members.get('validUntil') ?? fields.self, 'validUntil is not after validFrom');
  }
  return { ...(from !== undefined && { from }), ...(until !== undefined && { until }) };
}

function momentOf(fields: Fields, key: string): number | undefined {
  const node = fields.members.get(key);
  if (node === undefined) return undefined;
  const text = readText(fields, key);
  const time = /^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  // what Date.parse rolls over (30 February) is no day
  if (!Number.isNaN(time) && new Date(time).toISOString().startsWith(text.replace('Z', ''))) return time;
  return refuseMoment(node);
}

function refuseMoment(node: Node): never {
  throw malformed(node, 'no day and no moment', 'write 2026-01-01 or 2026-01-01T12:00:00Z');
}
