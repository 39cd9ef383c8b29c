/** Syncs between real registries and folders, beside skopeo's own: the same trees, tags and digests, signatures that both believe. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { type RealRegistry, registryUser, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, type PeerResult } from '../support/peers.ts';
import { serveAnswers } from '../support/registry-faults.ts';
import { useLookaside } from '../support/simple-signing.ts';
import { patterns, patternTags, rangeTags, refusedRanges, selectedByRange } from '../support/sync-tables.ts';

const launcher = fileURLToPath(new URL('../../bin/bulla.js', import.meta.url));
const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];

type Stage = {
  readonly bench: Bench;
  readonly from: RealRegistry;
  readonly to: RealRegistry;
  /** A key that everything in `from` is signed with, and its public part. */
  readonly key: { readonly id: string; readonly file: string };
  readonly digests: Readonly<Record<string, string>>;
};

/** `ns/app` with the tags 1.0, 1.1 and latest (which is 1.1), `other/app` with 2.0; all of them signed for GPG. */
async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const [from, to] = [await startRegistry(bench), await startRegistry(bench)];
  useLookaside(bench, `file://${bench.path('sig')}`);
  const id = await bench.newGpgKey('dev@example.com', { type: 'ed25519' });
  const file = bench.path('dev.gpg');
  await bench.ok('gpg', ['--batch', '--output', file, '--export', id]);
  const digests: Record<string, string> = {};
  for (const [name, tags] of Object.entries({ 'ns/app': ['1.0', '1.1', 'latest'], 'other/app': ['2.0'] })) {
    for (const tag of tags) {
      const content = tag === 'latest' ? '1.1' : tag;
      const folder = bench.path(`${name.replace('/', '-')}-${tag}`);
      const { digest } = await writeOciImage(folder, { tag: 'v1', files: { 'a.txt': content } });
      digests[`${name}:${tag}`] = digest;
      const target = `docker://${from.host}/${name}:${tag}`;
      await bench.ok('skopeo', [
        ...['copy', '--quiet', '--dest-tls-verify=false'],
        `oci:${folder}:v1`,
        target,
      ]);
      // skopeo would replace the signature for 1.1 by that for latest, which is the same image
      const signed = await bench.bulla(['sign', '--quiet', '--tls-verify=false', '--sign-by', id, target]);
      assert.equal(signed.exitCode, 0, signed.stderr);
    }
  }
  await run({ bench, from, to, key: { id, file }, digests });
}

async function bulla({ bench }: Stage, ...args: readonly string[]): Promise<PeerResult> {
  return bench.bulla(['sync', ...plain, ...args]);
}

async function ok(stage: Stage, ...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await bulla(stage, ...args);
  assert.equal(exitCode, 0, `${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

async function skopeo({ bench }: Stage, ...args: readonly string[]): Promise<void> {
  // it does not know the variable that names the file
  const conf = ['--registries-conf', bench.path('registries.conf')];
  await bench.ok('skopeo', [...conf, 'sync', ...plain, ...args]);
}

/** Every tag of every repository below a prefix, with its digest. */
async function tagsBelow({ url }: RealRegistry, prefix: string): Promise<Readonly<Record<string, string>>> {
  const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json';
  const found: Record<string, string> = {};
  const { repositories } = (await (await fetch(`${url}/v2/_catalog`)).json()) as { repositories: string[] };
  for (const name of repositories.filter((each) => each.startsWith(prefix))) {
    const { tags } = (await (await fetch(`${url}/v2/${name}/tags/list`)).json()) as { tags: string[] | null };
    for (const tag of tags ?? []) {
      const head = await fetch(`${url}/v2/${name}/manifests/${tag}`, { method: 'HEAD', headers: { accept } });
      found[`${name.slice(prefix.length)}:${tag}`] = head.headers.get('docker-content-digest') ?? '';
    }
  }
  return Object.fromEntries(Object.entries(found).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Every file of a folder with its content. */
function filesIn(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return Object.fromEntries(
    files
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [relative(folder, path), readFileSync(path, 'base64')] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

test(
  'docker to docker: the tags and digests that skopeo makes, suffixes too',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { from, to, digests } = stage;
      for (const extra of [[], ['--append-suffix', '-mirror'], ['--all', '--preserve-digests']]) {
        const name = `x${extra.join('')}`.toLowerCase();
        const source = ['--src', 'docker', '--dest', 'docker', ...extra, `${from.host}/ns/app`];
        await skopeo(stage, ...source, `${to.host}/skopeo/${name}/`);
        await ok(stage, ...source, `${to.host}/bulla/${name}/`);
      }
      const made = await tagsBelow(to, 'bulla/');
      assert.deepEqual(made, await tagsBelow(to, 'skopeo/'));
      assert.equal(made['x/app:1.0'], digests['ns/app:1.0']);
      assert.equal(made['x--append-suffix-mirror/app:latest-mirror'], digests['ns/app:1.1']);
      // one image, by its tag and by its digest
      const byDigest = `${from.host}/ns/app@${digests['ns/app:1.0']}`;
      for (const [name, source] of Object.entries({ tag: `${from.host}/ns/app:1.0`, digest: byDigest })) {
        await skopeo(stage, '--src', 'docker', '--dest', 'docker', source, `${to.host}/skopeo/${name}`);
        await ok(stage, '--src', 'docker', '--dest', 'docker', source, `${to.host}/bulla/${name}`);
      }
      assert.deepEqual(await tagsBelow(to, 'bulla/'), await tagsBelow(to, 'skopeo/'));
      for (const who of ['bulla', 'skopeo']) {
        const accept = 'application/vnd.oci.image.manifest.v1+json';
        const url = `${to.url}/v2/${who}/digest/app/manifests/${digests['ns/app:1.0']}`;
        assert.equal((await fetch(url, { headers: { accept } })).status, 200, who);
      }
    }),
);

test(
  'docker to dir, and back: the files that skopeo writes, and from its files the same tags',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to, digests } = stage;
      for (const scoped of [[], ['--scoped']]) {
        const [theirs, ours] = [bench.path(`theirs${scoped.length}`), bench.path(`ours${scoped.length}`)];
        const source = ['--src', 'docker', '--dest', 'dir', ...scoped];
        for (const image of [`${from.host}/ns/app`, `${from.host}/other/app@${digests['other/app:2.0']}`]) {
          await skopeo(stage, ...source, image, theirs);
          await ok(stage, ...source, image, ours);
        }
        assert.deepEqual(filesIn(ours), filesIn(theirs));
        assert.ok(Object.keys(filesIn(ours)).some((name) => name.endsWith('app:1.0/signature-1')));
      }
      const names = (folder: string): readonly string[] => [folder, `${folder}/`, `${folder}/app:1.0`];
      for (const [index, name] of names(bench.path('theirs0')).entries()) {
        if (index < 2) {
          // a digest in a name is a destination's digest, for both
          await skopeo(stage, '--src', 'dir', '--dest', 'docker', name, `${to.host}/skopeo/${index}`);
          await ok(stage, '--src', 'dir', '--dest', 'docker', name, `${to.host}/bulla/${index}`);
        }
        await skopeo(
          stage,
          '--src',
          'dir',
          '--dest',
          'docker',
          `${name}/app:1.0`.replace(/\/app:1.0\/app/, '/app'),
          `${to.host}/skopeo/s${index}`,
        );
        await ok(
          stage,
          '--src',
          'dir',
          '--dest',
          'docker',
          `${name}/app:1.0`.replace(/\/app:1.0\/app/, '/app'),
          `${to.host}/bulla/s${index}`,
        );
      }
      // the whole path below the folder, where it makes a name
      const tree = bench.path('tree');
      mkdirSync(join(tree, 'deep'), { recursive: true });
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        `dir:${bench.path('theirs0', 'app:1.1')}`,
        `dir:${tree}/deep/app:1.1`,
      ]);
      await skopeo(stage, '--src', 'dir', '--dest', 'docker', '--scoped', tree, `${to.host}/skopeo/scoped`);
      await ok(stage, '--src', 'dir', '--dest', 'docker', '--scoped', tree, `${to.host}/bulla/scoped`);
      const made = await tagsBelow(to, 'bulla/');
      assert.deepEqual(made, await tagsBelow(to, 'skopeo/'));
      assert.equal(made['scoped/deep/app:1.1'], digests['ns/app:1.1']);
    }),
);

test(
  'yaml: tags, digests, patterns and versions, scoped too, become what skopeo makes of them',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to, digests } = stage;
      const file = bench.path('sync.yaml');
      writeFileSync(
        file,
        `${from.host}:
  tls-verify: false
  images:
    ns/app: ["1.0", "${digests['ns/app:1.1']}"]
  images-by-tag-regex:
    other/app: ^2
  images-by-semver:
    ns/app: ">= 1.1"
  some-other-key: {}
`,
      );
      await skopeo(stage, '--src', 'yaml', '--dest', 'docker', file, `${to.host}/skopeo`);
      const digestFile = bench.path('digests');
      await ok(
        stage,
        '--src',
        'yaml',
        '--dest',
        'docker',
        '--digestfile',
        digestFile,
        file,
        `${to.host}/bulla`,
      );
      assert.deepEqual(await tagsBelow(to, 'bulla/'), await tagsBelow(to, 'skopeo/'));
      const lines = readFileSync(digestFile, 'utf8').split('\n').toSorted();
      const line = (tag: string, name: string): string =>
        `${digests[name]} docker://${to.host}/bulla/app${tag}`;
      assert.deepEqual(
        lines,
        [
          '',
          line(':1.0', 'ns/app:1.0'),
          line(':1.1', 'ns/app:1.1'),
          line(':2.0', 'other/app:2.0'),
          line(`@${digests['ns/app:1.1']}`, 'ns/app:1.1'),
        ].toSorted(),
      );
      // a host with a port is no part of a path: scoped names are those of a host without one
      writeFileSync(
        bench.path('registries.conf'),
        `[[registry]]\nprefix = "src.example.com"\nlocation = "${from.host}"\ninsecure = true\n`,
      );
      writeFileSync(file, 'src.example.com:\n  images: {ns/app: ["1.0"], other/app: ["2.0"]}\n');
      await skopeo(stage, '--src', 'yaml', '--dest', 'docker', '--scoped', file, `${to.host}/skopeo`);
      await ok(stage, '--src', 'yaml', '--dest', 'docker', '--scoped', file, `${to.host}/bulla`);
      const made = await tagsBelow(to, 'bulla/');
      assert.deepEqual(made, await tagsBelow(to, 'skopeo/'));
      assert.equal(made['src.example.com/other/app:2.0'], digests['other/app:2.0']);
    }),
);

test(
  'yaml: each registry is reached as the file says, and as skopeo reaches it',
  needs('skopeo', 'docker-registry', 'gpg', 'openssl'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to, digests } = stage;
      const guarded = await startRegistry(bench, { tls: true, users: true });
      const creds = `${registryUser.name}:${registryUser.password}`;
      const target = `docker://${guarded.host}/secret/app:1.0`;
      const there = ['--src-tls-verify=false', '--dest-tls-verify=false', '--dest-creds', creds];
      await bench.ok('skopeo', ['copy', '--quiet', ...there, `docker://${from.host}/ns/app:1.0`, target]);
      const certs = bench.path('certs');
      mkdirSync(certs);
      copyFileSync(guarded.certificates?.ca ?? '', join(certs, 'ca.crt'));
      const file = bench.path('sync.yaml');
      const open = `${from.host}:\n  tls-verify: false\n  images: {other/app: []}\n`;
      const write = (settings: string): void =>
        writeFileSync(file, `${open}${guarded.host}:\n  images: {secret/app: []}\n${settings}`);
      const user = `  credentials: { username: ${registryUser.name}, password: ${registryUser.password} }\n`;
      write(`${user}  tls-verify: true\n  cert-dir: ${certs}\n`);
      const args = ['--src', 'yaml', '--dest', 'docker', '--dest-tls-verify=false', file];
      await bench.ok('skopeo', ['sync', ...args, `${to.host}/skopeo`]);
      const synced = await bench.bulla(['sync', ...args, `${to.host}/bulla`]);
      assert.equal(synced.exitCode, 0, synced.stderr);
      assert.equal((synced.stdout + synced.stderr).includes(registryUser.password), false);
      const made = await tagsBelow(to, 'bulla/');
      assert.deepEqual(made, await tagsBelow(to, 'skopeo/'));
      assert.deepEqual(made, { 'app:1.0': digests['ns/app:1.0'], 'app:2.0': digests['other/app:2.0'] });
      for (const [settings, code] of [
        [`  tls-verify: true\n  cert-dir: ${certs}\n`, 'registry.unauthorized'],
        [user, 'http.certificate-refused'],
      ] as const) {
        write(settings);
        const refused = await bench.bulla(['sync', '--retry-times=0', ...args, `${to.host}/refused`]);
        assert.equal(refused.exitCode, 3, refused.stderr);
        assert.ok(refused.stderr.includes(`[${code}]`), refused.stderr);
      }
      assert.deepEqual(await tagsBelow(to, 'refused/'), {});
    }),
);

test('versions and patterns select what skopeo selects', needs('skopeo'), async () => {
  await using bench = await openBench();
  const lists: Readonly<Record<string, readonly string[]>> = { r: rangeTags, p: patternTags };
  await using registry = await serveAnswers(({ url }, response) => {
    const tags = lists[/^\/v2\/(.)[0-9]+\/tags\/list/.exec(url)?.[1] ?? ''];
    response.writeHead(url === '/v2/' || tags !== undefined ? 200 : 404, {
      'content-type': 'application/json',
    });
    response.end(JSON.stringify({ tags }));
  });
  const ranges = Object.keys(selectedByRange);
  const members = (letter: string, texts: readonly string[]): string =>
    texts.map((text, index) => `    ${letter}${index}: ${JSON.stringify(text)}\n`).join('');
  const write = (semver: readonly string[], regex: readonly string[]): string => {
    const text = `${registry.host}:\n  tls-verify: false\n  images-by-semver:\n${members('r', semver)}  images-by-tag-regex:\n${members('p', regex)}`;
    writeFileSync(bench.path('s.yaml'), text);
    return bench.path('s.yaml');
  };
  const args = (file: string): readonly string[] => [
    'sync',
    '--dry-run',
    '--src',
    'yaml',
    '--dest',
    'docker',
    file,
    'mirror.example.com',
  ];
  const theirs = (await bench.run('skopeo', args(write(ranges, patterns)))).stderr;
  const ours = await bench.bulla(args(bench.path('s.yaml')));
  assert.equal(ours.exitCode, 0, ours.stderr);
  const namesIn = (text: string): readonly string[] =>
    [...text.matchAll(/docker:\/\/127[^/]*\/([rp]\d+:[\w.-]+)/g)].map(([, name]) => name ?? '').toSorted();
  assert.deepEqual(namesIn(ours.stdout), namesIn(theirs));
  assert.ok(namesIn(theirs).length > 500, theirs);
  for (const [index, range] of ranges.entries()) {
    const selected = namesIn(theirs)
      .filter((name) => name.startsWith(`r${index}:`))
      .map((name) => name.split(':')[1] ?? '');
    assert.deepEqual(
      selected,
      (selectedByRange[range] ?? '')
        .split(' ')
        .filter((tag) => tag !== '')
        .toSorted(),
      range,
    );
  }
  for (const range of refusedRanges) {
    const refused = await bench.run('skopeo', args(write([range], [])));
    assert.match(refused.stderr, /level=error msg="(?:improper constraint|constraint parser error)/i, range);
  }
});

test(
  'signatures go both ways: what skopeo carried Bulla believes, what Bulla carried and signed skopeo',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to, key } = stage;
      const policy = writePolicy(bench, 'dev', [
        {
          ...signedBy(key.file),
          signedIdentity: { type: 'remapIdentity', prefix: to.host, signedPrefix: from.host },
        },
      ]);
      const source = ['--src', 'docker', '--dest', 'docker', `${from.host}/ns/app`];
      // the same path, so that the name differs by its registry alone
      await skopeo(stage, ...source, `${to.host}/ns`);
      for (const tag of ['1.0', '1.1', 'latest']) {
        const verified = await bench.bulla([
          'verify',
          '--policy',
          policy,
          '--tls-verify=false',
          `docker://${to.host}/ns/app:${tag}`,
        ]);
        assert.equal(verified.exitCode, 0, verified.stdout + verified.stderr);
      }
      const mine = await bench.newGpgKey('mirror@example.com', { type: 'ed25519' });
      await bench.ok('gpg', ['--batch', '--output', bench.path('mirror.gpg'), '--export', mine]);
      const carried = await ok(
        stage,
        '--policy',
        writePolicy(bench, 'src', [signedBy(key.file)]),
        '--sign-by',
        mine,
        ...source,
        `${to.host}/mirror`,
      );
      assert.match(carried, /^3 images: 3 copied$/m);
      const own = writePolicy(bench, 'mirror', [signedBy(bench.path('mirror.gpg'))]);
      for (const tag of ['1.0', '1.1', 'latest'])
        await bench.ok('skopeo', [
          '--policy',
          own,
          'copy',
          '--quiet',
          '--src-tls-verify=false',
          `docker://${to.host}/mirror/app:${tag}`,
          `dir:${bench.path(`taken-${tag}`)}`,
        ]);
      // into a folder and on: signed by the mirror and, first, by the developer
      await ok(stage, '--src', 'docker', '--dest', 'dir', `${to.host}/mirror/app`, bench.path('folder'));
      await skopeo(stage, '--src', 'dir', '--dest', 'docker', bench.path('folder'), `${to.host}/mirror2`);
      const onFromFolder = await bench.bulla([
        'verify',
        '--key',
        bench.path('mirror.gpg'),
        '--as',
        `${to.host}/mirror/app:1.0`,
        '--tls-verify=false',
        `docker://${to.host}/mirror2/app:1.0`,
      ]);
      assert.equal(onFromFolder.exitCode, 0, onFromFolder.stdout + onFromFolder.stderr);
    }),
);

test('.sig attachments go both ways, new ones too', needs('skopeo', 'docker-registry', 'gpg'), () =>
  onStage(async (stage) => {
    const { bench, from, to } = stage;
    const lookaside = `lookaside: "file://${bench.path('sig')}"`;
    writeFileSync(
      join(bench.config, 'registries.d', 'default.yaml'),
      `default-docker: { ${lookaside}, use-sigstore-attachments: true }\n`,
    );
    writeFileSync(bench.path('passphrase'), 'pass\n');
    for (const name of ['dev', 'mirror']) {
      const prefix = ['--output-prefix', bench.path(name)];
      await bench.ok('skopeo', [
        'generate-sigstore-key',
        ...prefix,
        '--passphrase-file',
        bench.path('passphrase'),
      ]);
    }
    const keyOf = (name: string): readonly string[] => [
      ...['--sign-by-sigstore-private-key', bench.path(`${name}.private`)],
      ...['--sign-passphrase-file', bench.path('passphrase')],
    ];
    const image = `${from.host}/ns/app:1.0`;
    await bench.ok('skopeo', [
      'copy',
      '--quiet',
      ...plain,
      ...keyOf('dev'),
      `docker://${image}`,
      `docker://${image}`,
    ]);
    const policyOf = (name: string, signedIdentity: object): string =>
      writePolicy(bench, name, [
        { type: 'sigstoreSigned', keyPath: bench.path(`${name}.pub`), signedIdentity },
      ]);
    const atSource = policyOf('dev', { type: 'exactReference', dockerReference: image });
    const source = ['--src', 'docker', '--dest', 'docker', image];
    const conf = ['--registries-conf', bench.path('registries.conf'), '--policy', atSource];
    await bench.ok('skopeo', [...conf, 'sync', ...plain, ...source, `${to.host}/skopeo`]);
    await ok(stage, '--policy', atSource, ...keyOf('mirror'), ...source, `${to.host}/bulla`);
    for (const [who, policy] of [
      ['skopeo', atSource],
      ['bulla', atSource],
      ['bulla', policyOf('mirror', { type: 'matchRepoDigestOrExact' })],
    ] as const) {
      const mirrored = `docker://${to.host}/${who}/app:1.0`;
      const verified = await bench.bulla(['verify', '--policy', policy, '--tls-verify=false', mirrored]);
      assert.equal(verified.exitCode, 0, verified.stdout + verified.stderr);
      const folder = bench.path(`${who}-${policy.split('/').at(-1)}`);
      await bench.ok('skopeo', [
        '--policy',
        policy,
        'copy',
        '--quiet',
        '--src-tls-verify=false',
        mirrored,
        `dir:${folder}`,
      ]);
    }
    // a second run adds nothing to what is signed already
    assert.match(await ok(stage, '--policy', atSource, ...source, `${to.host}/bulla`), /^1 image: 1 there$/m);
  }),
);

test(
  'signed for the names of the primary: one place stands in for the destination',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to, key } = stage;
      const folder = bench.path('signed');
      await ok(
        stage,
        '--src',
        'docker',
        '--dest',
        'dir',
        '--remove-signatures',
        '--sign-by',
        key.id,
        '--sign-identity',
        'prod.example.com/ns',
        `${from.host}/ns/app`,
        folder,
      );
      await ok(
        stage,
        '--src',
        'docker',
        '--dest',
        'docker',
        '--remove-signatures',
        '--sign-by',
        key.id,
        '--sign-identity',
        'prod.example.com/ns',
        `${from.host}/ns/app`,
        `${to.host}/signed`,
      );
      const accepts = {
        ...signedBy(key.file),
        signedIdentity: {
          type: 'remapIdentity',
          prefix: `${to.host}/signed`,
          signedPrefix: 'prod.example.com/ns',
        },
      };
      const policy = writePolicy(bench, 'prod', [accepts]);
      for (const tag of ['1.0', 'latest'])
        await bench.ok('skopeo', [
          '--policy',
          policy,
          'copy',
          '--quiet',
          '--src-tls-verify=false',
          `docker://${to.host}/signed/app:${tag}`,
          `dir:${bench.path(`prod-${tag}`)}`,
        ]);
      const many = await bulla(
        stage,
        '--src',
        'docker',
        '--dest',
        'docker',
        '--sign-by',
        key.id,
        '--sign-identity',
        'prod.example.com/ns/app:1.0',
        `${from.host}/ns/app`,
        `${to.host}/never`,
      );
      assert.equal(many.exitCode, 2, many.stderr);
      assert.match(many.stderr, /is for one image, and there are 3 \[usage.invalid\]/);
      assert.doesNotMatch(to.log(), /\/v2\/never/);
    }),
);

test(
  'attachments go along as what they are, and --check says what a mirror lacks',
  needs('skopeo', 'docker-registry', 'gpg', 'cosign', 'oras'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to, digests } = stage;
      const image = `${from.host}/ns/app@${digests['ns/app:1.0']}`;
      await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', bench.path('cosign')]);
      const old = ['--new-bundle-format=false', '--use-signing-config=false', '--tlog-upload=false', '-y'];
      await bench.ok('cosign', ['sign', '--key', bench.path('cosign.key'), ...old, image]);
      writeFileSync(bench.path('sbom.json'), '{"bomFormat":"CycloneDX"}');
      await bench.ok('oras', [
        ...['attach', '--plain-http', '--artifact-type', 'application/vnd.cyclonedx+json'],
        ...[image, 'sbom.json'],
      ]);
      const args = ['--src', 'docker', '--dest', 'docker', `${from.host}/ns/app`, `${to.host}/m`];
      const states = async (...more: readonly string[]): Promise<readonly object[]> => {
        const { exitCode, stdout, stderr } = await bulla(stage, '--check', '--json', ...args, ...more);
        const { images } = JSON.parse(stdout) as { images: (Record<string, unknown> & { state: string })[] };
        assert.equal(exitCode, images.every(({ state }) => state === 'complete') ? 0 : 1, stderr);
        return images
          .map(({ destination, state, image: what, signatures, attachments }) => ({
            tag: String(destination).split(':').at(-1),
            is: [state, what, signatures, attachments].join(' '),
          }))
          .toSorted((a, b) => ((a.tag ?? '') < (b.tag ?? '') ? -1 : 1));
      };
      // nothing there: every image is absent; 1.0 has a GPG signature, a .sig and an SBOM
      assert.deepEqual(await states(), [
        { tag: '1.0', is: 'lacks absent 2 1' },
        { tag: '1.1', is: 'lacks absent 2 0' },
        { tag: 'latest', is: 'lacks absent 2 0' },
      ]);
      assert.doesNotMatch(to.log(), /"(?:PUT|POST|PATCH|DELETE) /, 'a check writes nothing');
      // what skopeo brings: images, and what registries.d turns on
      await skopeo(stage, '--src', 'docker', '--dest', 'docker', `${from.host}/ns/app:1.0`, `${to.host}/m`);
      await bench.ok('oras', [
        'cp',
        '--from-plain-http',
        '--to-plain-http',
        `${from.host}/other/app:2.0`,
        `${to.host}/m/app:1.1`,
      ]);
      assert.deepEqual(await states(), [
        { tag: '1.0', is: 'lacks there 1 1' },
        { tag: '1.1', is: 'lacks other 2 0' },
        { tag: 'latest', is: 'lacks absent 2 0' },
      ]);
      assert.match(await ok(stage, ...args), /^3 images: 3 copied$/m);
      assert.deepEqual(
        (await states()).map(({ is }: { is?: string }) => is),
        ['complete there 0 0', 'complete there 0 0', 'complete there 0 0'],
      );
      assert.match(await ok(stage, ...args), /^3 images: 3 there$/m);
      const mirrored = `${to.host}/m/app@${digests['ns/app:1.0']}`;
      await bench.ok('cosign', [
        'verify',
        '--key',
        bench.path('cosign.pub'),
        '--insecure-ignore-tlog=true',
        mirrored,
      ]);
      assert.match(await bench.ok('oras', ['discover', '--plain-http', mirrored]), /cyclonedx/);
      // in the tree of tags there is what is at the source: none of it taken for an image
      const ours = await tagsBelow(to, 'm/');
      const theirs = await tagsBelow(from, 'ns/');
      assert.deepEqual(Object.keys(ours), Object.keys(theirs));
      assert.deepEqual(
        { ...ours, ...Object.fromEntries(fallbackTags(ours)) },
        { ...theirs, ...Object.fromEntries(fallbackTags(ours)) },
      );
    }),
);

/** Lists of referrers, which each writer makes anew. */
function fallbackTags(tags: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  return Object.entries(tags).filter(([tag]) => /:sha256-[0-9a-f]{64}$/.test(tag));
}

test(
  'a policy that refuses some: they are named, the others go on where that is wanted, and nothing of them is written',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to, key } = stage;
      const { digest } = await writeOciImage(bench.path('unsigned'), { tag: 'v1', files: { 'b.txt': 'no' } });
      const unsigned = `docker://${from.host}/ns/app:0.9`;
      await bench.ok('skopeo', [
        'copy',
        '--quiet',
        '--dest-tls-verify=false',
        `oci:${bench.path('unsigned')}:v1`,
        unsigned,
      ]);
      const policy = writePolicy(bench, 'src', [signedBy(key.file)]);
      const args = ['--policy', policy, '--src', 'docker', '--dest', 'docker', `${from.host}/ns/app`];
      const going = await bulla(stage, ...args, '--keep-going', '--json', `${to.host}/going`);
      assert.equal(going.exitCode, 1, going.stderr);
      const { images } = JSON.parse(going.stdout) as {
        images: { source: string; state: string; verdict?: { accepted: boolean } }[];
      };
      assert.deepEqual(images.map(({ source, state }) => `${source.split(':').at(-1)} ${state}`).toSorted(), [
        ...['0.9 refused', '1.0 copied', '1.1 copied', 'latest copied'],
      ]);
      assert.equal(images.find(({ state }) => state === 'refused')?.verdict?.accepted, false);
      assert.deepEqual(Object.keys(await tagsBelow(to, 'going/')), ['app:1.0', 'app:1.1', 'app:latest']);
      assert.doesNotMatch(to.log(), new RegExp(`(?:PUT|POST) /v2/going/app/manifests/${digest}`));
      // one at a time, the refused one among them: what is behind it is not begun
      const stopped = await bulla(stage, ...args, '--parallel-images', '1', `${to.host}/stopped`);
      assert.equal(stopped.exitCode, 1, stopped.stderr);
      assert.match(stopped.stdout, /^refused docker:.*:0\.9 sha256:/m);
      const made = Object.keys(await tagsBelow(to, 'stopped/'));
      const left = /(\d+) not begun/.exec(stopped.stdout)?.[1] ?? '0';
      assert.equal(made.length + Number(left), 3, stopped.stdout);
    }),
);

test(
  'two images for one name, and names that are none: refused before anything is moved',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to } = stage;
      const file = bench.path('both.yaml');
      writeFileSync(
        file,
        `${from.host}:\n  images:\n    ns/app: ["1.0"]\n    other/app: ["2.0"]\n    ns/app2: []\n`,
      );
      const tags = { [`${from.host}/other/app:2.0`]: `${from.host}/other/app:1.0` };
      for (const [source, target] of Object.entries(tags))
        await bench.ok('skopeo', ['copy', '--quiet', ...plain, `docker://${source}`, `docker://${target}`]);
      writeFileSync(file, `${from.host}:\n  images:\n    ns/app: ["1.0"]\n    other/app: ["1.0"]\n`);
      for (const [dest, place] of [
        ['docker', `${to.host}/both`],
        ['dir', bench.path('both')],
      ] as const) {
        const both = await bulla(stage, '--src', 'yaml', '--dest', dest, file, place);
        assert.equal(both.exitCode, 2);
        assert.match(both.stderr, /would both become .*app:1\.0 \[sync\.same-destination\]\nhint: --scoped/);
      }
      await ok(stage, '--src', 'yaml', '--dest', 'dir', '--scoped', file, bench.path('scoped'));
      const one = ['--src', 'docker', '--dest', 'docker', `${from.host}/ns/app:1.0`];
      const faulty: readonly (readonly [code: string, ...args: string[]])[] = [
        ['reference.malformed', ...one, `${to.host}/UPPER`],
        ['usage.invalid', ...one, '--append-suffix', '/../x', `${to.host}/both`],
        ['usage.invalid', ...one, `docker://${to.host}/both`],
        ['usage.invalid', '--src', 'oci', '--dest', 'docker', 'x', `${to.host}/both`],
        ['usage.unsupported', '--src', 'dir', '--dest', 'dir', bench.path('scoped'), bench.path('other')],
        ['usage.invalid', ...one, '--check', '--sign-by', 'x', `${to.host}/both`],
        [
          'reference.malformed',
          '--src',
          'dir',
          '--dest',
          'docker',
          '--scoped',
          bench.path('scoped'),
          `${to.host}/both`,
        ],
      ];
      for (const [code, ...args] of faulty) {
        const refused = await bulla(stage, ...args);
        assert.equal(refused.exitCode, 2, args.join(' '));
        assert.ok(refused.stderr.includes(`[${code}]`), `${args.join(' ')}\n${refused.stderr}`);
      }
      const gone = await bulla(
        stage,
        '--src',
        'docker',
        '--dest',
        'docker',
        `${from.host}/no/such`,
        `${to.host}/both`,
      );
      assert.equal(gone.exitCode, 3, gone.stderr);
      assert.match(gone.stderr, /\[image\.not-found\]/);
      mkdirSync(bench.path('empty'));
      const empty = await bulla(
        stage,
        '--src',
        'dir',
        '--dest',
        'docker',
        bench.path('empty'),
        `${to.host}/both`,
      );
      assert.match(empty.stderr, /holds no dir: image \[sync\.nothing\]/);
      assert.doesNotMatch(to.log(), /"(?:PUT|POST|PATCH) /, 'nothing was moved');
    }),
);

test(
  'killed in the middle, a sync is completed by the next one, to a registry and to a folder',
  needs('skopeo', 'docker-registry', 'gpg'),
  () =>
    onStage(async (stage) => {
      const { bench, from, to, digests } = stage;
      for (const [dest, place] of [
        ['docker', `${to.host}/again`],
        ['dir', bench.path('again')],
      ] as const) {
        const args = ['--src', 'docker', '--dest', dest, `${from.host}/ns/app`, place];
        const running = bench.start(process.execPath as `/${string}`, [
          launcher,
          'sync',
          ...plain,
          '--parallel-images',
          '2',
          ...args,
        ]);
        await running.waitFor(/^copied /m);
        process.kill(running.pid, 'SIGKILL');
        await running.stop();
        assert.match(
          await ok(stage, ...args),
          /^3 images: (?:\d copied, \d there|\d there, \d copied|3 there)$/m,
        );
        assert.match(await ok(stage, '--check', ...args), /^3 images: 3 complete$/m);
      }
      assert.deepEqual(await tagsBelow(to, 'again/'), {
        'app:1.0': digests['ns/app:1.0'],
        'app:1.1': digests['ns/app:1.1'],
        'app:latest': digests['ns/app:latest'],
      });
    }),
);

const mayMount = process.getuid?.() === 0;

test(
  'a full disk is said to be full; with room the next run completes what is there',
  mayMount
    ? needs('skopeo', 'docker-registry', 'gpg')
    : { skip: 'only root can mount a file system for the test' },
  () =>
    onStage(async (stage) => {
      const { bench, from } = stage;
      const disk = bench.path('disk');
      mkdirSync(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24k', 'tmpfs', disk]);
      try {
        const args = ['--src', 'docker', '--dest', 'dir', `${from.host}/ns/app`, disk];
        const full = await bulla(stage, '--keep-going', ...args);
        assert.equal(full.exitCode, 3, full.stdout);
        assert.match(full.stderr, /^bulla: docker:\/\/\S+: .*\[io\.no-space\]$/m);
        const lacking = await bulla(stage, '--check', ...args);
        assert.equal(lacking.exitCode, 1, lacking.stderr);
        execFileSync('mount', ['-o', 'remount,size=4m', disk]);
        await ok(stage, ...args);
        assert.match(await ok(stage, '--check', ...args), /^3 images: 3 complete$/m);
      } finally {
        execFileSync('umount', [disk]);
      }
    }),
);
