/** How many requests a command makes: docs/reference/requests.md has the same table, and this counts. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { type Listening, listen } from '../src/servers/listen.ts';
import { createRegistry } from '../src/servers/registry/registry.ts';
import { writeOciImage } from './support/oci-image.ts';
import { type Bench, openBench } from './support/peers.ts';

type Counted = {
  readonly host: string;
  readonly take: () => readonly string[];
  /** Stands before the registry until the next call. */
  readonly before: (answer: Instead) => void;
} & AsyncDisposable;

/** Undefined: the registry answers. */
type Instead = (what: string) => Promise<Response | undefined>;

/** A registry that notes what it is asked: the method, and what for. */
async function countingRegistry(referrers: boolean): Promise<Counted> {
  const handler = createRegistry({ referrers });
  const asked: string[] = [];
  let instead: Instead = async () => undefined;
  const listening: Listening = await listen(async (request) => {
    const what = `${request.method} ${kindOf(new URL(request.url).pathname)}`;
    asked.push(what);
    return (await instead(what)) ?? handler(request);
  });
  return {
    host: new URL(listening.url).host,
    take: () => asked.splice(0),
    before: (answer) => {
      instead = answer;
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

function kindOf(path: string): string {
  if (path === '/v2/') return 'ping';
  if (path.includes('/blobs/')) return 'blob';
  if (path.includes('/referrers/')) return 'referrers';
  const name = path.slice(path.lastIndexOf('/') + 1);
  const suffix = /^sha256-[0-9a-f]{64}(\.[a-z]+)?$/.exec(name);
  if (suffix !== null) return suffix[1] ?? 'fallback tag';
  return name.startsWith('sha256:') ? 'manifest by digest' : 'manifest';
}

let bench: Bench;
const registries = new Map<boolean, Counted>();

before(async () => {
  bench = await openBench();
  writeFileSync(bench.path('pass'), 'pw\n');
  await run('key', 'generate', 'sigstore', '--output-prefix', bench.path('k'), '--passphrase-file', 'pass');
  await writeOciImage(bench.path('image'), { tag: 'v1', files: { 'a.txt': 'a\n' } });
  const policy = {
    default: [
      {
        type: 'sigstoreSigned',
        keyPath: bench.path('k.pub'),
        signedIdentity: { type: 'matchRepository' },
      },
    ],
  };
  writeFileSync(bench.path('policy.json'), JSON.stringify(policy));
  for (const api of [true, false]) {
    const registry = await countingRegistry(api);
    registries.set(api, registry);
    for (const format of ['cosign', 'bundle', 'both', 'none']) {
      const name = `docker://${registry.host}/${format}:v1`;
      await run('push', '--quiet', '--tls-verify=false', `oci:${bench.path('image')}:v1`, name);
      if (format === 'none') continue;
      const formats = format === 'both' ? ['cosign', 'bundle'] : [format];
      const flags = formats.flatMap((each) => ['--signature-format', each]);
      const key = ['--key', bench.path('k.private'), '--sign-passphrase-file', 'pass'];
      await run('sign', '--quiet', '--tls-verify=false', ...key, ...flags, name);
    }
  }
});
after(async () => {
  for (const registry of registries.values()) await registry[Symbol.asyncDispose]();
  await bench[Symbol.asyncDispose]();
});

async function run(...args: readonly string[]): Promise<void> {
  const result = await bench.bulla(args);
  if (result.exitCode !== 0) throw new Error(`bulla ${args.join(' ')}: ${result.stdout}${result.stderr}`);
}

type Row = {
  readonly what: string;
  /** Of the repository, and so how it is signed. */
  readonly signed: 'cosign' | 'bundle' | 'both' | 'none';
  readonly api: boolean;
  readonly command: readonly string[];
  readonly exitCode?: number;
  readonly requests: readonly string[];
};

const byKey = ['verify', '--key', 'k.pub'];
const manifest = 'GET manifest';
const [sig, referrers, fallback, byDigest, blob, ping] = [
  'GET .sig',
  'GET referrers',
  'GET fallback tag',
  'GET manifest by digest',
  'GET blob',
  'GET ping',
];

const rows: readonly Row[] = [
  {
    what: '`.sig`, by key',
    signed: 'cosign',
    api: true,
    command: byKey,
    requests: [manifest, sig, referrers, blob],
  },
  {
    what: '`.sig`, by key',
    signed: 'cosign',
    api: false,
    command: byKey,
    requests: [manifest, sig, referrers, blob],
  },
  {
    what: '`.sig` and bundle, by key',
    signed: 'both',
    api: true,
    command: byKey,
    requests: [manifest, sig, referrers, blob],
  },
  {
    what: 'bundle, by key',
    signed: 'bundle',
    api: true,
    command: byKey,
    requests: [manifest, sig, referrers, byDigest, blob],
  },
  {
    what: 'bundle, by key',
    signed: 'bundle',
    api: false,
    command: byKey,
    requests: [manifest, sig, referrers, fallback, byDigest, blob],
  },
  {
    what: 'no signature, by key',
    signed: 'none',
    api: true,
    command: byKey,
    exitCode: 1,
    requests: [manifest, sig, referrers, fallback],
  },
  {
    what: 'no signature, by key',
    signed: 'none',
    api: false,
    command: byKey,
    exitCode: 1,
    requests: [manifest, sig, referrers, fallback],
  },
  {
    what: '`.sig`, by policy.json',
    signed: 'cosign',
    api: true,
    command: ['verify', '--policy', 'policy.json', '--registries.d', 'registries.d'],
    requests: [manifest, ping, sig, blob],
  },
];

for (const { what, signed, api, command, exitCode = 0, requests } of rows) {
  const how = api ? 'API' : 'tag';
  test(`${what} (${how}): ${requests.length} requests`, async () => {
    const registry = registries.get(api);
    assert.ok(registry);
    const name = `docker://${registry.host}/${signed}:v1`;
    const folder = JSON.stringify({
      'default-docker': { 'use-sigstore-attachments': true, lookaside: `file://${bench.path('none')}` },
    });
    await bench.ok('/bin/mkdir', ['-p', bench.path('registries.d')]);
    writeFileSync(bench.path('registries.d', 'x.yaml'), folder);
    registry.take();
    const result = await bench.bulla([...command, '--tls-verify=false', name]);
    const asked = registry.take();
    assert.equal(result.exitCode, exitCode, result.stdout + result.stderr);
    // what is on its way at one time comes in any order
    assert.deepEqual(asked.toSorted(), requests.toSorted());
  });
}

/** Runs it with this before the registry; what was asked is there to be taken. */
async function verifyWith(instead: Instead, registry: Counted, name: string): ReturnType<Bench['bulla']> {
  registry.take();
  registry.before(instead);
  try {
    return await bench.bulla([...byKey, '--tls-verify=false', `docker://${registry.host}/${name}`]);
  } finally {
    registry.before(async () => undefined);
  }
}

test('by tag the two lists are asked for at one time, by digest beside the manifest', async () => {
  const registry = registries.get(true);
  assert.ok(registry);
  const first = await bench.bulla([
    'verify',
    '--json',
    ...byKey.slice(1),
    '--tls-verify=false',
    named(registry),
  ]);
  const [{ digest }] = JSON.parse(first.stdout) as [{ digest: string }];
  const cases = [
    [`bundle:v1`, [sig, referrers]],
    [`bundle@${digest}`, [byDigest, sig, referrers]],
  ] as const;
  for (const [name, together] of cases) {
    // none of them is answered before all of them are asked
    const all = Promise.withResolvers<undefined>();
    const missing = new Set<string>(together);
    const result = await verifyWith(
      async (what) => {
        if (!missing.delete(what)) return undefined;
        if (missing.size === 0) all.resolve(undefined);
        return all.promise;
      },
      registry,
      name,
    );
    assert.equal(result.exitCode, 0, result.stdout + result.stderr);
    assert.equal(registry.take().length, 5);
  }
});

function named(registry: Counted): string {
  return `docker://${registry.host}/bundle:v1`;
}

test('a list that cannot be had counts where it is needed, and nobody waits for it where it is not', async () => {
  const registry = registries.get(true);
  assert.ok(registry);
  const asked = Promise.withResolvers<undefined>();
  const broken: Instead = async (what) => {
    if (what === referrers) {
      asked.resolve(undefined);
      return new Response('', { status: 503 });
    }
    if (what === blob) await asked.promise;
    return undefined;
  };
  const accepted = await verifyWith(broken, registry, 'cosign:v1');
  assert.equal(accepted.exitCode, 0, accepted.stdout + accepted.stderr);
  // it would have been asked for again after half a second
  assert.equal(registry.take().filter((what) => what === referrers).length, 1);
  const refused = await verifyWith(broken, registry, 'bundle:v1');
  assert.equal(refused.exitCode, 3, refused.stdout + refused.stderr);
  assert.match(refused.stderr, /store\.unreadable/);
});

test('the page says the same', () => {
  const page = readFileSync(new URL('../docs/reference/requests.md', import.meta.url), 'utf8');
  for (const { what, api, requests } of rows) {
    const how = api ? 'API' : 'tag';
    const line = page.split('\n').find((each) => each.startsWith(`| ${what} | ${how} |`));
    assert.ok(line !== undefined, `${what} (${how}) is missing`);
    assert.equal(line.split('|')[3]?.trim(), `${requests.length}`, line);
  }
});
