/** The sigstoreSigned requirement of a policy (containers-policy.json.5). */
import {
  type Fields,
  malformed,
  type Node,
  readByteLists,
  readBytes,
  readFields,
  readText,
  readTexts,
  sourceOf,
} from './fields.ts';
import { parseIdentity } from './parse-identity.ts';
import {
  defaultIdentity,
  type Fulcio,
  type Material,
  type Pki,
  type SigstoreSigned,
  type SigstoreSigner,
} from './requirement.ts';

const keyFields = ['keyPath', 'keyPaths', 'keyData', 'keyDatas'] as const;
const rekorFields = [
  'rekorPublicKeyPath',
  'rekorPublicKeyPaths',
  'rekorPublicKeyData',
  'rekorPublicKeyDatas',
] as const;

/** Parses a sigstoreSigned requirement. @throws BullaError `policy.malformed` */
export function parseSigstoreSigned(node: Node): SigstoreSigned {
  const fields = readFields(node, ['type', ...keyFields, 'fulcio', 'pki', ...rekorFields, 'signedIdentity']);
  const signer = parseSigner(fields);
  const rekorKeys = atMostOne(fields, materialsOf(fields, rekorFields));
  if (signer.kind === 'fulcio' && rekorKeys === undefined) {
    throw malformed(fields.self, `with fulcio, one of ${rekorFields.join(', ')} is needed`);
  }
  if (signer.kind === 'pki' && rekorKeys !== undefined) {
    throw malformed(fields.self, `with pki, none of ${rekorFields.join(', ')} is allowed`);
  }
  const identity = fields.members.get('signedIdentity');
  return {
    type: 'sigstoreSigned',
    source: sourceOf(node),
    signer,
    ...(rekorKeys !== undefined && { rekorKeys }),
    signedIdentity: identity === undefined ? defaultIdentity : parseIdentity(identity),
  };
}

function parseSigner(fields: Fields): SigstoreSigner {
  const fulcio = fields.members.get('fulcio');
  const pki = fields.members.get('pki');
  const signers: readonly SigstoreSigner[] = [
    ...materialsOf(fields, keyFields).map((keys) => ({ kind: 'keys', keys }) as const),
    ...(fulcio === undefined ? [] : [{ kind: 'fulcio', fulcio: parseFulcio(fulcio) } as const]),
    ...(pki === undefined ? [] : [{ kind: 'pki', pki: parsePki(pki) } as const]),
  ];
  const [signer] = signers;
  if (signer !== undefined && signers.length === 1) return signer;
  const found = signers.length === 0 ? 'none' : `${signers.length}`;
  throw malformed(fields.self, `expected one of ${keyFields.join(', ')}, fulcio, pki; found ${found}`);
}

function parseFulcio(node: Node): Fulcio {
  const fields = readFields(node, ['caPath', 'caData', 'oidcIssuer', 'subjectEmail']);
  return {
    ca: exactlyOne(fields, ['caPath', 'caData']),
    oidcIssuer: nonEmpty(fields, 'oidcIssuer'),
    subjectEmail: nonEmpty(fields, 'subjectEmail'),
  };
}

function parsePki(node: Node): Pki {
  const roots = ['caRootsPath', 'caRootsData'] as const;
  const intermediates = ['caIntermediatesPath', 'caIntermediatesData'] as const;
  const fields = readFields(node, [...roots, ...intermediates, 'subjectEmail', 'subjectHostname']);
  const caRoots = exactlyOne(fields, roots);
  const caIntermediates = atMostOne(fields, materialsOf(fields, intermediates));
  const subjectEmail = readText(fields, 'subjectEmail');
  const subjectHostname = readText(fields, 'subjectHostname');
  if (subjectEmail === '' && subjectHostname === '') {
    throw malformed(node, 'expected subjectEmail, subjectHostname or both');
  }
  return {
    caRoots,
    ...(caIntermediates !== undefined && { caIntermediates }),
    ...(subjectEmail !== '' && { subjectEmail }),
    ...(subjectHostname !== '' && { subjectHostname }),
  };
}

function nonEmpty(fields: Fields, key: string): string {
  const text = readText(fields, key);
  if (text !== '') return text;
  throw malformed(fields.members.get(key) ?? fields.self, `${key} is missing or empty`);
}

function exactlyOne(fields: Fields, keys: readonly string[]): Material {
  const material = atMostOne(fields, materialsOf(fields, keys));
  if (material !== undefined) return material;
  throw malformed(fields.self, `expected one of ${keys.join(', ')}`);
}

function atMostOne(fields: Fields, materials: readonly Material[]): Material | undefined {
  if (materials.length < 2) return materials[0];
  throw malformed(fields.self, 'a path and data for one and the same thing: leave one of them');
}

/**
 * What the given keys hold. A path that is empty or null and data that are null count as absent;
 * a list (`…s`) that is there must not be empty.
 */
export function materialsOf(fields: Fields, keys: readonly string[]): readonly Material[] {
  return keys.flatMap((key): readonly Material[] => {
    if (!fields.members.has(key)) return [];
    if (key.endsWith('Paths')) return [{ kind: 'paths', paths: listed(fields, key, readTexts(fields, key)) }];
    if (key.endsWith('Datas'))
      return [{ kind: 'data', data: listed(fields, key, readByteLists(fields, key)) }];
    if (key.endsWith('Path')) {
      const path = readText(fields, key);
      return path === '' ? [] : [{ kind: 'paths', paths: [path] }];
    }
    const data = readBytes(fields, key);
    return data === undefined ? [] : [{ kind: 'data', data: [data] }];
  });
}

function listed<T>(fields: Fields, key: string, items: readonly T[] | undefined): readonly T[] {
  if (items !== undefined && items.length > 0) return items;
  throw malformed(fields.members.get(key) ?? fields.self, `${key} must not be empty`);
}
