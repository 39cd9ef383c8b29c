import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { openOidcIssuer } from '../../../test/support/oidc-issuer.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { openHttp } from '../../io/http.ts';
import { type AmbientContext, findAmbientToken, openTokenProvider } from './ambient.ts';
import { fileToken, givenToken } from './token-source.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-oidc-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const http = openHttp();
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);
const nowhere = join(folder, 'none');
const context = (env: NodeJS.ProcessEnv, agentFile = nowhere): AmbientContext => ({ env, http, agentFile });

async function principalOf(
  source: Promise<{ token(): Promise<{ principal: string }> } | undefined>,
): Promise<string> {
  const found = await source;
  assert.ok(found !== undefined);
  return (await found.token()).principal;
}

test('in a stated order: the variable, the agent’s file, GitHub’s service', async () => {
  await using issuer = await openOidcIssuer();
  const agent = join(folder, 'agent');
  writeFileSync(agent, issuer.token({ email: 'agent@example.com' }));
  const env = { SIGSTORE_ID_TOKEN: issuer.token({ email: 'env@example.com' }), ...issuer.githubVariables };
  assert.equal(await principalOf(findAmbientToken(context(env, agent))), 'env@example.com');
  assert.equal(
    await principalOf(findAmbientToken(context(issuer.githubVariables, agent))),
    'agent@example.com',
  );
  assert.deepEqual(issuer.requests, []);
  assert.equal(
    await principalOf(findAmbientToken(context(issuer.githubVariables))),
    'repo:acme/app:ref:refs/heads/main',
  );
  assert.equal(issuer.requests.length, 1);
  assert.equal(await findAmbientToken(context({ SIGSTORE_ID_TOKEN: '' })), undefined);
  assert.equal(
    await principalOf(openTokenProvider('github-actions', context(env, agent))),
    'repo:acme/app:ref:refs/heads/main',
  );
  assert.equal(await principalOf(openTokenProvider('filesystem', context(env, agent))), 'agent@example.com');
});

test('a token that is there and bad is not passed over for another', async () => {
  await using issuer = await openOidcIssuer();
  const env = { SIGSTORE_ID_TOKEN: issuer.token({ exp: 1 }), ...issuer.githubVariables };
  await assert.rejects(findAmbientToken(context(env)), code('oidc.token-expired'));
});

test('GitHub is asked for the audience, when the token is wanted and not before', async () => {
  await using issuer = await openOidcIssuer();
  const source = await openTokenProvider('github-actions', context(issuer.githubVariables));
  assert.deepEqual(issuer.requests, []);
  await source.token();
  assert.deepEqual(issuer.requests, ['/github/token?api-version=2.0&audience=sigstore']);
  const wrong = { ...issuer.githubVariables, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'wrong' };
  const refused = await openTokenProvider('github-actions', context(wrong));
  await assert.rejects(refused.token(), code('oidc.failed'));
});

test('GitHub answers something else, and what it answers is not repeated', async () => {
  const answers = ['{}', '{"value":5}', '{"value":"eyJhbGciOiJSUzI1NiJ9.secret"}', 'secret', '[]', ''];
  for (const answer of answers) {
    await using issuer = await openOidcIssuer({
      instead: (_, response) => {
        response.end(answer);
        return true;
      },
    });
    const source = await openTokenProvider('github-actions', context(issuer.githubVariables));
    await assert.rejects(source.token(), (error) => {
      assert.ok(isBullaError(error, 'oidc.failed') || isBullaError(error, 'oidc.token-malformed'), answer);
      return !`${error.message}${error.hint ?? ''}`.includes('secret');
    });
  }
});

test('a provider that is unknown, or not here', async () => {
  await assert.rejects(openTokenProvider('nobody', context({})), code('usage.invalid'));
  for (const name of ['envvar', 'filesystem', 'github-actions', 'buildkite-agent']) {
    await assert.rejects(openTokenProvider(name, context({})), code('oidc.token-missing'), name);
  }
});

test('Buildkite’s agent is run, and its failure is one', async () => {
  await using issuer = await openOidcIssuer();
  const program = join(folder, 'buildkite-agent');
  writeFileSync(join(folder, 'bk-token'), issuer.token({ email: 'bk@example.com' }));
  writeFileSync(
    program,
    `#!/bin/sh\n[ "$*" = "oidc request-token --audience sigstore" ] && cat '${join(folder, 'bk-token')}'\n`,
  );
  chmodSync(program, 0o755);
  const path = process.env['PATH'];
  process.env['PATH'] = `${folder}:${path}`;
  try {
    const env = { BUILDKITE_AGENT_ACCESS_TOKEN: 'x', PATH: `${folder}:${path}` };
    assert.equal(await principalOf(findAmbientToken(context(env))), 'bk@example.com');
    writeFileSync(program, '#!/bin/sh\necho secret\nexit 3\n');
    await assert.rejects(principalOf(findAmbientToken(context(env))), code('oidc.failed'));
  } finally {
    process.env['PATH'] = path;
  }
});

test('a file is read early, and again for each further certificate', async () => {
  await using issuer = await openOidcIssuer();
  const file = join(folder, 'token');
  writeFileSync(file, `${issuer.token({ email: 'first@example.com' })}\n`);
  const source = await fileToken(file);
  writeFileSync(file, issuer.token({ email: 'second@example.com' }));
  assert.equal((await source.token()).principal, 'first@example.com');
  assert.equal((await source.token()).principal, 'second@example.com');
  await assert.rejects(fileToken(nowhere), code('oidc.token-missing'));
  writeFileSync(file, '\n');
  await assert.rejects(fileToken(file), code('oidc.token-missing'));
  writeFileSync(file, Buffer.of(0xff));
  await assert.rejects(fileToken(file), code('oidc.token-malformed'));
  assert.throws(() => givenToken(issuer.token({ aud: 'x' }), 'a test'), code('oidc.token-wrong-audience'));
});
