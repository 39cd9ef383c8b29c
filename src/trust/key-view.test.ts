/** Policies judged with a key taken away, or as it was before its end: everywhere that a key can stand. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';

import * as gpg from '../../test/support/openpgp-forge.ts';
import {
  bundle,
  cosign,
  files,
  image,
  manifestDigest,
  policyJson,
  readFile,
  simple,
  subjectOf,
  trustYaml,
} from '../../test/support/trust-signers.ts';
import { utf8 } from '../base/bytes.ts';
import { encodeSimpleSigning } from '../formats/simple-signing.ts';
import { parseKeyring } from '../keys/openpgp/keyring.ts';
import { parseSigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { evaluate } from './evaluate.ts';
import { asBeforeItsEnd, type KeyNames, type KeyView, withoutKeys } from './key-view.ts';
import type { Policy } from './policy.ts';
import type { StoredLike } from './verdict.ts';

const now = new Date(Date.now() + 3_600_000);

async function accepts(policy: Policy, signatures: readonly StoredLike[], view?: KeyView): Promise<boolean> {
  const context = { now, keyring: readFile, ...(view !== undefined && { view }) };
  return (await evaluate(policy, subjectOf(signatures), context)).accepted;
}

function fileOf(path: string): Uint8Array {
  return files.get(path) ?? new Uint8Array();
}

function gpgNames(...paths: readonly string[]): KeyNames {
  const fingerprints = paths.flatMap((path) =>
    parseKeyring(fileOf(path)).certificates.map(({ fingerprint }) => fingerprint),
  );
  return { openpgp: new Set(fingerprints), sigstore: new Set() };
}

function sigstoreNames(path: string): KeyNames {
  return { openpgp: new Set(), sigstore: new Set([parseSigstorePublicKey(fileOf(path)).keyId]) };
}

/** Accepted as it is, and what becomes of it without a key. */
async function without(policy: Policy, signatures: readonly StoredLike[], names: KeyNames): Promise<boolean> {
  equal(await accepts(policy, signatures), true, 'accepted as it is');
  return accepts(policy, signatures, withoutKeys(names));
}

test('a key of a keyring, of several files, of keyPaths, of a requirement of its own', async () => {
  const [ops, dev] = [gpgNames('/ops.asc'), gpgNames('/dev.asc')];
  const both = policyJson([{ type: 'signedBy', keyType: 'GPGKeys', keyPaths: ['/ops.asc', '/dev.asc'] }]);
  equal(await without(both, [simple('ops')], ops), false);
  equal(await without(both, [simple('ops')], dev), true);
  equal(await without(both, [simple('ops'), simple('dev')], ops), true);
  const keyring = gpg.join(fileOf('/ops.asc'), fileOf('/dev.asc'));
  const one = policyJson([
    { type: 'signedBy', keyType: 'GPGKeys', keyData: Buffer.from(keyring).toString('base64') },
  ]);
  equal(await without(one, [simple('ops')], ops), false);
  equal(await without(one, [simple('ops'), simple('dev')], ops), true);
  const alone = { type: 'signedBy', keyType: 'GPGKeys' };
  const each = policyJson([
    { ...alone, keyPath: '/ops.asc' },
    { ...alone, keyPath: '/dev.asc' },
  ]);
  equal(await without(each, [simple('ops'), simple('dev')], dev), false, 'both requirements must hold');
});

test('sigstore keys, alone and among others, in .sig and bundles', async () => {
  const release = sigstoreNames('/release.pub');
  const alone = policyJson([{ type: 'sigstoreSigned', keyPath: '/release.pub' }]);
  equal(await without(alone, [cosign('release')], release), false);
  equal(await without(alone, [cosign('release')], sigstoreNames('/second.pub')), true);
  const any = policyJson([{ type: 'sigstoreSigned', keyPaths: ['/release.pub', '/second.pub'] }]);
  equal(await without(any, [cosign('release')], release), false);
  equal(await without(any, [cosign('release'), cosign('second')], release), true);
  equal(await without(policyJson([{ type: 'insecureAcceptAnything' }]), [cosign('release')], release), true);
});

test('signers of a trust.yaml: any of a signer’s keys, any of, n of m', async () => {
  const named = (requirement: string): Promise<Policy> =>
    trustYaml(`signers:
  release: { type: sigstoreKey, keyPath: release.pub }
  both: { type: sigstoreKey, keyPaths: [release.pub, second.pub] }
  second: { type: sigstoreKey, keyPath: second.pub }
  ops: { type: gpg, keyPath: ops.asc }
default: [${requirement}]`);
  const [release, ops] = [sigstoreNames('/release.pub'), gpgNames('/ops.asc')];
  const by = await named('{ type: signed, by: both }');
  equal(await without(by, [bundle('release')], release), false);
  equal(await without(by, [bundle('release'), cosign('second')], release), true);
  const any = await named('{ type: signed, anyOf: [release, ops] }');
  equal(await without(any, [cosign('release')], release), false);
  equal(await without(any, [cosign('release'), simple('ops')], release), true);
  equal(await without(any, [cosign('release'), simple('ops')], ops), true);
  const two = await named('{ type: signed, threshold: 2, of: [release, second, ops] }');
  const three = [cosign('release'), cosign('second'), simple('ops')];
  equal(await without(two, three, release), true);
  equal(await without(two, three.slice(0, 2), release), false);
  equal(await without(two, three.slice(0, 2), ops), true);
});

test('every signature is judged where that is asked for, also past the first that is enough', async () => {
  const policy = await trustYaml(
    'signers:\n  ops: { type: gpg, keyPath: ops.asc }\ndefault: [{ type: signed, by: ops }]',
  );
  const count = async (everySignature: boolean): Promise<number | undefined> => {
    const subject = subjectOf([simple('ops'), simple('ops')]);
    const { requirements } = await evaluate(policy, subject, { now, keyring: readFile, everySignature });
    return requirements[0]?.signatures.length;
  };
  equal(await count(false), 1);
  equal(await count(true), 2);
});

test('a key as it was before it expired: for that key alone, and only for what it has really signed', async () => {
  const [key, other] = [gpg.edKey(), gpg.edKey()];
  const expiring = (each: gpg.ForgedKey): Uint8Array =>
    gpg.certificate(each, { self: { extra: [gpg.keyLifetime(2000)] } });
  const keyData = Buffer.from(gpg.join(expiring(key), expiring(other))).toString('base64');
  const policy = policyJson([{ type: 'signedBy', keyType: 'GPGKeys', keyData }]);
  const [fingerprint = ''] = parseKeyring(expiring(key)).certificates.map((each) => each.fingerprint);
  const view = asBeforeItsEnd({ openpgp: new Set([fingerprint]), sigstore: new Set() });
  const signed = (by: gpg.ForgedKey): StoredLike => {
    const claim = { manifestDigest, dockerReference: image, creator: 'test' };
    const blob = gpg.message(by, encodeSimpleSigning(claim));
    return { signature: { format: 'simple', blob }, location: 'here' };
  };
  equal(await accepts(policy, [signed(key)]), false);
  equal(await accepts(policy, [signed(key)], view), true);
  equal(await accepts(policy, [signed(other)], view), false);
  const { signature } = signed(key);
  if (signature.format !== 'simple') throw new Error('it is');
  const bent = signature.blob.slice();
  bent.fill(0, -8);
  equal(
    await accepts(policy, [{ signature: { format: 'simple', blob: bent }, location: 'here' }], view),
    false,
  );
  const nothing = { signature: { format: 'simple', blob: utf8('x') }, location: 'here' } as const;
  equal(await accepts(policy, [nothing], view), false);
});
