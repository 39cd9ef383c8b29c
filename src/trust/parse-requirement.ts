/** The requirements of a policy but sigstoreSigned (containers-policy.json.5). */
import { printable } from '../base/bytes.ts';
import {
  type Fields,
  malformed,
  type Node,
  readBytes,
  readFields,
  readItems,
  readText,
  readTexts,
  sourceOf,
} from './fields.ts';
import { parseIdentity, readExactly, typeOf } from './parse-identity.ts';
import { parseSigstoreSigned } from './parse-sigstore.ts';
import {
  defaultIdentity,
  keyTypes,
  type KeyType,
  type Material,
  type Requirement,
  requirementTypes,
  type SignedBy,
  type SignedIdentity,
} from './requirement.ts';

/** Parses one requirement. @throws BullaError `policy.malformed` */
export type ParseRequirement = (node: Node) => Requirement;

/** Parses a list of requirements, which must not be empty. @throws BullaError `policy.malformed` */
export function parseRequirements(
  node: Node,
  parse: ParseRequirement = parseRequirement,
): readonly Requirement[] {
  const items = node.value.kind === 'null' ? [] : readItems(node, 'requirements');
  if (items.length > 0) return items.map((item) => parse(item));
  const hint = 'write [{"type": "reject"}] to refuse everything';
  throw malformed(node, 'a list of requirements must not be empty', hint);
}

/** Parses a requirement of policy.json. @throws BullaError `policy.malformed` */
export function parseRequirement(node: Node): Requirement {
  const type = typeOf(node, requirementTypes, 'requirement type');
  const source = sourceOf(node);
  switch (type) {
    case 'insecureAcceptAnything':
    case 'reject':
      readExactly(node, ['type']);
      return { type, source };
    case 'signedBy':
      return parseSignedBy(node);
    case 'signedBaseLayer': {
      const fields = readExactly(node, ['type', 'baseLayerIdentity']);
      const identity = fields.members.get('baseLayerIdentity') ?? node;
      return { type, source, baseLayerIdentity: parseIdentity(identity) };
    }
    case 'sigstoreSigned':
      return parseSigstoreSigned(node);
  }
}

const keyFields = ['keyPath', 'keyPaths', 'keyData'] as const;

function parseSignedBy(node: Node): SignedBy {
  const fields = readFields(node, ['type', 'keyType', ...keyFields, 'signedIdentity']);
  return {
    type: 'signedBy',
    source: sourceOf(node),
    keyType: parseKeyType(fields),
    keys: parseKeys(fields),
    signedIdentity: parseSignedIdentity(fields),
  };
}

function parseKeyType(fields: Fields): KeyType {
  const text = readText(fields, 'keyType');
  const found = keyTypes.find((type) => type === text);
  if (found !== undefined) return found;
  const node = fields.members.get('keyType');
  const hint = 'for OpenPGP keys write "keyType": "GPGKeys"';
  if (node === undefined) throw malformed(fields.self, 'the key "keyType" is missing', hint);
  throw malformed(node, `"${printable(text)}" is no key type`, hint);
}

// Unlike in sigstoreSigned, a key that is there counts even where it is empty or null.
function parseKeys(fields: Fields): Material {
  const present = keyFields.filter((key) => fields.members.has(key));
  const [key] = present;
  if (key === undefined || present.length > 1) {
    const found = present.length === 0 ? 'none' : present.join(' and ');
    throw malformed(fields.self, `expected one of ${keyFields.join(', ')}, found ${found}`);
  }
  const keys = materialOf(fields, key);
  if (keys !== undefined) return keys;
  throw malformed(fields.members.get(key) ?? fields.self, `${key} is empty`);
}

function materialOf(fields: Fields, key: (typeof keyFields)[number]): Material | undefined {
  if (key === 'keyData') {
    const data = readBytes(fields, key);
    return data && { kind: 'data', data: [data] };
  }
  const path = key === 'keyPath' ? readText(fields, key) : '';
  const paths = key === 'keyPaths' ? readTexts(fields, key) : path === '' ? undefined : [path];
  return paths && { kind: 'paths', paths };
}

/** The signedIdentity member, or the default rule where there is none. */
export function parseSignedIdentity(fields: Fields): SignedIdentity {
  const node = fields.members.get('signedIdentity');
  return node === undefined ? defaultIdentity : parseIdentity(node);
}
