/** What must be refused is refused by Bulla and skopeo alike, Bulla with the documented code and exit code. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';

import type { ErrorCode } from '../../src/base/errors.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { askBulla, askSkopeo, type Question, signedBy, writePolicy } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench, peerVersion } from '../support/peers.ts';
import { exportKey, gpgSign, payloadFor, putSignatures, useLookaside } from '../support/simple-signing.ts';

type Stage = {
  readonly bench: Bench;
  readonly registry: RealRegistry;
  /** Of the image at every `push`. */
  readonly digest: string;
  readonly key: string;
  /** Everything must be signed by `key`. */
  readonly policy: string;
  /** Pushes the image as `REPOSITORY:1`; gives its name without transport. */
  readonly push: (repository: string) => Promise<string>;
  /** Both judge `docker://NAME` under the policy. */
  readonly judge: (name: string, wanted: Wanted, question?: Partial<Question>) => Promise<void>;
  /** Signs a payload for that name and puts it first in the lookaside. */
  readonly sign: (
    name: string,
    payload?: string,
    key?: string,
    flags?: readonly string[],
  ) => Promise<Uint8Array>;
};

/** What Bulla says: accepted, or its code, its exit code and what it says of each signature. */
type Wanted =
  | 'accepted'
  | { readonly code: ErrorCode; readonly exit: 1 | 3; readonly signatures?: readonly ErrorCode[] };

const notAccepted = (...signatures: readonly ErrorCode[]): Wanted => ({
  code: 'trust.not-accepted',
  exit: 1,
  signatures,
});
const unsigned: Wanted = { code: 'trust.no-signature', exit: 1, signatures: [] };

/** A bench with a registry, an image, a key, a policy that wants it, and a lookaside in `sig`. */
async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  useLookaside(bench, `file://${bench.path('sig')}`);
  const key = await bench.newGpgKey('Signer <signer@example.com>', { type: 'ed25519' });
  const policy = writePolicy(bench, 'signed', [signedBy(await exportKey(bench, key))]);
  const push = async (repository: string): Promise<string> => {
    const name = `${registry.host}/${repository}:1`;
    const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`];
    await bench.ok('skopeo', [...copy, `docker://${name}`]);
    return name;
  };
  const judge: Stage['judge'] = async (name, wanted, question = {}) =>
    judgeBoth(bench, { image: `docker://${name}`, policy, ...question }, wanted);
  const sign: Stage['sign'] = async (
    name,
    payload = payloadFor(digest, name),
    by = key,
    flags = ['--sign'],
  ) => {
    const blob = await gpgSign(bench, by, payload, { flags });
    const repository = name.slice(name.indexOf('/') + 1).replace(/[:@].*/, '');
    putSignatures(bench.path('sig'), repository, digest, [blob]);
    return blob;
  };
  await run({ bench, registry, digest, key, policy, push, judge, sign });
}

async function judgeBoth(bench: Bench, question: Question, wanted: Wanted): Promise<void> {
  const [theirs, ours] = await Promise.all([askSkopeo(bench, question), askBulla(bench, question)]);
  const expected = wanted === 'accepted' ? { code: 'accepted', exit: 0 } : wanted;
  const found = {
    code: ours.code,
    exit: ours.exitCode,
    ...('signatures' in expected && { signatures: ours.signatures }),
  };
  assert.deepEqual(found, expected, `${question.image}: ${ours.message}`);
  const told = `${question.image}: skopeo ${await peerVersion('skopeo')} says: ${theirs.message}`;
  assert.equal(theirs.accepted, wanted === 'accepted', told);
  // a failure for another reason (a wrong flag, no such registry) would be no verdict
  if (/^(?:trust|signature|store)\./.test(expected.code)) assert.match(theirs.message, /rejected: /, told);
}

const peers = needs('skopeo', 'docker-registry', 'gpg');

test('unsigned, signed by another key, for another tag, for another repository', peers, () =>
  onStage(async ({ bench, registry, digest, push, judge, sign }) => {
    const { host } = registry;
    const name = await push('ns/app');
    await judge(name, unsigned);
    const stranger = await bench.newGpgKey('Stranger <stranger@example.com>', { type: 'ed25519' });
    await sign(name, payloadFor(digest, name), stranger);
    await judge(name, notAccepted('signature.unknown-key'));
    await sign(name, payloadFor(digest, `${host}/ns/app:2`));
    await judge(name, notAccepted('signature.wrong-identity'));
    await sign(name, payloadFor(digest, `${host}/ns/other:1`));
    await judge(name, notAccepted('signature.wrong-identity'));
    await sign(name);
    await judge(name, 'accepted');
  }),
);

test('a payload or a manifest that was changed', peers, () =>
  onStage(async ({ bench, registry, digest, push, judge, sign }) => {
    const name = await push('ns/app');
    // gpg compresses; without that the payload lies open and can be changed in place
    const blob = await sign(name, undefined, undefined, ['--compress-algo', 'none', '--sign']);
    await judge(name, 'accepted');
    const at = Buffer.from(blob).indexOf('ns/app:1');
    const changed = Uint8Array.from(blob);
    changed[at + 7] = '2'.charCodeAt(0);
    putSignatures(bench.path('sig'), 'ns/app', digest, [changed]);
    await judge(name, notAccepted('signature.invalid'));

    // the tag now means another image, which nobody signed; and with the old signature filed under it
    putSignatures(bench.path('sig'), 'ns/app', digest, [blob]);
    const other = await writeOciImage(bench.path('other'), { files: { evil: 'evil' } });
    const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('other')}:latest`];
    await bench.ok('skopeo', [...copy, `docker://${name}`]);
    await judge(name, unsigned);
    putSignatures(bench.path('sig'), 'ns/app', other.digest, [blob]);
    await judge(name, notAccepted('signature.wrong-digest'));

    // the bytes behind a digest were changed in the registry's own storage
    const storage = readdirSync(bench.folder).find((each) => /^registry-\d+$/.test(each)) ?? '';
    const blobs = 'docker/registry/v2/blobs/sha256';
    const stored = bench.path(storage, blobs, digest.slice(7, 9), digest.slice(7), 'data');
    writeFileSync(stored, readFileSync(stored, 'utf8').replace('"schemaVersion":2', '"schemaVersion": 2'));
    await judge(`${registry.host}/ns/app@${digest}`, { code: 'manifest.digest-mismatch', exit: 1 });
  }),
);

test('a manifest changed inside a dir: image', peers, () =>
  onStage(async ({ bench, key, digest }) => {
    const folder = bench.path('dir');
    await bench.ok('skopeo', ['copy', '--quiet', `oci:${bench.path('image')}:v1`, `dir:${folder}`]);
    const blob = await gpgSign(bench, key, payloadFor(digest, 'registry.example.com/ns/app:1'));
    writeFileSync(join(folder, 'signature-1'), blob);
    const exact = { type: 'exactReference', dockerReference: 'registry.example.com/ns/app:1' };
    const policy = writePolicy(bench, 'dir', [signedBy(await exportKey(bench, key), exact)]);
    await judgeBoth(bench, { image: `dir:${folder}`, policy }, 'accepted');
    const manifest = join(folder, 'manifest.json');
    writeFileSync(manifest, `${readFileSync(manifest, 'utf8')}\n`);
    await judgeBoth(bench, { image: `dir:${folder}`, policy }, notAccepted('signature.wrong-digest'));
  }),
);

/** gpg in the past, where keys and signatures were made that are over by now. */
const inThePast = ['--faked-system-time', '20250101T000000', '--no-auto-check-trustdb'];

test('expired and revoked: keys, subkeys, signatures', peers, () =>
  onStage(async ({ bench, registry, digest, push, judge }) => {
    const name = await push('ns/app');
    const payload = payloadFor(digest, name);
    const quick = ['--batch', '--yes', '--pinentry-mode', 'loopback', '--passphrase', '', '--status-fd', '1'];
    const newKey = async (
      user: string,
      usage: string,
      expires: string,
      flags: readonly string[] = [],
    ): Promise<string> => {
      const made = await bench.ok('gpg', [
        ...quick,
        ...flags,
        '--quick-generate-key',
        user,
        'ed25519',
        usage,
        expires,
      ]);
      return /KEY_CREATED \S+ ([0-9A-F]{40})/.exec(made)?.[1] ?? '';
    };
    const judgeKey = async (fingerprint: string, wanted: Wanted): Promise<void> => {
      const policy = writePolicy(bench, fingerprint, [signedBy(await exportKey(bench, fingerprint))]);
      await judge(name, wanted, { policy });
    };
    const sign = async (fingerprint: string, flags: readonly string[] = []): Promise<void> => {
      const blob = await gpgSign(bench, fingerprint, payload, { flags: [...flags, '--sign'] });
      putSignatures(bench.path('sig'), 'ns/app', digest, [blob]);
    };
    const expired = await newKey('Expired', 'sign', '1w', inThePast);
    await sign(expired, inThePast);
    await judgeKey(expired, notAccepted('signature.key-expired'));

    const lasting = await newKey('Lasting', 'sign', '0', inThePast);
    await sign(lasting, [...inThePast, '--default-sig-expire', '1w']);
    await judgeKey(lasting, notAccepted('signature.expired'));
    await sign(lasting);
    await judgeKey(lasting, 'accepted');

    // the certificate that gpg makes at birth, its guard (a colon before the armor) taken away
    const revocation = readFileSync(join(bench.gnupgHome, 'openpgp-revocs.d', `${lasting}.rev`), 'utf8');
    await bench.ok('gpg', [...quick, '--import'], { input: revocation.replace(/^:-----/m, '-----') });
    await judgeKey(lasting, notAccepted('signature.key-revoked'));

    const withSubkey = await newKey('Subkey', 'cert', '0');
    await bench.ok('gpg', [...quick, '--quick-add-key', withSubkey, 'ed25519', 'sign', '0']);
    await sign(withSubkey);
    await judgeKey(withSubkey, 'accepted');
    await bench.ok('gpg', [...quick.slice(1), '--no-tty', '--command-fd', '0', '--edit-key', withSubkey], {
      input: 'key 1\nrevkey\ny\n0\n\ny\nsave\n',
    });
    await judgeKey(withSubkey, notAccepted('signature.key-revoked'));
    assert.match(registry.log(), /ns\/app/);
  }),
);

test('cleartext, armor, nothing, more than one message: all stop the image', peers, () =>
  onStage(async ({ bench, digest, push, judge, sign }) => {
    const name = await push('ns/app');
    const good = await sign(name);
    const put = (...blobs: readonly Uint8Array[]): void =>
      putSignatures(bench.path('sig'), 'ns/app', digest, blobs);
    const strange: Wanted = { code: 'signature.unrecognized', exit: 1 };
    const cases: readonly (readonly [Uint8Array, Wanted])[] = [
      [await sign(name, undefined, undefined, ['--clearsign']), strange],
      [await sign(name, undefined, undefined, ['--armor', '--sign']), strange],
      [new Uint8Array(), { code: 'signature.empty', exit: 1 }],
      [Buffer.from('<html>'), strange],
    ];
    for (const [blob, wanted] of cases) {
      rmSync(bench.path('sig'), { recursive: true });
      put(blob);
      await judge(name, wanted);
      // one of them hides even a good signature before it: nobody knows what was meant
      put(good, blob);
      await judge(name, wanted);
    }
    // not compressed: gpg passes over what follows compressed data (see differences.md)
    const open = await sign(name, undefined, undefined, ['--compress-algo', 'none', '--sign']);
    rmSync(bench.path('sig'), { recursive: true });
    for (const [blob, code] of [
      [await sign(name, undefined, undefined, ['--detach-sign']), 'signature.malformed'],
      [good.subarray(0, good.length - 30), 'signature.malformed'],
      [Buffer.concat([open, open]), 'signature.malformed'],
    ] as const) {
      put(blob);
      await judge(name, notAccepted(code));
    }
  }),
);

test('numbers: 127 signatures, 128 signatures, a gap', peers, () =>
  onStage(async ({ bench, digest, push, judge, sign }) => {
    const [many, gap] = [await push('ns/many'), await push('ns/gap')];
    const good = await sign(many);
    // one with our name at the end; another name is refused without reading the key again and again
    putSignatures(
      bench.path('sig'),
      'ns/many',
      digest,
      Array.from({ length: 127 }, () => good),
    );
    await judge(many, 'accepted');
    putSignatures(
      bench.path('sig'),
      'ns/many',
      digest,
      Array.from({ length: 128 }, () => good),
    );
    await judge(many, { code: 'store.too-many-signatures', exit: 3 });
    await sign(gap);
    const folder = bench.path('sig', `ns/gap@${digest.replace(':', '=')}`);
    cpSync(join(folder, 'signature-1'), join(folder, 'signature-2'));
    await bench.ok('/bin/rm', [join(folder, 'signature-1')]);
    await judge(gap, unsigned);
  }),
);

test('too large: more than 4 MiB, and what unpacks to more', peers, () =>
  onStage(async ({ bench, digest, policy, push, judge, sign }) => {
    const name = await push('ns/app');
    await sign(name, payloadFor(digest, name, { creator: 'a'.repeat(3_000_000) }));
    await judge(name, 'accepted');
    // a bomb: a few KiB that unpack to 64 MiB
    const zeros = Buffer.alloc(64 * 1024 * 1024);
    const bomb = Buffer.concat([Buffer.from([0xa3, 1]), deflateRawSync(zeros)]);
    putSignatures(bench.path('sig'), 'ns/app', digest, [bomb]);
    await judge(name, notAccepted('signature.too-large'));
    // named in differences.md: skopeo limits neither a signature in a folder nor what one unpacks to
    const long = payloadFor(digest, name, { creator: 'a'.repeat(5_000_000) });
    for (const compression of ['zip', 'none']) {
      await sign(name, long, undefined, ['--compress-algo', compression, '--sign']);
      const question = { image: `docker://${name}`, policy };
      const ours = await askBulla(bench, question);
      assert.ok([ours.code, ...ours.signatures].includes('signature.too-large'), ours.message);
      assert.equal(ours.exitCode, 1);
      assert.equal((await askSkopeo(bench, question)).accepted, true);
    }
  }),
);

/** A web server as a lookaside, which answers by the first part of the path. */
async function startWeb(
  answers: Readonly<Record<string, (n: number) => [number, string, Uint8Array]>>,
): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    const [, mode = '', number = ''] = /^\/([^/]+)\/.*\/signature-(\d+)$/.exec(request.url ?? '') ?? [];
    const [status, type, body] = answers[mode]?.(Number(number)) ?? [404, 'text/plain', new Uint8Array()];
    response.writeHead(status, { 'content-type': type }).end(body);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

test('a web server as lookaside: HTML, 403, 500, too large, too many', peers, () =>
  onStage(async ({ bench, registry, digest, push, judge, sign }) => {
    const name = await push('ns/app');
    const good = await sign(name);
    const none: [number, string, Uint8Array] = [404, 'text/plain', new Uint8Array()];
    const ok: [number, string, Uint8Array] = [200, 'application/octet-stream', good];
    const html = Buffer.from('<!DOCTYPE html><title>Sign in</title>');
    const only = (n: number, answer: [number, string, Uint8Array]): [number, string, Uint8Array] =>
      n === 1 ? ok : n === 2 ? answer : none;
    await using web = await startWeb({
      good: (n) => (n === 1 ? ok : none),
      'as-html': (n) => (n === 1 ? [200, 'text/html', good] : none),
      html: () => [200, 'text/html', html],
      'html-404': (n) => (n === 1 ? ok : [404, 'text/html', html]),
      'html-second': (n) => only(n, [200, 'text/html', html]),
      '403': () => [403, 'text/plain', Buffer.from('no')],
      '403-second': (n) => only(n, [403, 'text/plain', Buffer.from('no')]),
      '500': () => [500, 'text/plain', Buffer.from('broken')],
      '410': () => [410, 'text/plain', Buffer.from('gone')],
      '204': () => [204, 'text/plain', new Uint8Array()],
      large: (n) =>
        n === 1 ? [200, 'application/octet-stream', Buffer.alloc(4 * 1024 * 1024 + 1, 0xa3)] : none,
      '127': (n) => (n <= 127 ? ok : none),
      '128': () => ok,
    });
    const at = async (mode: string, wanted: Wanted): Promise<void> => {
      useLookaside(bench, `${web.url}/${mode}`);
      await judge(name, wanted);
    };
    const strange: Wanted = { code: 'signature.unrecognized', exit: 1 };
    const unreadable: Wanted = { code: 'store.unreadable', exit: 3 };
    await at('good', 'accepted');
    await at('as-html', 'accepted');
    await at('html-404', 'accepted');
    await at('html', strange);
    await at('html-second', strange);
    for (const mode of ['403', '403-second', '500', '410', '204']) await at(mode, unreadable);
    await at('large', { code: 'signature.too-large', exit: 1 });
    await at('127', 'accepted');
    await at('128', { code: 'store.too-many-signatures', exit: 3 });
    await at('nothing', unsigned);
    useLookaside(bench, 'http://127.0.0.1:1/refused');
    await judge(name, unreadable);
    assert.ok(registry.log().includes(digest) || registry.log().includes('ns/app'));
  }),
);

test('a list: its instance is judged, by its own digest, under the name of the list', peers, () =>
  onStage(async ({ bench, registry, key, judge }) => {
    const instances = [];
    const layout = bench.path('list');
    for (const architecture of ['amd64', 'arm64']) {
      const from = bench.path(architecture);
      const { digest, manifest } = await writeOciImage(from, { files: { architecture } });
      cpSync(join(from, 'blobs'), join(layout, 'blobs'), { recursive: true });
      const mediaType = 'application/vnd.oci.image.manifest.v1+json';
      instances.push({ mediaType, digest, size: manifest.length, platform: { os: 'linux', architecture } });
    }
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    mkdirSync(bench.path('list-dir'));
    const list = JSON.stringify({ schemaVersion: 2, mediaType, manifests: instances });
    writeFileSync(bench.path('list-dir', 'manifest.json'), list);
    const listDigest = (
      await bench.ok('skopeo', ['manifest-digest', bench.path('list-dir', 'manifest.json')])
    ).trim();
    const hex = listDigest.slice(7);
    writeFileSync(join(layout, 'blobs', 'sha256', hex), list);
    const entry = { mediaType, digest: listDigest, size: list.length };
    const annotations = { 'org.opencontainers.image.ref.name': 'v1' };
    writeFileSync(
      join(layout, 'index.json'),
      JSON.stringify({ schemaVersion: 2, manifests: [{ ...entry, annotations }] }),
    );
    writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const [amd64 = '', arm64 = ''] = instances.map(({ digest }) => digest);
    const place = async (
      repository: string,
      signed: readonly (readonly [string, string])[],
    ): Promise<string> => {
      const name = `${registry.host}/${repository}`;
      const copy = ['copy', '--all', '--quiet', '--dest-tls-verify=false', `oci:${layout}:v1`];
      await bench.ok('skopeo', [...copy, `docker://${name}:1`]);
      for (const [digest, suffix] of signed) {
        const blob = await gpgSign(bench, key, payloadFor(digest, name + suffix));
        putSignatures(bench.path('sig'), repository, digest, [blob]);
      }
      return name;
    };
    await judge(`${await place('ns/instance', [[amd64, ':1']])}:1`, 'accepted');
    await judge(`${await place('ns/list-only', [[listDigest, ':1']])}:1`, unsigned);
    await judge(`${await place('ns/other-instance', [[arm64, ':1']])}:1`, unsigned);
    await judge(
      `${await place('ns/other-name', [[amd64, ':2']])}:1`,
      notAccepted('signature.wrong-identity'),
    );
    const byList = await place('ns/by-digest', [[amd64, `@${listDigest}`]]);
    await judge(`${byList}@${listDigest}`, 'accepted');
    // by digest any tag or digest of the repository will do: the digest itself was compared
    await judge(`${byList}@${amd64}`, 'accepted');
    await judge(`${byList}:1`, notAccepted('signature.wrong-identity'));
  }),
);

test('by digest: the repository must be the signed one, with any tag', peers, () =>
  onStage(async ({ bench, registry, digest, push, judge, sign }) => {
    const name = await push('ns/app');
    const byDigest = `${registry.host}/ns/app@${digest}`;
    await sign(name);
    await judge(byDigest, 'accepted');
    await sign(name, payloadFor(digest, `${registry.host}/ns/app:other`));
    await judge(byDigest, 'accepted');
    await judge(name, notAccepted('signature.wrong-identity'));
    await sign(name, payloadFor(digest, `${registry.host}/ns/app`));
    await judge(byDigest, notAccepted('signature.wrong-identity'));
    await sign(name, payloadFor(digest, `${registry.host}/ns/other@${digest}`));
    await judge(byDigest, notAccepted('signature.wrong-identity'));
    const none = `${registry.host}/ns/app@sha256:${'0'.repeat(64)}`;
    const policy = writePolicy(bench, 'anything', [{ type: 'insecureAcceptAnything' }]);
    await judge(none, { code: 'image.not-found', exit: 3 }, { policy });
    await judge(`${registry.host}/ns/app:none`, { code: 'image.not-found', exit: 3 }, { policy });
  }),
);

test('a mirror: its signatures, for the name that was asked for', peers, () =>
  onStage(async ({ bench, registry, digest, push, judge, sign }) => {
    const mirror = await push('mirrored/app');
    const conf = bench.path('mirror.conf');
    const lines = [
      ...['[[registry]]', 'location = "primary.example.com/ns"'],
      ...['[[registry.mirror]]', `location = "${registry.host}/mirrored"`, 'insecure = true'],
    ];
    writeFileSync(conf, lines.join('\n'));
    const through = { registriesConf: conf, insecure: false } as const;
    const asked = 'primary.example.com/ns/app:1';
    await judge(asked, unsigned, through);
    await sign(mirror, payloadFor(digest, asked));
    await judge(asked, 'accepted', through);
    // asked for by its own name the mirror is another repository
    await judge(mirror, notAccepted('signature.wrong-identity'));
    await sign(mirror);
    await judge(asked, notAccepted('signature.wrong-identity'), through);
    // blocked is the registry, not its mirror
    await sign(mirror, payloadFor(digest, asked));
    writeFileSync(conf, [...lines.slice(0, 2), 'blocked = true', ...lines.slice(2)].join('\n'));
    await judge(asked, 'accepted', through);
    writeFileSync(conf, [...lines.slice(0, 2), 'blocked = true'].join('\n'));
    await judge(asked, { code: 'registry.blocked', exit: 1 }, through);
  }),
);

test('reject, no policy for the scope, --require-signed', peers, () =>
  onStage(async ({ bench, registry, key, push, judge, sign }) => {
    const name = await push('ns/app');
    await sign(name);
    const [accept, reject] = [[{ type: 'insecureAcceptAnything' }], [{ type: 'reject' }]];
    const must = [signedBy(await exportKey(bench, key))];
    const rejected: Wanted = { code: 'trust.rejected', exit: 1 };
    await judge(name, rejected, { policy: writePolicy(bench, 'reject', reject) });
    const scopes = { [`${registry.host}/ns`]: must, [`${registry.host}/ns/app`]: reject };
    const narrow = writePolicy(bench, 'narrow', { default: accept, transports: { docker: scopes } } as never);
    await judge(name, rejected, { policy: narrow });
    const both = writePolicy(bench, 'both', [...must, ...reject]);
    await judge(name, rejected, { policy: both });
    const anything = writePolicy(bench, 'anything', accept);
    await judge(name, 'accepted', { policy: anything });
    const question = { image: `docker://${name}`, requireSigned: true };
    const ours = await askBulla(bench, { ...question, policy: anything });
    assert.deepEqual([ours.code, ours.exitCode], ['trust.not-required', 1]);
    const wanted = writePolicy(bench, 'wanted', must);
    assert.equal((await askBulla(bench, { ...question, policy: wanted })).code, 'accepted');
    // skopeo 1.22 does not know the flag yet
    if (!(await bench.ok('skopeo', ['--help'])).includes('--require-signed')) return;
    assert.equal((await askSkopeo(bench, { ...question, policy: anything })).accepted, false);
    assert.equal((await askSkopeo(bench, { ...question, policy: wanted })).accepted, true);
  }),
);

test('podman refuses what Bulla refuses', needs('podman', 'skopeo', 'docker-registry', 'gpg'), () =>
  onStage(async ({ bench, registry, digest, policy, push, sign }) => {
    const pull = async (name: string): Promise<number> => {
      const flags = ['pull', '-q', '--tls-verify=false', '--signature-policy', policy];
      return (await bench.run('podman', [...flags, name])).exitCode;
    };
    const bulla = async (name: string): Promise<number> => {
      const flags = ['verify', '--tls-verify=false', '--policy', policy];
      return (await bench.bulla([...flags, `docker://${name}`])).exitCode;
    };
    const verdicts = async (name: string): Promise<readonly number[]> => [
      await pull(name),
      await bulla(name),
    ];
    const name = await push('ns/app');
    assert.deepEqual(await verdicts(name), [125, 1]);
    await sign(name, payloadFor(digest, `${registry.host}/ns/app:2`));
    assert.deepEqual(await verdicts(name), [125, 1]);
    await sign(name);
    assert.deepEqual(await verdicts(name), [0, 0]);
    const folder = bench.path('sig', `ns/app@${digest.replace(':', '=')}`);
    writeFileSync(join(folder, 'signature-2'), 'garbage');
    assert.deepEqual(await verdicts(name), [125, 1]);
  }),
);
