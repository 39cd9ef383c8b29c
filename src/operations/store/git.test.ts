/** Signature stores in git repositories, with the real git. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  sampleFolder,
  sampleSignature,
  type SampleStore,
  temporaryStore,
} from '../../../test/support/store-samples.ts';
import { isBullaError } from '../../base/errors.ts';
import { checkStore } from './check.ts';
import { parseStoreName } from './name.ts';
import { mergeStores, type MergeOptions, type StoreMerge } from '../stores.ts';

const hasGit = spawnSync('git', ['--version']).error === undefined;
const options = hasGit ? {} : { skip: 'git missing: apt-get install git' };

type Stage = Disposable & {
  readonly path: (...parts: readonly string[]) => string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs git as its user would, in the stage's folder. */
  readonly git: (...args: readonly string[]) => string;
  merge(from: string, to: string, options?: MergeOptions): Promise<StoreMerge>;
  /** What a branch has: `mode path`. */
  files(repository: string, branch?: string): readonly string[];
  /** A staging folder with signatures. */
  readonly staging: SampleStore;
};

function openStage(): Stage {
  const folder = mkdtempSync(join(tmpdir(), 'bulla-git-'));
  mkdirSync(join(folder, 'home'));
  const env = { PATH: process.env['PATH'], HOME: join(folder, 'home'), GIT_CONFIG_NOSYSTEM: '1' };
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['-c', 'user.name=Other', '-c', 'user.email=other@example.com', ...args], {
      cwd: folder,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const staging = temporaryStore();
  return {
    path: (...parts) => join(folder, ...parts),
    env,
    git,
    merge: (from, to, more) =>
      mergeStores(parseStoreName(from, folder), parseStoreName(to, folder), { env, ...more }),
    files: (repository, branch = 'HEAD') =>
      git('-C', repository, 'ls-tree', '-r', '--format=%(objectmode) %(path)', branch)
        .split('\n')
        .slice(0, -1),
    staging,
    [Symbol.dispose]: () => {
      staging[Symbol.dispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A working copy of a repository, to do there what no Bulla does. */
function commitInto(
  stage: Stage,
  repository: string,
  change: (folder: string) => void,
  branch = 'HEAD',
): void {
  const copy = mkdtempSync(stage.path('copy-'));
  stage.git('clone', '--quiet', repository, copy);
  change(copy);
  stage.git('-C', copy, 'add', '--all', '--force');
  stage.git('-C', copy, 'commit', '--quiet', '--message', 'by hand');
  stage.git('-C', copy, 'push', '--quiet', 'origin', `HEAD:${branch === 'HEAD' ? 'main' : branch}`);
}

const [one, two] = [sampleFolder(1), sampleFolder(2, 'other')];

test(
  'an empty repository is published to, fetched from, and left alone when nothing is new',
  options,
  async () => {
    using stage = openStage();
    const { staging, git } = stage;
    git('init', '--quiet', '--bare', '--initial-branch=trunk', 'sigs.git');
    const empty = await stage.merge('git+file:sigs.git', stage.path('out'));
    deepEqual(empty, { added: [], present: 0, skipped: [] });
    staging.put(`${one}/signature-1`, sampleSignature('a'));
    staging.put(`${one}/signature-2`, sampleSignature('b'));
    staging.put(`${two}/signature-1`, sampleSignature('c'));
    const dry = await stage.merge(staging.path, 'git+file:sigs.git', { dryRun: true });
    equal(git('-C', 'sigs.git', 'branch', '--list'), '', 'a dry run pushes nothing');
    const first = await stage.merge(staging.path, 'git+file:sigs.git');
    deepEqual(first, { ...dry, commit: git('-C', 'sigs.git', 'rev-parse', 'trunk').trim() });
    equal(first.added[0]?.to, `git+file:sigs.git#trunk:${one}/signature-1`);
    deepEqual(
      stage.files('sigs.git'),
      [`${one}/signature-1`, `${one}/signature-2`, `${two}/signature-1`].map((each) => `100644 ${each}`),
    );
    const message = git('-C', 'sigs.git', 'log', '--format=%an <%ae>%n%cn%n%B', 'trunk');
    equal(
      message.trim(),
      `Bulla <bulla@localhost>\nBulla\nAdd 3 signatures of 2 images\n\n${one}/signature-1\n${one}/signature-2\n${two}/signature-1`,
    );
    const again = await stage.merge(staging.path, 'git+file:sigs.git');
    deepEqual(again, { added: [], present: 3, skipped: [] });
    equal(git('-C', 'sigs.git', 'rev-list', '--count', 'trunk'), '1\n');
    equal((await stage.merge('git+file:sigs.git', stage.path('out'))).added.length, 3);
    deepEqual(new Uint8Array(readFileSync(stage.path('out', one, 'signature-2'))), sampleSignature('b'));
    deepEqual(await checkStore(parseStoreName('git+file:sigs.git', stage.path()), { env: stage.env }), {
      images: 2,
      signatures: 3,
      findings: [],
    });
  },
);

test('a signature gets the next free number; whatever else is in the repository stays', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  commitInto(stage, 'sigs.git', (copy) => {
    mkdirSync(join(copy, one), { recursive: true });
    writeFileSync(join(copy, 'README.md'), 'ours\n');
    writeFileSync(join(copy, one, 'signature-1'), sampleSignature('theirs'));
    chmodSync(join(copy, one, 'signature-1'), 0o755);
    symlinkSync('signature-1', join(copy, one, 'signature-2'));
  });
  const before = stage.git('-C', 'sigs.git', 'rev-parse', 'main').trim();
  stage.staging.put(`${one}/signature-1`, sampleSignature('ours'));
  stage.staging.put(`${one}/signature-2`, sampleSignature('theirs'));
  const { added, present } = await stage.merge(stage.staging.path, 'git+file:sigs.git');
  deepEqual([added.map(({ to }) => to), present], [[`git+file:sigs.git#main:${one}/signature-3`], 1]);
  equal(stage.git('-C', 'sigs.git', 'rev-parse', 'main^').trim(), before);
  deepEqual(stage.files('sigs.git'), [
    '100644 README.md',
    `100755 ${one}/signature-1`,
    `120000 ${one}/signature-2`,
    `100644 ${one}/signature-3`,
  ]);
});

test('what lies behind a gap is seen by no reader, so it is added before it', options, async () => {
  using stage = openStage();
  const { staging } = stage;
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  commitInto(stage, 'sigs.git', (folder) => {
    mkdirSync(join(folder, one), { recursive: true });
    writeFileSync(join(folder, one, 'signature-2'), sampleSignature('hidden'));
    writeFileSync(join(folder, one, 'signature-4'), sampleSignature('far'));
  });
  staging.put(`${one}/signature-1`, sampleSignature('hidden'));
  staging.put(`${one}/signature-2`, sampleSignature('far'));
  const merged = await stage.merge(staging.path, 'git+file:sigs.git');
  const numbers = [1, 3].map((n) => `git+file:sigs.git#main:${one}/signature-${n}`);
  deepEqual(
    merged.added.map(({ to }) => to),
    numbers,
  );
  equal((await stage.merge(staging.path, 'git+file:sigs.git')).present, 2);
});

test('a branch and a folder of the repository are a store of their own', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  commitInto(stage, 'sigs.git', (copy) => writeFileSync(join(copy, 'README.md'), 'main\n'));
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  await stage.merge(stage.staging.path, 'git+file:sigs.git#sig/prod:deep/store');
  deepEqual(stage.files('sigs.git', 'sig/prod'), [`100644 deep/store/${one}/signature-1`]);
  deepEqual(stage.files('sigs.git', 'main'), ['100644 README.md']);
  // from one branch to another of the same repository
  const { added } = await stage.merge('git+file:sigs.git#sig/prod:deep/store', 'git+file:sigs.git#main:dev');
  equal(added.length, 1);
  deepEqual(stage.files('sigs.git', 'main'), ['100644 README.md', `100644 dev/${one}/signature-1`]);
  const image = parseStoreName(`git+file:sigs.git#main:dev/${one}`, stage.path());
  deepEqual(await checkStore(image, { env: stage.env }), { images: 1, signatures: 1, findings: [] });
  // a misspelt name is no empty store
  for (const text of ['git+file:sigs.git#prod', 'git+file:sigs.git#main:prod', 'git+file:none.git'])
    await rejects(stage.merge(text, stage.path('out')), (error: unknown) =>
      isBullaError(error, 'io.not-found'),
    );
  await rejects(stage.merge('git+file:sigs.git#main:README.md', stage.path('out')), (error: unknown) =>
    isBullaError(error, 'store.unreadable'),
  );
  await rejects(stage.merge('git+file:sigs.git#main:dev', 'git+file:sigs.git#main:dev'), (error: unknown) =>
    isBullaError(error, 'usage.invalid'),
  );
});

test('torn, foreign, linked and oversized files are named and passed over', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  commitInto(stage, 'sigs.git', (copy) => {
    mkdirSync(join(copy, one, 'signature-9'), { recursive: true });
    writeFileSync(join(copy, 'README.md'), 'x\n');
    writeFileSync(join(copy, '.gitattributes'), '* filter=evil\n');
    writeFileSync(join(copy, one, 'signature-1'), sampleSignature('torn').subarray(0, -3));
    writeFileSync(join(copy, one, 'signature-2'), Buffer.alloc(4_194_305));
    writeFileSync(join(copy, one, 'signature-3'), 'version https://git-lfs.github.com/spec/v1\n');
    symlinkSync('/etc/passwd', join(copy, one, 'signature-4'));
    writeFileSync(join(copy, one, 'signature-5'), sampleSignature('whole'));
    writeFileSync(join(copy, one, 'signature-9', 'x'), 'x');
    symlinkSync('ns', join(copy, 'linked'));
  });
  const { added, skipped } = await stage.merge('git+file:sigs.git', stage.path('out'));
  deepEqual(
    added.map(({ to }) => to),
    [stage.path('out', one, 'signature-1')],
  );
  const below = `git+file:sigs.git#main:`;
  deepEqual(
    skipped.map(({ kind, path, code }) =>
      `${kind} ${path.replace(below, '').replace(`${one}/`, '')} ${code ?? ''}`.trim(),
    ),
    [
      'foreign .gitattributes',
      'foreign README.md',
      'link linked',
      'link signature-4',
      'foreign signature-9/x',
      'broken signature-1 signature.malformed',
      'broken signature-2 signature.too-large',
      'broken signature-3 signature.unrecognized',
    ],
  );
});

test('a tree whose names lead elsewhere is refused', options, async () => {
  using stage = openStage();
  const { git } = stage;
  git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  const inside = (args: readonly string[], input: Uint8Array | string): string =>
    execFileSync('git', ['-C', stage.path('sigs.git'), ...args], {
      input,
      env: stage.env,
      encoding: 'utf8',
    }).trim();
  const blob = inside(['hash-object', '-w', '--stdin'], sampleSignature('a'));
  const image = inside(['mktree'], `100644 blob ${blob}\tsignature-1\n`);
  const app = inside(['mktree'], `040000 tree ${image}\tapp@sha256=${'ab'.repeat(32)}\n`);
  for (const name of ['..', '.git', 'a\nb']) {
    const top = inside(['mktree', '-z'], `040000 tree ${app}\t${name}\0`);
    const commit = git('-C', 'sigs.git', 'commit-tree', '-m', 'x', top).trim();
    git('-C', 'sigs.git', 'update-ref', 'refs/heads/main', commit);
    const merged = await stage.merge('git+file:sigs.git', stage.path('out')).catch((error: unknown) => error);
    // git refuses the first two when they arrive; what it does not mind is no path of ours
    if (name === 'a\nb') equal((merged as StoreMerge).skipped[0]?.kind, 'foreign');
    else ok(isBullaError(merged, 'store.failed'), String(merged));
  }
  deepEqual(existsSync(stage.path('out')) ? readdirSync(stage.path('out')) : [], []);
  equal(existsSync(stage.path(`app@sha256=${'ab'.repeat(32)}`)), false);
});

test('a file where a folder belongs is not replaced', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  for (const name of ['ns', `other@sha256=${'0'.repeat(63)}2`])
    commitInto(stage, 'sigs.git', (copy) => writeFileSync(join(copy, name), 'a file\n'));
  const before = stage.git('-C', 'sigs.git', 'rev-parse', 'main');
  for (const image of [one, two]) {
    using staging = temporaryStore();
    staging.put(`${image}/signature-1`, sampleSignature('a'));
    await rejects(stage.merge(staging.path, 'git+file:sigs.git'), (error: unknown) =>
      isBullaError(error, 'store.unreadable'),
    );
  }
  equal(stage.git('-C', 'sigs.git', 'rev-parse', 'main'), before);
});

test('a push that came first is merged with, its commit kept', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  stage.staging.put(`${one}/signature-1`, sampleSignature('ours'));
  // the empty repository gets its first commit while we make ours, and one more while we make ours again
  const others = ['first', 'second'];
  const onProgress = (): void => {
    const text = others.shift();
    if (text === undefined) return;
    commitInto(stage, 'sigs.git', (copy) => {
      mkdirSync(join(copy, one), { recursive: true });
      writeFileSync(join(copy, one, `signature-${text === 'first' ? 1 : 2}`), sampleSignature(text));
    });
  };
  const { added } = await stage.merge(stage.staging.path, 'git+file:sigs.git', { onProgress });
  deepEqual(
    added.map(({ to }) => to),
    [`git+file:sigs.git#main:${one}/signature-3`],
  );
  deepEqual(
    stage.files('sigs.git'),
    [1, 2, 3].map((n) => `100644 ${one}/signature-${n}`),
  );
  equal(stage.git('-C', 'sigs.git', 'rev-list', '--count', 'main'), '3\n');
});

test('neither the repository’s programs nor the user’s hooks are run', options, async () => {
  using stage = openStage();
  const { git } = stage;
  git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  git('init', '--quiet', '--bare', 'alternate.git');
  const script = `#!/bin/sh\ntouch ${stage.path('ran')}-$(basename "$0")\n`;
  mkdirSync(stage.path('home', 'hooks'));
  const hooks = [
    'pre-receive',
    'update',
    'post-receive',
    'post-update',
    'reference-transaction',
    'pre-push',
    'proc-receive',
    'push-to-checkout',
    'post-index-change',
  ];
  for (const folder of [stage.path('sigs.git', 'hooks'), stage.path('home', 'hooks')])
    for (const hook of hooks) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, hook), script);
      chmodSync(join(folder, hook), 0o755);
    }
  git('config', '--global', 'core.hooksPath', stage.path('home', 'hooks'));
  writeFileSync(
    stage.path('sigs.git', 'objects', 'info', 'alternates'),
    `${stage.path('alternate.git', 'objects')}\n`,
  );
  git('-C', 'sigs.git', 'config', 'core.alternateRefsCommand', stage.path('home', 'hooks', 'update'));
  git('-C', 'sigs.git', 'config', 'core.fsmonitor', stage.path('home', 'hooks', 'update'));
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  equal((await stage.merge(stage.staging.path, 'git+file:sigs.git')).added.length, 1);
  equal((await stage.merge('git+file:sigs.git', stage.path('out'))).added.length, 1);
  const ran = (): readonly string[] => readdirSync(stage.path()).filter((name) => name.startsWith('ran'));
  deepEqual(ran(), []);
  // they are run for others
  git('config', '--global', '--unset', 'core.hooksPath');
  commitInto(stage, 'sigs.git', (copy) => writeFileSync(join(copy, 'x'), 'x'));
  ok(ran().includes('ran-post-receive'));
});

test(
  'variables that point git elsewhere are not passed on, those that configure it are',
  options,
  async () => {
    using stage = openStage();
    const { git } = stage;
    git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
    git('init', '--quiet', 'elsewhere');
    stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
    const env = {
      ...stage.env,
      GIT_DIR: stage.path('elsewhere', '.git'),
      GIT_WORK_TREE: stage.path('elsewhere'),
      GIT_INDEX_FILE: stage.path('index'),
      GIT_OBJECT_DIRECTORY: stage.path('objects'),
      GIT_NAMESPACE: 'ns',
      GIT_TRACE: stage.path('trace'),
      GIT_ALLOW_PROTOCOL: 'ext',
      GIT_AUTHOR_NAME: 'Author',
      GIT_CONFIG_COUNT: '2',
      GIT_CONFIG_KEY_0: 'user.name',
      GIT_CONFIG_VALUE_0: 'Configured',
      GIT_CONFIG_KEY_1: 'user.email',
      GIT_CONFIG_VALUE_1: 'configured@example.com',
    };
    equal((await stage.merge(stage.staging.path, 'git+file:sigs.git', { env })).added.length, 1);
    equal(
      git('-C', 'sigs.git', 'log', '--format=%an <%ae> %cn', 'main'),
      'Author <configured@example.com> Configured\n',
    );
    deepEqual(readdirSync(stage.path()).sort(), ['elsewhere', 'home', 'sigs.git']);
  },
);

test('configuration that leads to another transport is refused', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  stage.git(
    'config',
    '--global',
    `url.ext::sh -c "touch ${stage.path('ran')}" #.insteadOf`,
    stage.path('sigs.git'),
  );
  stage.git('config', '--global', 'protocol.ext.allow', 'always');
  await rejects(
    stage.merge('git+file:sigs.git', stage.path('out')),
    (error: unknown) => isBullaError(error, 'store.failed') && error.message.includes('not allowed'),
  );
  equal(existsSync(stage.path('ran')), false);
});

test('a default branch that is not there yet is made, beside others', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=trunk', 'sigs.git');
  commitInto(stage, 'sigs.git', (copy) => writeFileSync(join(copy, 'x'), 'x'), 'other');
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  await stage.merge(stage.staging.path, 'git+file:sigs.git');
  deepEqual(stage.files('sigs.git', 'trunk'), [`100644 ${one}/signature-1`]);
  deepEqual(stage.files('sigs.git', 'other'), ['100644 x']);
  // git keeps branches as files: one cannot lie below another
  const began = performance.now();
  await rejects(stage.merge(stage.staging.path, 'git+file:sigs.git#other/below'), (error: unknown) =>
    isBullaError(error, 'store.failed'),
  );
  ok(performance.now() - began < 5000, 'it is not tried again and again');
});

test('no repository is looked for, and the user may forbid git to', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  stage.git('config', '--global', 'safe.bareRepository', 'explicit');
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  // a repository above the private one that git would stumble over
  mkdirSync(stage.path('tmp'));
  stage.git('init', '--quiet', 'tmp');
  stage.git('-C', 'tmp', 'config', 'core.repositoryFormatVersion', '99');
  using _temporary = temporaryFolderAt(stage.path('tmp'));
  equal((await stage.merge(stage.staging.path, 'git+file:sigs.git')).added.length, 1);
  equal((await stage.merge('git+file:sigs.git', stage.path('out'))).added.length, 1);
});

/** Where temporary files go meanwhile. */
function temporaryFolderAt(path: string): Disposable {
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = path;
  return {
    [Symbol.dispose]: () => {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    },
  };
}

test('a bundle that crossed as a file is fetched from, and not published to', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  await stage.merge(stage.staging.path, 'git+file:sigs.git');
  stage.git('-C', 'sigs.git', 'bundle', 'create', '--quiet', stage.path('sigs.bundle'), 'main');
  equal((await stage.merge('git+file:sigs.bundle#main', stage.path('out'))).added.length, 1);
  const before = readFileSync(stage.path('sigs.bundle'));
  stage.staging.put(`${one}/signature-2`, sampleSignature('b'));
  await rejects(
    stage.merge(stage.staging.path, 'git+file:sigs.bundle#main'),
    (error: unknown) => isBullaError(error, 'store.read-only') && error.hint?.includes('bundle') === true,
  );
  deepEqual(readFileSync(stage.path('sigs.bundle')), before);
});

test('a token in the user’s configuration does not come out in messages', options, async () => {
  using stage = openStage();
  stage.git('config', '--global', 'url.https://secret-token@127.0.0.1:1/.insteadOf', 'https://127.0.0.1:1/');
  await rejects(
    stage.merge('git+https://127.0.0.1:1/sigs.git', stage.path('out')),
    (error: unknown) => isBullaError(error, 'store.failed') && !error.message.includes('secret'),
  );
});

test('a bare repository named as a folder is not written into', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', 'sigs.git');
  for (const text of ['sigs.git', `file://${stage.path('sigs.git')}`])
    throws(
      () => parseStoreName(text, stage.path()),
      (error: unknown) =>
        isBullaError(error, 'usage.invalid') && error.hint?.startsWith('write git+file:') === true,
    );
});

test('a repository of SHA-256', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', '--object-format=sha256', 'sigs.git');
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  equal((await stage.merge(stage.staging.path, 'git+file:sigs.git')).commit?.length, 64);
  stage.staging.put(`${one}/signature-2`, sampleSignature('b'));
  deepEqual((await stage.merge(stage.staging.path, 'git+file:sigs.git')).present, 1);
  equal((await stage.merge('git+file:sigs.git', stage.path('out'))).added.length, 2);
});

test('a branch that is checked out is left alone, with a hint', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--initial-branch=main', 'work');
  stage.git('-C', 'work', 'commit', '--quiet', '--allow-empty', '--message', 'x');
  stage.git('-C', 'work', 'config', 'receive.denyCurrentBranch', 'updateInstead');
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  await rejects(
    stage.merge(stage.staging.path, 'git+file:work'),
    (error: unknown) => isBullaError(error, 'store.failed') && error.hint?.includes('bare') === true,
  );
  equal((await stage.merge(stage.staging.path, 'git+file:work#sigs')).added.length, 1);
  // the folder with a working copy is a store too, without git's own part of it
  stage.git('-C', 'work', 'checkout', '--quiet', 'sigs');
  deepEqual(
    (await checkStore({ kind: 'folder', path: stage.path('work') })).findings.map(({ kind, path }) => [
      kind,
      path,
    ]),
    [['foreign', stage.path('work', '.git')]],
  );
});

/** A program `git` that does as the script says; `$real` is the true one. */
function fakeGit(stage: Stage, script: string): NodeJS.ProcessEnv {
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  mkdirSync(stage.path('bin'));
  writeFileSync(stage.path('bin', 'git'), `#!/bin/sh\nreal=${real}\n${script}\n`);
  chmodSync(stage.path('bin', 'git'), 0o755);
  return { ...stage.env, PATH: `${stage.path('bin')}:${stage.env['PATH'] ?? ''}` };
}

test('a push that was taken before the connection broke counts', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  const env = fakeGit(stage, '"$real" "$@"; code=$?; case " $* " in *" push "*) exit 1;; esac; exit $code');
  const { commit } = await stage.merge(stage.staging.path, 'git+file:sigs.git', { env });
  equal(stage.git('-C', 'sigs.git', 'rev-parse', 'main').trim(), commit);
});

test('a branch too large to fetch ends the fetch', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  stage.staging.put(`${one}/signature-1`, sampleSignature('a'));
  await stage.merge(stage.staging.path, 'git+file:sigs.git');
  const env = fakeGit(
    stage,
    'case " $* " in *" fetch "*) mkdir -p objects/pack; truncate -s 2G objects/pack/tmp; sleep 60;; esac; exec "$real" "$@"',
  );
  await rejects(stage.merge('git+file:sigs.git', stage.path('out'), { env }), (error: unknown) =>
    isBullaError(error, 'io.too-large'),
  );
});

test('what was fetched is gone afterwards, and git that is missing has a hint', options, async () => {
  using stage = openStage();
  stage.git('init', '--quiet', '--bare', '--initial-branch=main', 'sigs.git');
  mkdirSync(stage.path('tmp'));
  using _temporary = temporaryFolderAt(stage.path('tmp'));
  await stage.merge('git+file:sigs.git', stage.path('out'));
  for (const [from, to] of [
    ['git+file:out', stage.path('x')],
    ['git+file:sigs.git#none', stage.path('x')],
    ['git+file:sigs.git#:none', stage.path('x')],
    [stage.path('none'), 'git+file:sigs.git'],
  ] as const)
    await rejects(stage.merge(from, to));
  await rejects(
    stage.merge('git+file:sigs.git', stage.path('out'), { env: { ...stage.env, PATH: '/nonexistent' } }),
    (error: unknown) =>
      isBullaError(error, 'process.not-found') && match(error.hint ?? '', /install git/) === undefined,
  );
  deepEqual(readdirSync(stage.path('tmp')), []);
});
