/** What every sigstore signer must do, wherever its key is. Each adapter's test calls it. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { verify } from 'node:crypto';
import { test, type TestOptions } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import type { KeyFileContext } from './open-key-file.ts';
import { openKeyUri, readPublicKeyUri } from './open-key-uri.ts';
import { bundleHash, verifySigstoreSignature } from './sigstore/public-key.ts';

export type ContractKey = {
  /** Names the private key. */
  readonly uri: string;
  /** Names the public key. Default: the same. */
  readonly publicUri?: string;
  readonly context: KeyFileContext;
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex, known from elsewhere. */
  readonly keyId: string;
};

/** @param open readies the key; it is called once for each rule, within the rule's test */
export function testSignerContract(
  what: string,
  open: () => Promise<ContractKey>,
  options: TestOptions = {},
): void {
  for (const [rule, check] of Object.entries(rules)) {
    test(`${what}: ${rule}`, options, async () => check(await open()));
  }
}

const message = utf8('a message');

const rules: Readonly<Record<string, (key: ContractKey) => Promise<void>>> = {
  'signer and verifier mean the same key': async ({ uri, publicUri, context, keyId }) => {
    await using signer = await openKeyUri(uri, context);
    const publicKey = await readPublicKeyUri(publicUri ?? uri, context);
    equal(signer.kind, 'sigstore');
    equal(signer.keyId, keyId);
    equal(signer.publicKey.keyId, keyId);
    equal(publicKey.keyId, keyId);
    deepEqual(new Uint8Array(publicKey.spki), new Uint8Array(signer.publicKey.spki));
  },

  'an attachment’s signature is over SHA-256, or plain Ed25519; several at once': async ({
    uri,
    context,
  }) => {
    await using signer = await openKeyUri(uri, context);
    const messages = ['', 'one', 'two'].map(utf8);
    const signatures = await Promise.all(messages.map((each) => signer.sign(each)));
    for (const [index, each] of messages.entries()) {
      const signature = signatures[index] ?? new Uint8Array();
      ok(signature instanceof Uint8Array);
      ok(verifySigstoreSignature(signer.publicKey, each, signature));
      ok(!verifySigstoreSignature(signer.publicKey, message, signature));
    }
  },

  'a bundle’s signature is over the hash of the key’s size': async ({ uri, context }) => {
    await using signer = await openKeyUri(uri, context);
    const { publicKey } = signer;
    const signature = await signer.signForBundle(message);
    ok(verify(bundleHash(publicKey), message, publicKey.key, signature));
  },

  'one key opened twice, closed in any order': async ({ uri, context }) => {
    const [first, second] = [await openKeyUri(uri, context), await openKeyUri(uri, context)];
    await first[Symbol.asyncDispose]();
    ok(verifySigstoreSignature(second.publicKey, message, await second.sign(message)));
    await second[Symbol.asyncDispose]();
  },
};
