/** Signature stores in git repositories: many publishers, publishers that die, and git over https and ssh. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { makeCertificates } from '../support/docker-registry.ts';
import { gitUser, serveGit } from '../support/git-server.ts';
import { type Bench, findPeer, needs, openBench, type PeerResult, peerVersion } from '../support/peers.ts';
import { sampleFolder, sampleSignature } from '../support/store-samples.ts';

before(async () => {
  console.log(await peerVersion('git'));
});

const launcher = fileURLToPath(new URL('../../bin/bulla.js', import.meta.url));
const image = sampleFolder(1);

function put(bench: Bench, name: string, text: string): void {
  const path = bench.path(name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, sampleSignature(text));
}

async function newRepository(bench: Bench, name = 'sigs.git'): Promise<string> {
  await bench.ok('git', ['init', '--quiet', '--bare', '--initial-branch=main', bench.path(name)]);
  return `git+file://${bench.path(name)}`;
}

/** What git finds wrong in the repository, and how many commits and files the branch has. */
async function stateOf(
  bench: Bench,
): Promise<{ readonly commits: number; readonly files: readonly string[] }> {
  const inside = (...args: readonly string[]): Promise<string> =>
    bench.ok('git', ['-C', bench.path('sigs.git'), ...args]);
  await inside('fsck', '--full', '--strict', '--no-dangling');
  if ((await inside('branch', '--list', 'main')) === '') return { commits: 0, files: [] };
  return {
    commits: Number(await inside('rev-list', '--count', 'main')),
    files: (await inside('ls-tree', '-r', '--name-only', 'main')).split('\n').slice(0, -1),
  };
}

test('publishers at once lose nothing of each other’s', { ...needs('git'), timeout: 300_000 }, async () => {
  await using bench = await openBench();
  const store = await newRepository(bench);
  const publishers = 6;
  for (let n = 1; n <= publishers; n += 1) {
    put(bench, `staging-${n}/${image}/signature-1`, `shared by ${n}`);
    put(bench, `staging-${n}/${sampleFolder(100 + n)}/signature-1`, `alone ${n}`);
  }
  const results = await Promise.all(
    Array.from({ length: publishers }, (_, n) =>
      bench.bulla(['store', 'publish', '--json', bench.path(`staging-${n + 1}`), store], {
        timeoutMs: 200_000,
      }),
    ),
  );
  for (const { exitCode, stderr } of results) assert.equal(exitCode, 0, stderr);
  const { commits, files } = await stateOf(bench);
  assert.equal(commits, publishers);
  const shared = files.filter((name) => name.startsWith(image));
  assert.deepEqual(
    shared,
    Array.from({ length: publishers }, (_, n) => `${image}/signature-${n + 1}`),
  );
  assert.equal(files.length, 2 * publishers);
  // each was told the number that its signature really has
  const told = results.flatMap(({ stdout }) =>
    (JSON.parse(stdout) as { added: { to: string }[] }).added.map(({ to }) => to.replace(/^[^#]*#main:/, '')),
  );
  assert.deepEqual(told.sort(), [...files].sort());
  await bench.bulla(['store', 'fetch', '--quiet', store, bench.path('out')]);
  for (let n = 1; n <= publishers; n += 1) {
    const texts = shared.map((name) => readFileSync(bench.path('out', name), 'latin1'));
    assert.ok(texts.some((text) => text.includes(`shared by ${n}`)));
  }
});

test(
  'a publisher that is killed leaves the repository whole, and is made up for',
  { ...needs('git'), timeout: 300_000 },
  async () => {
    await using bench = await openBench();
    const store = await newRepository(bench);
    put(bench, `first/${image}/signature-1`, 'first');
    await bench.bulla(['store', 'publish', '--quiet', bench.path('first'), store]);
    const first = (await bench.ok('git', ['-C', bench.path('sigs.git'), 'rev-parse', 'main'])).trim();
    for (let n = 0; n < 300; n += 1) put(bench, `staging/${sampleFolder(n)}/signature-1`, `text ${n}`);
    const args = [launcher, 'store', 'publish', '--quiet', bench.path('staging'), store];
    for (const after of [150, 300, 400, 500, 600, 700, 800, 1000]) {
      const child = spawn(process.execPath, args, { env: bench.env, stdio: 'ignore' });
      await Promise.race([sleep(after), once(child, 'exit')]);
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      const { files } = await stateOf(bench);
      assert.ok([1, 301].includes(files.length), `${files.length} files, killed after ${after} ms`);
      // what it had pushed is taken back, so that the next one has to push
      await bench.ok('git', ['-C', bench.path('sigs.git'), 'update-ref', 'refs/heads/main', first]);
    }
    const last = await bench.bulla(['store', 'publish', '--json', bench.path('staging'), store]);
    assert.equal(last.exitCode, 0, last.stderr);
    assert.equal((await stateOf(bench)).files.length, 301);
  },
);

test(
  'a branch that others move at every try is given up in the end',
  { ...needs('git'), timeout: 300_000 },
  async () => {
    await using bench = await openBench();
    const store = await newRepository(bench);
    put(bench, `staging/${image}/signature-1`, 'ours');
    const real = findPeer('git') ?? '';
    const other = `${real} -C "${bench.path('sigs.git')}"`;
    mkdirSync(bench.path('bin'));
    const identity = '-c user.name=Other -c user.email=other@example.com';
    writeFileSync(
      bench.path('bin', 'git'),
      [
        '#!/bin/sh',
        'case " $* " in *" push "*)',
        '  (unset GIT_DIR',
        `  tree=$(${other} mktree </dev/null)`,
        `  parent=$(${other} rev-parse --verify --quiet main) && parent="-p $parent"`,
        `  ${other} update-ref refs/heads/main "$(${real} ${identity} -C "${bench.path('sigs.git')}" commit-tree -m other $parent "$tree")");;`,
        'esac',
        `exec ${real} "$@"`,
      ].join('\n'),
    );
    chmodSync(bench.path('bin', 'git'), 0o755);
    const env = { PATH: `${bench.path('bin')}:${bench.env['PATH'] ?? ''}` };
    const { exitCode, stderr } = await bench.bulla(['store', 'publish', bench.path('staging'), store], {
      env,
      timeoutMs: 200_000,
    });
    assert.equal(exitCode, 3, stderr);
    assert.match(stderr, /\[store\.contended\]/);
    const { commits, files } = await stateOf(bench);
    assert.deepEqual([commits, files], [20, []], 'all of theirs, none of ours');
  },
);

test(
  'over https, with a password from a credential helper',
  { ...needs('git', 'openssl'), timeout: 120_000 },
  async () => {
    await using bench = await openBench();
    await newRepository(bench);
    const certificates = await makeCertificates(bench, 'git');
    await using server = await serveGit(bench, bench.folder, certificates);
    put(bench, `staging/${image}/signature-1`, 'a');
    const store = `git+${server.url}/sigs.git#main:sub`;
    const bulla = (...args: readonly string[]): Promise<PeerResult> => bench.bulla(['store', ...args]);
    const publish = (): Promise<PeerResult> => bulla('publish', bench.path('staging'), store);

    // an authority that nobody vouches for
    const unknown = await publish();
    assert.equal(unknown.exitCode, 3);
    assert.match(unknown.stderr, /certificate.*\[store\.failed\]/i);
    const config = (key: string, value: string): Promise<string> =>
      bench.ok('git', ['config', '--global', '--add', key, value]);
    await config('http.sslCAInfo', certificates.ca);

    // nobody is asked for a password
    const refused = await publish();
    assert.equal(refused.exitCode, 3);
    assert.match(refused.stderr, /\[store\.failed\]\nhint: git cannot ask here: give it a credential helper/);

    writeFileSync(
      bench.path('helper'),
      `#!/bin/sh\n[ "$1" = get ] && printf 'username=${gitUser.name}\\npassword=${gitUser.password}\\n'\n`,
    );
    chmodSync(bench.path('helper'), 0o755);
    await config('credential.helper', bench.path('helper'));
    const published = await publish();
    assert.equal(published.exitCode, 0, published.stderr);
    assert.match(
      published.stdout,
      new RegExp(`^added git\\+https://127\\.0\\.0\\.1:\\d+/sigs\\.git#main:sub/${image}/signature-1\n$`),
    );
    const fetched = await bulla('fetch', store, bench.path('out'));
    assert.equal(fetched.exitCode, 0, fetched.stderr);
    assert.ok(existsSync(bench.path('out', image, 'signature-1')));
    assert.deepEqual((await stateOf(bench)).files, [`sub/${image}/signature-1`]);
    assert.ok(server.asked.includes('200 POST /sigs.git/git-receive-pack'));
    for (const { stdout, stderr } of [unknown, refused, published, fetched])
      assert.doesNotMatch(stdout + stderr, new RegExp(gitUser.password));
  },
);

test('over ssh, by the program that git is told to use', { ...needs('git'), timeout: 120_000 }, async () => {
  await using bench = await openBench();
  await newRepository(bench);
  // what ssh does at the other end: a shell gets the command
  writeFileSync(
    bench.path('ssh'),
    `#!/bin/sh\necho "$@" >> ${bench.path('ssh-log')}\nfor command; do :; done\nexec sh -c "$command"\n`,
  );
  chmodSync(bench.path('ssh'), 0o755);
  const env = { GIT_SSH_COMMAND: bench.path('ssh'), GIT_SSH_VARIANT: 'ssh' };
  put(bench, `staging/${image}/signature-1`, 'a');
  const store = `git+ssh://git@sigs.example.com:2222${bench.path('sigs.git')}`;
  for (const args of [
    ['publish', bench.path('staging'), store],
    ['fetch', store, bench.path('out')],
  ]) {
    const { exitCode, stderr } = await bench.bulla(['store', ...args], { env });
    assert.equal(exitCode, 0, stderr);
  }
  assert.ok(existsSync(bench.path('out', image, 'signature-1')));
  // its hooks are run there, and decide
  put(bench, `staging/${image}/signature-2`, 'b');
  writeFileSync(bench.path('sigs.git', 'hooks', 'pre-receive'), '#!/bin/sh\necho not today\nexit 1\n');
  chmodSync(bench.path('sigs.git', 'hooks', 'pre-receive'), 0o755);
  const declined = await bench.bulla(['store', 'publish', bench.path('staging'), store], { env });
  assert.equal(declined.exitCode, 3);
  assert.match(declined.stderr, /cannot publish to .*hook declined.*\[store\.failed\]/);
  assert.equal((await stateOf(bench)).commits, 1);
  const log = readFileSync(bench.path('ssh-log'), 'utf8').split('\n');
  assert.ok(
    log.some((line) => /-p 2222 git@sigs\.example\.com git-receive-pack '.*sigs\.git'$/.test(line)),
    log.join('\n'),
  );
});
