/** The requirements of a trust.yaml: `signed`, and those of policy.json. */
import { printable } from '../base/bytes.ts';
import { cosignSignPredicateType } from '../formats/statement.ts';
import { type Fields, malformed, type Node, readFields, readItems, readText, sourceOf } from './fields.ts';
import { typeOf } from './parse-identity.ts';
import { parseRequirement, parseSignedIdentity } from './parse-requirement.ts';
import {
  type Demand,
  type NamedSigner,
  type Requirement,
  requirementTypes,
  type Signed,
  type SignedFormat,
  signedFormats,
} from './requirement.ts';
import { type Named, type Resolve, resolveMaterial } from './trust-yaml-signers.ts';

/** @throws BullaError `policy.malformed` */
export function parseTrustRequirement(
  node: Node,
  signers: Named<NamedSigner>,
  resolve: Resolve,
): Requirement {
  const type = typeOf(node, [...requirementTypes, 'signed'] as const, 'requirement type');
  return type === 'signed' ? parseSigned(node, signers) : resolvePaths(parseRequirement(node), resolve);
}

function resolvePaths(requirement: Requirement, resolve: Resolve): Requirement {
  if (requirement.type === 'signedBy') {
    return { ...requirement, keys: resolveMaterial(requirement.keys, resolve) };
  }
  if (requirement.type !== 'sigstoreSigned') return requirement;
  const { signer, rekorKeys } = requirement;
  const logs = rekorKeys === undefined ? {} : { rekorKeys: resolveMaterial(rekorKeys, resolve) };
  switch (signer.kind) {
    case 'keys':
      return { ...requirement, ...logs, signer: { ...signer, keys: resolveMaterial(signer.keys, resolve) } };
    case 'fulcio': {
      const fulcio = { ...signer.fulcio, ca: resolveMaterial(signer.fulcio.ca, resolve) };
      return { ...requirement, ...logs, signer: { ...signer, fulcio } };
    }
    case 'pki': {
      const { caRoots, caIntermediates } = signer.pki;
      const more =
        caIntermediates === undefined ? {} : { caIntermediates: resolveMaterial(caIntermediates, resolve) };
      const pki = { ...signer.pki, caRoots: resolveMaterial(caRoots, resolve), ...more };
      return { ...requirement, signer: { ...signer, pki } };
    }
  }
}

const signedFields = [
  'type',
  'by',
  'anyOf',
  'threshold',
  'of',
  'formats',
  'predicateType',
  'log',
  'timestamp',
  'sct',
  'signedIdentity',
];

function parseSigned(node: Node, named: Named<NamedSigner>): Signed {
  const fields = readFields(node, signedFields);
  const signers = signersOf(fields, named);
  const predicateType = readText(fields, 'predicateType') || cosignSignPredicateType;
  const log = demandOf(fields, 'log');
  const signed: Signed = {
    type: 'signed',
    source: sourceOf(node),
    signers,
    threshold: thresholdOf(fields, signers.length),
    formats: formatsOf(fields, signers, predicateType),
    predicateType,
    ...(log !== undefined && { log }),
    timestamp: demandOf(fields, 'timestamp') ?? 'optional',
    sct: demandOf(fields, 'sct') ?? 'required',
    signedIdentity: parseSignedIdentity(fields),
  };
  checkDemands(fields, signed);
  return signed;
}

function signersOf(fields: Fields, named: Named<NamedSigner>): readonly NamedSigner[] {
  const present = ['by', 'anyOf', 'of'].filter((key) => fields.members.has(key));
  const [key] = present;
  const node = fields.members.get(key ?? '');
  if (key === undefined || node === undefined || present.length > 1) {
    throw malformed(fields.self, 'expected one of by, anyOf, of (with threshold)');
  }
  const nodes = key === 'by' ? [node] : readItems(node, 'names of signers');
  const signers = nodes.map((each) => signerOf(each, named));
  const twice = nodes.find((_, index) => signers.indexOf(signers[index] ?? never()) !== index);
  if (twice !== undefined) throw malformed(twice, 'this signer is there twice');
  return signers;
}

function never(): never {
  throw new RangeError('a list changed while it was read');
}

function signerOf(node: Node, named: Named<NamedSigner>): NamedSigner {
  if (node.value.kind !== 'string') throw malformed(node, 'expected the name of a signer');
  const signer = named.get(node.value.value);
  if (signer !== undefined) return signer;
  const known = named.size === 0 ? 'there are none' : `there are ${[...named.keys()].join(', ')}`;
  const why = `no signer is called "${printable(node.value.value)}"`;
  throw malformed(node, why, `signers names them: ${known}`);
}

function thresholdOf(fields: Fields, most: number): number {
  const node = fields.members.get('threshold');
  if (!fields.members.has('of')) {
    if (node === undefined) return 1;
    throw malformed(node, 'threshold goes with of', 'write threshold: 2 and of: [a, b, c]');
  }
  if (node === undefined) throw malformed(fields.self, 'the key "threshold" is missing');
  const text = node.value.kind === 'number' ? node.value.text : '';
  const threshold = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0;
  if (threshold >= 1 && threshold <= most) return threshold;
  throw malformed(node, `expected a whole number from 1 to ${most}, the number of names`);
}

function demandOf(fields: Fields, key: string): Demand | undefined {
  const node = fields.members.get(key);
  if (node === undefined) return undefined;
  const text = readText(fields, key);
  if (text === 'required' || text === 'optional') return text;
  throw malformed(node, 'expected required or optional');
}

/** What a signer makes, under a predicate type. */
function makes({ by }: NamedSigner, predicateType: string): readonly SignedFormat[] {
  const isSignature = predicateType === cosignSignPredicateType;
  if (by.kind === 'gpg') return isSignature ? ['simple'] : [];
  return isSignature ? ['cosign', 'bundle'] : ['bundle', 'attestation'];
}

function formatsOf(
  fields: Fields,
  signers: readonly NamedSigner[],
  predicateType: string,
): readonly SignedFormat[] {
  for (const signer of signers) {
    if (makes(signer, predicateType).length > 0) continue;
    const why = `${signer.name} has a GPG key, which makes no attestations`;
    throw malformed(fields.members.get('predicateType') ?? fields.self, why);
  }
  const made = new Set(signers.flatMap((signer) => makes(signer, predicateType)));
  const node = fields.members.get('formats');
  if (node === undefined) return signedFormats.filter((format) => made.has(format));
  const formats = readItems(node, 'formats').map((item) => formatOf(item, made));
  for (const signer of signers) {
    if (makes(signer, predicateType).some((format) => formats.includes(format))) continue;
    throw malformed(node, `none of them is made by ${signer.name}`);
  }
  if (new Set(formats).size !== formats.length) throw malformed(node, 'a format is there twice');
  return formats;
}

function formatOf(item: Node, made: ReadonlySet<SignedFormat>): SignedFormat {
  const { value } = item;
  const format = value.kind === 'string' ? signedFormats.find((each) => each === value.value) : undefined;
  if (format === undefined) throw malformed(item, `expected one of ${signedFormats.join(', ')}`);
  if (made.has(format)) return format;
  throw malformed(item, `no signer named here makes ${format} signatures for this predicate type`);
}

/** What can never be fulfilled is refused here, where its line is known. */
function checkDemands(fields: Fields, { signers, log, timestamp }: Signed): void {
  for (const [key, demand] of [
    ['log', log],
    ['timestamp', timestamp],
  ] as const) {
    if (demand !== 'required') continue;
    const node = fields.members.get(key) ?? fields.self;
    for (const { name, by } of signers) {
      if (by.kind === 'gpg') throw malformed(node, `${name} has a GPG key: nothing witnesses its signatures`);
      if (by.root === undefined)
        throw malformed(node, `${name} has no root, so no witness of it is believed`);
    }
  }
}
