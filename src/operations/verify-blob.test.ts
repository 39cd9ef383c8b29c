import { equal, match, rejects } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { encodeBase64, utf8 } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { forgeBundle, forgeInstance, issueLeaf, trustedRootBytes } from '../../test/support/bundle-forge.ts';
import * as forge from '../../test/support/sigstore-forge.ts';
import { type Artifact, type BlobProof, verifyBlob, type VerifyBlobRequest } from './verify-blob.ts';
import { openWorld } from './world.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-verify-blob-'));
const world = openWorld();
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await world[Symbol.asyncDispose]();
});

let count = 0;
function file(content: Uint8Array | string): string {
  const path = join(folder, `${(count += 1)}`);
  writeFileSync(path, content);
  return path;
}

const instance = forgeInstance();
const root = file(trustedRootBytes(instance));
const message = utf8('the file');
const bytes: Artifact = { kind: 'bytes', bytes: message };
const digestBy = (algorithm: string, of: Uint8Array = message): Artifact => ({
  kind: 'digest',
  algorithm,
  value: new Uint8Array(createHash(algorithm).update(of).digest()),
});
const keyOf = (pair: forge.KeyPair): VerifyBlobRequest['by'] => ({
  kind: 'keys',
  files: [file(forge.pemOf(pair))],
});
const alice: VerifyBlobRequest['by'] = {
  kind: 'identity',
  identity: {
    issuer: { kind: 'exact', text: 'https://issuer.example.com' },
    subject: { kind: 'exact', text: 'alice@example.com' },
  },
  trustedRoots: [root],
};
const bundle = (json: Uint8Array): BlobProof => ({ kind: 'bundle', json, name: 'bundle' });

async function code(artifact: Artifact, proof: BlobProof, by: VerifyBlobRequest['by']): Promise<string> {
  return (await verifyBlob({ artifact, proof, by }, world)).code;
}

test('a certificate’s signature, by bytes and by digest', async () => {
  const { json } = forgeBundle(instance, { signer: issueLeaf(instance), content: { message } });
  equal(await code(bytes, bundle(json), alice), 'accepted');
  equal(await code(digestBy('sha256'), bundle(json), alice), 'accepted');
  equal(await code(digestBy('sha256', utf8('x')), bundle(json), alice), 'signature.wrong-digest');
  equal(await code({ kind: 'bytes', bytes: utf8('x') }, bundle(json), alice), 'signature.wrong-digest');
});

test('what a bundle says of its digest is not what decides', async () => {
  const key = forge.ecKey();
  const lies = (of: Uint8Array): Uint8Array =>
    forgeBundle(instance, {
      signer: key,
      content: { message },
      logs: [],
      change: (json) =>
        void Object.assign(json.messageSignature ?? {}, {
          messageDigest: { algorithm: 'SHA2_256', digest: createHash('sha256').update(of).digest('base64') },
        }),
    }).json;
  equal(
    await code({ kind: 'bytes', bytes: utf8('x') }, bundle(lies(utf8('x'))), keyOf(key)),
    'signature.invalid',
  );
  equal(await code(digestBy('sha256', utf8('x')), bundle(lies(utf8('x'))), keyOf(key)), 'signature.invalid');
  equal(await code(bytes, bundle(lies(utf8('x'))), keyOf(key)), 'signature.wrong-digest');
});

test('a bundle need not say what digest it is of: the file decides', async () => {
  const key = forge.ecKey();
  const { json } = forgeBundle(instance, {
    signer: key,
    content: { message },
    logs: [],
    change: ({ messageSignature = {} }) => void delete messageSignature['messageDigest'],
  });
  equal(await code(bytes, bundle(json), keyOf(key)), 'accepted');
  equal(await code(digestBy('sha256'), bundle(json), keyOf(key)), 'accepted');
  equal(await code({ kind: 'bytes', bytes: utf8('x') }, bundle(json), keyOf(key)), 'signature.invalid');
  equal(await code(digestBy('sha256', utf8('x')), bundle(json), keyOf(key)), 'signature.invalid');
});

test('by a digest alone, for each kind of key that allows it', async () => {
  for (const [pair, hash] of [
    [forge.ecKey(), 'sha256'],
    [forge.ecKey('P-384'), 'sha384'],
    [forge.ecKey('P-384'), 'sha256'],
    [forge.ecKey('P-521'), 'sha512'],
    [forge.rsaKey(), 'sha256'],
  ] as const) {
    const signature = forge.signBytes(pair, message, hash);
    const text = utf8(`${encodeBase64(signature)}\n`);
    const proof: BlobProof = { kind: 'signature', text, name: 'sig' };
    equal(await code(bytes, proof, keyOf(pair)), 'accepted', hash);
    equal(await code(digestBy(hash), proof, keyOf(pair)), 'accepted', hash);
    equal(await code(digestBy(hash, utf8('x')), proof, keyOf(pair)), 'signature.invalid', hash);
    equal(
      await code(
        digestBy(hash),
        { ...proof, text: utf8(encodeBase64(signature.with(9, (signature[9] ?? 0) ^ 0xff))) },
        keyOf(pair),
      ),
      'signature.invalid',
    );
  }
  const pair = forge.edKey();
  const text = utf8(encodeBase64(forge.signBytes(pair, message)));
  const proof: BlobProof = { kind: 'signature', text, name: 'sig' };
  equal(await code(bytes, proof, keyOf(pair)), 'accepted');
  await rejects(code(digestBy('sha256'), proof, keyOf(pair)), (error) =>
    isBullaError(error, 'usage.unsupported'),
  );
});

test('a statement whose subject the file is, of any type or of the one asked for', async () => {
  const key = forge.ecKey();
  const payload = utf8(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ digest: { sha256: createHash('sha256').update(message).digest('hex') } }],
      predicateType: 'https://example.com/p',
    }),
  );
  const { json } = forgeBundle(instance, {
    signer: key,
    content: { payload, payloadType: 'application/vnd.in-toto+json' },
    logs: [],
  });
  const by = keyOf(key);
  equal(await code(bytes, bundle(json), by), 'accepted');
  equal(await code(digestBy('sha256'), bundle(json), by), 'accepted');
  equal(await code(digestBy('sha256', utf8('x')), bundle(json), by), 'signature.wrong-digest');
  equal(await code(bytes, bundle(json), { ...by, predicateType: 'https://example.com/p' }), 'accepted');
  equal(
    await code(bytes, bundle(json), { ...by, predicateType: 'https://example.com/q' }),
    'signature.wrong-predicate',
  );
});

test('cosign’s older bundle: signature, certificate and the log’s promise', async () => {
  const key = forge.ecKey();
  const base64Signature = encodeBase64(forge.signBytes(key, message));
  const old = (more: object): BlobProof => bundle(utf8(JSON.stringify({ base64Signature, ...more })));
  const cert = encodeBase64(utf8(forge.pemOf(key)));
  equal(await code(bytes, old({}), keyOf(key)), 'accepted');
  equal(await code(bytes, old({ cert }), keyOf(key)), 'accepted');
  // the key that it brings vouches for nothing
  equal(await code(bytes, old({ cert }), keyOf(forge.ecKey())), 'signature.invalid');
  equal(await code(bytes, old({ rekorBundle: { x: 1 } }), keyOf(key)), 'signature.log-entry-invalid');
  equal(
    await code(bytes, old({}), { ...keyOf(key), requireLog: true, trustedRoots: [root] }),
    'signature.log-entry-missing',
  );
  equal(await code(bytes, old({}), alice), 'signature.certificate-missing');
});

test('what is no bundle is a refusal; a keyring is no key for files', async () => {
  const key = forge.ecKey();
  for (const text of [
    '',
    '{',
    '[]',
    '{}',
    '{"base64Signature":1}',
    '{"base64Signature":"","base64Signature":""}',
  ]) {
    match(await code(bytes, bundle(utf8(text)), keyOf(key)), /^signature\./);
  }
  match(await code(bytes, bundle(new Uint8Array(17_000_000)), keyOf(key)), /^signature\./);
});
