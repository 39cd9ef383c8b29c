/** The sigstore services that the other tests stand on do what they should. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';

import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';
import { startIssuer } from '../support/sigstack-issuer.ts';
import { openSigstack, type Sigstack } from '../support/sigstack.ts';

async function pushImage(bench: Bench, host: string): Promise<string> {
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  const target = `docker://${host}/app:v1`;
  await bench.ok('skopeo', ['copy', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`, target]);
  return `${host}/app@${digest}`;
}

async function signed(bench: Bench, stack: Sigstack, image: string, config: string): Promise<void> {
  const trust = ['--signing-config', config, '--trusted-root', stack.trustedRoot];
  await bench.ok('cosign', ['sign', '-y', ...trust, '--identity-token', stack.tokenFile(), image]);
}

const identity = (stack: Sigstack, email = 'dev@sigstack.test'): string[] => [
  ...['--certificate-identity', email, '--certificate-oidc-issuer', stack.urls.oidc],
  ...['--trusted-root', stack.trustedRoot],
];

test(
  'two stacks at once: cosign signs with each, and neither believes the other',
  needs('sigstack', 'cosign', 'skopeo', 'docker-registry', 'openssl'),
  async () => {
    await using bench = await openBench();
    await using one = await openSigstack();
    await using two = await openSigstack({ ctLog: false });
    const { host } = await startRegistry(bench);
    const image = await pushImage(bench, host);
    await signed(bench, one, image, one.signingConfigs.rekor1);
    await bench.ok('cosign', ['verify', ...identity(one), image]);
    const other = await bench.run('cosign', ['verify', ...identity(two), image]);
    assert.equal(other.exitCode, 1, other.stderr);
    const eve = await bench.run('cosign', ['verify', ...identity(one, 'eve@sigstack.test'), image]);
    assert.equal(eve.exitCode, 1, eve.stderr);
  },
);

test(
  'Rekor v2 with a time stamp; no SCT without a CT log',
  needs('sigstack', 'cosign', 'skopeo', 'docker-registry', 'openssl'),
  async () => {
    await using bench = await openBench();
    await using stack = await openSigstack({ ctLog: false });
    const { host } = await startRegistry(bench);
    const image = await pushImage(bench, host);
    await signed(bench, stack, image, stack.signingConfigs.rekor2AndTsa);
    const args = ['verify', '--use-signed-timestamps', ...identity(stack)];
    await bench.ok('cosign', [...args, '--insecure-ignore-sct', image]);
    assert.match((await bench.run('cosign', [...args, image])).stderr, /SCT/i);
  },
);

test(
  'Fulcio accepts an issuer that was started after it, and refuses what it should',
  needs('sigstack', 'openssl'),
  async () => {
    const stack = await openSigstack();
    // a token is judged before the request's key, which is missing here
    const believed = async (token: string): Promise<boolean> => {
      const body = JSON.stringify({ publicKeyRequest: {} });
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const answer = await fetch(`${stack.urls.fulcio}/api/v2/signingCert`, {
        method: 'POST',
        headers,
        body,
      });
      const text = await answer.text();
      assert.match(text, /public key supplied|processing the identity token/);
      return text.includes('public key supplied');
    };
    try {
      await using late = await startIssuer(0);
      assert.equal(await believed(late.token()), true);
      assert.equal(await believed(stack.token()), true);
      assert.equal(await believed(stack.token({ algorithm: 'ES256' })), true);
      assert.equal(await believed(stack.token({ ci: true })), true);
      assert.equal(await believed(stack.token({ expiresIn: -60 })), false);
      assert.equal(await believed(stack.token({ audience: 'other' })), false);
      assert.equal(await believed(late.token({ claims: { iss: stack.urls.oidc } })), false);
    } finally {
      await stack[Symbol.asyncDispose]();
    }
    assert.equal(existsSync(stack.folder), false);
    await assert.rejects(fetch(stack.urls.fulcio));
  },
);
