/**
 * trust.yaml, Bulla's own policy file (docs/formats/trust-yaml.md): what policy.json cannot say, and the same words wherever
 * both can say a thing. It becomes the same Policy, which the same evaluator judges by.
 */
import { BullaError, isBullaError } from '../base/errors.ts';
import type { JsonValue } from '../base/json.ts';
import { parseYaml } from '../base/yaml.ts';
import {
  malformed,
  type Member,
  memberPath,
  type Node,
  type PolicyText,
  readFields,
  readText,
} from './fields.ts';
import { parseRequirements } from './parse-requirement.ts';
import { parseTransports, type Policy } from './policy.ts';
import { parseTrustRequirement } from './trust-yaml-signed.ts';
import { parseRoots, parseSigners, type Resolve } from './trust-yaml-signers.ts';

/** The first line of every trust.yaml. */
export const apiVersion = 'bulla/v1';

/**
 * Whether a policy's text is a trust.yaml, by its first line that is neither empty nor a comment. What is none is read as
 * policy.json, and never the other way round.
 */
export function isTrustYaml(text: string): boolean {
  return /^(?:[ \t]*(?:#[^\n]*)?\r?\n|---[ \t]*\r?\n)*apiVersion[ \t]*:/.test(text);
}

/**
 * Parses the text of a trust.yaml.
 * @param file names the text in errors
 * @param resolve makes a path of the file absolute: it is relative to the file's folder
 * @throws BullaError `policy.malformed`, its message with `file:line:column` and the path
 */
export async function parseTrustYaml(text: string, file: string, resolve: Resolve): Promise<Policy> {
  const policy: PolicyText = { text, file, dialect: 'trust.yaml' };
  const root: Node = { policy, path: '$', value: await parseText(text, file) };
  refuseEmpty(root);
  const fields = readFields(root, ['apiVersion', 'default', 'transports', 'signers', 'roots', 'stores']);
  const { members } = fields;
  checkVersion(root, members.get('apiVersion'));
  const fallback = members.get('default');
  if (fallback === undefined) {
    throw malformed(root, 'the key "default" is missing', 'write default: [{ type: reject }]');
  }
  const roots = parseRoots(members.get('roots'), resolve);
  const signers = parseSigners(members.get('signers'), roots, resolve);
  const parse = (node: Node): ReturnType<typeof parseTrustRequirement> =>
    parseTrustRequirement(node, signers, resolve);
  const transports = members.get('transports');
  return {
    ...policy,
    default: parseRequirements(fallback, parse),
    transports: transports === undefined ? new Map() : parseTransports(transports, parse),
    signers: [...signers.values()],
    roots: [...roots.values()],
    stores: storesOf(readText(fields, 'stores'), members.get('stores')),
  };
}

async function parseText(text: string, file: string): Promise<JsonValue> {
  try {
    return await parseYaml(text, file);
  } catch (error) {
    if (!isBullaError(error, 'yaml.malformed')) throw error;
    throw new BullaError('policy.malformed', error.message);
  }
}

/**
 * What says nothing is a mistake, wherever it stands; but for a transport's own scope, which is called "".
 * @throws BullaError `policy.malformed`
 */
export function refuseEmpty(node: Node): void {
  const { value } = node;
  switch (value.kind) {
    case 'null':
      throw malformed(node, 'there is no value');
    case 'string':
      if (value.value === '') throw malformed(node, 'the text is empty');
      return;
    case 'array':
      if (value.items.length === 0) throw malformed(node, 'the list is empty');
      value.items.forEach((item, index) =>
        refuseEmpty({ ...node, path: `${node.path}[${index}]`, value: item }),
      );
      return;
    case 'object':
      if (value.members.length === 0) throw malformed(node, 'the mapping is empty');
      for (const { key, value: member } of value.members) {
        refuseEmpty({ ...node, path: memberPath(node.path, key), value: member });
      }
      return;
    case 'number':
      if (!node.path.endsWith('.threshold'))
        throw malformed(node, `the number ${value.text} is no text: quote it`);
      return;
    case 'boolean':
      throw malformed(node, `no member is ${value.value}: put a text into quotes`);
  }
}

function checkVersion(root: Node, version: Member | undefined): void {
  const first = root.value.kind === 'object' ? root.value.members[0]?.key : undefined;
  if (version === undefined || first !== 'apiVersion') {
    throw malformed(root, `it must begin with apiVersion: ${apiVersion}`);
  }
  if (version.value.kind === 'string' && version.value.value === apiVersion) return;
  throw malformed(version, `this apiVersion is not known`, `this program reads ${apiVersion}`);
}

function storesOf(text: string, node: Member | undefined): NonNullable<Policy['stores']> {
  if (node === undefined || text === 'everywhere') return 'everywhere';
  if (text === 'configured') return text;
  throw malformed(node, 'expected everywhere or configured');
}
