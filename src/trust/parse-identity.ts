/** The signedIdentity objects of a policy (containers-policy.json.5). */
import { printable } from '../base/bytes.ts';
import { isNameOnly, tryParseReference } from '../base/reference.ts';
import { type Fields, malformed, type Node, readFields, readText } from './fields.ts';
import { identityTypes, type RemappedMatch, remappedMatches, type SignedIdentity } from './requirement.ts';

const fieldsOf: Readonly<Record<SignedIdentity['type'], readonly string[]>> = {
  matchExact: [],
  matchRepoDigestOrExact: [],
  matchRepository: [],
  exactReference: ['dockerReference'],
  exactRepository: ['dockerRepository'],
  remapIdentity: ['prefix', 'signedPrefix'],
};

/** Parses a signedIdentity. @throws BullaError `policy.malformed` */
export function parseIdentity(node: Node): SignedIdentity {
  const type = typeOf(node, identityTypes, 'identity type');
  const match = type === 'remapIdentity' && node.policy.dialect === 'trust.yaml' ? matchOf(node) : undefined;
  const fields = readExactly(node, ['type', ...fieldsOf[type], ...(match === undefined ? [] : ['match'])]);
  switch (type) {
    case 'matchExact':
    case 'matchRepoDigestOrExact':
    case 'matchRepository':
      return { type };
    case 'exactReference':
      return { type, dockerReference: exactReference(fields) };
    case 'exactRepository':
      return { type, dockerRepository: referenceText(fields, 'dockerRepository') };
    case 'remapIdentity':
      return {
        type,
        prefix: remapPrefix(fields, 'prefix'),
        signedPrefix: remapPrefix(fields, 'signedPrefix'),
        ...(match !== undefined && { match }),
      };
  }
}

/** How trust.yaml wants a remapped name compared, where it says so. */
function matchOf(node: Node): RemappedMatch | undefined {
  const value =
    node.value.kind === 'object' ? node.value.members.find(({ key }) => key === 'match')?.value : undefined;
  if (value === undefined) return undefined;
  const found = value.kind === 'string' ? remappedMatches.find((each) => each === value.value) : undefined;
  if (found !== undefined) return found;
  const path = `${node.path}.match`;
  throw malformed({ ...node, path, value }, `expected one of ${remappedMatches.join(', ')}`);
}

/** Reads the `type` of an object that may be anything yet. */
export function typeOf<T extends string>(node: Node, types: readonly T[], what: string): T {
  if (node.value.kind !== 'object') {
    throw malformed(node, `expected an object with a "type"`, `the types are ${types.join(', ')}`);
  }
  const members = node.value.members.filter(({ key }) => key === 'type');
  const value = members[0]?.value;
  const hint = `the types are ${types.join(', ')}`;
  if (value === undefined) throw malformed(node, `the ${what} is missing`, hint);
  const found = value.kind === 'string' ? types.find((type) => type === value.value) : undefined;
  if (found !== undefined) return found;
  const shown = value.kind === 'string' ? `"${printable(value.value)}"` : `a ${value.kind}`;
  throw malformed({ ...node, path: `${node.path}.type`, value }, `${shown} is no ${what}`, hint);
}

/** Reads an object that must have all of these keys and no other. */
export function readExactly(node: Node, keys: readonly string[]): Fields {
  const fields = readFields(node, keys);
  const missing = keys.find((key) => !fields.members.has(key));
  if (missing !== undefined) throw malformed(node, `the key "${missing}" is missing`);
  return fields;
}

function exactReference(fields: Fields): string {
  const text = referenceText(fields, 'dockerReference');
  const reference = tryParseReference(text);
  if (reference !== undefined && !isNameOnly(reference)) return text;
  throw refused(
    fields,
    'dockerReference',
    text,
    'has neither tag nor digest',
    'exactRepository takes any tag',
  );
}

function referenceText(fields: Fields, key: string): string {
  const text = readText(fields, key);
  if (tryParseReference(text) !== undefined) return text;
  throw refused(
    fields,
    key,
    text,
    'is not an image reference',
    'host[:port]/path[:tag], the path in lower case',
  );
}

// A host, or a name that begins with one: containers/image checks no more than this, so short names
// ("busybox") and upper-case hosts pass here and then match nothing.
const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const remapPattern = new RegExp(`^${label}(?:\\.${label})*(?::[0-9]+)?(?:/${component})*$`);

function remapPrefix(fields: Fields, key: string): string {
  const text = readText(fields, key);
  if (remapPattern.test(text)) return text;
  const hint = 'a host, a host and a path, or a repository: registry.example.com[:port][/path]';
  throw refused(fields, key, text, 'is no prefix of image names', hint);
}

function refused(fields: Fields, key: string, text: string, why: string, hint: string): Error {
  return malformed(fields.members.get(key) ?? fields.self, `"${printable(text)}" ${why}`, hint);
}
