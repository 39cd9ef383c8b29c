import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';

import { isBullaError } from '../../base/errors.ts';
import type { SystemEnvironment } from '../../registry/environment.ts';
import { findPolicy, loadPolicy, readPolicyText } from './policy-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-policy-'));
after(() => rmSync(folder, { recursive: true }));

function environment(env: Readonly<Record<string, string>> = {}): SystemEnvironment {
  return {
    env,
    home: join(folder, 'home'),
    uid: 1000,
    etc: join(folder, 'etc'),
    share: join(folder, 'share'),
  };
}

function write(...parts: readonly string[]): string {
  const path = join(folder, ...parts);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, '{}');
  return path;
}

// containers-policy.json.5, "FILES", in order; each file written is found before those written earlier
test('the first policy of the search path counts', async () => {
  await assert.rejects(findPolicy(environment()), (error) => {
    assert.ok(isBullaError(error, 'policy.not-found'));
    assert.equal(error.exitCode, 2);
    for (const searched of ['home/.config', 'etc', 'share']) {
      assert.ok(error.hint?.includes(join(folder, searched, 'containers/policy.json')));
    }
    return true;
  });
  const share = write('share/containers/policy.json');
  assert.equal(await findPolicy(environment()), share);
  const etc = write('etc/containers/policy.json');
  assert.equal(await findPolicy(environment()), etc);
  const home = write('home/.config/containers/policy.json');
  assert.equal(await findPolicy(environment()), home);
  assert.equal(await findPolicy(environment({ XDG_CONFIG_HOME: '' })), home);
  const xdg = write('xdg/containers/policy.json');
  assert.equal(await findPolicy(environment({ XDG_CONFIG_HOME: join(folder, 'xdg') })), xdg);
  assert.equal(await findPolicy(environment({ XDG_CONFIG_HOME: join(folder, 'empty') })), etc);
  const named = join(folder, 'not-there.json');
  assert.equal(await findPolicy(environment({ CONTAINERS_POLICY_JSON: named })), named);
});

test('a policy that is not there or not text is a configuration error', async () => {
  const missing = readPolicyText(join(folder, 'missing.json'));
  await assert.rejects(missing, (error) => isBullaError(error, 'policy.not-found'));
  const binary = join(folder, 'binary.json');
  writeFileSync(binary, new Uint8Array([0x7b, 0xff, 0x7d]));
  await assert.rejects(readPolicyText(binary), (error) => isBullaError(error, 'policy.malformed'));
});

test('a trust.yaml is read where it is named, by its first line, and nowhere else', async () => {
  const yaml = write('named', 'trust.yaml');
  writeFileSync(
    yaml,
    'apiVersion: bulla/v1\ndefault: [{ type: signedBy, keyType: GPGKeys, keyPath: k.asc }]\n',
  );
  const json = write('named', 'policy.json');
  writeFileSync(json, '{"default":[{"type":"reject"}]}');
  const named = await loadPolicy(yaml, environment());
  assert.equal(named.dialect, 'trust.yaml');
  const [requirement] = named.default;
  assert.ok(requirement?.type === 'signedBy' && requirement.keys.kind === 'paths');
  assert.deepEqual(requirement.keys.paths, [join(dirname(yaml), 'k.asc')]);
  assert.equal((await loadPolicy(undefined, environment({ BULLA_POLICY: yaml }))).file, yaml);
  assert.equal((await loadPolicy(json, environment({ BULLA_POLICY: yaml }))).file, json);
  const searched = environment({ CONTAINERS_POLICY_JSON: yaml });
  await assert.rejects(loadPolicy(undefined, searched), (error) => isBullaError(error, 'policy.malformed'));
  assert.equal(
    (await loadPolicy(undefined, environment({ CONTAINERS_POLICY_JSON: json }))).dialect,
    undefined,
  );
  // neither is taken for the other
  writeFileSync(yaml, '{"apiVersion": "bulla/v1", "default": [{"type": "reject"}]}');
  await assert.rejects(loadPolicy(yaml, environment()), (error) => isBullaError(error, 'policy.malformed'));
  writeFileSync(yaml, 'default: [{ type: reject }]\n');
  await assert.rejects(loadPolicy(yaml, environment()), (error) => isBullaError(error, 'policy.malformed'));
});
