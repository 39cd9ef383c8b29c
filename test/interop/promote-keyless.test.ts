/** Promotions that are signed without a lasting key: Fulcio, Rekor and the peers are real. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseImageName } from '../../src/base/image-name.ts';
import { promote, type Promoted, type PromoteRequest } from '../../src/operations/promote.ts';
import type { SigningFormat } from '../../src/operations/sign/plan.ts';
import { needs } from '../support/peers.ts';
import {
  askCosign,
  askPodmanFor,
  askSkopeoFor,
  keyless,
  openStage,
  policyFor,
  type Row,
  signAs,
  witnessesOf,
} from './sign-sigstore-peers.ts';

const dev: Row = { name: 'key', keyless: false, log: undefined, timestamp: false };
const release: Row = { name: 'Fulcio, Rekor v1', keyless: true, log: 1, timestamp: false };

test(
  'signed by a certificate of Fulcio: the peers believe it, cosign reads the lineage, and a second run publishes nothing more',
  needs('sigstack', 'skopeo', 'podman', 'docker-registry', 'cosign', 'cosign2'),
  async () => {
    await using stage = await openStage();
    const { world, bench, stack, host } = stage;
    const from = await stage.push('dev/app');
    await signAs(stage, dev, from, ['bundle', 'cosign']);
    const to = `${host}/prod/app:v1`;
    const formats: readonly SigningFormat[] = ['cosign', 'bundle'];
    const promoted = async (more: Partial<PromoteRequest> = {}): Promise<Promoted> => {
      const plan = {
        signer: await keyless(stage),
        formats,
        witnesses: witnessesOf(stage, release),
        explicitFormat: true,
      };
      const request: PromoteRequest = {
        source: parseImageName(from),
        destination: parseImageName(to),
        mode: 're-sign',
        sourceBy: { kind: 'policy', file: policyFor(stage, dev) },
        destinationBy: { kind: 'policy', file: policyFor(stage, release) },
        signers: [plan],
        ...more,
      };
      const outcome = await promote(request, { from: world, to: world });
      assert.ok(outcome.promoted);
      return outcome;
    };
    const first = await promoted();
    assert.deepEqual(
      first.signatures.map(({ format, added }) => [format, added]),
      formats.map((format) => [format, true]),
    );
    assert.ok(first.attestation.note === undefined && first.attestation.added);
    assert.equal((await askSkopeoFor(stage, release, to)).accepted, true);
    assert.equal((await askSkopeoFor(stage, dev, to)).accepted, false);
    assert.equal((await askPodmanFor(stage, release, to)).accepted, true);
    for (const format of ['cosign', 'bundle'] as const) {
      const answer = await askCosign(stage, release, to, format);
      assert.equal(answer.accepted, true, `${format}: ${answer.said}`);
    }
    await bench.ok('cosign', [
      ...['verify-attestation', '--type', 'urn:bulla:lineage:v1', '--trusted-root', stack.trustedRoot],
      ...['--certificate-identity', 'dev@sigstack.test', '--certificate-oidc-issuer', stack.urls.oidc, to],
    ]);

    const again = await promoted();
    assert.equal(again.changed, false, JSON.stringify(again.signatures));
    assert.ok(again.attestation.note !== undefined);
  },
);
