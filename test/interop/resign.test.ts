/** Rotations on a real registry: what skopeo, podman and cosign accepted by the old key they accept by the new one, and nothing else. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';
import { exportKey, signatureFolder, useLookaside } from '../support/simple-signing.ts';

const launcher = fileURLToPath(new URL('../../bin/bulla.js', import.meta.url));

type Stage = { readonly bench: Bench; readonly registry: RealRegistry; readonly lookaside: string };

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  const lookaside = bench.path('sig');
  useLookaside(bench, `file://${lookaside}`);
  await run({ bench, registry, lookaside });
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

test(
  'a key that gpg has revoked: podman and skopeo accept by the new one what the record has',
  needs('skopeo', 'podman', 'gpg', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      const { bench, registry } = stage;
      const [old, next] = [await makeKey(bench, 'old'), await makeKey(bench, 'next')];
      const listed = await push(stage, 'ns/listed:1', old.id);
      await push(stage, 'ns/other:1', old.id);
      const policy = writePolicy(bench, 'old', [signedBy(old.file)]);
      const nextPolicy = writePolicy(bench, 'next', [signedBy(next.file)]);
      assert.equal(await skopeoAccepts(stage, policy, 'ns/listed:1'), true);
      // gpg keeps what it made with the key, and bars it by a colon from being imported by mistake
      const barred = readFileSync(join(bench.gnupgHome, 'openpgp-revocs.d', `${old.id}.rev`), 'utf8');
      await bench.ok('gpg', ['--batch', '--import'], { input: barred.replace(':-----BEGIN', '-----BEGIN') });
      await exportKey(bench, old.id, { name: 'old' });
      assert.equal(await skopeoAccepts(stage, policy, 'ns/listed:1'), false);

      // by a key of the keyring, as by its file
      for (const from of [old.id, old.file]) {
        const flags = ['--from', from, '--to', next.id, '--policy', policy, '--yes', `${registry.host}/ns/`];
        const refused = await resign(stage, flags);
        assert.equal(refused.exitCode, 1, refused.stderr);
        assert.deepEqual(
          new Set(refused.receipt.images.map(({ reason }) => reason?.code)),
          new Set(['signature.key-revoked']),
        );
      }
      const record = bench.path('record.txt');
      writeFileSync(record, `# what the build system released\n${registry.host}/ns/listed:1 ${listed}\n`);
      const flags = ['--from', old.id, '--to', next.id, '--policy', policy, '--digests', record];
      const done = await resign(stage, [...flags, '--yes', `${registry.host}/ns/`]);
      assert.deepEqual(statesOf(done.receipt), { 'ns/listed:1': 'signed', 'ns/other:1': 'refused' });
      assert.equal(await skopeoAccepts(stage, nextPolicy, 'ns/listed:1'), true);
      assert.equal(await skopeoAccepts(stage, nextPolicy, 'ns/other:1'), false);
      const pull = ['pull', '--quiet', '--tls-verify=false', '--signature-policy', nextPolicy];
      assert.equal((await bench.run('podman', [...pull, `${registry.host}/ns/listed:1`])).exitCode, 0);
      assert.notEqual((await bench.run('podman', [...pull, `${registry.host}/ns/other:1`])).exitCode, 0);
    }),
);

test(
  'killed at any moment, a rotation is completed by the next one, and nothing is doubled',
  needs('skopeo', 'gpg', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      const { bench, registry, lookaside } = stage;
      const [old, next] = [await makeKey(bench, 'old'), await makeKey(bench, 'next')];
      const names = Array.from({ length: 8 }, (_, n) => `ns/app-${n}:1`);
      const digests = new Map<string, string>();
      for (const name of names) digests.set(name, await push(stage, name, old.id));
      const policy = writePolicy(bench, 'old', [signedBy(old.file)]);
      const flags = [
        '--from',
        old.file,
        '--to',
        next.id,
        '--policy',
        policy,
        '--yes',
        `${registry.host}/ns/`,
      ];
      const filesOf = (name: string): readonly string[] =>
        readdirSync(signatureFolder(lookaside, name.replace(':1', ''), digests.get(name) ?? '')).filter(
          (file) => file.startsWith('signature-'),
        );
      for (const after of [1, 3]) {
        const watcher = watch(lookaside, { recursive: true });
        const running = spawn(
          process.execPath,
          [launcher, 'resign', '--tls-verify=false', '--jobs', '1', ...flags],
          {
            env: bench.env,
            stdio: 'ignore',
          },
        );
        const closed = once(running, 'close');
        let seen = 0;
        watcher.on('change', (_, file) => {
          if (String(file).endsWith('signature-2') && (seen += 1) === after) running.kill('SIGKILL');
        });
        const [, signal] = (await closed) as [number | null, string | null];
        watcher.close();
        assert.equal(signal, 'SIGKILL', 'it was ended before it was done');
        const half = names.filter((name) => filesOf(name).length === 2).length;
        assert.ok(half >= after && half < names.length, `${half} are signed`);
      }
      const done = await resign(stage, flags);
      assert.equal(done.exitCode, 0, done.stderr);
      const nextPolicy = writePolicy(bench, 'next', [signedBy(next.file)]);
      for (const name of names) {
        assert.deepEqual(filesOf(name), ['signature-1', 'signature-2'], name);
        assert.equal(await skopeoAccepts(stage, nextPolicy, name), true, name);
      }
    }),
);

test(
  'key impact: what skopeo would refuse without the key, signed by a subkey of it',
  needs('skopeo', 'gpg', 'docker-registry'),
  () =>
    onStage(async (stage) => {
      const { bench, registry } = stage;
      const [one, two] = [await makeKey(bench, 'one'), await makeKey(bench, 'two')];
      const flags = ['--batch', '--pinentry-mode', 'loopback', '--passphrase', ''];
      await bench.ok('gpg', [...flags, '--quick-add-key', one.id, 'ed25519', 'sign', '0']);
      await exportKey(bench, one.id, { name: 'one' });
      // gpg signs by the newest key that can
      const digest = await push(stage, 'ns/one:1', one.id);
      const signature = join(signatureFolder(stage.lookaside, 'ns/one', digest), 'signature-1');
      const packets = await bench.ok('gpg', ['--list-packets', signature]);
      assert.match(packets, /keyid [0-9A-F]{16}/);
      assert.doesNotMatch(
        packets,
        new RegExp(`keyid ${one.id.slice(-16)}`),
        'the primary key has not signed',
      );
      await push(stage, 'ns/two:1', two.id);
      await push(stage, 'ns/bare:1');
      const both = { type: 'signedBy', keyType: 'GPGKeys', keyPaths: [one.file, two.file] };
      const policy = writePolicy(bench, 'both', [both]);
      const without = writePolicy(bench, 'without', [signedBy(two.file)]);
      const names = ['ns/one:1', 'ns/two:1', 'ns/bare:1'];
      const lost: string[] = [];
      for (const name of names) {
        const isLost =
          (await skopeoAccepts(stage, policy, name)) && !(await skopeoAccepts(stage, without, name));
        if (isLost) lost.push(`${registry.host}/${name}`);
      }
      assert.deepEqual(lost, [`${registry.host}/ns/one:1`]);
      const ask = ['key', 'impact', '--tls-verify=false', '--json', '--policy', policy];
      for (const key of [one.id, one.file, 'one@example.com']) {
        const { exitCode, stdout, stderr } = await bench.bulla([...ask, key, `${registry.host}/`]);
        assert.equal(exitCode, 1, stderr);
        const impact = JSON.parse(stdout) as {
          images: readonly { lost: readonly string[] }[];
          counts: { total: number };
        };
        assert.deepEqual(
          impact.images.flatMap((each) => each.lost),
          lost,
        );
        assert.equal(impact.counts.total, 3);
      }
      const third = await makeKey(bench, 'third');
      assert.equal((await bench.bulla([...ask, third.id, `${registry.host}/`])).exitCode, 0);
      assert.equal((await bench.bulla([...ask, one.id, '127.0.0.1:1/'])).exitCode, 3);
      const plain = await bench.bulla([
        'key',
        'impact',
        '--tls-verify=false',
        '--policy',
        policy,
        one.id,
        `${registry.host}/`,
      ]);
      assert.match(plain.stdout, /^lost docker:\/\/\S+\/ns\/one sha256:[0-9a-f]{64} \(1\)$/m);
      assert.match(plain.stdout, /^3 manifests: 1 lost, 1 accepted without it, 1 not accepted now$/m);
    }),
);
