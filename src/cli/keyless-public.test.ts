/** Signing without a key where no service is named: sigstore's public instance, as its TUF repository has it. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { trustedRootBytes } from '../../test/support/bundle-forge.ts';
import { instance } from '../../test/support/trust-signers.ts';
import { inDays, serveTuf } from '../../test/support/tuf-repository.ts';
import { utf8 } from '../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { freeKeyFiles, writeKeyFiles } from '../keys/sigstore/key-files.ts';
import { makeKeyPair } from '../keys/sigstore/private-key.ts';
import { signingConfigMediaType } from '../keys/signing-config.ts';
import { signingConfigTarget, trustedRootTarget } from '../operations/judge/public-root.ts';
import { fetchTarget, publicMirror, tufFolder } from '../operations/judge/tuf.ts';
import { openServices } from './keyless.ts';
import { servicesOption } from './keyless-options.ts';
import { openSigners } from './signers.ts';
import type { Terminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-public-'));
const home = join(folder, 'home');
const path = (name: string): string => join(folder, name);
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

function service(url: string, majorApiVersion = 1): readonly object[] {
  return [{ url, majorApiVersion, validFor: { start: '2020-01-01T00:00:00Z' }, operator: 'one' }];
}

function token(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 600;
  return `${part({ alg: 'RS256' })}.${part({ iss: 'https://i.example', aud: 'sigstore', sub: 'u', exp })}.c2ln`;
}

/** A repository is fetched from, and what it left in the cache is put where the public one's is: that one is never asked. */
before(async () => {
  await using server = await serveTuf();
  writeFileSync(path('root.json'), server.root);
  const config = {
    mediaType: signingConfigMediaType,
    caUrls: service('https://f.example'),
    oidcUrls: service('https://i.example'),
    rekorTlogUrls: service('https://r2.example', 2),
    tsaUrls: service('https://t.example/api/v1/timestamp'),
  };
  const targets = {
    [signingConfigTarget]: utf8(JSON.stringify(config)),
    [trustedRootTarget]: trustedRootBytes(instance),
  };
  server.publish({ version: 1, targets, expires: inDays(7) });
  const environment = { env: {}, home, uid: 1000, etc: path('etc'), share: path('share') };
  const repository = { mirror: server.url, rootFile: path('root.json') };
  for (const name of Object.keys(targets)) await fetchTarget(environment, repository, name);
  cpSync(tufFolder(environment, repository), tufFolder(environment, { mirror: publicMirror }), {
    recursive: true,
  });
  writeFileSync(path('token'), token());
  await writeKeyFiles(await freeKeyFiles(path('k')), makeKeyPair('ecdsa-p256'), '');
});
after(() => rmSync(folder, { recursive: true, force: true }));

type Told = Terminal & { readonly warnings: string[] };

function terminal(): Told {
  const warnings: string[] = [];
  const fake: Partial<Terminal> = {
    env: { HOME: home, COSIGN_PASSWORD: '' },
    interactive: false,
    warn: (line) => void warnings.push(line),
    note: () => undefined,
  };
  return { ...(fake as Terminal), warnings };
}

const publicServices = ['https://r2.example v2', 'https://t.example/api/v1/timestamp'];

async function witnessesOf(
  parsed: object,
  at: Terminal = terminal(),
): Promise<readonly (readonly string[])[]> {
  await using signers = openSigners({ ...parsed }, at);
  return (await signers.all).map(({ witnesses: { logs, timestamps } }) => [
    ...logs.map(({ url, version }) => `${url} v${version}`),
    ...timestamps.map(({ url }) => url),
  ]);
}

test('--keyless alone is signed with the public instance’s services, and a person is told what that publishes', async () => {
  const at = terminal();
  deepEqual(await witnessesOf({ keyless: true, identityToken: path('token') }, at), [publicServices]);
  equal(at.warnings.length, 1);
  match(at.warnings.join(), /public instance/);
});

test('its issuer is who a person logs in at, and its root is what answers are checked by', async () => {
  const context = { parsed: {}, terminal: terminal(), isKeyless: true };
  const found = await openServices(servicesOption({}), context);
  deepEqual([found.fulcioUrl, found.issuerUrl], ['https://f.example', 'https://i.example']);
  equal(found.witnesses.roots?.length, 1);
  ok((found.witnesses.roots[0]?.certificateAuthorities.length ?? 0) > 0);
});

test('a key beside --keyless is not published with it; nor is one by itself', async () => {
  const key = { key: [path('k.private')] };
  const both = await witnessesOf({ ...key, keyless: true, identityToken: path('token') });
  deepEqual(both, [[], publicServices]);
  deepEqual(await witnessesOf(key), [[]]);
});

test('one service named and another forgotten is a mistake, not the public instance', async () => {
  const byToken = { identityToken: path('token') };
  await rejects(witnessesOf({ ...byToken, rekorUrl: ['https://r.example'] }), code('usage.invalid'));
  await rejects(witnessesOf({ ...byToken, fulcioUrl: 'https://f.example' }), code('usage.invalid'));
});

test('under --offline it is refused, with what to do instead', async () => {
  const error = await witnessesOf({ keyless: true, identityToken: path('token'), offline: true }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  ok(isBullaError(error, 'io.offline'));
  match(error.hint ?? '', /--offline/);
});
