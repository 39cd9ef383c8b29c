/** Which hash and which form of Ed25519 cosign takes in a bundle, by key: what src/keys/sigstore/bundle-signature.ts says of it. */
import assert from 'node:assert/strict';
import { createHash, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { loadEd25519ph, signEd25519ph, verifyForBundle } from '../../src/keys/sigstore/bundle-signature.ts';
import { encodePem } from '../../src/keys/sigstore/pem.ts';
import { makeKeyPair, type SigstoreKeyType } from '../../src/keys/sigstore/private-key.ts';
import { needs, openBench } from '../support/peers.ts';

const payloadType = 'application/vnd.in-toto+json';
const artifact = Buffer.from('an artifact\n');
const statement = Buffer.from(
  JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'artifact', digest: { sha256: createHash('sha256').update(artifact).digest('hex') } }],
    predicateType: 'https://example.com/predicate',
    predicate: {},
  }),
);
const pae = Buffer.concat([
  Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${statement.length} `),
  statement,
]);

function bundleOf(spki: Uint8Array, signature: Uint8Array): string {
  const hint = createHash('sha256').update(spki).digest('base64');
  const envelope = {
    payload: statement.toString('base64'),
    payloadType,
    signatures: [{ sig: Buffer.from(signature).toString('base64') }],
  };
  return JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint } },
    dsseEnvelope: envelope,
  });
}

/** The last column: whether cosign 3.1 and 2.5 accept it without being told the hash. */
const cases: readonly (readonly [
  SigstoreKeyType,
  'sha256' | 'sha384' | 'sha512' | 'pure' | 'ph',
  boolean,
])[] = [
  ['ecdsa-p256', 'sha256', true],
  ['ecdsa-p384', 'sha256', true],
  ['ecdsa-p384', 'sha384', false],
  ['ecdsa-p521', 'sha256', true],
  ['ecdsa-p521', 'sha512', false],
  ['rsa2048', 'sha256', true],
  ['ed25519', 'pure', true],
  ['ed25519', 'ph', false],
];

for (const [type, form, byCosign] of cases) {
  test(
    `${type}, ${form}: Bulla takes it, cosign ${byCosign ? 'too' : 'does not'}`,
    needs('cosign', 'cosign2'),
    async () => {
      await using bench = await openBench();
      const { privateKey, publicKey } = makeKeyPair(type);
      const signature =
        form === 'ph'
          ? await signEd25519ph(privateKey, pae)
          : new Uint8Array(sign(form === 'pure' ? null : form, pae, privateKey));
      await loadEd25519ph([publicKey]);
      assert.ok(verifyForBundle(publicKey, pae, signature));
      writeFileSync(bench.path('key.pub'), encodePem('PUBLIC KEY', publicKey.spki));
      writeFileSync(bench.path('bundle.json'), bundleOf(publicKey.spki, signature));
      writeFileSync(bench.path('artifact'), artifact);
      writeFileSync(
        bench.path('root.json'),
        '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}',
      );
      const verify = [
        'verify-blob-attestation',
        '--key',
        'key.pub',
        '--type',
        'https://example.com/predicate',
      ];
      const how = ['--bundle', 'bundle.json', '--insecure-ignore-tlog=true', 'artifact'];
      const three = await bench.run('cosign', [...verify, ...how]);
      assert.equal(three.exitCode === 0, byCosign, three.stderr);
      const old = ['--new-bundle-format', '--trusted-root', 'root.json'];
      const two = await bench.run('cosign2', [...verify, ...old, ...how]);
      assert.equal(two.exitCode === 0, byCosign, two.stderr);
    },
  );
}
