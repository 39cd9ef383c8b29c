import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { formatReference, parseReference } from '../base/reference.ts';
import { parseRegistriesConf, readRegistriesConf, type RegistriesConf } from './registries-conf.ts';
import { destinationOf, matchedLength, refuseBlocked, sourcesOf } from './sources.ts';

function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isBullaError(error, expected), `expected ${expected}, got ${String(error)}`);
    return true;
  };
}

function conf(text: string): Promise<RegistriesConf> {
  return parseRegistriesConf(Buffer.from(text), '/registries.conf');
}

function read(reference: string, configured: RegistriesConf): string[] {
  return sourcesOf(parseReference(reference), configured).map(
    (each) => `${formatReference(each.reference)}${each.insecure ? ' insecure' : ''}`,
  );
}

const hex = 'a'.repeat(64);

test('without an entry a reference is read where it says', () => {
  assert.deepEqual(read('r.test/a:1', { registries: [], credentialHelpers: [] }), ['r.test/a:1']);
});

test('mirrors come first, in order; the place itself last, moved where its location says', async () => {
  const configured = await conf(`
    [[registry]]
    prefix = "r.test/ns"
    location = "real.test/x/"
    insecure = true
    [[registry.mirror]]
    location = "m1.test:5000/deep/er"
    [[registry.mirror]]
    location = "m2.test"
    insecure = true
  `);
  assert.deepEqual(read('r.test/ns/app:1', configured), [
    'm1.test:5000/deep/er/app:1',
    'm2.test/app:1 insecure',
    'real.test/x/app:1 insecure',
  ]);
  assert.deepEqual(read('r.test/ns2/app:1', configured), ['r.test/ns2/app:1']);
  const destination = destinationOf(parseReference('r.test/ns/app:1'), configured);
  assert.deepEqual([formatReference(destination.reference), destination.insecure], ['r.test/ns/app:1', true]);
});

test('mirrors for tags or digests only', async () => {
  const configured = await conf(`
    [[registry]]
    location = "r.test"
    [[registry.mirror]]
    location = "d.test"
    pull-from-mirror = "digest-only"
    [[registry.mirror]]
    location = "t.test"
    pull-from-mirror = "tag-only"
    [[registry]]
    location = "q.test"
    mirror-by-digest-only = true
    [[registry.mirror]]
    location = "m.test"
  `);
  assert.deepEqual(read('r.test/a:1', configured), ['t.test/a:1', 'r.test/a:1']);
  assert.deepEqual(read(`r.test/a@sha256:${hex}`, configured), [
    `d.test/a@sha256:${hex}`,
    `r.test/a@sha256:${hex}`,
  ]);
  assert.deepEqual(read('q.test/a:1', configured), ['q.test/a:1']);
  assert.deepEqual(read(`q.test/a@sha256:${hex}`, configured).length, 2);
});

test('the longest prefix wins; wildcards stand for labels of the host', async () => {
  const configured = await conf(`
    [[registry]]
    prefix = "*.r.test"
    location = "wild.test"
    [[registry]]
    prefix = "b.r.test/ns"
    location = "exact.test"
  `);
  assert.deepEqual(read('a.r.test/x:1', configured), ['wild.test/x:1']);
  assert.deepEqual(read('a.b.r.test/x:1', configured), ['wild.test/x:1']);
  assert.deepEqual(read('b.r.test/ns/x:1', configured), ['exact.test/x:1']);
  assert.deepEqual(read('r.test/x:1', configured), ['r.test/x:1']);
  assert.deepEqual(read('evil.test/a.r.test/x:1', configured), ['evil.test/a.r.test/x:1']);
  assert.equal(matchedLength('r.test.evil/x', 'r.test'), 0);
  assert.equal(matchedLength('r.test:5000/x', 'r.test'), 6);
});

test('a blocked registry is contacted neither for reading nor for writing, its mirrors are', async () => {
  const configured = await conf(`
    [[registry]]
    prefix = "r.test"
    location = "real.test"
    blocked = true
    [[registry.mirror]]
    location = "m.test"
    [[registry.mirror]]
    location = "b.test/ns"
    [[registry]]
    location = "b.test"
    blocked = true
  `);
  const reference = parseReference('r.test/a:1');
  assert.deepEqual(
    sourcesOf(reference, configured).map((each) => each.blockedBy),
    [undefined, 'b.test', 'r.test'],
  );
  const destination = destinationOf(reference, configured);
  assert.throws(() => refuseBlocked(destination), code('registry.blocked'));
});

test('a location that makes no full name is refused', async () => {
  for (const location of ['busybox', 'UPPER.test/Path', 'r.test/..']) {
    const configured = await conf(`[[registry]]\nprefix = "r.test/app"\nlocation = "${location}"`);
    assert.throws(() => read('r.test/app:1', configured), code('registries-conf.malformed'), location);
  }
});

test('malformed files are refused', async () => {
  for (const text of [
    'x = ',
    '[registries.search]\nregistries = ["a"]',
    'registry = 1',
    '[[registry]]',
    '[[registry]]\nprefix = "a.test"',
    '[[registry]]\nlocation = 1',
    '[[registry]]\nlocation = "https://a.test"',
    '[[registry]]\nlocation = "a.test"\ninsecure = "true"',
    '[[registry]]\nlocation = "a.test"\n[[registry]]\nlocation = "a.test"',
    '[[registry]]\nlocation = "a.test"\npull-from-mirror = "all"',
    '[[registry]]\nlocation = "a.test"\n[[registry.mirror]]\ninsecure = true',
    '[[registry]]\nlocation = "a.test"\n[[registry.mirror]]\nlocation = "m.test"\npull-from-mirror = "some"',
    '[[registry]]\nlocation = "a.test"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.test"\npull-from-mirror = "all"',
    'credential-helpers = ["a/b"]',
  ]) {
    await assert.rejects(conf(text), code('registries-conf.malformed'), text);
  }
});

function moved(location: string): string {
  return `[[registry]]\nprefix = "r.test"\nlocation = "${location}"\n[[registry]]\nlocation = "${location}.own"\n`;
}

test('drop-ins replace entries by prefix; the user’s file replaces the system’s', async () => {
  const path = await mkdtemp(join(tmpdir(), 'bulla-conf-'));
  const environment = {
    env: {} as Record<string, string>,
    home: join(path, 'home'),
    uid: 1000,
    etc: join(path, 'etc'),
    share: join(path, 'share'),
  };
  const write = async (name: string, text: string): Promise<string> => {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), text);
    return join(path, name);
  };
  const locations = async (named?: string): Promise<string[]> =>
    (await readRegistriesConf(environment, named)).registries.map((each) => each.location);
  try {
    assert.deepEqual(await locations(), []);
    await write('etc/containers/registries.conf', moved('system.test'));
    await write('etc/containers/registries.conf.d/b.conf', moved('b.test'));
    await write('etc/containers/registries.conf.d/a.conf', moved('a.test'));
    await write('etc/containers/registries.conf.d/c.toml', 'not read');
    assert.deepEqual(await locations(), ['system.test.own', 'a.test.own', 'b.test', 'b.test.own']);
    await write('home/.config/containers/registries.conf', moved('user.test'));
    assert.deepEqual(await locations(), ['user.test', 'user.test.own']);
    const named = await write('named.conf', moved('named.test'));
    assert.ok((await locations(named)).includes('named.test.own'));
    environment.env['CONTAINERS_REGISTRIES_CONF'] = named;
    assert.ok((await locations()).includes('named.test.own'));
    await assert.rejects(locations(join(path, 'none.conf')), code('registries-conf.malformed'));
    await write(
      'etc/containers/registries.conf.d/z.conf',
      '[[registry]]\nlocation = "b.test"\nblocked = true\n',
    );
    await assert.rejects(locations(), code('registries-conf.malformed'));
  } finally {
    await rm(path, { recursive: true });
  }
});
