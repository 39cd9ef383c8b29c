/** `bulla resign` and `bulla key impact` as a person meets them: who is asked, what is printed, how it ends. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';

import { type Ended, runBulla } from './support/fake-terminal.ts';
import { gpgRule, openRotationBench, type RotationBench } from './support/rotation-bench.ts';

type Stage = {
  readonly bench: RotationBench;
  readonly run: (words: readonly string[], answer?: (question: string) => boolean) => Promise<Ended>;
  /** The words of a rotation, but for what a test adds. */
  readonly words: readonly string[];
};

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openRotationBench();
  const old = await bench.key('old');
  await bench.push('ns/app:1');
  await bench.sign('ns/app:1', old.signer);
  await bench.push('ns/bare:1');
  const policy = await bench.policy('policy.json', gpgRule(old.file));
  await writeFile(bench.path('pass'), '\n');
  const env = { XDG_DATA_HOME: bench.path('data'), PATH: '' };
  const ask = async (words: readonly string[], answer?: (question: string) => boolean): Promise<Ended> =>
    runBulla(bench.folder, words, env, answer);
  const made = await ask([
    ...['key', 'generate', 'gpg', '--user-id', 'next <next@example.com>', '--type', 'ed25519'],
    ...['--passphrase-file', bench.path('pass'), '--quiet'],
  ]);
  assert.equal(made.exit, 0, made.err);
  const words = [
    ...['resign', '--tls-verify=false', '--registries.d', bench.path('registries.d'), '--policy', policy],
    ...['--from', old.file, '--to', 'next@example.com', '--sign-passphrase-file', bench.path('pass')],
  ];
  await run({ bench, run: ask, words });
}

test('nobody to ask: a dry run first, then --yes', () =>
  onStage(async ({ bench, run, words }) => {
    const where = `${bench.host}/ns/`;
    const unasked = await run([...words, where]);
    assert.equal(unasked.exit, 2);
    assert.match(unasked.err, /hint: look at it with --dry-run, then give --yes/);
    assert.deepEqual(
      bench.requests.filter((line) => line.includes('_catalog')),
      [],
      'no registry is asked before',
    );
    const plan = await run([...words, '--dry-run', where]);
    assert.equal(plan.exit, 0, plan.err);
    assert.match(
      plan.out,
      /^would sign docker:\/\/\S+\/ns\/app sha256:\w+ \(1\)\n {2}for \S+\/ns\/app:1, lookaside file:/m,
    );
    assert.match(
      plan.out,
      /^passed over docker:\/\/\S+\/ns\/bare sha256:\w+ \(1\)\n {2}it has no GPG signature \[resign\.not-by-old\]$/m,
    );
    assert.match(plan.out, /^2 manifests: 1 would sign, 1 passed over$/m);
    assert.match(plan.err, /judged 2 of 2/);
    const done = await run([...words, '--yes', '--quiet', where]);
    assert.equal(done.exit, 0, done.err);
    assert.match(done.out, /^signed docker:/m);
    assert.equal(done.err.includes('judged'), false);
    const again = await run([...words, '--yes', '--json', where]);
    const { images, isDone } = JSON.parse(again.out) as { images: { state: string }[]; isDone: boolean };
    assert.deepEqual([isDone, images.map(({ state }) => state)], [true, ['there', 'not-by-old']]);
  }));

test('a person is shown the plan and asked; no changes nothing, and nothing to sign is not asked about', () =>
  onStage(async ({ bench, run, words }) => {
    const questions: string[] = [];
    const by =
      (answer: boolean) =>
      (question: string): boolean => {
        questions.push(question);
        return answer;
      };
    const all = [...words, '--quiet', `${bench.host}/ns/`];
    const declined = await run(all, by(false));
    assert.equal(declined.exit, 2);
    assert.match(declined.err, /nothing has changed/);
    assert.match(declined.out, /^would sign/m);
    assert.match(questions[0] ?? '', /^Make 1 signature of 1 manifest by [0-9A-F]{40}\?$/);
    const agreed = await run(all, by(true));
    assert.equal(agreed.exit, 0, agreed.err);
    assert.match(agreed.out, /^signed docker:/m);
    assert.equal(questions.length, 2);
    assert.equal((await run(all, by(true))).exit, 0);
    assert.equal(questions.length, 2, 'there is nothing to ask');
  }));

test('wrong words are refused before anything is asked', () =>
  onStage(async ({ bench, run, words }) => {
    const where = `${bench.host}/ns/`;
    bench.requests.length = 0;
    for (const [more, message] of [
      [['--insecure-policy'], /--insecure-policy says nothing of a key/],
      [['--rate', '5'], /a rate reads like/],
      [['--rate', '0/s'], /a rate reads like/],
      [['--jobs', '0'], /--jobs/],
      [['--jobs', '1000'], /64 at most/],
      [['--compromised-since', 'yesterday'], /takes a date/],
      [['--compromised-since', '2026-02-30'], /takes a date/],
      [['--compromised-since', '2026-02-30T00:00:00Z'], /takes a date/],
      [['--compromised-since', '2026-13-01T00:00:00Z'], /takes a date/],
      [['--compromised-since', '2999-01-01'], /in the future/],
      [['--compromised-since', '2020-01-01'], /nothing but the signer tells/],
      [['--unknown'], /unknown option/],
    ] as const) {
      const ended = await run([...words, '--yes', ...more, where]);
      assert.equal(ended.exit, 2, ended.err);
      assert.match(ended.err, message);
    }
    for (const bad of ['oci:layout', 'UPPER/x', 'docker://', 'host//x/', 'app/']) {
      const ended = await run([...words, '--yes', bad]);
      assert.equal(ended.exit, 2, `${bad}: ${ended.err}`);
    }
    assert.deepEqual(bench.requests, []);
    const nowhere = await run([...words, '--yes', `${bench.host}/nowhere`]);
    assert.equal(nowhere.exit, 3);
    assert.match(nowhere.err, /\[image\.not-found\]/);
  }));

test('key impact: exit 0 none, 1 some, 3 where it could not be looked', () =>
  onStage(async ({ bench, run }) => {
    const flags = [
      '--tls-verify=false',
      '--registries.d',
      bench.path('registries.d'),
      '--policy',
      bench.path('policy.json'),
    ];
    const impact = (key: string, where: string, ...more: readonly string[]): Promise<Ended> =>
      run(['key', 'impact', ...flags, ...more, key, where]);
    const some = await impact(bench.path('old.pub.asc'), `${bench.host}/`);
    assert.equal(some.exit, 1);
    assert.match(some.out, /^lost docker:\/\/\S+\/ns\/app sha256:\w+ \(1\)$/m);
    assert.match(some.out, /^2 manifests: 1 lost, 0 accepted without it, 1 not accepted now$/m);
    const none = await impact('next@example.com', `${bench.host}/`);
    assert.equal(none.exit, 0, none.err);
    assert.match(none.err, /believes that key nowhere/);
    assert.equal((await impact('old@example.com', `${bench.host}/nowhere`)).exit, 3);
    assert.equal((await impact('carol@example.com', `${bench.host}/`)).exit, 4);
    assert.equal((await impact('old@example.com', `${bench.host}/`, '--insecure-policy')).exit, 2);
  }));
