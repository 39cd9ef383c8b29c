/** Many writers of one image's signatures at once, and writers that die: no signature is lost or torn. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { parseSimpleSigning } from '../../src/formats/simple-signing.ts';
import { temporaryPrefix } from '../../src/io/files.ts';
import { parseKeyring } from '../../src/keys/openpgp/keyring.ts';
import { verifySignedMessage } from '../../src/keys/openpgp/verify.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { askBulla, askSkopeo, signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, peerVersion } from '../support/peers.ts';
import { exportKey, useLookaside } from '../support/simple-signing.ts';

type Stage = {
  readonly bench: Bench;
  readonly registry: RealRegistry;
  /** `127.0.0.1:PORT/ns/app` */
  readonly repository: string;
  /** Where the image's signatures are; it is not there yet. */
  readonly folder: string;
  /** A key of Bulla's own keyring, without passphrase, and its public key file. */
  readonly key: string;
  readonly publicKey: string;
};

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  useLookaside(bench, `file://${bench.path('sig')}`);
  // podman image sign has no --tls-verify
  appendFileSync(
    bench.path('registries.conf'),
    `[[registry]]\nlocation = "${registry.host}"\ninsecure = true\n`,
  );
  const repository = `${registry.host}/ns/app`;
  const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`];
  await bench.ok('skopeo', [...copy, `docker://${repository}:1`]);
  writeFileSync(bench.path('none'), '');
  const flags = [
    '--user-id',
    'Own <own@example.com>',
    '--type',
    'ed25519',
    '--passphrase-file',
    bench.path('none'),
  ];
  const made = await bench.bulla(['key', 'generate', 'gpg', ...flags]);
  const key = /[0-9A-F]{40}/.exec(made.stdout)?.[0] ?? '';
  const publicKey = bench.path('own.asc');
  const exported = await bench.bulla(['key', 'export', key, '--armor', '-o', publicKey]);
  assert.equal(exported.exitCode, 0, made.stderr + exported.stderr);
  const folder = bench.path('sig', `ns/app@${digest.replace(':', '=')}`);
  await run({ bench, registry, repository, folder, key, publicKey });
}

/** Ed25519 signs alike what is alike, and the same bytes are stored once: each process signs for a tag of its own. */
function signArguments({ repository, key }: Stage, tag: string): readonly string[] {
  const identity = ['--sign-identity', `${repository}:${tag}`];
  return ['sign', '--quiet', '--tls-verify=false', '--sign-by', key, ...identity, `docker://${repository}:1`];
}

/** Numbers of the signatures in the folder; whatever else lies there but temporary files fails. */
function numbersIn(folder: string): readonly number[] {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const visible = names.filter((name) => !name.startsWith(temporaryPrefix));
  return visible
    .map((name) => {
      const number = /^signature-(\d+)$/.exec(name)?.[1];
      assert.ok(number !== undefined, `unexpected file ${name}`);
      return Number(number);
    })
    .toSorted((a, b) => a - b);
}

function assertNoGap(numbers: readonly number[]): void {
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
  );
}

/** The tags that the whole signatures in the folder speak of. A torn one fails. */
function signedTags(folder: string, publicKeys: readonly string[]): readonly string[] {
  const keyring = parseKeyring(...publicKeys.map((path) => new Uint8Array(readFileSync(path))));
  return numbersIn(folder).map((number) => {
    const blob = new Uint8Array(readFileSync(join(folder, `signature-${number}`)));
    const verified = verifySignedMessage(blob, keyring, new Date());
    assert.ok(verified.ok, `signature-${number}: ${verified.ok ? '' : verified.message}`);
    return parseSimpleSigning(verified.content).dockerReference.replace(/.*:/, '');
  });
}

const peers = needs('skopeo', 'docker-registry', 'gpg');

test('fifty processes sign one image at once: fifty signatures', { ...peers, timeout: 300_000 }, () =>
  onStage(async (stage) => {
    const { bench, repository, folder, publicKey } = stage;
    const tags = Array.from({ length: 50 }, (_, index) => `tag-${index + 1}`);
    const options = { timeoutMs: 240_000 };
    const ends = await Promise.all(tags.map((tag) => bench.bulla(signArguments(stage, tag), options)));
    assert.deepEqual(
      ends.filter(({ exitCode }) => exitCode !== 0).map(({ stderr }) => stderr),
      [],
    );
    assertNoGap(numbersIn(folder));
    assert.deepEqual(signedTags(folder, [publicKey]).toSorted(), tags.toSorted());
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith(temporaryPrefix)),
      [],
    );
    const policy = writePolicy(bench, 'repository', [signedBy(publicKey, { type: 'matchRepository' })]);
    const question = { image: `docker://${repository}:1`, policy };
    const ours = await askBulla(bench, question);
    assert.equal(ours.signatures.length, 50);
    assert.deepEqual(new Set(ours.signatures), new Set(['accepted']));
    assert.equal((await askSkopeo(bench, question)).accepted, true);
  }),
);

test(
  `podman ${await peerVersion('podman')} image sign beside Bulla`,
  { ...needs('podman', 'skopeo', 'docker-registry', 'gpg'), timeout: 120_000 },
  (t) =>
    onStage(async (stage) => {
      const { bench, repository, folder, publicKey } = stage;
      const keys = [];
      for (const name of ['a', 'b', 'c'])
        keys.push(await bench.newGpgKey(`${name}@example.com`, { type: 'ed25519' }));
      const publicKeys = [publicKey];
      for (const key of keys) publicKeys.push(await exportKey(bench, key));
      const tags = Array.from({ length: 6 }, (_, index) => `tag-${index + 1}`);
      const ends = await Promise.all([
        ...tags.map((tag) => bench.bulla(signArguments(stage, tag))),
        ...keys.map((key) =>
          bench.run('podman', ['image', 'sign', '--sign-by', key, `docker://${repository}:1`]),
        ),
      ]);
      assert.deepEqual(
        ends.filter(({ exitCode }) => exitCode !== 0).map(({ stderr }) => stderr),
        [],
      );
      // what podman does to a number that is taken is podman's: it looks for a free one, then truncates it
      const all = [...tags, ...keys.map(() => '1')];
      const found = [...signedTags(folder, publicKeys)];
      const lost = all.filter((tag) => {
        const index = found.indexOf(tag);
        if (index >= 0) found.splice(index, 1);
        return index < 0;
      });
      t.diagnostic(
        lost.length === 0
          ? `all ${all.length} signatures of Bulla and podman are there`
          : `podman image sign lost ${lost.length} of ${all.length} signatures: ${lost.join(' ')}`,
      );
      // alone, and after it, Bulla adds to what podman wrote
      const before = numbersIn(folder).length;
      assert.equal((await bench.bulla(signArguments(stage, 'after'))).exitCode, 0);
      assert.equal(numbersIn(folder).length, before + 1);
      assert.ok(signedTags(folder, publicKeys).includes('after'));
    }),
);

/** Writes signatures into a folder without end; each is sealed by the hash at its end. */
const endlessWriter = `
import { createHash, randomBytes } from 'node:crypto';
import { addSignatureFile } from ${JSON.stringify(join(import.meta.dirname, '../../src/stores/signature-folder.ts'))};
for (;;) {
  const body = Buffer.concat([Buffer.from([0xa3]), randomBytes(200_000)]);
  await addSignatureFile(process.argv[1], Buffer.concat([body, createHash('sha256').update(body).digest()]));
}
`;

function assertSealed(path: string): void {
  const bytes = readFileSync(path);
  const seal = createHash('sha256').update(bytes.subarray(0, -32)).digest();
  assert.ok(bytes.length === 200_033 && seal.equals(bytes.subarray(-32)), `${path} is torn`);
}

/** Resolves when something happens in the folder; the writer is then at work. */
async function somethingHappens(folder: string): Promise<void> {
  const watcher = watch(folder);
  await Promise.race([once(watcher, 'change'), sleep(10_000, undefined, { ref: false })]);
  watcher.close();
}

test('a writer killed at any moment leaves whole signatures and no gap', { timeout: 120_000 }, async (t) => {
  await using bench = await openBench();
  let signatures = 0;
  let temporary = 0;
  for (let round = 1; round <= 20; round += 1) {
    const folder = bench.path(`killed-${round}`);
    await bench.ok('/bin/mkdir', [folder]);
    const arguments_ = ['--input-type=module', '--disable-warning=ExperimentalWarning', '-e', endlessWriter];
    const writer = spawn(process.execPath, [...arguments_, folder], { stdio: 'ignore' });
    const ended = once(writer, 'exit');
    await somethingHappens(folder);
    // from the first temporary file to some tens of signatures later
    await sleep(((randomBytes(1)[0] ?? 0) / 255) * 40);
    writer.kill('SIGKILL');
    await ended;
    const numbers = numbersIn(folder);
    assertNoGap(numbers);
    for (const number of numbers) assertSealed(join(folder, `signature-${number}`));
    signatures += numbers.length;
    temporary += readdirSync(folder).length - numbers.length;
  }
  t.diagnostic(`20 writers killed: ${signatures} whole signatures, ${temporary} temporary files left behind`);
  assert.ok(signatures > 0 && temporary > 0, 'the kills came while something was written');
});

test('bulla sign killed while it writes: the next one goes on', { ...peers, timeout: 120_000 }, () =>
  onStage(async (stage) => {
    const { bench, folder, publicKey } = stage;
    assert.equal((await bench.bulla(signArguments(stage, 'first'))).exitCode, 0);
    for (const [round, delay] of [0, 0, 1, 3].entries()) {
      const launcher = join(import.meta.dirname, '../../bin/bulla.js');
      const run = bench.start(`/${process.execPath.slice(1)}`, [
        launcher,
        ...signArguments(stage, `killed-${round}`),
      ]);
      await somethingHappens(folder);
      await sleep(delay);
      process.kill(run.pid, 'SIGKILL');
      await run.stop();
      assertNoGap(numbersIn(folder));
      assert.ok(signedTags(folder, [publicKey]).includes('first'));
    }
    assert.equal((await bench.bulla(signArguments(stage, 'last'))).exitCode, 0);
    assert.equal(signedTags(folder, [publicKey]).at(-1), 'last');
  }),
);
