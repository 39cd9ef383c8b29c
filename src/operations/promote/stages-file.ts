/** stages.yaml (docs/formats/stages.md): the stages that images go through, in their order. Text to values; nothing is opened. */
import { pathToFileURL } from 'node:url';

import { printable } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { formatReference, tryParseReference } from '../../base/reference.ts';
import { parseYaml } from '../../base/yaml.ts';
import type { Section } from '../../stores/registries-d.ts';
import {
  type Fields,
  malformed,
  type Member,
  type Node,
  readFields,
  readItems,
  sourceOf,
} from '../../trust/fields.ts';
import { parseRequirements } from '../../trust/parse-requirement.ts';
import type { Policy } from '../../trust/policy.ts';
import { apiVersion, refuseEmpty } from '../../trust/trust-yaml.ts';
import { parseTrustRequirement } from '../../trust/trust-yaml-signed.ts';
import { parseRoots, parseSigners, type Resolve } from '../../trust/trust-yaml-signers.ts';
import type { JudgedBy } from '../judge.ts';

/** The second line of every stages.yaml. */
export const stagesKind = 'Stages';

/** The signing flags of a stage, by their names without dashes before; paths are absolute. */
export type StageSigning = ReadonlyMap<(typeof signingFlags)[number], readonly string[]>;

export type Stage = {
  readonly name: string;
  /** `host[:port][/path]`: an image `app:1.4` is `<registry>/app:1.4` here. */
  readonly registry: string;
  /** What judges an image that is here. */
  readonly by: Extract<JudgedBy, { kind: 'policy' }>;
  /** The key that signs what comes here. Undefined: none is named. */
  readonly sign?: StageSigning;
  /** Where signatures are, in place of what registries.d says: a section of its own, or a folder to read in its place. */
  readonly store?: { readonly section: Section } | { readonly folder: string };
};

export type Stages = {
  readonly file: string;
  /** The first that images come to is the first. */
  readonly stages: readonly [Stage, ...Stage[]];
};

/**
 * Parses the text of a stages.yaml.
 * @param resolve makes a path of the file absolute: it is relative to the file's folder
 * @throws BullaError `stages.malformed`, its message with `file:line:column` and the path
 */
export async function parseStages(text: string, file: string, resolve: Resolve): Promise<Stages> {
  try {
    const value = await parseYaml(text, file);
    return readStages({ policy: { text, file, dialect: 'trust.yaml' }, path: '$', value }, resolve);
  } catch (error) {
    if (!isBullaError(error, 'yaml.malformed') && !isBullaError(error, 'policy.malformed')) throw error;
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    throw new BullaError('stages.malformed', error.message, { ...hint, cause: error });
  }
}

function readStages(root: Node, resolve: Resolve): Stages {
  checkFirstKeys(root);
  const fields = readFields(root, ['apiVersion', 'kind', 'roots', 'signers', 'stages']);
  checkHead(root, fields);
  const { members } = fields;
  for (const key of ['roots', 'signers']) {
    const member = members.get(key);
    if (member !== undefined) refuseEmpty(member);
  }
  const roots = parseRoots(members.get('roots'), resolve);
  const signers = parseSigners(members.get('signers'), roots, resolve);
  const list = members.get('stages');
  if (list === undefined) throw malformed(root, 'the key "stages" is missing');
  const nodes = readItems(list, 'stages');
  const read = nodes.map((node) => {
    const policyOf = (member: Member, registry: string): Policy => ({
      ...node.policy,
      default: [{ type: 'reject', source: sourceOf(node) }],
      transports: new Map([
        [
          'docker',
          new Map([[registry, scopeOf(member, (each) => parseTrustRequirement(each, signers, resolve))]]),
        ],
      ]),
      signers: [...signers.values()],
      roots: [...roots.values()],
      stores: 'everywhere',
    });
    return readStage(node, policyOf, resolve);
  });
  const [first, ...others] = read;
  if (first === undefined) throw malformed(list, 'there is no stage');
  checkApart(nodes, read);
  return { file: root.policy.file, stages: [first, ...others] };
}

type ReadRequirement = NonNullable<Parameters<typeof parseRequirements>[1]>;

function scopeOf(
  member: Member,
  parse: ReadRequirement,
): { source: ReturnType<typeof sourceOf>; requirements: ReturnType<typeof parseRequirements> } {
  refuseEmpty(member);
  return { source: sourceOf(member), requirements: parseRequirements(member, parse) };
}

/** The first two lines tell it from a trust.yaml, whatever the file is called. */
function checkFirstKeys(root: Node): void {
  const keys = root.value.kind === 'object' ? root.value.members.map(({ key }) => key) : [];
  if (keys[0] === 'apiVersion' && keys[1] === 'kind') return;
  throw malformed(root, `it must begin with apiVersion: ${apiVersion} and kind: ${stagesKind}`);
}

function checkHead(root: Node, fields: Fields): void {
  for (const [key, wanted] of [
    ['apiVersion', apiVersion],
    ['kind', stagesKind],
  ] as const) {
    if (textAt(fields, key) === wanted) continue;
    throw malformed(
      fields.members.get(key) ?? root,
      `this ${key} is not known`,
      `this program reads ${wanted}`,
    );
  }
}

const signingFlags = [
  'sign-by',
  'sign-by-sigstore-private-key',
  'sign-by-sigstore',
  'key',
  'sign-passphrase-file',
  'sign-identity',
  'signature-format',
] as const;

/** Of which files are named. A key may be a URI, too. */
const pathFlags: ReadonlySet<string> = new Set([
  'sign-by-sigstore-private-key',
  'sign-by-sigstore',
  'sign-passphrase-file',
]);

function readStage(
  node: Node,
  policyOf: (member: Member, registry: string) => Policy,
  resolve: Resolve,
): Stage {
  const fields = readFields(node, ['name', 'registry', 'require', 'policy', 'sign', 'store']);
  const { members } = fields;
  const [name, registry] = [neededText(fields, 'name'), neededText(fields, 'registry')];
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name))
    throw malformed(members.get('name') ?? node, 'expected a name of a-z, 0-9, ".", "_" and "-"');
  checkRegistry(registry, members.get('registry') ?? node);
  const [require, policy] = [members.get('require'), members.get('policy')];
  if ((require === undefined) === (policy === undefined))
    throw malformed(node, 'expected one of require, policy');
  const by: Stage['by'] =
    require === undefined
      ? { kind: 'policy', file: resolve(neededText(fields, 'policy')) }
      : { kind: 'policy', given: policyOf(require, registry) };
  const sign = members.get('sign');
  const store = members.get('store');
  return {
    name,
    registry,
    by,
    ...(sign !== undefined && { sign: readSigning(sign, resolve) }),
    ...(store !== undefined && { store: readStore(store, registry, resolve) }),
  };
}

/** What is short for something else, or has a tag, is no prefix of names. */
function checkRegistry(registry: string, node: Node): void {
  const sample = `${registry}/x`;
  const reference = tryParseReference(sample);
  if (reference !== undefined && formatReference(reference) === sample) return;
  throw malformed(
    node,
    `"${printable(registry)}" is no prefix of image names`,
    'write host[:port] or host[:port]/path',
  );
}

function readSigning(node: Member, resolve: Resolve): StageSigning {
  const fields = readFields(node, signingFlags);
  const signing = new Map<(typeof signingFlags)[number], readonly string[]>();
  for (const flag of signingFlags) {
    const texts = textsAt(fields, flag);
    if (texts.length === 0) continue;
    const isPath = (text: string): boolean =>
      pathFlags.has(flag) || (flag === 'key' && !/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text));
    signing.set(
      flag,
      texts.map((text) => (isPath(text) ? resolve(text) : text)),
    );
  }
  if (
    ['sign-by', 'sign-by-sigstore-private-key', 'sign-by-sigstore', 'key'].some((flag) =>
      fields.members.has(flag),
    )
  )
    return signing;
  throw malformed(
    node,
    'no key is named',
    'write one of sign-by, sign-by-sigstore-private-key, sign-by-sigstore, key',
  );
}

function readStore(node: Member, registry: string, resolve: Resolve): NonNullable<Stage['store']> {
  const fields = readFields(node, [
    'registries.d',
    'lookaside',
    'lookaside-staging',
    'use-sigstore-attachments',
  ]);
  const { members } = fields;
  if (members.size === 0) throw malformed(node, 'the mapping is empty');
  const folder = textAt(fields, 'registries.d');
  if (folder !== undefined) {
    if (members.size > 1) throw malformed(node, 'registries.d says all of it: nothing stands beside it');
    return { folder: resolve(folder) };
  }
  const [read, write] = [urlAt(fields, 'lookaside', resolve), urlAt(fields, 'lookaside-staging', resolve)];
  const attachments = members.get('use-sigstore-attachments');
  if (attachments !== undefined && attachments.value.kind !== 'boolean')
    throw malformed(attachments, 'expected true or false');
  const isOn = attachments?.value.kind === 'boolean' ? attachments.value.value : undefined;
  const writing = write ?? read;
  return {
    section: {
      file: node.policy.file,
      scope: registry,
      ...(read !== undefined && { read }),
      ...(writing !== undefined && { write: writing }),
      ...(isOn !== undefined && { useSigstoreAttachments: isOn }),
    },
  };
}

/** A URL as in registries.d, or a folder's path. */
function urlAt(fields: Fields, key: string, resolve: Resolve): { url: string; key: string } | undefined {
  const text = textAt(fields, key);
  if (text === undefined) return undefined;
  const isUrl = /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text);
  return { key, url: isUrl ? text : pathToFileURL(resolve(text)).href };
}

/** Of two stages no image may be in both. */
function checkApart(nodes: readonly Node[], stages: readonly Stage[]): void {
  for (const [index, stage] of stages.entries()) {
    const node = nodes[index];
    for (const other of stages.slice(0, index)) {
      if (node === undefined) continue;
      if (other.name === stage.name) throw malformed(node, `there are two stages called ${stage.name}`);
      const [a, b] = [`${stage.registry}/`, `${other.registry}/`];
      if (!a.startsWith(b) && !b.startsWith(a)) continue;
      const why = `${stage.registry} of ${stage.name} and ${other.registry} of ${other.name} are one inside the other`;
      throw malformed(node, why, 'an image must be in one stage alone');
    }
  }
}

function textAt(fields: Fields, key: string): string | undefined {
  const member = fields.members.get(key);
  if (member === undefined) return undefined;
  return textOf(member);
}

function textOf(node: Node): string {
  const { value } = node;
  if (value.kind === 'string' && value.value !== '' && !value.value.includes('\0')) return value.value;
  throw malformed(
    node,
    'expected a text',
    'what looks like a number or is empty: put it into quotes, or leave it out',
  );
}

function neededText(fields: Fields, key: string): string {
  const text = textAt(fields, key);
  if (text !== undefined) return text;
  throw malformed(fields.self, `the key "${key}" is missing`);
}

/** One text, or a list of them. */
function textsAt(fields: Fields, key: string): readonly string[] {
  const member = fields.members.get(key);
  if (member === undefined) return [];
  if (member.value.kind !== 'array') return [textOf(member)];
  const items = readItems(member, 'texts').map(textOf);
  if (items.length === 0) throw malformed(member, 'the list is empty');
  return items;
}
