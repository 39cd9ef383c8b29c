/** Signatures by identity, with certificate, log and timestamps of real services, over the air gap: judged there by the root that was carried by hand. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { startRegistry } from '../support/docker-registry.ts';
import { needs, type PeerResult } from '../support/peers.ts';
import { openStage, type Stage } from './sign-sigstore-peers.ts';

const needed = needs('sigstack', 'cosign', 'cosign2', 'skopeo', 'crane', 'docker-registry', 'openssl');
const isSkipped = needed.skip !== undefined;
let stage: Stage;
before(async () => {
  if (!isSkipped) stage = await openStage();
});
after(async () => {
  if (!isSkipped) await stage[Symbol.asyncDispose]();
});

async function ok(args: readonly string[]): Promise<PeerResult> {
  const result = await stage.bench.bulla(args);
  assert.equal(result.exitCode, 0, `${args.join(' ')}\n${result.stdout}${result.stderr}`);
  return result;
}

test(
  'what cosign signed without a key is believed on the far side by identity and root, and by cosign',
  needed,
  async () => {
    const { bench, stack } = stage;
    const image = await stage.push('gap/keyless');
    const root = ['--trusted-root', stack.trustedRoot];
    const who = ['--certificate-identity', 'dev@sigstack.test', '--certificate-oidc-issuer', stack.urls.oidc];
    const config = ['--signing-config', stack.signingConfigs.rekor2AndTsa, ...root];
    const token = readFileSync(stack.tokenFile(), 'utf8').trim();
    await bench.ok('cosign', ['sign', '-y', ...config, '--identity-token', token, image], {
      env: { COSIGN_YES: 'true' },
    });
    await ok(['bundle', 'create', '--tls-verify=false', ...who, ...root, '-o', 'gap.tar', image]);
    const shown = await ok(['bundle', 'show', 'gap.tar']);
    assert.match(shown.stdout, /trusted root bulla\/roots\/[0-9a-f]{64}\.json: [1-9][0-9]* services/);
    // the root that came along counts for nothing
    const alone = await bench.bulla(['bundle', 'verify', ...who, 'gap.tar']);
    assert.equal(alone.exitCode, 1, alone.stderr);
    await ok(['bundle', 'verify', ...who, ...root, 'gap.tar']);
    const other = [
      '--certificate-identity',
      'eve@sigstack.test',
      '--certificate-oidc-issuer',
      stack.urls.oidc,
    ];
    const refused = await bench.bulla(['bundle', 'verify', ...other, ...root, 'gap.tar']);
    assert.equal(refused.exitCode, 1, refused.stderr);
    assert.match(refused.stdout, /signature\.wrong-signer/);

    const far = await startRegistry(bench);
    await ok([
      'bundle',
      'load',
      '--tls-verify=false',
      ...who,
      ...root,
      'gap.tar',
      '--to',
      `docker://${far.host}/far`,
    ]);
    const verify = ['verify', ...root, ...who, '--use-signed-timestamps', `${far.host}/far/gap/keyless:v1`];
    const verified = await bench.run('cosign', verify);
    assert.equal(verified.exitCode, 0, verified.stderr);
  },
);
