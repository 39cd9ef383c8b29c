/** Transfer bundles where the program is killed, the connection breaks or the disk is full: nothing half-written is taken for whole. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { temporaryPrefix } from '../src/io/files.ts';
import { serveRegistry } from '../src/servers/registry/serve.ts';
import { runBulla } from './support/fake-terminal.ts';
import { writeOciImage } from './support/oci-image.ts';
import { type Bench, openBench, type PeerResult } from './support/peers.ts';
import { type FaultyRegistry, type Recorded, serveAnswers } from './support/registry-faults.ts';
import { readTar } from './support/transfer-stage.ts';

const launcher = fileURLToPath(new URL('../bin/bulla.js', import.meta.url));

let bench: Bench;
let registry: Awaited<ReturnType<typeof serveRegistry>>;
let host: string;

before(async () => {
  bench = await openBench();
  registry = await serveRegistry({});
  host = new URL(registry.url).host;
  const files = { 'large.bin': randomBytes(400_000).toString('base64') };
  await writeOciImage(bench.path('image'), { tag: 'v1', files });
  const push = ['push', '--quiet', '--tls-verify=false', `oci:${bench.path('image')}:v1`];
  await ok([...push, `docker://${host}/ns/app:1`]);
  await ok(['bundle', 'create', ...plain, '-o', 'good.tar', `docker://${host}/ns/app:1`]);
});
after(async () => {
  await registry.close();
  await bench[Symbol.asyncDispose]();
});

const plain = ['--quiet', '--tls-verify=false', '--insecure-policy'];

async function ok(args: readonly string[]): Promise<PeerResult> {
  const result = await bench.bulla(args);
  assert.equal(result.exitCode, 0, `${args.join(' ')}\n${result.stdout}${result.stderr}`);
  return result;
}

test('the policy that is found and judges goes along with its key, and so does the registries.d', async () => {
  await ok([
    'key',
    'generate',
    'sigstore',
    '--output-prefix',
    bench.path('found'),
    '--passphrase-file',
    empty(),
  ]);
  const keyPath = bench.path('found.pub');
  const [reject, accept] = [{ type: 'reject' }, { type: 'insecureAcceptAnything' }];
  const elsewhere = { 'elsewhere.example.com': [{ type: 'sigstoreSigned', keyPath }] };
  const policy = { default: [reject], transports: { docker: { [host]: [accept], ...elsewhere } } };
  const home = bench.path('found-home');
  const config = join(home, '.config', 'containers');
  mkdirSync(join(config, 'registries.d'), { recursive: true });
  writeFileSync(join(config, 'policy.json'), JSON.stringify(policy));
  writeFileSync(join(config, 'registries.d', 'sigs.yaml'), 'docker: {}\n');
  const create = [
    'bundle',
    'create',
    '--quiet',
    '--json',
    '--tls-verify=false',
    '-o',
    bench.path('found.tar'),
  ];
  const made = await bench.bulla([...create, `docker://${host}/ns/app:1`], { env: { HOME: home } });
  assert.equal(made.exitCode, 0, made.stderr);
  const { trust } = JSON.parse(made.stdout) as { readonly trust: readonly string[] };
  assert.match(
    trust.join(' '),
    /^bulla\/keys\/[0-9a-f]{64}\.pem bulla\/policy\.json bulla\/registries\.d\/sigs\.yaml$/,
  );
});

function empty(): string {
  const file = bench.path('no-passphrase');
  writeFileSync(file, '\n');
  return file;
}

/** Stands before the registry and hands everything on, but what `fault` answers itself. */
function through(fault: (request: Recorded, response: ServerResponse) => boolean): Promise<FaultyRegistry> {
  return serveAnswers((request, response) => {
    if (!fault(request, response)) void handOn(request, response);
  });
}

async function handOn({ method, url, headers, body }: Recorded, response: ServerResponse): Promise<void> {
  const kept = Object.entries(headers).flatMap(([name, value]) =>
    ['host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding'].includes(name) ||
    typeof value !== 'string'
      ? []
      : [[name, value] as [string, string]],
  );
  const hasBody = !['GET', 'HEAD'].includes(method);
  const answer = await fetch(`${registry.url}${url}`, {
    method,
    headers: kept,
    redirect: 'manual',
    ...(hasBody && { body: new Uint8Array(body) }),
  });
  for (const [name, value] of answer.headers)
    if (name !== 'transfer-encoding') response.setHeader(name, value);
  response.statusCode = answer.status;
  response.end(Buffer.from(await answer.arrayBuffer()));
}

/** Runs a command until `reached`, kills it there, and waits for its end. */
async function killedAt(args: readonly string[], reached: Promise<void>): Promise<void> {
  const running = bench.start(process.execPath as `/${string}`, [launcher, ...args]);
  await reached;
  process.kill(running.pid, 'SIGKILL');
  await running.stop();
}

test('a create that is killed leaves no bundle, and one of before as it was', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using slow = await through(({ method, url }, response) => {
    if (method !== 'GET' || !url.includes('/blobs/')) return false;
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    response.write('the beginning', () => resolve());
    return true;
  });
  mkdirSync(bench.path('killed'));
  writeFileSync(bench.path('killed', 'app.tar'), 'of before');
  const image = `docker://${slow.host}/ns/app:1`;
  await killedAt(['bundle', 'create', ...plain, '-o', bench.path('killed', 'app.tar'), image], promise);
  const left = readdirSync(bench.path('killed')).filter((name) => !name.startsWith(temporaryPrefix));
  assert.deepEqual(left, ['app.tar']);
  assert.equal(statSync(bench.path('killed', 'app.tar')).size, 'of before'.length);
});

test('a connection that breaks in a blob is taken up where it broke, and the bundle is the same', async () => {
  let hasBroken = false;
  await using shaky = await through(({ method, url, headers }, response) => {
    if (hasBroken || method !== 'GET' || !url.includes('/blobs/') || headers.range !== undefined)
      return false;
    void fetch(`${registry.url}${url}`).then(async (answer) => {
      const bytes = Buffer.from(await answer.arrayBuffer());
      // the layer, of which half arrives
      if (bytes.length < 100_000 || hasBroken)
        return void response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
      hasBroken = true;
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
    });
    return true;
  });
  const image = `docker://${shaky.host}/ns/app:1`;
  await ok(['bundle', 'create', ...plain, '--retry-delay=1ms', '-o', 'shaky.tar', image]);
  assert.ok(hasBroken);
  const blobs = (file: string): readonly string[] =>
    [...readTar(readFileSync(bench.path(file))).keys()].filter((name) => name.startsWith('blobs/'));
  assert.deepEqual(blobs('shaky.tar'), blobs('good.tar'));
  await ok(['bundle', 'verify', '--quiet', '--insecure-policy', 'shaky.tar']);
});

test('a source whose blob has other bytes makes no bundle', async () => {
  await using lying = await through(({ method, url }, response) => {
    if (method !== 'GET' || !url.includes('/blobs/')) return false;
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    response.end('other bytes');
    return true;
  });
  mkdirSync(bench.path('lying'));
  const args = ['bundle', 'create', ...plain, '--retry-times=0', '-o', bench.path('lying', 'app.tar')];
  const refused = await bench.bulla([...args, `docker://${lying.host}/ns/app:1`]);
  assert.equal(refused.exitCode, 1, refused.stderr);
  assert.match(refused.stderr, /\[blob\.digest-mismatch\]/);
  assert.deepEqual(readdirSync(bench.path('lying')), []);
});

test('a load that is killed names nothing, and the next one completes it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isStuck = true;
  await using far = await through(({ method, url }) => {
    if (!isStuck || method !== 'PUT' || !url.includes('/manifests/')) return false;
    resolve();
    return true;
  });
  const load = ['bundle', 'load', ...plain, 'good.tar', '--to', `docker://${far.host}/far`];
  await killedAt(load, promise);
  const tag = await fetch(`${registry.url}/v2/far/ns/app/manifests/1`);
  assert.equal(tag.status, 404);
  isStuck = false;
  await ok(load);
  const again = await bench.bulla([
    'verify',
    '--tls-verify=false',
    '--insecure-policy',
    `docker://${far.host}/far/ns/app:1`,
  ]);
  assert.equal(again.exitCode, 0, again.stderr);
  // what had arrived was not sent again
  assert.equal(far.lines.filter((line) => /^(?:POST|PATCH) .*\/blobs\/uploads/.test(line)).length, 2);
});

const mayMount = process.getuid?.() === 0;
const options = mayMount ? {} : { skip: 'only root can mount a file system for the test' };

function smallDisk(t: TestContext, name: string): string {
  const folder = bench.path(name);
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', folder]);
  t.after(() => void execFileSync('umount', [folder]));
  return folder;
}

test('a full disk is said to be full, and holds no bundle', options, async (t) => {
  const folder = smallDisk(t, 'full-create');
  const args = ['bundle', 'create', ...plain, '-o', join(folder, 'app.tar'), `docker://${host}/ns/app:1`];
  const { exitCode, stderr } = await bench.bulla(args);
  assert.equal(exitCode, 3, stderr);
  assert.match(stderr, /\[io\.no-space\]/);
  assert.deepEqual(readdirSync(folder), []);
});

test('a full disk under what is loaded holds no image', options, async (t) => {
  const folder = smallDisk(t, 'full-load');
  for (const transport of ['oci', 'dir']) {
    const target = `${transport}:${join(folder, transport)}`;
    const { exitCode, stderr } = await bench.bulla(['bundle', 'load', ...plain, 'good.tar', '--to', target]);
    assert.equal(exitCode, 3, stderr);
    assert.match(stderr, /\[io\.no-space\]/);
  }
  const files = readdirSync(folder, { recursive: true }).map(String);
  assert.ok(!files.some((name) => /(?:index|manifest)\.json$/.test(name)), files.join(' '));
});

test('words that make no sense are refused before anything is done', async () => {
  const good = bench.path('good.tar');
  const image = `docker://${host}/ns/app:1`;
  for (const [args, said] of [
    [['create', ...plain, '-o', '-', image], /written to a file/],
    [['create', ...plain, image], /--output/],
    [['create', ...plain, '-o', 'x.tar', 'oci:image:v1'], /is in no registry/],
    [['create', ...plain, '--multi-arch', 'index-only', '-o', 'x.tar', image], /without its images/],
    [['create', '--policy', 'p', '--insecure-policy', '-o', 'x.tar', image], /exclude each other/],
    [['verify', '--policy', 'p', '--key', 'k', good], /exclude each other/],
    [['verify', '--fingerprint', 'abc', good], /whole fingerprint/],
    [
      ['verify', '--fingerprint', 'a', '--certificate-identity', 'b', '--certificate-oidc-issuer', 'c', good],
      /exclude each other/,
    ],
    [['load', '--insecure-policy', good], /--to/],
    [['load', '--insecure-policy', good, '--to', 'far'], /--to takes/],
    [['load', '--insecure-policy', good, '--to', 'docker://far:5000/app:1'], /--to takes/],
    [['load', '--insecure-policy', good, '--to', 'dir:d', '--map', 'nonsense'], /OLD=NEW/],
    // neither the password nor its beginning
    [['load', '--insecure-policy', good, '--to', 'docker://u:se@cret@far/ns'], /not "docker:\/\/…@far\/ns" /],
  ] as const) {
    const { exit, err } = await runBulla(bench.folder, ['bundle', ...args]);
    assert.equal(exit, 2, `${args.join(' ')}\n${err}`);
    assert.match(err, said);
  }
  assert.ok(!readdirSync(bench.folder).includes('x.tar'));
  const unknown = await runBulla(bench.folder, ['bundle', 'verify', '--json', '--nonsense', good]);
  assert.deepEqual([unknown.exit, unknown.out], [2, '[]\n']);
  const untold = await runBulla(bench.folder, ['bundle', 'verify', '--json', good]);
  assert.deepEqual([untold.exit, untold.out], [2, '[]\n']);
  // nothing was shown
  assert.match(untold.err, /a key in it \(bulla bundle show\)/);
  for (const args of [
    ['trust', 'import', '--bundle', good],
    ['trust', 'import', '--fingerprint', 'a'.repeat(40)],
  ]) {
    const { exit, err } = await runBulla(bench.folder, args);
    assert.equal(exit, 2, err);
  }
});
