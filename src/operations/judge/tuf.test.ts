import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { instance } from '../../../test/support/trust-signers.ts';
import { trustedRootBytes } from '../../../test/support/bundle-forge.ts';
import { inDays, serveTuf, type TufServer } from '../../../test/support/tuf-repository.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { utf8 } from '../../base/bytes.ts';
import type { SystemEnvironment } from '../../registry/environment.ts';
import { publicTarget, publicTrustedRoots } from './public-root.ts';
import { showRoot } from '../trust/root.ts';
import { updateTrust } from '../trust/update.ts';
import { publicMirror, readCachedTarget, tufFolder } from './tuf.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-tuf-'));
const rootFile = join(folder, 'root.json');
const trusted = trustedRootBytes(instance);
let server: TufServer;
let environment: SystemEnvironment;
let homes = 0;

before(async () => {
  server = await serveTuf();
  writeFileSync(rootFile, server.root);
});
after(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  homes += 1;
  const home = join(folder, `home${homes}`);
  environment = { env: {}, home, uid: 1000, etc: join(home, 'etc'), share: join(home, 'share') };
});

const output = join(folder, 'trusted_root.json');
const targets = { 'trusted_root.json': trusted };

function update(more: Partial<Parameters<typeof updateTrust>[0]> = {}): Promise<unknown> {
  return updateTrust({ mirror: server.url, rootFile, output, environment, ...more });
}

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, code), String(error));
    return true;
  };
}

test('a target is fetched, written, and cached for the user alone', async () => {
  server.publish({ version: 1, targets });
  await update();
  assert.deepEqual(new Uint8Array(readFileSync(output)), new Uint8Array(trusted));
  const cache = tufFolder(environment, { mirror: server.url });
  assert.equal(statSync(cache).mode & 0o777, 0o700);
  const cached = await readCachedTarget(environment, { mirror: server.url }, 'trusted_root.json');
  assert.deepEqual(cached?.bytes, new Uint8Array(trusted));
  // what is known needs no root.json named again
  server.publish({ version: 2, targets: { 'trusted_root.json': utf8('{}') } });
  await assert.rejects(
    updateTrust({ mirror: server.url, output, environment }),
    refused('trusted-root.malformed'),
  );
  server.publish({ version: 3, targets });
  await updateTrust({ mirror: server.url, output, environment });
});

test('rollback, expired metadata, forged roles and exchanged targets are refused, and nothing is written', async () => {
  rmSync(output, { force: true });
  server.publish({ version: 5, targets });
  await update();
  rmSync(output);
  server.publish({ version: 4, targets });
  await assert.rejects(update(), refused('tuf.refused'));
  server.publish({ version: 6, targets, expires: inDays(-1) });
  await assert.rejects(update(), refused('tuf.refused'));
  for (const forged of ['timestamp', 'snapshot', 'targets'] as const) {
    server.publish({ version: 7, targets, forged });
    await assert.rejects(update(), refused('tuf.refused'), forged);
  }
  const other = trustedRootBytes(instance, (root) => void root['ctlogs']?.pop());
  server.publish({ version: 8, targets: { 'trusted_root.json': other }, served: targets });
  await assert.rejects(update(), refused('tuf.refused'));
  assert.equal(existsSync(output), false);
});

test('a repository that is not there, and one that has no such target', async () => {
  server.publish({ version: 1, targets: {} });
  await assert.rejects(update(), refused('tuf.unreachable'));
  await assert.rejects(update({ mirror: 'http://127.0.0.1:1' }), refused('tuf.unreachable'));
});

test('a repository of one’s own needs its root.json, and a file to write', async () => {
  await assert.rejects(update({ rootFile: join(folder, 'missing.json') }), refused('io.not-found'));
  await assert.rejects(updateTrust({ mirror: server.url, output, environment }), refused('usage.invalid'));
  await assert.rejects(updateTrust({ mirror: server.url, rootFile, environment }), refused('usage.invalid'));
  await assert.rejects(update({ mirror: 'ftp://x' }), refused('usage.invalid'));
  writeFileSync(join(folder, 'garbage.json'), 'garbage');
  await assert.rejects(update({ rootFile: join(folder, 'garbage.json') }), refused('tuf.refused'));
});

test('a damaged cache is no cache', async () => {
  server.publish({ version: 1, targets });
  await update();
  const cache = tufFolder(environment, { mirror: server.url });
  writeFileSync(join(cache, 'targets', 'trusted_root.json'), '{"mediaType":"x"}');
  assert.equal(await readCachedTarget(environment, { mirror: server.url }, 'trusted_root.json'), undefined);
});

/** The public instance's cache as a fetch would leave it; nothing here asks its server. */
function fillPublicCache(expires: Date): void {
  const cache = tufFolder(environment, { mirror: publicMirror });
  const own = tufFolder(environment, { mirror: server.url });
  for (const name of ['timestamp.json', 'targets.json', 'targets/trusted_root.json']) {
    const text = readFileSync(join(own, name), 'utf8');
    const changed =
      name === 'timestamp.json'
        ? text.replace(/"expires":"[^"]*"/, `"expires":"${expires.toISOString()}"`)
        : text;
    mkdirSync(join(cache, name, '..'), { recursive: true });
    writeFileSync(join(cache, name), changed);
  }
}

test('a fresh cache is used without a connection, a stale one offline only, with its date', async () => {
  server.publish({ version: 1, targets });
  await update();
  const warnings: string[] = [];
  const world = {
    environment,
    now: () => new Date(),
    warn: (message: string) => void warnings.push(message),
  };
  fillPublicCache(inDays(1));
  const fresh = await publicTarget(world, 'trusted_root.json', { offline: false });
  assert.equal(fresh.from, 'cache');
  assert.deepEqual(warnings, []);
  fillPublicCache(new Date('2026-01-02T03:04:05Z'));
  const stale = await publicTarget(world, 'trusted_root.json', { offline: true });
  assert.deepEqual([stale.from, stale.bytes], ['cache', new Uint8Array(trusted)]);
  assert.match(warnings.join(), /2026-01-02/);
});

test('without a cache, offline, the root that came with Bulla counts, and its date is told', async () => {
  const warnings: string[] = [];
  const world = {
    environment,
    now: () => new Date(),
    warn: (message: string) => void warnings.push(message),
  };
  const [root, ...more] = await publicTrustedRoots(world, { offline: true });
  assert.equal(more.length, 0);
  assert.ok(root?.transparencyLogs.some(({ baseUrl }) => baseUrl === 'https://rekor.sigstore.dev'));
  assert.match(warnings.join(), /came with Bulla \(.*20[0-9]{2}-[0-9]{2}-[0-9]{2}\)/);
  await assert.rejects(
    publicTarget(world, 'signing_config.v0.2.json', { offline: true }),
    refused('io.offline'),
  );
  // no folder is made for it
  assert.equal(existsSync(tufFolder(environment, { mirror: publicMirror })), false);
});

test('a root is shown with its services and their times', async () => {
  writeFileSync(join(folder, 'shown.json'), trusted);
  const now = (): Date => new Date(instance.time * 1000);
  const world = { environment, now, warn: assert.fail };
  const shown = await showRoot({ file: join(folder, 'shown.json') }, world);
  assert.equal(shown.from, 'file');
  const services = shown.roots[0]?.services ?? [];
  assert.deepEqual(
    [...new Set(services.map(({ kind }) => kind))],
    ['certificate-authority', 'certificate-log', 'log', 'timestamp-authority'],
  );
  assert.ok(services.every(({ isCurrent, key }) => isCurrent && /^[0-9a-f]{64}$/.test(key)));
});
