/** Signers of every kind with their files, signatures by them, and an image to judge under a policy: for tests of trust.yaml. */
import { utf8 } from '../../src/base/bytes.ts';
import { type Digest, digestOf, hexOf } from '../../src/base/digest.ts';
import { BullaError } from '../../src/base/errors.ts';
import { parseReference } from '../../src/base/reference.ts';
import { encodeCosignPayload } from '../../src/formats/cosign.ts';
import { encodeSimpleSigning } from '../../src/formats/simple-signing.ts';
import { cosignSignPredicateType, encodeStatement } from '../../src/formats/statement.ts';
import type { KeyReader } from '../../src/trust/material.ts';
import { parsePolicy, type Policy } from '../../src/trust/policy.ts';
import { dockerScopes } from '../../src/trust/scopes.ts';
import { parseTrustYaml } from '../../src/trust/trust-yaml.ts';
import type { StoredLike, Subject } from '../../src/trust/verdict.ts';
import {
  type BundlePlan,
  forgeBundle,
  forgeInstance,
  type Instance,
  issueLeaf,
  trustedRootBytes,
} from './bundle-forge.ts';
import * as gpg from './openpgp-forge.ts';
import * as forge from './sigstore-forge.ts';

export const image = 'registry.example.com/ns/app:1';
export const manifestDigest: Digest = digestOf(utf8('the manifest of the image'));

const gpgKeys = { ops: gpg.edKey(), dev: gpg.edKey() };
const keys = { release: forge.ecKey(), second: forge.ecKey(), stranger: forge.ecKey() };
export type GpgName = keyof typeof gpgKeys;
export type KeyName = keyof typeof keys;

export const instance: Instance = forgeInstance();

/** Key files and roots by the paths that a policy names; every other path is not there. */
export const files: ReadonlyMap<string, Uint8Array> = new Map([
  ...Object.entries(gpgKeys).map(
    ([name, key]) =>
      [`/${name}.asc`, gpg.certificate(key, { users: [{ userId: name, signatures: [{}] }] })] as const,
  ),
  ...Object.entries(keys).map(([name, key]) => [`/${name}.pub`, utf8(forge.pemOf(key))] as const),
  ['/root.json', trustedRootBytes(instance)],
]);

export const readFile: KeyReader = async (path) => {
  const bytes = files.get(path);
  if (bytes !== undefined) return bytes;
  throw new BullaError('io.not-found', `cannot read ${path}`);
};

function at(format: string): string {
  return `https://registry.example.com/${format}`;
}

export function simple(by: GpgName, reference: string = image, digest: Digest = manifestDigest): StoredLike {
  const payload = encodeSimpleSigning({
    manifestDigest: digest,
    dockerReference: reference,
    creator: 'test',
  });
  return { signature: { format: 'simple', blob: gpg.message(gpgKeys[by], payload) }, location: at('simple') };
}

export function cosign(by: KeyName, reference: string = image, digest: Digest = manifestDigest): StoredLike {
  const payload = encodeCosignPayload({ manifestDigest: digest, dockerReference: reference });
  return { signature: forge.attach(payload, keys[by]), location: at('cosign') };
}

export type BundleOptions = Partial<BundlePlan> & {
  readonly predicateType?: string;
  readonly digest?: Digest;
  /** By Fulcio, for that mail address; default: by a key. */
  readonly email?: string;
};

export function bundle(by: KeyName, options: BundleOptions = {}): StoredLike {
  const { predicateType = cosignSignPredicateType, digest = manifestDigest, email, ...plan } = options;
  const payload = encodeStatement({
    subjects: [{ digests: new Map([['sha256', hexOf(digest)]]) }],
    predicateType,
    predicate: { kind: 'object', offset: 0, members: [] },
  });
  const signer = email === undefined ? keys[by] : issueLeaf(instance, { email });
  const content = { payloadType: 'application/vnd.in-toto+json', payload };
  const { json } = forgeBundle(instance, { signer, content, ...plan });
  const mediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
  return { signature: { format: 'bundle', mediaType, json }, location: at('bundle') };
}

export const unreadable: StoredLike = {
  signature: { format: 'unreadable', code: 'signature.unrecognized', message: 'no signature at all' },
  location: at('garbage'),
};

/** An image in a registry with those signatures; an error among them is thrown where it stands. */
export function subjectOf(signatures: readonly (StoredLike | Error)[], name: string = image): Subject {
  const dockerReference = parseReference(name);
  return {
    transport: 'docker',
    ...dockerScopes(dockerReference),
    dockerReference,
    manifestDigest,
    async *signatures() {
      for (const signature of signatures) {
        if (signature instanceof Error) throw signature;
        yield signature;
      }
    },
  };
}

export function trustYaml(text: string): Promise<Policy> {
  return parseTrustYaml(`apiVersion: bulla/v1\n${text}`, 'trust.yaml', (path) => `/${path}`);
}

export function policyJson(requirements: readonly object[]): Policy {
  const policy = {
    default: [{ type: 'reject' }],
    transports: { docker: { 'registry.example.com': requirements } },
  };
  return parsePolicy(JSON.stringify(policy), 'policy.json');
}
