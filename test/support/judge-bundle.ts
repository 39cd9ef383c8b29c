/** Judging forged bundles: one instance, one image, one rule, each with changes. */
import { utf8 } from '../../src/base/bytes.ts';
import { type Digest, parseDigest } from '../../src/base/digest.ts';
import { parseSigstorePublicKey } from '../../src/keys/sigstore/public-key.ts';
import { parseTrustedRoots } from '../../src/keys/trusted-root/parse.ts';
import { judgeBundle } from '../../src/trust/bundle-judge.ts';
import type { BundleRule, BundleSigner } from '../../src/trust/bundle-rule.ts';
import type { CertificateIdentity, TextRule } from '../../src/trust/identity-rule.ts';
import type { SignatureVerdict } from '../../src/trust/verdict.ts';
import {
  type BundlePlan,
  forgeBundle,
  forgeInstance,
  type Instance,
  issueLeaf,
  type Leaf,
  type RootJson,
  trustedRootBytes,
} from './bundle-forge.ts';
import * as forge from './sigstore-forge.ts';

export const instance: Instance = forgeInstance();
export const roots: BundleRule['roots'] = parseTrustedRoots(trustedRootBytes(instance), 'root');
export const rootsWith: (change: (root: RootJson) => unknown) => BundleRule['roots'] = (change) =>
  parseTrustedRoots(
    trustedRootBytes(instance, (root) => void change(root)),
    'root',
  );
export const signType: string = 'https://sigstore.dev/cosign/sign/v1';
export const hex: string = 'ab'.repeat(32);
export const subject: { readonly manifestDigest: Digest } = { manifestDigest: parseDigest(`sha256:${hex}`) };

export function statement(changes: object = {}): {
  readonly payloadType: string;
  readonly payload: Uint8Array;
} {
  const whole = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { sha256: hex } }],
    predicateType: signType,
    predicate: {},
    ...changes,
  };
  return { payloadType: 'application/vnd.in-toto+json', payload: utf8(JSON.stringify(whole)) };
}

export const exact = (text: string): TextRule => ({ kind: 'exact', text });
export const alice: CertificateIdentity = {
  issuer: exact('https://issuer.example.com'),
  subject: exact('alice@example.com'),
};
export const byAlice: BundleSigner = { kind: 'identity', identity: alice };
export const key: forge.KeyPair = forge.ecKey();
export const byKey: BundleSigner = { kind: 'keys', keys: [parseSigstorePublicKey(utf8(forge.pemOf(key)))] };
export const leaf: Leaf = issueLeaf(instance);

export function ruleOf(changes: Partial<BundleRule> = {}): BundleRule {
  return {
    signer: byAlice,
    roots,
    log: 'required',
    timestamp: 'optional',
    sct: 'required',
    predicateType: signType,
    now: instance.time * 1000 + 86_400_000,
    ...changes,
  };
}

export function judged(plan: Partial<BundlePlan> = {}, rule: Partial<BundleRule> = {}): SignatureVerdict {
  const { json } = forgeBundle(instance, { signer: leaf, content: statement(), ...plan });
  const signature = {
    format: 'bundle',
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    json,
  } as const;
  return judgeBundle({ signature, location: 'here' }, ruleOf(rule), subject);
}

export const code = (...given: Parameters<typeof judged>): string => judged(...given).code;
export const at: string = new Date(instance.time * 1000).toISOString();
