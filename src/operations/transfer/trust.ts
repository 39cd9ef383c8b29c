/**
 * What goes into a transfer bundle beside its images: the policy with every file that it names, keys, trusted roots, registries.d. It is
 * for showing on the far side, where whoever installs any of it says which by its fingerprint. Nothing secret goes in.
 */
import { basename } from 'node:path';

import { hexOfBytes, printable, textOf, utf8 } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { crypto } from '../../base/node.ts';
import { readBoundedFile } from '../../io/files.ts';
import { unarmorKeys } from '../../keys/openpgp/armor.ts';
import { packetTags, readPackets } from '../../keys/openpgp/packets.ts';
import { encodePem } from '../../keys/sigstore/pem.ts';
import { parseTrustedRoots } from '../../keys/trusted-root/parse.ts';
import type { RequirementJson } from '../../trust/edit.ts';
import { encodeRequirement } from '../../trust/encode.ts';
import { keyDataOf, keyPathsOf } from '../../trust/lint-keys.ts';
import { parsePolicy, type Policy } from '../../trust/policy.ts';
import type { Requirement } from '../../trust/requirement.ts';
import { parseTrustYaml } from '../../trust/trust-yaml.ts';
import { readGivenKeys } from '../judge/keys.ts';
import { loadPolicy } from '../judge/policy-file.ts';
import { transferFolders, transferPolicies } from './format.ts';
import type { World } from '../world.ts';

/** A small file in a bundle. */
export type PackedFile = { readonly name: string; readonly content: Uint8Array };

export type PackedTrust = {
  /** A policy.json or trust.yaml; `found`: the one that judges where none is named. */
  readonly policy?: string | { readonly found: true };
  /** Public keys: OpenPGP keyrings, PEM, or by URI. */
  readonly keys?: readonly string[];
  /** trusted_root.json */
  readonly trustedRoots?: readonly string[];
  /** The registries.d that the world reads. */
  readonly registriesD?: boolean;
};

/**
 * Reads all that was named. The same files give the same, wherever they lie.
 * @throws BullaError `policy.*`, `key.*` (`key.unusable`: it holds a secret), `trust.key-unavailable`, `trusted-root.*`, `registries-d.*`, `io.*`
 */
export async function packTrust(request: PackedTrust, world: World): Promise<readonly PackedFile[]> {
  const { policy, keys = [], trustedRoots = [], registriesD = false } = request;
  const packed = [
    ...(await Promise.all(keys.map((each) => packKey(each, world)))),
    ...(await Promise.all(trustedRoots.map(packRoot))),
    ...(policy === undefined ? [] : await packPolicy(policy, world)),
    ...(registriesD ? await packRegistriesD(world) : []),
  ];
  const files = [...new Map(packed.map((each) => [each.name, each])).values()];
  const bytes = files
    .filter((each) => each.name.startsWith(transferFolders.keys))
    .reduce((sum, { content }) => sum + content.length, 0);
  if (bytes <= limits.keyringBytes) return files;
  throw new BullaError('io.too-large', `the keys have more than ${limits.keyringBytes} bytes together`);
}

async function packKey(key: string, { environment }: World): Promise<PackedFile> {
  const { sigstore: [first] = [] } = await readGivenKeys([key], environment.env);
  // by URI or in whatever encoding: it is the key that is sent, and nothing that stands beside it
  if (first !== undefined) return named(transferFolders.keys, encodePem('PUBLIC KEY', first.spki), 'pem');
  return packKeyFile(key);
}

async function packKeyFile(path: string): Promise<PackedFile> {
  const content = await readBoundedFile(path, limits.keyringBytes);
  refuseSecrets(content, path);
  const isBinary = ((content[0] ?? 0) & 0x80) !== 0;
  return named(transferFolders.keys, content, isBinary ? 'gpg' : isArmored(content) ? 'asc' : 'pem');
}

async function packRoot(path: string): Promise<PackedFile> {
  const content = await readBoundedFile(path, limits.trustedRootBytes);
  parseTrustedRoots(content, path);
  return named(transferFolders.roots, content, 'json');
}

function named(folder: string, content: Uint8Array, ending: string): PackedFile {
  const hash = hexOfBytes(crypto.createHash('sha256').update(content).digest());
  return { name: `${folder}${hash}.${ending}`, content };
}

function isArmored(content: Uint8Array): boolean {
  return Buffer.from(content).toString('latin1').includes('-----BEGIN PGP ');
}

/** A secret key reads as a public one to whoever looks for the public part only. */
function refuseSecrets(content: Uint8Array, path: string): void {
  if (!holdsSecretKey(content, path)) return;
  throw new BullaError(
    'key.unusable',
    `${printable(path)} holds a secret key, which goes into no transfer bundle`,
    { hint: 'export the public key alone: bulla key export, gpg --export' },
  );
}

function holdsSecretKey(content: Uint8Array, path: string): boolean {
  // in whatever else the file holds
  if (/-----BEGIN [A-Z0-9 ]*PRIVATE KEY/.test(Buffer.from(content).toString('latin1'))) return true;
  if (((content[0] ?? 0) & 0x80) === 0 && !isArmored(content)) return false;
  const packets = readPackets(unarmorKeys(content), 'key.malformed', printable(path));
  return packets.some(({ tag }) => secretTags.has(tag));
}

const secretTags: ReadonlySet<number> = new Set([packetTags.secretKey, packetTags.secretSubkey]);

/** The policy, and each file that it names beside it. */
async function packPolicy(
  named: NonNullable<PackedTrust['policy']>,
  { environment }: World,
): Promise<readonly PackedFile[]> {
  const policy = await loadPolicy(typeof named === 'string' ? named : undefined, environment);
  const { file } = policy;
  for (const content of keyDataOf(policy)) refuseSecrets(content, file);
  const roots = new Set(
    (policy.roots ?? []).flatMap(({ from }) => (from.kind === 'file' ? [from.path] : [])),
  );
  const places = new Map<string, PackedFile>();
  for (const path of keyPathsOf(policy)) places.set(path, await packNamed(path, roots.has(path), file));
  const folder = 'bulla/';
  const placeOf = (path: string): string => places.get(path)?.name.slice(folder.length) ?? '';
  const [name, text] =
    policy.dialect === undefined
      ? [transferPolicies[0], encodePolicy(policy, placeOf)]
      : [transferPolicies[1], await encodeTrustYaml(policy, placeOf)];
  return [{ name, content: utf8(text) }, ...places.values()];
}

async function packNamed(path: string, isRoot: boolean, policy: string): Promise<PackedFile> {
  try {
    return await (isRoot ? packRoot(path) : packKeyFile(path));
  } catch (error) {
    if (!isBullaError(error) || !error.code.startsWith('io.')) throw error;
    throw new BullaError('trust.key-unavailable', `${printable(policy)}: ${error.message}`, {
      hint: 'a transfer bundle is complete: it takes along every file that its policy names',
      cause: error,
    });
  }
}

/** As `trust import` writes it, in policy.json's own spelling. */
function encodePolicy(policy: Policy, placeOf: (path: string) => string): string {
  const encode = (requirement: Requirement): RequirementJson =>
    // what names no key accepts nothing
    (requirement.type === 'signed' ? undefined : encodeRequirement(requirement, placeOf)) ?? {
      type: 'reject',
    };
  const transports = [...policy.transports].map(
    ([transport, scopes]) =>
      [
        transport,
        Object.fromEntries([...scopes].map(([scope, { requirements }]) => [scope, requirements.map(encode)])),
      ] as const,
  );
  const value = {
    default: policy.default.map(encode),
    ...(transports.length > 0 && { transports: Object.fromEntries(transports) }),
  };
  const text = `${JSON.stringify(value, null, 2)}\n`;
  parsePolicy(text, 'the packed policy');
  return text;
}

const pathMembers: ReadonlySet<unknown> = new Set([
  'keyPath',
  'keyPaths',
  'caPath',
  'caRootsPath',
  'caIntermediatesPath',
  'rekorPublicKeyPath',
  'rekorPublicKeyPaths',
  'file',
]);

/** The very text with other paths. */
async function encodeTrustYaml(policy: Policy, placeOf: (path: string) => string): Promise<string> {
  const { isScalar, isSeq, parseDocument, visit } = await import('yaml');
  const document = parseDocument(policy.text);
  const resolved = await resolvedPaths(policy);
  const move = (node: unknown): void => {
    if (isScalar(node) && typeof node.value === 'string') node.value = placeOf(resolved(node.value));
  };
  visit(document, {
    Pair: (_, { key, value }) => {
      if (!isScalar(key) || !pathMembers.has(key.value)) return;
      if (isSeq(value)) value.items.forEach(move);
      else move(value);
    },
  });
  const text = document.toString({ lineWidth: 0 });
  const moved = keyPathsOf(await parseTrustYaml(text, 'the packed policy', (path) => path));
  const wanted = new Set(keyPathsOf(policy).map(placeOf));
  if (moved.length === wanted.size && moved.every((path) => wanted.has(path))) return text;
  throw new BullaError('internal.bug', 'a path of the policy was not found again');
}

/** As its parser resolves them: relative to the file's folder. */
async function resolvedPaths({ file }: Policy): Promise<(path: string) => string> {
  const { dirname, resolve } = await import('node:path');
  return (path) => resolve(dirname(file), path);
}

async function packRegistriesD(world: World): Promise<readonly PackedFile[]> {
  const { files } = await world.registriesD();
  return Promise.all(
    files.map(async (path) => {
      const name = basename(path);
      if (!/^[A-Za-z0-9_][\w.-]{0,127}$/.test(name))
        throw new BullaError(
          'usage.invalid',
          `${printable(path)}: a file of that name goes into no transfer bundle`,
        );
      const content = await readBoundedFile(path, limits.configFileBytes);
      const text = textOf(content);
      if (text === undefined)
        throw new BullaError('registries-d.malformed', `${printable(path)} is not UTF-8 text`);
      // some stores have an access signature in the query
      if (/:\/\/(?:[^/\s"']*@|[^\s"'#]*\?)/.test(text))
        throw new BullaError('usage.invalid', `${printable(path)} has a URL with credentials or a query`, {
          hint: 'no secret goes into a transfer bundle; name another folder by --registries.d, an empty one for none',
        });
      return { name: `${transferFolders.registriesD}${name}`, content };
    }),
  );
}
