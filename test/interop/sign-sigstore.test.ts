/** What Bulla signs with Fulcio, Rekor v1, Rekor v2 and a timestamp authority, as real cosign, skopeo and podman judge it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { utf8 } from '../../src/base/bytes.ts';
import { parseImageName } from '../../src/base/image-name.ts';
import { crypto } from '../../src/base/node.ts';
import type { SigstoreSigner } from '../../src/keys/signer.ts';
import { makeKeyPair, openSigstoreKey, signForBundle } from '../../src/keys/sigstore/private-key.ts';
import { publicKeyOf } from '../../src/keys/sigstore/public-key.ts';
import { sign } from '../../src/operations/sign.ts';
import type { Witnesses } from '../../src/operations/sign/plan.ts';
import { hashOf } from '../../src/operations/sign/witness.ts';
import { logInRekorV1 } from '../../src/witnesses/rekor-v1-client.ts';
import { logInRekorV2 } from '../../src/witnesses/rekor-v2-client.ts';
import { needs } from '../support/peers.ts';
import {
  askCosign,
  askPodmanFor,
  askSkopeoFor,
  openStage,
  type Row,
  rows,
  signAs,
  type Stage,
  witnessesOf,
} from './sign-sigstore-peers.ts';

const needed = needs(
  'sigstack',
  'cosign',
  'cosign2',
  'skopeo',
  'podman',
  'crane',
  'docker-registry',
  'openssl',
);
const isSkipped = needed.skip !== undefined;
let stage: Stage;
before(async () => {
  if (!isSkipped) stage = await openStage();
});
after(async () => {
  if (!isSkipped) await stage[Symbol.asyncDispose]();
});

for (const row of rows) {
  const name = row.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  test(`${row.name}, as a bundle: cosign 3`, needed, async () => {
    const image = await stage.push(`bundle/${name}`);
    const receipt = await signAs(stage, row, image, ['bundle']);
    assert.equal(receipt.signatures.length, 1);
    const answer = await askCosign(stage, row, image, 'bundle');
    assert.ok(answer.accepted, answer.said);
  });

  // a .sig has no place for an entry of a Rekor v2: its timestamp alone tells when a certificate was used, and podman reads none
  const isForPodman = !(row.keyless && row.log === 2);
  test(`${row.name}, as .sig: cosign 3 and 2${isForPodman ? ', skopeo, podman' : ''}`, needed, async () => {
    const image = await stage.push(`sig/${name}`);
    await signAs(stage, row, image, ['cosign']);
    for (const program of ['cosign', 'cosign2'] as const) {
      const answer = await askCosign(stage, row, image, 'cosign', program);
      assert.ok(answer.accepted, `${program}: ${answer.said}`);
    }
    if (!isForPodman) return;
    const skopeo = await askSkopeoFor(stage, row, image);
    assert.ok(skopeo.accepted, skopeo.said);
    const podman = await askPodmanFor(stage, row, image);
    assert.ok(podman.accepted, podman.said);
  });
}

const [, keyLog, , keyTiles, fulcioLog] = rows as [Row, Row, Row, Row, Row, ...Row[]];

test('both formats in one run: every verifier finds its own', needed, async () => {
  const image = await stage.push('both/app');
  const receipt = await signAs(stage, fulcioLog, image, ['cosign', 'bundle']);
  assert.deepEqual(
    receipt.signatures.map(({ format }) => format),
    ['cosign', 'bundle'],
  );
  for (const { logs, certificate } of receipt.signatures) {
    assert.equal(logs?.[0]?.url, stage.stack.urls.rekor);
    assert.match(logs?.[0]?.index ?? '', /^\d+$/);
    assert.match(logs?.[0]?.time ?? '', /^20\d\d-/);
    assert.deepEqual(certificate, { subjects: ['dev@sigstack.test'], issuer: stage.stack.urls.oidc });
  }
  const answers = await Promise.all([
    askCosign(stage, fulcioLog, image, 'bundle'),
    askCosign(stage, fulcioLog, image, 'cosign'),
    askCosign(stage, fulcioLog, image, 'cosign', 'cosign2'),
    askSkopeoFor(stage, fulcioLog, image),
    askPodmanFor(stage, fulcioLog, image),
  ]);
  for (const { accepted, said } of answers) assert.ok(accepted, said);
});

test('annotations are signed in both formats, and cosign asks for them', needed, async () => {
  const image = await stage.push('annotated/app');
  await signAs(stage, keyLog, image, ['cosign', 'bundle'], { annotations: { stage: 'release', a: '1 <b>' } });
  for (const format of ['cosign', 'bundle'] as const) {
    const asked = async (annotation: string): Promise<boolean> =>
      (await askCosign(stage, keyLog, image, format, 'cosign', ['-a', annotation])).accepted;
    assert.equal(await asked('stage=release'), true, format);
    assert.equal(await asked('a=1 <b>'), true, format);
    assert.equal(await asked('stage=test'), false, format);
  }
  const skopeo = await askSkopeoFor(stage, keyLog, image);
  assert.ok(skopeo.accepted, skopeo.said);
});

test(
  'a signature that the log has already: Rekor v1 gives the entry, Rekor v2 does not',
  needed,
  async () => {
    const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    const message = utf8('the same bytes');
    const signature = new Uint8Array(crypto.sign('sha256', message, privateKey));
    const key = publicKeyOf(crypto.createPublicKey(privateKey));
    const content = { kind: 'message', message } as const;
    const artifact = { signer: { kind: 'key', key }, signature, content } as const;
    const { roots = [] } = witnessesOf(stage, keyLog);
    const options = { http: stage.world.http, roots };
    const { rekor, rekor2 } = stage.stack.urls;
    const first = await logInRekorV1(rekor, artifact, options);
    const again = await logInRekorV1(rekor, artifact, options);
    assert.equal(again.logIndex, first.logIndex);
    const digest = hashOf('sha256', message);
    await logInRekorV2(rekor2, artifact, digest, options);
    await assert.rejects(logInRekorV2(rekor2, artifact, digest, options), { code: 'log.duplicate' });
  },
);

for (const type of ['ecdsa-p384', 'ecdsa-p521', 'rsa3072', 'ed25519'] as const) {
  test(`a key of ${type} in both logs' bundles`, needed, async () => {
    const pair = makeKeyPair(type);
    const signer: SigstoreSigner = {
      kind: 'sigstore',
      keyId: pair.publicKey.keyId,
      publicKey: pair.publicKey,
      sign: async (message) =>
        new Uint8Array(crypto.sign(type === 'ed25519' ? null : 'sha256', message, pair.privateKey)),
      signForBundle: (message, form) => signForBundle(pair, message, form?.prehashed === true),
      [Symbol.asyncDispose]: async () => undefined,
    };
    const publicKey = stage.bench.path(`${type}.pub`);
    for (const row of [keyLog, keyTiles]) {
      const image = await stage.push(`kinds/${type}-${row.log}`);
      const plan = {
        signer,
        formats: ['bundle'],
        witnesses: witnessesOf(stage, row),
        explicitFormat: true,
      } as const;
      const { signatures } = await sign(
        { image: parseImageName(`docker://${image}`), signers: [plan] },
        stage.world,
      );
      // the answer was checked by the trusted root before it was stored
      assert.equal(signatures[0]?.added, true);
      // what Rekor v2 wants of the larger curves and of Ed25519 cosign 3.1 does not verify by a key, not its own either
      if (row.log === 2 && type !== 'rsa3072') continue;
      writeFileSync(publicKey, pair.publicKey.key.export({ type: 'spki', format: 'pem' }));
      const answer = await askCosign({ ...stage, publicKey }, row, image, 'bundle');
      assert.ok(answer.accepted, answer.said);
    }
    // podman wants SHA-256 for every curve, and Ed25519 of the message; the log wants it otherwise
    const image = await stage.push(`kinds/${type}-sig`);
    const witnesses = witnessesOf(stage, keyLog);
    const plan = { signer, formats: ['cosign'], witnesses, explicitFormat: true } as const;
    const asked = sign({ image: parseImageName(`docker://${image}`), signers: [plan] }, stage.world);
    if (type === 'rsa3072') await asked;
    else await assert.rejects(asked, { code: 'log.refused' });
  });
}

test('a default bundle is not added where it would hide somebody else’s .sig', needed, async () => {
  const image = await stage.push('hidden/app');
  const name = parseImageName(`docker://${image}`);
  const other = await openKey('other');
  await sign({ image: name, signers: [other] }, stage.world);
  const witnesses = witnessesOf(stage, keyLog);
  const formats = ['cosign', 'bundle'] as const;
  const plan = { signer: stage.key, formats, witnesses, explicitFormat: false };
  const made = await sign({ image: name, signers: [plan] }, stage.world);
  assert.deepEqual(
    made.signatures.map(({ format }) => format),
    ['cosign'],
  );
  assert.match(stage.warnings.join('\n'), /\[store\.hides-attachment\]/);
  const asked = await sign({ image: name, signers: [{ ...plan, explicitFormat: true }] }, stage.world);
  assert.equal(asked.signatures.length, 2);
  // now there is a bundle, and nothing that it would hide
  const third = await sign({ image: name, signers: [plan] }, stage.world);
  assert.equal(third.signatures.length, 2);
});

async function openKey(name: string): Promise<SigstoreSigner> {
  await stage.bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', name]);
  const pem = new Uint8Array(readFileSync(stage.bench.path(`${name}.key`)));
  return openSigstoreKey(pem, { passphrase: { given: '' } });
}

test('a service that fails: its code, and nothing in the registry', needed, async () => {
  const image = await stage.push('failed/app');
  const nowhere = 'http://127.0.0.1:9';
  const { rekor, rekor2, tsa } = stage.stack.urls;
  const cases: readonly [Partial<Witnesses>, string][] = [
    [{ logs: [{ url: nowhere, version: 1 }] }, 'log.failed'],
    // each service has other paths than the other
    [{ logs: [{ url: rekor2, version: 1 }] }, 'log.refused'],
    [{ logs: [{ url: rekor, version: 2 }] }, 'log.refused'],
    [{ logs: [{ url: rekor, version: 1 }], timestamps: [{ url: nowhere }] }, 'timestamp.failed'],
    [{ timestamps: [{ url: `${tsa}/x` }] }, 'timestamp.refused'],
  ];
  for (const [some, code] of cases) {
    const witnesses = { logs: [], timestamps: [], ...some };
    const plan = {
      signer: stage.key,
      formats: ['cosign', 'bundle'],
      witnesses,
      explicitFormat: true,
    } as const;
    const request = { image: parseImageName(`docker://${image}`), signers: [plan] };
    await assert.rejects(sign(request, stage.world), { code });
  }
  const tags = await stage.bench.ok('crane', ['ls', '--insecure', image.replace(/:v1$/, '')]);
  assert.equal(tags.trim(), 'v1');
});
