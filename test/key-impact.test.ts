/** What hangs on a key: images on the embedded registry, by policies of all kinds. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';

import { type ErrorCode, isBullaError } from '../src/base/errors.ts';
import { type KeyImpact, keyImpact, type KeyImpactRequest, parseWhere } from '../src/index.ts';
import { parseKeyring } from '../src/keys/openpgp/keyring.ts';
import { readFileSync } from 'node:fs';
import { gpgRule, openRotationBench, type RotationBench, type TestKey } from './support/rotation-bench.ts';

type Stage = {
  readonly bench: RotationBench;
  readonly alice: TestKey;
  readonly bob: TestKey;
  readonly ask: (key: string, more?: Partial<KeyImpactRequest>) => Promise<KeyImpact>;
};

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openRotationBench();
  const [alice, bob] = [await bench.key('alice'), await bench.key('bob')];
  await bench.push('ns/alice:1');
  await bench.sign('ns/alice:1', alice.signer);
  await bench.push('ns/both:1');
  for (const { signer } of [alice, bob]) await bench.sign('ns/both:1', signer);
  await bench.push('ns/deep/bob:1');
  await bench.sign('ns/deep/bob:1', bob.signer);
  await bench.push('ns/bare:1');
  const policy = await bench.policy('policy.json', gpgRule(alice.file, bob.file));
  const where = [parseWhere(`${bench.host}/`)];
  await run({
    bench,
    alice,
    bob,
    ask: (key, more = {}) => keyImpact({ key, policy, where, ...more }, bench.world),
  });
}

function lostOf({ images }: KeyImpact): readonly string[] {
  return images.flatMap(({ lost }) => lost.map((name) => name.slice(name.indexOf('/') + 1))).toSorted();
}

const refusedWith =
  (code: ErrorCode) =>
  (error: unknown): boolean => {
    assert.ok(isBullaError(error, code), String(error));
    return true;
  };

test('the images that only that key vouches for, however the key is named', () =>
  onStage(async ({ alice, bob, ask }) => {
    const [fingerprint = ''] = parseKeyring(new Uint8Array(readFileSync(alice.file))).certificates.map(
      (each) => each.fingerprint,
    );
    const names = [
      alice.file,
      fingerprint,
      fingerprint.slice(-16),
      'alice@example.com',
      '=alice <alice@example.com>',
    ];
    for (const name of names) {
      const impact = await ask(name);
      assert.deepEqual(lostOf(impact), ['ns/alice:1'], name);
      assert.deepEqual(impact.keys, [fingerprint]);
      assert.equal(impact.isBelieved, true);
      const told = impact.images.map(({ image, lost, kept, refused }) => [
        image.split('/').at(-1),
        [lost.length, kept.length, refused.length].join(' '),
      ]);
      assert.deepEqual(Object.fromEntries(told), {
        alice: '1 0 0',
        both: '0 1 0',
        bob: '0 1 0',
        bare: '0 0 1',
      });
    }
    const { images } = await ask(alice.file);
    assert.equal(images.find(({ lost }) => lost.length > 0)?.reason?.code, 'trust.not-accepted');
    assert.deepEqual(lostOf(await ask(bob.file)), ['ns/deep/bob:1']);
  }));

test('without WHERE: what the policy names with the key; what it says of everything is said', () =>
  onStage(async ({ bench, alice, bob, ask }) => {
    const scoped = async (scopes: object, fallback: object): Promise<KeyImpact> => {
      const file = bench.path('scoped.json');
      await writeFile(file, JSON.stringify({ default: [fallback], transports: { docker: scopes } }));
      return keyImpact({ key: alice.file, policy: file }, bench.world);
    };
    const reject = { type: 'reject' };
    const named = await scoped(
      {
        [`${bench.host}/ns/alice`]: [gpgRule(alice.file)],
        [`${bench.host}/ns/both:1`]: [gpgRule(alice.file)],
        [`${bench.host}/ns/deep`]: [gpgRule(bob.file)],
      },
      reject,
    );
    assert.deepEqual(lostOf(named), ['ns/alice:1', 'ns/both:1']);
    assert.deepEqual(named.missed, []);
    const all = await scoped(
      { '*.example.com': [gpgRule(alice.file)], [bench.host]: [gpgRule(alice.file)] },
      gpgRule(alice.file),
    );
    assert.deepEqual(lostOf(all), ['ns/alice:1', 'ns/both:1']);
    assert.equal(all.missed.length, 2, 'the default, and the hosts of a domain');
    const nowhere = await scoped({ [bench.host]: [gpgRule(bob.file)] }, reject);
    assert.deepEqual([nowhere.isBelieved, nowhere.images, nowhere.missed], [false, [], []]);
    // the key stands in a policy that believes it nowhere else
    assert.equal((await ask(alice.file, { policy: bench.path('scoped.json') })).isBelieved, false);
  }));

test('a list: each of its images by itself, and under each tag', () =>
  onStage(async ({ bench, alice, ask }) => {
    const { instances } = await bench.pushList('lists/app:1', 2);
    await bench.sign('lists/app:1', alice.signer);
    const { images } = await ask(alice.file, { where: [parseWhere(`${bench.host}/lists/app`)] });
    assert.deepEqual(
      images.map(({ digest, lost }) => [digest, lost]),
      instances.map((digest) => [digest, [`${bench.host}/lists/app:1`]]),
    );
  }));

test('what cannot be looked at is never taken for what is not there', () =>
  onStage(async ({ bench, alice, ask }) => {
    bench.fault = (line) =>
      /ns\/both\/manifests\/sha256-/.test(line) ? new Response('{}', { status: 500 }) : undefined;
    const undecided = await ask(alice.file);
    assert.equal(undecided.images.find(({ image }) => image.endsWith('/both'))?.isDecided, false);
    bench.fault = (line) =>
      line.includes('/ns/alice/tags') ? new Response('{}', { status: 403 }) : undefined;
    assert.deepEqual(
      (await ask(alice.file)).missed.map(({ error }) => error.code),
      ['registry.denied'],
    );
    bench.fault = (line) => (line.includes('_catalog') ? new Response('{}', { status: 404 }) : undefined);
    assert.deepEqual(
      (await ask(alice.file)).missed.map(({ error }) => error.code),
      ['registry.no-catalog'],
    );
    bench.fault = () => undefined;
    const none = await ask(alice.file, { where: [parseWhere(`${bench.host}/nowhere`)] });
    assert.deepEqual(
      none.missed.map(({ error }) => error.code),
      ['image.not-found'],
    );
    await assert.rejects(ask('carol@example.com'), refusedWith('key.not-found'));
    await assert.rejects(ask('example.com'), refusedWith('key.ambiguous'));
    const gone = await bench.policy('gone.json', gpgRule(bench.path('gone.asc')));
    await assert.rejects(ask(alice.file, { policy: gone }), refusedWith('trust.key-unavailable'));
  }));
