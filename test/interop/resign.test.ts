/** Rotations on a real registry: what skopeo, podman and cosign accepted by the old key they accept by the new one, and nothing else. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { endStrayAgents, signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';
import { exportKey, signatureFolder, useLookaside } from '../support/simple-signing.ts';

type Stage = { readonly bench: Bench; readonly registry: RealRegistry; readonly lookaside: string };

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  const lookaside = bench.path('sig');
  useLookaside(bench, `file://${lookaside}`);
  try {
    await run({ bench, registry, lookaside });
  } finally {
    endStrayAgents(bench);
  }
}

/** A key in the bench's GnuPG, and the file with its public part. */
async function makeKey(bench: Bench, who: string): Promise<{ readonly id: string; readonly file: string }> {
  const id = await bench.newGpgKey(`${who} <${who}@example.com>`);
  return { id, file: await exportKey(bench, id, { name: who }) };
}

/** An image of its own under a name; gives its digest. */
async function push({ bench, registry }: Stage, name: string, signBy?: string): Promise<string> {
  const folder = bench.path(`image-${name.replaceAll(/\W/g, '-')}`);
  const { digest } = await writeOciImage(folder, { tag: 'v1', files: { 'hello.txt': name } });
  const signing = signBy === undefined ? [] : ['--sign-by', signBy];
  const to = `docker://${registry.host}/${name}`;
  await bench.ok('skopeo', [
    'copy',
    '--quiet',
    '--dest-tls-verify=false',
    ...signing,
    `oci:${folder}:v1`,
    to,
  ]);
  return digest;
}

/** Whether skopeo takes an image under a policy. */
async function skopeoAccepts({ bench, registry }: Stage, policy: string, name: string): Promise<boolean> {
  const out = bench.path('out');
  const from = `docker://${registry.host}/${name}`;
  const args = ['copy', '--quiet', '--policy', policy, '--src-tls-verify=false', from, `dir:${out}`];
  const { exitCode } = await bench.run('skopeo', args);
  rmSync(out, { recursive: true, force: true });
  return exitCode === 0;
}

type Receipt = {
  readonly images: readonly {
    readonly image: string;
    readonly digest: string;
    readonly names: readonly string[];
    readonly state: string;
    readonly signatures: readonly {
      readonly format: string;
      readonly identity: string;
      readonly state: string;
    }[];
    readonly reason?: { readonly code: string };
  }[];
};

async function resign(
  { bench }: Stage,
  args: readonly string[],
): Promise<{ readonly exitCode: number; readonly receipt: Receipt; readonly stderr: string }> {
  const run = await bench.bulla(['resign', '--tls-verify=false', '--json', ...args]);
  assert.notEqual(run.stdout, '', run.stderr);
  return { exitCode: run.exitCode, receipt: JSON.parse(run.stdout) as Receipt, stderr: run.stderr };
}

/** State by tag. */
function statesOf({ images }: Receipt): Readonly<Record<string, string>> {
  const entries = images.flatMap(({ names, state }) =>
    names.map((name) => [name.slice(name.indexOf('/') + 1), state] as const),
  );
  return Object.fromEntries(entries);
}

test(
  'a GPG key is rotated over a namespace: skopeo accepts by the new key exactly what it accepted by the old one',
  needs('skopeo', 'gpg', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      const { bench, registry, lookaside } = stage;
      const [old, next, third] = [
        await makeKey(bench, 'old'),
        await makeKey(bench, 'next'),
        await makeKey(bench, 'third'),
      ];
      const digests = {
        one: await push(stage, 'ns/one:1', old.id),
        two: await push(stage, 'ns/deep/two:1', old.id),
        third: await push(stage, 'ns/third:1', third.id),
        bare: await push(stage, 'ns/bare:1'),
        tampered: await push(stage, 'ns/tampered:1', old.id),
        wrong: await push(stage, 'ns/wrong:1'),
        outside: await push(stage, 'other/app:1', old.id),
      };
      // a second tag of the same digest, signed for both
      const again = `docker://${registry.host}/ns/one:2`;
      await bench.ok('skopeo', [
        ...['copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', '--sign-by', old.id],
        ...[`docker://${registry.host}/ns/one:1`, again],
      ]);
      const bad = join(signatureFolder(lookaside, 'ns/tampered', digests.tampered), 'signature-1');
      const bytes = readFileSync(bad);
      bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 0xff;
      writeFileSync(bad, bytes);
      // a good signature of another image, beside one without any
      const good = readFileSync(join(signatureFolder(lookaside, 'ns/one', digests.one), 'signature-1'));
      writeFileSync(join(signatureFolder(lookaside, 'ns/wrong', digests.wrong), 'signature-1'), good);
      const oldPolicy = writePolicy(bench, 'old', [signedBy(old.file)]);
      const nextPolicy = writePolicy(bench, 'next', [signedBy(next.file)]);
      const all = [
        'ns/one:1',
        'ns/one:2',
        'ns/deep/two:1',
        'ns/third:1',
        'ns/bare:1',
        'ns/tampered:1',
        'ns/wrong:1',
      ];
      const before = new Map<string, boolean>();
      for (const name of all) before.set(name, await skopeoAccepts(stage, oldPolicy, name));
      assert.deepEqual(
        [...before].flatMap(([name, accepted]) => (accepted ? [name] : [])),
        ['ns/one:1', 'ns/one:2', 'ns/deep/two:1'],
      );

      const flags = ['--from', old.file, '--to', next.id, '--policy', oldPolicy, `${registry.host}/ns/`];
      const plan = await resign(stage, ['--dry-run', ...flags]);
      assert.equal(plan.exitCode, 1, 'what says it is the old key’s and is not, is told by the exit code');
      for (const name of all) assert.equal(await skopeoAccepts(stage, nextPolicy, name), false, name);
      const asked = await bench.bulla(['resign', '--tls-verify=false', ...flags]);
      assert.equal(asked.exitCode, 2, asked.stderr);

      const done = await resign(stage, ['--yes', ...flags]);
      assert.equal(done.exitCode, 1, done.stderr);
      assert.deepEqual(statesOf(done.receipt), {
        'ns/one:1': 'signed',
        'ns/one:2': 'signed',
        'ns/deep/two:1': 'signed',
        'ns/third:1': 'not-by-old',
        'ns/bare:1': 'not-by-old',
        'ns/tampered:1': 'refused',
        'ns/wrong:1': 'refused',
      });
      for (const name of all)
        assert.equal(await skopeoAccepts(stage, nextPolicy, name), before.get(name), name);
      for (const name of all)
        assert.equal(await skopeoAccepts(stage, oldPolicy, name), before.get(name), name);
      assert.equal(await skopeoAccepts(stage, nextPolicy, 'other/app:1'), false, 'nobody asked for it');

      const folder = signatureFolder(lookaside, 'ns/one', digests.one);
      const files = readdirSync(folder);
      assert.equal(files.length, 4, 'two old ones, two new ones');
      const rerun = await resign(stage, ['--yes', ...flags]);
      assert.equal(statesOf(rerun.receipt)['ns/one:1'], 'there');
      assert.deepEqual(readdirSync(folder), files, 'nothing is doubled');
    }),
);
