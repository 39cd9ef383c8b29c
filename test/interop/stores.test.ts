/** Stores and images in folders, beside the real skopeo and podman: each reads what the other wrote. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';

import fc from 'fast-check';

import { digestOf, parseDigest } from '../../src/base/digest.ts';
import { BullaError } from '../../src/base/errors.ts';
import { type Reference, parseReference } from '../../src/base/reference.ts';
import { openHttp } from '../../src/io/http.ts';
import { readUntrustedMessage } from '../../src/keys/openpgp/verify.ts';
import { openDirStore } from '../../src/stores/dir.ts';
import { storesOf } from '../../src/stores/locate.ts';
import { openLookaside } from '../../src/stores/lookaside.ts';
import { lookupLookaside } from '../../src/stores/lookup-lookaside.ts';
import { readRegistriesD } from '../../src/stores/registries-d.ts';
import { listAll } from '../../src/stores/store-contract.ts';
import { checkStore } from '../../src/operations/store/check.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench, peerVersion } from '../support/peers.ts';

before(async () => {
  console.log(`skopeo ${await peerVersion('skopeo')}, podman ${await peerVersion('podman')}`);
});

const unused = (): never => {
  throw new Error('no HTTP here');
};
const noHttp = {
  http: unused,
  registry: {
    domain: '',
    manifest: unused,
    taggedManifest: unused,
    referrers: unused,
    referrersByApi: unused,
    blob: unused,
    hasBlob: unused,
    headManifest: unused,
    putBlob: unused,
    putManifest: unused,
  },
};

// --- registries.d: whose URL is used

type Answer = { readonly read: string; readonly write: string } | 'refused';

const builtIn = 'built-in';

/** What skopeo's debug log says it uses. Nothing listens on port 1: it decides, then fails to connect. */
async function skopeoAnswer(bench: Bench, folder: string, image: string): Promise<Answer> {
  const log = async (...args: readonly string[]): Promise<string | undefined> => {
    const { stderr } = await bench.run('skopeo', ['--debug', '--registries.d', folder, ...args]);
    if (/Error parsing signature storage|parsing [^ ]*\.yaml|Invalid signature storage URL/.test(stderr))
      return undefined;
    if (stderr.includes('using built-in default')) return builtIn;
    const used = /Using \\"(?:lookaside|sigstore)(?:-staging)?\\" ([^"]*)"/.exec(stderr)?.[1];
    if (used === undefined) throw new Error(`skopeo says nothing of a lookaside: ${stderr}`);
    return used;
  };
  const read = await log('inspect', '--raw', `docker://${image}`);
  const write = await log('copy', `dir:${bench.path('source')}`, `docker://${image}`);
  return read === undefined || write === undefined ? 'refused' : { read, write };
}

async function ourAnswer(folder: string, image: string): Promise<Answer> {
  try {
    const config = await readRegistriesD({ dir: folder, env: { HOME: '/h' }, uid: 0 });
    const { read, write } = lookupLookaside(config, parseReference(image));
    const url = (base: typeof read): string => (base.from.kind === 'built-in' ? builtIn : base.url);
    return { read: url(read), write: url(write) };
  } catch (error) {
    if (error instanceof BullaError && error.code === 'registries-d.malformed') return 'refused';
    throw error;
  }
}

async function compare(
  bench: Bench,
  cases: readonly (readonly [Readonly<Record<string, string>>, string])[],
): Promise<number> {
  await writeOciImage(bench.path('layout'));
  await bench.ok('skopeo', ['copy', `oci:${bench.path('layout')}:latest`, `dir:${bench.path('source')}`]);
  for (const [n, [files, image]] of cases.entries()) {
    const folder = bench.path(`registries-${n}`);
    mkdirSync(folder);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    deepEqual(
      await ourAnswer(folder, image),
      await skopeoAnswer(bench, folder, image),
      `${image} ${JSON.stringify(files)}`,
    );
  }
  return cases.length;
}

const host = '127.0.0.1:1';
const digest = `sha256:${'ab'.repeat(32)}`;
const tagged = `${host}/a/b/app:1`;
const digested = `${host}/a/b/app@${digest}`;

const files = (...texts: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(texts.map((text, n) => [`${n}.yaml`, text]));

/** One scope for each width, so that the winner is seen. */
const everyScope = [
  `${host}/a/b/app:1`,
  `${host}/a/b/app@${digest}`,
  `${host}/a/b/app`,
  `${host}/a/b`,
  `${host}/a`,
  host,
  '127.0.0.1',
  '*.0.0.1',
  '*.0.1',
  '*.1',
  '*.127.0.0.1',
  '*',
  `${host}/`,
  `${host}/a/`,
  `docker://${host}`,
  'localhost:1',
];
const scoped = (scope: string): string => `docker: { "${scope}": { lookaside: "file:///hit" } }`;

const fixedCases: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
  ...everyScope.flatMap((scope) => [tagged, digested].map((image) => [files(scoped(scope)), image] as const)),
  ...everyScope.map(
    (_, n) =>
      [
        files(
          ...everyScope
            .slice(n)
            .map(scoped)
            .map((text, m) => text.replace('hit', `hit-${m}`)),
        ),
        tagged,
      ] as const,
  ),
  [files(scoped('localhost:1'), scoped('localhost')), 'localhost:1/app:1'],
  [files(scoped('*.localhost')), 'localhost:1/app:1'],
  [files('default-docker: {lookaside: "file:///d"}', scoped(host)), tagged],
  [
    files(
      'default-docker: {lookaside: "file:///d"}',
      'docker: {"127.0.0.1:1": {lookaside-staging: "file:///s"}}',
    ),
    tagged,
  ],
  [
    files(
      'default-docker: {lookaside-staging: "file:///d"}',
      'docker: {"127.0.0.1:1": {lookaside: "file:///s"}}',
    ),
    tagged,
  ],
  [files('default-docker: {sigstore: "file:///d", sigstore-staging: "file:///e"}'), tagged],
  [
    files('default-docker: {lookaside: "file:///a", sigstore: "file:///b", sigstore-staging: "file:///c"}'),
    tagged,
  ],
  [files('default-docker: {lookaside: "", sigstore: "", lookaside-staging: ""}'), tagged],
  [files('default-docker: {lookaside: "file:///slash/"}'), tagged],
  [files('default-docker: {lookaside: "::bad"}'), tagged],
  [files('default-docker: {lookaside: "/no/scheme"}'), tagged],
  [files('default-docker: {}', 'default-docker: {}'), tagged],
  [files(scoped(host), scoped(host)), tagged],
  [files('docker: {a: {}, a: {}}'), tagged],
  [files('docker: []'), tagged],
  [files('[]'), tagged],
  [files(''), tagged],
  [files('x: &x {lookaside: "file:///x"}\ndefault-docker: *x'), tagged],
  [files('x: &x {lookaside: "file:///x"}\ndefault-docker: {<<: *x}'), tagged],
  [files('default-docker: {use-sigstore-attachments: yes}'), tagged],
  [files('default-docker: {use-sigstore-attachments: "yes"}'), tagged],
  [files('default-docker: {use-sigstore-attachments: "true"}'), tagged],
  [files('default-docker: {use-sigstore-attachments: 1}'), tagged],
  [files('Default-Docker: {lookaside: "file:///x"}'), tagged],
  [
    {
      'a.yml': 'default-docker: {lookaside: "file:///x"}',
      '.b.yaml': 'default-docker: {lookaside: "file:///y"}',
    },
    tagged,
  ],
];

test('registries.d: the lookaside that skopeo uses is ours', needs('skopeo'), async () => {
  await using bench = await openBench();
  const compared = await compare(bench, fixedCases);
  console.log(`${compared} configurations compared with skopeo`);
});

const section = fc
  .subarray(['lookaside', 'lookaside-staging', 'sigstore', 'sigstore-staging', 'other'])
  .chain((keys) =>
    fc.tuple(
      ...keys.map((key) =>
        fc.constantFrom('', 'file:///x', 'https://h/y/').map((url) => [key, url] as const),
      ),
    ),
  )
  .map((entries) => Object.fromEntries(entries));
const file = fc.record(
  {
    'default-docker': section,
    docker: fc.dictionary(fc.constantFrom(...everyScope), section, { maxKeys: 4 }),
  },
  { requiredKeys: [] },
);

test('registries.d: generated configurations', needs('skopeo'), async () => {
  await using bench = await openBench();
  const generated = fc.sample(fc.tuple(fc.array(file, { maxLength: 2 }), fc.constantFrom(tagged, digested)), {
    numRuns: 60,
    seed: 7,
  });
  // JSON is YAML, and each URL says where it stands
  const texts = (configs: readonly object[]): readonly string[] =>
    configs.map((config, n) => {
      let count = 0;
      return JSON.stringify(config).replace(
        /file:\/\/\/x|https:\/\/h\/y\//g,
        (url) => `${url}${n}-${(count += 1)}`,
      );
    });
  await compare(
    bench,
    generated.map(([configs, image]) => [files(...texts(configs)), image]),
  );
});

test('registries.d: the folder that is read is the user’s alone', needs('skopeo'), async () => {
  await using bench = await openBench();
  const xdg = bench.path('xdg');
  mkdirSync(join(xdg, 'containers/registries.d'), { recursive: true });
  writeFileSync(join(xdg, 'containers/registries.d/a.yaml'), 'default-docker: {lookaside: "file:///xdg"}');
  writeFileSync(join(bench.config, 'registries.d/a.yaml'), 'default-docker: {lookaside: "file:///home"}');
  const env = { XDG_CONFIG_HOME: xdg };
  const { stderr } = await bench.run('skopeo', ['--debug', 'inspect', `docker://${tagged}`], { env });
  // a peer with the rule of containers/image 5.40 fails here: then `rule: 'merge'` is to be the default
  match(stderr, /file:\/\/\/home/, `skopeo ${await peerVersion('skopeo')} searches elsewhere`);
  const config = await readRegistriesD({ env: { ...bench.env, ...env }, uid: 0 });
  equal(lookupLookaside(config, parseReference(tagged)).read.url, 'file:///home');
});

// --- the lookaside: which paths are asked for

test(
  'over HTTP: we ask for the very paths that skopeo asks for',
  needs('skopeo', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const { host: registry, image } = await pushed(bench);
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(404).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const port = (server.address() as AddressInfo).port;
    await using http = openHttp({ env: {} });
    try {
      for (const base of [
        '',
        '/',
        '/a',
        '/a/',
        '/a//b/',
        '/x?key=1',
        '/x#f',
        '/a%20b',
        '/a%2Fb',
        '/ä',
        '/a+b:c,d',
        '/(a)',
        "/a'b",
        '/a;b=c',
      ]) {
        const url = `http://127.0.0.1:${port}${base}`;
        writeFileSync(
          join(bench.config, 'registries.d/default.yaml'),
          JSON.stringify({ 'default-docker': { lookaside: url } }),
        );
        asked.length = 0;
        rmSync(bench.path('out'), { recursive: true, force: true });
        await bench.ok('skopeo', [
          'copy',
          '--src-tls-verify=false',
          `docker://${registry}/ns/app:1`,
          `dir:${bench.path('out')}`,
        ]);
        const theirs = asked.splice(0);
        await listAll(openLookaside({ url, from: { kind: 'built-in' } }, { http: () => http }), image);
        deepEqual(asked.map(decoded), theirs.map(decoded), base);
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
);

/** What a server makes of a path: escapes mean what they stand for. */
function decoded(path: string): string {
  return decodeURIComponent(path);
}

// --- what the peers write is read by us

type Pushed = {
  readonly host: string;
  readonly image: { readonly reference: Reference; readonly digest: ReturnType<typeof parseDigest> };
};

/** A registry with ns/app:1 in it, and the bench's lookaside at `sigs`. */
async function pushed(bench: Bench): Promise<Pushed> {
  const registry = await startRegistry(bench);
  const written = await writeOciImage(bench.path('image'), { tag: 'v1' });
  await bench.ok('skopeo', [
    'copy',
    '--dest-tls-verify=false',
    `oci:${bench.path('image')}:v1`,
    `docker://${registry.host}/ns/app:1`,
  ]);
  const config = { docker: { [registry.host]: { lookaside: `file://${bench.path('sigs')}` } } };
  writeFileSync(join(bench.config, 'registries.d/default.yaml'), JSON.stringify(config));
  writeFileSync(
    bench.path('registries.conf'),
    `unqualified-search-registries = []\n[[registry]]\nlocation = "${registry.host}"\ninsecure = true\n`,
  );
  const image = {
    reference: parseReference(`${registry.host}/ns/app:1`),
    digest: parseDigest(written.digest),
  };
  return { host: registry.host, image };
}

/** The claims of all signatures that our store lists for an image, by the peers' configuration. */
async function listed(bench: Bench, image: Pushed['image']): Promise<readonly string[]> {
  const registriesD = await readRegistriesD({ env: bench.env, uid: process.getuid?.() ?? 0 });
  const { readers } = storesOf(image.reference, registriesD, noHttp);
  const found = await Promise.all(readers.map((each) => listAll(each, image)));
  return found.flat().map(({ signature }) => {
    if (signature.format !== 'simple') return signature.format;
    const { content } = readUntrustedMessage(signature.blob);
    return (
      /"docker-reference":"([^"]*)"/.exec(Buffer.from(content ?? []).toString('utf8'))?.[1] ?? 'no payload'
    );
  });
}

const skopeoSign = (key: string, from: string, to = from): readonly string[] => [
  ...[
    'copy',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    '--sign-by',
    key,
    `docker://${from}`,
    `docker://${to}`,
  ],
];

test(
  'what skopeo copy --sign-by and podman image sign wrote is listed by ours',
  needs('skopeo', 'podman', 'gpg', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const { host: registry, image } = await pushed(bench);
    const key = await bench.newGpgKey('One <one@example.com>');
    const name = `${registry}/ns/app:1`;
    await bench.ok('skopeo', skopeoSign(key, name));
    deepEqual(await listed(bench, image), [name]);
    await bench.ok('podman', ['image', 'sign', '--sign-by', key, `docker://${name}`]);
    deepEqual(await listed(bench, image), [name, name]);
    deepEqual((await checkStore({ kind: 'folder', path: bench.path('sigs') })).findings, []);
  },
);

test(
  'skopeo beside us: it writes back what it read and adds its own, ours included',
  needs('skopeo', 'gpg', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const { host: registry, image } = await pushed(bench);
    const key = await bench.newGpgKey('One <one@example.com>');
    const name = `${registry}/ns/app:1`;
    await bench.ok('skopeo', skopeoSign(key, name));
    const store = openLookaside({ url: `file://${bench.path('sigs')}`, from: { kind: 'built-in' } }, noHttp);
    const [first] = await listAll(store, image);
    ok(first !== undefined);
    // another signer's: the same message again, in another packet frame
    const blob = first.signature.format === 'simple' ? first.signature.blob : new Uint8Array();
    const ours = { format: 'simple', blob: new Uint8Array([...blob, 0xb4, 0]) } as const;
    equal((await store.add(image, ours)).location.endsWith('/signature-2'), true);
    await bench.ok('skopeo', skopeoSign(key, name));
    const after = await listAll(store, image);
    equal(after.length, 3);
    deepEqual(after[1]?.signature, ours);
    // from elsewhere it brings only what it found there, and replaces ours
    await bench.ok('skopeo', [
      'copy',
      '--dest-tls-verify=false',
      '--sign-by',
      key,
      `oci:${bench.path('image')}:v1`,
      `docker://${name}`,
    ]);
    equal((await listAll(store, image)).length, 1, 'a fact of docs/reference/differences.md has changed');
  },
);

test(
  'podman image sign beside us takes the next free number',
  needs('skopeo', 'podman', 'gpg', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const { host: registry, image } = await pushed(bench);
    const key = await bench.newGpgKey('One <one@example.com>');
    const name = `${registry}/ns/app:1`;
    await bench.ok('podman', ['image', 'sign', '--sign-by', key, `docker://${name}`]);
    const store = openLookaside({ url: `file://${bench.path('sigs')}`, from: { kind: 'built-in' } }, noHttp);
    const blob = new Uint8Array([0xa3, 1, 2, 3]);
    await store.add(image, { format: 'simple', blob });
    await bench.ok('podman', ['image', 'sign', '--sign-by', key, `docker://${name}`]);
    const found = await listAll(store, image);
    equal(found.length, 3);
    deepEqual(found[1]?.signature, { format: 'simple', blob });
  },
);

// --- images in folders

test('dir: with its signatures, both ways', needs('skopeo', 'gpg', 'docker-registry'), async () => {
  await using bench = await openBench();
  const { host: registry, image } = await pushed(bench);
  const key = await bench.newGpgKey('One <one@example.com>');
  const name = `${registry}/ns/app:1`;
  await bench.ok('skopeo', skopeoSign(key, name));
  const theirs = bench.path('theirs');
  await bench.ok('skopeo', ['copy', '--src-tls-verify=false', `docker://${name}`, `dir:${theirs}`]);
  const store = openDirStore(theirs);
  const signatures = await listAll(store, { reference: undefined, digest: image.digest });
  equal(signatures.length, 1);
  const ours = bench.path('ours');
  const push = await bench.bulla(['push', `dir:${theirs}`, `dir:${ours}`]);
  equal(push.exitCode, 0, push.stderr);
  deepEqual(
    (await listAll(openDirStore(ours), { reference: undefined, digest: image.digest })).map(
      ({ signature }) => signature,
    ),
    signatures.map(({ signature }) => signature),
  );
  deepEqual(readdirSync(ours).sort(), readdirSync(theirs).sort());
  for (const each of readdirSync(ours))
    deepEqual(readFileSync(join(ours, each)), readFileSync(join(theirs, each)), each);
  const policy = {
    default: [{ type: 'reject' }],
    transports: {
      dir: {
        '': [
          {
            type: 'signedBy',
            keyType: 'GPGKeys',
            keyPath: bench.path('key'),
            signedIdentity: { type: 'exactReference', dockerReference: name },
          },
        ],
      },
    },
  };
  writeFileSync(bench.path('key'), await bench.ok('gpg', ['--armor', '--export', key]));
  writeFileSync(bench.path('policy'), JSON.stringify(policy));
  await bench.ok('skopeo', [
    '--policy',
    bench.path('policy'),
    'copy',
    `dir:${ours}`,
    `dir:${bench.path('verified')}`,
  ]);
});

test('oci: and dir: layouts, single and multi-platform, both ways', needs('skopeo'), async () => {
  await using bench = await openBench();
  const layout = bench.path('layout');
  await writeOciImage(layout, { tag: 'v1' });
  const list = addIndex(layout);
  const digestIn = async (image: string): Promise<string> =>
    digestOf(Buffer.from(await bench.ok('skopeo', ['inspect', '--raw', image])));
  const bulla = async (...args: readonly string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await bench.bulla(['push', ...args]);
    equal(exitCode, 0, stderr);
    return stdout.trim();
  };
  const amd64 = ['--override-os', 'linux', '--override-arch', 'amd64'];
  const single = await digestIn(`oci:${layout}:v1`);
  // by us, read by skopeo
  for (const to of [`dir:${bench.path('d1')}`, `oci:${bench.path('o1')}:x`]) {
    equal(await bulla(`oci:${layout}:v1`, to), single);
    equal(await digestIn(to), single);
    await bench.ok('skopeo', ['copy', to, `dir:${bench.path(`copy-${to.slice(0, 3)}`)}`]);
  }
  for (const to of [`dir:${bench.path('d2')}`, `oci:${bench.path('o2')}:x`]) {
    equal(await bulla('--all', `oci:${layout}:list`, to), list);
    await bench.ok('skopeo', ['copy', '--all', to, `dir:${bench.path(`all-${to.slice(0, 3)}`)}`]);
    equal(await bulla(...amd64, `oci:${layout}:list`, to), single);
    equal(await digestIn(to), single);
  }
  // by skopeo, read by us
  for (const to of [`dir:${bench.path('d3')}`, `oci:${bench.path('o3')}:x`]) {
    await bench.ok('skopeo', ['copy', '--all', `oci:${layout}:list`, to]);
    equal(await bulla('--all', to, `oci:${bench.path(`back-${to.slice(0, 3)}`)}:x`), list);
    const chosen = await bench.ok('skopeo', [
      ...amd64,
      'copy',
      '--quiet',
      '--digestfile',
      bench.path('chosen'),
      to,
      `dir:${bench.path(`one-${to.slice(0, 3)}`)}`,
    ]);
    equal(chosen, '');
    equal(
      await bulla(
        ...amd64,
        '--digestfile',
        bench.path('ours'),
        to,
        `dir:${bench.path(`mine-${to.slice(0, 3)}`)}`,
      ),
      single,
    );
    deepEqual(readFileSync(bench.path('ours')), readFileSync(bench.path('chosen')));
  }
});

test('an index.json that both write to keeps every name', needs('skopeo'), async () => {
  await using bench = await openBench();
  await writeOciImage(bench.path('a'), { tag: 'v1', files: { a: '1' } });
  await writeOciImage(bench.path('b'), { tag: 'v1', files: { b: '2' } });
  const names = (folder: string): unknown =>
    (JSON.parse(readFileSync(bench.path(folder, 'index.json'), 'utf8')) as { manifests: unknown }).manifests;
  for (const [folder, copy] of [
    ['theirs', 'skopeo'],
    ['ours', 'bulla'],
  ] as const) {
    for (const [from, to] of [
      ['a', 'x'],
      ['b', 'y'],
      ['b', 'x'],
      ['a', 'z'],
    ]) {
      const args = [`oci:${bench.path(from ?? '')}:v1`, `oci:${bench.path(folder)}:${to}`];
      if (copy === 'skopeo') await bench.ok('skopeo', ['copy', ...args]);
      else equal((await bench.bulla(['push', ...args])).exitCode, 0);
    }
  }
  deepEqual(names('ours'), names('theirs'));
});

test(
  'push to a registry: read by skopeo, and again without sending a blob twice',
  needs('skopeo', 'docker-registry'),
  async () => {
    await using bench = await openBench();
    const registry = await startRegistry(bench);
    await writeOciImage(bench.path('layout'), { tag: 'v1' });
    const list = addIndex(bench.path('layout'));
    const image = `docker://${registry.host}/ns/app:1`;
    const push = (): ReturnType<Bench['bulla']> =>
      bench.bulla(['push', '--tls-verify=false', '--all', `oci:${bench.path('layout')}:list`, image]);
    const first = await push();
    equal(first.exitCode, 0, first.stderr);
    equal(first.stdout.trim(), list);
    const raw = await bench.ok('skopeo', ['inspect', '--raw', '--tls-verify=false', image]);
    equal(digestOf(Buffer.from(raw)), list);
    await bench.ok('skopeo', ['copy', '--all', '--src-tls-verify=false', image, `dir:${bench.path('out')}`]);
    const uploads = (): number => registry.log().match(/"POST [^"]*\/blobs\/uploads/g)?.length ?? 0;
    const before = uploads();
    equal((await push()).exitCode, 0);
    equal(uploads(), before);
    const wrong = await bench.bulla([
      'push',
      '--tls-verify=false',
      `oci:${bench.path('layout')}:v1`,
      `docker://${registry.host}/ns/app@${digest}`,
    ]);
    equal(wrong.exitCode, 1);
    match(wrong.stderr, /\[manifest\.digest-mismatch\]/);
  },
);

/** Adds an index over the layout's only image, named `list`; gives its digest. */
function addIndex(layout: string): string {
  type Entry = { mediaType: string; digest: string; size: number; annotations?: Record<string, string> };
  const path = join(layout, 'index.json');
  const top = JSON.parse(readFileSync(path, 'utf8')) as { manifests: Entry[] };
  const [only] = top.manifests;
  if (only === undefined) throw new Error('the layout is empty');
  const { annotations: _annotations, ...entry } = only;
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const manifests = [{ ...entry, platform: { os: 'linux', architecture: 'amd64' } }];
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  const of = digestOf(bytes);
  writeFileSync(join(layout, 'blobs/sha256', of.slice(7)), bytes);
  const annotations = { 'org.opencontainers.image.ref.name': 'list' };
  top.manifests.push({ mediaType, digest: of, size: bytes.length, annotations });
  writeFileSync(path, JSON.stringify(top));
  ok(existsSync(path));
  return of;
}
