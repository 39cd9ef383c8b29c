/** Transfer bundles: the same images give the same bytes, all of an image is in them, and nothing else is believed than what this side says. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { utf8 } from '../src/base/bytes.ts';
import { mediaTypes } from '../src/base/descriptor.ts';
import { type Digest, digestOf } from '../src/base/digest.ts';
import { type ErrorCode, isBullaError } from '../src/base/errors.ts';
import { parseImageName } from '../src/base/image-name.ts';
import { parseReference } from '../src/base/reference.ts';
import {
  createTransfer,
  importTransferKeys,
  loadTransfer,
  openWorld,
  showTransfer,
  verify,
  verifyTransfer,
} from '../src/index.ts';
import { parseKeyring } from '../src/keys/openpgp/keyring.ts';
import type { JudgedBy } from '../src/operations/judge.ts';
import { encodePem } from '../src/keys/sigstore/pem.ts';
import { makeKeyPair } from '../src/keys/sigstore/private-key.ts';
import type { PackedInstances } from '../src/operations/transfer/contents.ts';
import { serveAnswers } from './support/registry-faults.ts';
import { isThere, openStage, readTar, sha256, type Stage } from './support/transfer-stage.ts';

let stage: Stage;
let fingerprint: string;

before(async () => {
  stage = await openStage();
  await stage.push('ns/app', '1', 'one');
  await stage.push('ns/db', '7', 'seven');
  fingerprint = await stage.sign('release', 'ns/app:1');
  await stage.sign('release', 'ns/db:7');
});
after(() => stage[Symbol.asyncDispose]());

const name = (image: string): ReturnType<typeof parseImageName> =>
  parseImageName(`docker://${stage.host}/${image}`);
const code =
  (wanted: ErrorCode) =>
  (error: unknown): boolean => {
    assert.ok(isBullaError(error, wanted), String(error));
    return true;
  };
const anything = { kind: 'insecure-accept-anything' } as const;

/** Something that hangs on an image, with a blob of its own; gives its digest. */
async function attach(
  repository: string,
  subject: object,
  content: string,
): Promise<{ digest: Digest; size: number; mediaType: string }> {
  const client = await stage.world.registries.open({
    reference: parseReference(`${stage.host}/${repository}:1`),
    insecure: true,
  });
  const blob = utf8(content);
  const layer = { mediaType: 'text/plain', digest: digestOf(blob), size: blob.length };
  const empty = utf8('{}');
  const config = {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: digestOf(empty),
    size: empty.length,
  };
  await client.putBlob(repository, layer, blob);
  await client.putBlob(repository, config, empty);
  const bytes = utf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: 'example/note',
      config,
      layers: [layer],
      subject,
    }),
  );
  const made = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  await client.putManifest(repository, made.digest, { bytes, mediaType: made.mediaType });
  return made;
}

test('the same images give the same bytes: again, in another order, from other folders', async () => {
  const images = ['ns/app:1', 'ns/db:7'];
  const keys = [stage.path('release.pub.asc')];
  const first = readFileSync(
    await stage.bundle('first.tar', images, { policy: stage.policy('release'), keys }),
  );
  const again = readFileSync(
    await stage.bundle('again.tar', images, { policy: stage.policy('release'), keys }),
  );
  assert.equal(Buffer.compare(first, again), 0);
  mkdirSync(stage.path('other', 'folder'), { recursive: true });
  const moved = stage.path('other', 'folder', 'k.asc');
  writeFileSync(moved, readFileSync(stage.path('release.pub.asc')));
  const requirement = { type: 'signedBy', keyType: 'GPGKeys', keyPath: moved };
  writeFileSync(stage.path('other', 'p.json'), JSON.stringify({ default: [requirement] }, null, 7));
  const trust = { policy: stage.path('other', 'p.json'), keys: [moved] };
  const elsewhere = readFileSync(
    await stage.bundle('other/folder/x.tar', [...images.toReversed(), 'ns/app:1'], trust),
  );
  assert.equal(sha256(elsewhere), sha256(first));
  // nothing of the machine and its clock
  for (let at = 0; at < first.length && first[at] !== 0;) {
    const header = first.subarray(at, at + 512).toString('latin1');
    assert.match(header.slice(108, 124), /^0+ ?\0 ?0+ ?\0/, 'owner');
    assert.equal(Number.parseInt(header.slice(136, 148), 8), 0, 'time');
    at += 512 + Math.ceil(Number.parseInt(header.slice(124, 136), 8) / 512) * 512;
  }
  assert.ok(!first.includes(stage.path()), 'no path of the machine');
});

test('all of an image is in it, each blob once, what hangs on what hangs on it too', async () => {
  const { digest, mediaType, size } = await stage.push('deep/app', '1', 'one');
  const note = await attach('deep/app', { mediaType, digest, size }, 'a note');
  const noteOfNote = await attach('deep/app', note, 'a note of the note');
  const file = await stage.bundle('deep.tar', ['deep/app:1', 'ns/app:1']);
  const files = readTar(readFileSync(file));
  for (const each of [digest, note.digest, noteOfNote.digest, digestOf(utf8('a note of the note'))])
    assert.ok(files.has(`blobs/sha256/${each.slice(7)}`), each);
  for (const [member, bytes] of files)
    if (member.startsWith('blobs/')) assert.equal(`blobs/sha256/${sha256(bytes).slice(7)}`, member);
  const { images } = await showTransfer({ file }, stage.world);
  assert.deepEqual(
    images.map((each) => [each.digest, each.signatures, each.attachments]),
    // the same image under two names: signed under one of them, with notes under the other
    [
      [digest, 0, 2],
      [digest, 1, 0],
    ],
  );
  const target = { transport: 'docker', prefix: `${stage.host}/deep-far` } as const;
  await loadTransfer({ file, by: anything, target }, stage.world);
  const client = await stage.world.registries.open({
    reference: parseReference(`${stage.host}/x/y:1`),
    insecure: true,
  });
  const hanging = async (path: string, of: Digest): Promise<readonly Digest[]> =>
    (await client.referrers(path, of)).manifests.map((each) => each.digest);
  assert.deepEqual(await hanging('deep-far/deep/app', digest), [note.digest]);
  assert.deepEqual(await hanging('deep-far/deep/app', note.digest), [noteOfNote.digest]);
  assert.deepEqual(await hanging('deep-far/ns/app', digest), []);
});

test('a Docker image and a list go over with their digests', async () => {
  const docker = await stage.push('kinds/docker', '1', 'docker', { docker: true });
  const list = await stage.pushList('kinds/list', '1', ['amd64', 's390x']);
  const file = await stage.bundle('kinds.tar', ['kinds/docker:1', 'kinds/list:1']);
  const target = { transport: 'docker', prefix: `${stage.host}/kinds-far` } as const;
  const loaded = await loadTransfer({ file, by: anything, target }, stage.world);
  assert.ok(loaded.loaded);
  assert.deepEqual(
    loaded.images.map((each) => each.digest),
    [docker.digest, list.digest],
  );
  const [verdict] = await verify(
    { images: [name('kinds-far/kinds/list:1')], by: anything, all: true },
    stage.world,
  );
  assert.deepEqual(
    verdict?.instances?.map((each) => each.digest),
    list.images,
  );
});

test('of a list one image, or some: what is not there is not missed, and each that is there is judged', async () => {
  const list = await stage.pushList('some/list', '1', ['amd64', 'arm64', 's390x']);
  await stage.sign('release', 'some/list:1');
  const pack = async (file: string, instances: PackedInstances, architecture?: string): Promise<string> => {
    const platform = { os: 'linux', architecture: architecture ?? 'amd64' };
    const request = {
      images: [name('some/list:1')],
      output: stage.path(file),
      by: anything,
      instances,
      platform,
    };
    assert.equal((await createTransfer(request, stage.world)).created, true);
    return stage.path(file);
  };
  const by = { kind: 'policy', file: stage.policy('release') } as const;
  const two = await pack('two.tar', { kind: 'platforms', platforms: ['linux/amd64', 'linux/s390x'] });
  const [verdict] = await verifyTransfer({ file: two, by }, stage.world);
  assert.equal(verdict?.accepted, true);
  assert.deepEqual(
    verdict?.instances?.map((each) => each.digest),
    [list.images[0], list.images[2]],
  );
  const loaded = await loadTransfer(
    { file: two, by, target: { transport: 'oci', path: stage.path('two') } },
    stage.world,
  );
  assert.ok(loaded.loaded);
  assert.equal(loaded.images[0]?.digest, list.digest);
  const one = await pack('one.tar', { kind: 'system' }, 's390x');
  const [single] = await verifyTransfer({ file: one, by }, stage.world);
  assert.deepEqual([single?.accepted, single?.digest], [true, list.images[2]]);
  const byDigest = name(`some/list@${list.digest}`);
  await assert.rejects(
    createTransfer(
      {
        images: [byDigest],
        output: stage.path('no.tar'),
        by: anything,
        instances: { kind: 'system' },
        platform: { os: 'linux', architecture: 's390x' },
      },
      stage.world,
    ),
    code('usage.invalid'),
  );
});

test('what the policy of the near side refuses is not packed', async () => {
  await stage.push('ns/unsigned', '1', 'unsigned');
  const outcome = await createTransfer(
    {
      images: [name('ns/app:1'), name('ns/unsigned:1')],
      output: stage.path('refused.tar'),
      by: { kind: 'policy', file: stage.policy('release') },
    },
    stage.world,
  );
  assert.ok(!outcome.created);
  assert.deepEqual(
    outcome.verdicts.map((each) => each.accepted),
    [true, false],
  );
  assert.equal(isThere(stage.path('refused.tar')), false);
});

test('a fingerprint makes a key of the file count, and that key alone', async () => {
  await stage.push('ns/other', '1', 'other');
  const other = await stage.sign('other', 'ns/other:1');
  // both keys in one key file
  const [one, two] = ['release', 'other'].map((who) => readFileSync(stage.path(`${who}.pub.asc`)));
  assert.ok(one !== undefined && two !== undefined);
  writeFileSync(stage.path('both.asc'), Buffer.concat([one, two]));
  const file = await stage.bundle('pinned.tar', ['ns/app:1', 'ns/other:1'], {
    keys: [stage.path('both.asc')],
  });
  const judged = async (...fingerprints: readonly string[]): Promise<readonly boolean[]> =>
    (await verifyTransfer({ file, fingerprints }, stage.world)).map((each) => each.accepted);
  assert.deepEqual(await judged(fingerprint), [true, false]);
  assert.deepEqual(await judged(other.toLowerCase().replace(/(.{4})/g, '$1 ')), [false, true]);
  assert.deepEqual(await judged(fingerprint, other), [true, true]);
  await assert.rejects(judged('F'.repeat(40)), code('key.not-found'));
  await assert.rejects(judged(fingerprint.slice(-16)), code('usage.invalid'));
  await assert.rejects(judged(''), code('usage.invalid'));
  await assert.rejects(judged(), code('transfer.untrusted'));
});

test('a key is installed by its fingerprint: that key, and nothing that stands beside it', async () => {
  const { publicKey } = makeKeyPair('ecdsa-p256');
  const pem = encodePem('PUBLIC KEY', publicKey.spki);
  writeFileSync(stage.path('k.pub'), Buffer.concat([Buffer.from('a remark\n'), pem]));
  const keys = [stage.path('both.asc'), stage.path('k.pub')];
  const file = await stage.bundle('keys.tar', ['ns/app:1'], { keys });
  const cwd = stage.path('installed');
  mkdirSync(cwd);
  const fingerprints = [fingerprint, publicKey.keyId];
  const installed = await importTransferKeys({ file, fingerprints, cwd });
  assert.deepEqual(
    installed.map((each) => each.path),
    [join(cwd, `${fingerprint}.gpg`), join(cwd, `${publicKey.keyId}.pub`)],
  );
  const [gpg = '', sigstore = ''] = installed.map((each) => each.path);
  assert.deepEqual(
    parseKeyring(readFileSync(gpg)).certificates.map((each) => each.fingerprint),
    [fingerprint],
  );
  assert.equal(Buffer.compare(readFileSync(sigstore), pem), 0);
  const [verdict] = await verify(
    { images: [name('ns/app:1')], by: { kind: 'keys', files: [gpg] } },
    stage.world,
  );
  assert.equal(verdict?.accepted, true);
  // again: the same file; another one is not replaced
  assert.ok((await importTransferKeys({ file, fingerprints, cwd })).every(({ written }) => !written));
  const request = { file, fingerprints: [publicKey.keyId], output: gpg, cwd };
  await assert.rejects(importTransferKeys(request), code('usage.invalid'));
  await assert.rejects(importTransferKeys({ file, fingerprints: [], cwd }), code('usage.invalid'));
  await assert.rejects(
    importTransferKeys({ file, fingerprints: ['0'.repeat(64)], cwd }),
    code('key.not-found'),
  );
});

test('a key that the file itself revokes is neither believed nor installed', async () => {
  const revoked = await stage.sign('revoked', 'ns/db:7');
  const both = [readFileSync(stage.path('revoked.pub.asc')), readFileSync(stage.path('revoked.revoke.asc'))];
  writeFileSync(stage.path('revoked.asc'), Buffer.concat(both));
  const keys = [stage.path('revoked.asc')];
  const file = await stage.bundle('revoked.tar', ['ns/db:7'], { keys });
  const [verdict] = await verifyTransfer({ file, fingerprints: [revoked] }, stage.world);
  assert.equal(verdict?.accepted, false);
  await assert.rejects(
    importTransferKeys({ file, fingerprints: [revoked], cwd: stage.path() }),
    code('key.unusable'),
  );
});

test('what a key of this side says of itself, the same key in the file does not unsay', async () => {
  const revoked = await stage.sign('revoked', 'ns/db:7');
  const file = await stage.bundle('unrevoked.tar', ['ns/db:7'], { keys: [stage.path('revoked.pub.asc')] });
  const judged = async (by?: JudgedBy): Promise<unknown> => {
    const trust = { fingerprints: [revoked], ...(by !== undefined && { by }) };
    return (await verifyTransfer({ file, ...trust }, stage.world))[0]?.accepted;
  };
  assert.equal(await judged(), true);
  assert.equal(await judged({ kind: 'keys', files: [stage.path('revoked.asc')] }), false);
  // any of both may have signed
  assert.equal(await judged({ kind: 'keys', files: [stage.path('other.pub.asc')] }), true);
  await assert.rejects(judged(anything), code('usage.invalid'));
});

test('no secret goes in: not by --key, not by the policy', async () => {
  const secret = stage.path('release.private.asc');
  await assert.rejects(stage.bundle('secret.tar', ['ns/app:1'], { keys: [secret] }), code('key.unusable'));
  const requirement = { type: 'signedBy', keyType: 'GPGKeys', keyPath: secret };
  writeFileSync(stage.path('secret.json'), JSON.stringify({ default: [requirement] }));
  await assert.rejects(
    stage.bundle('secret.tar', ['ns/app:1'], { policy: stage.path('secret.json') }),
    code('key.unusable'),
  );
  // behind a public key, where a reader of keys does not look
  const mixed = [
    readFileSync(stage.path('release.pub.asc'), 'utf8'),
    '-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n',
  ];
  writeFileSync(stage.path('mixed.asc'), mixed.join(''));
  writeFileSync(
    stage.path('secret.json'),
    JSON.stringify({ default: [{ ...requirement, keyPath: stage.path('mixed.asc') }] }),
  );
  await assert.rejects(
    stage.bundle('secret.tar', ['ns/app:1'], { policy: stage.path('secret.json') }),
    code('key.unusable'),
  );
  // in the policy itself
  const keyData = readFileSync(secret).toString('base64');
  const inline = { type: 'signedBy', keyType: 'GPGKeys', keyData };
  const yaml = `apiVersion: bulla/v1\nsigners:\n  a:\n    type: gpg\n    keyData: ${keyData}\ndefault:\n  - type: signed\n    by: a\n`;
  for (const text of [JSON.stringify({ default: [inline] }), yaml]) {
    writeFileSync(stage.path('secret.policy'), text);
    await assert.rejects(
      stage.bundle('secret.tar', ['ns/app:1'], { policy: stage.path('secret.policy') }),
      code('key.unusable'),
    );
  }
  assert.ok((await stage.bundle('sent.tar', ['ns/app:1'], { registriesD: true })).endsWith('sent.tar'));
  const place = stage.path('registries.d', 'y.yaml');
  await using other = openWorld({ registriesDFolder: stage.path('registries.d'), tlsVerify: false });
  const request = {
    images: [name('ns/app:1')],
    output: stage.path('secret.tar'),
    by: anything,
    trust: { registriesD: true },
  };
  for (const url of ['https://user:pass@sigs.example.com', 'https://sigs.example.com/a?sig=secret']) {
    writeFileSync(place, `docker:\n  a.example.com:\n    lookaside: ${url}\n`);
    await assert.rejects(createTransfer(request, other), code('usage.invalid'), url);
  }
  rmSync(place);
  assert.equal(isThere(stage.path('secret.tar')), false);
});

/** Lays what stands under `bulla/` into a folder. */
function unpack(file: string, folder: string): string {
  for (const [member, bytes] of readTar(readFileSync(file))) {
    if (!member.startsWith('bulla/')) continue;
    mkdirSync(join(stage.path(folder), member, '..'), { recursive: true });
    writeFileSync(join(stage.path(folder), member), bytes);
  }
  return stage.path(folder, 'bulla');
}

test('a policy goes in with every file that it names, and names them where they are then', async () => {
  const policy = JSON.parse(readFileSync(stage.policy('release'), 'utf8')) as {
    default: { keyPath: string }[];
  };
  const file = await stage.bundle('policy.tar', ['ns/app:1'], { policy: stage.policy('release') });
  const folder = unpack(file, 'unpacked');
  const packed = JSON.parse(readFileSync(join(folder, 'policy.json'), 'utf8')) as typeof policy;
  const [path = ''] = packed.default.map(({ keyPath }) => keyPath);
  assert.equal(
    Buffer.compare(readFileSync(join(folder, path)), readFileSync(stage.path('release.pub.asc'))),
    0,
  );
  writeFileSync(
    stage.path('trust.yaml'),
    `# a remark\napiVersion: bulla/v1\nsigners:\n  keyPath: # a signer may be called so\n    type: gpg\n    keyPath: release.pub.asc\ndefault:\n  - type: signed\n    by: keyPath\n`,
  );
  const yaml = await stage.bundle('yaml.tar', ['ns/app:1'], { policy: stage.path('trust.yaml') });
  const byYaml = join(unpack(yaml, 'unpacked-yaml'), 'policy.yaml');
  const [verdict] = await verify(
    { images: [name('ns/app:1')], by: { kind: 'policy', file: byYaml } },
    stage.world,
  );
  assert.equal(verdict?.accepted, true);
  writeFileSync(
    stage.path('gone.json'),
    JSON.stringify({ default: [{ ...policy.default[0], keyPath: '/nowhere' }] }),
  );
  await assert.rejects(
    stage.bundle('gone.tar', ['ns/app:1'], { policy: stage.path('gone.json') }),
    code('trust.key-unavailable'),
  );
});

test('a layout and folders take images too, with their signatures', async () => {
  const file = await stage.bundle('places.tar', ['ns/app:1', 'ns/db:7']);
  for (const transport of ['oci', 'dir'] as const) {
    const path = stage.path(`place-${transport}`);
    const by = { kind: 'policy', file: stage.policy('release') } as const;
    const loaded = await loadTransfer({ file, by, target: { transport, path } }, stage.world);
    assert.ok(loaded.loaded);
    for (const { reference, destination } of loaded.images) {
      const [verdict] = await verify(
        { images: [parseImageName(destination)], by, as: parseReference(reference) },
        stage.world,
      );
      assert.equal(verdict?.accepted, true, destination);
    }
  }
});

test('a policy.json with every kind of file: keys, logs, authorities', async () => {
  for (const file of ['one', 'two', 'log', 'ca', 'roots', 'more'])
    writeFileSync(stage.path(`${file}.pem`), `no key: ${file}`);
  const at = (file: string): string => stage.path(`${file}.pem`);
  const subject = { oidcIssuer: 'https://issuer.example.com', subjectEmail: 'a@example.com' };
  const requirements = [
    { type: 'sigstoreSigned', keyPaths: [at('one'), at('two')], rekorPublicKeyPaths: [at('log')] },
    { type: 'sigstoreSigned', fulcio: { caPath: at('ca'), ...subject }, rekorPublicKeyPath: at('log') },
    {
      type: 'sigstoreSigned',
      pki: { caRootsPath: at('roots'), caIntermediatesPath: at('more'), subjectEmail: 'a@example.com' },
    },
    { type: 'signedBy', keyType: 'GPGKeys', keyData: 'MA==', signedIdentity: { type: 'matchRepository' } },
    { type: 'reject' },
  ];
  const transports = { docker: { 'a.example.com/x': requirements, '': [{ type: 'reject' }] }, unknown: {} };
  writeFileSync(
    stage.path('wide.json'),
    JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }], transports }),
  );
  const file = await stage.bundle('wide.tar', ['ns/app:1'], { policy: stage.path('wide.json') });
  const folder = unpack(file, 'wide');
  const text = readFileSync(join(folder, 'policy.json'), 'utf8');
  assert.ok(!text.includes(stage.path()));
  // with the old paths in place of the new ones it is the same policy
  const back = text.replace(/"(keys\/[0-9a-f]{64}\.pem)"/g, (_, path: string) => {
    const said = readFileSync(join(folder, path), 'utf8').replace('no key: ', '');
    return JSON.stringify(at(said));
  });
  const expected = { default: [{ type: 'insecureAcceptAnything' }], transports };
  const one = { rekorPublicKeyPath: at('log') };
  const [first, ...others] = requirements;
  const { rekorPublicKeyPaths: _paths, ...rest } = first as Record<string, unknown>;
  expected.transports = {
    ...transports,
    docker: { ...transports.docker, 'a.example.com/x': [{ ...rest, ...one }, ...others] },
  } as never;
  assert.deepEqual(JSON.parse(back), expected);
});

test('signatures that a registry keeps itself go over into a registry that keeps them itself', async () => {
  const { digest } = await stage.push('ext/app', '1', 'one');
  await stage.sign('release', 'ext/app:1');
  const blob = readFileSync(stage.path('sigstore', `ext/app@${digest.replace(':', '=')}`, 'signature-1'));
  rmSync(stage.path('sigstore', 'ext'), { recursive: true });
  const kept = new Map([[`/extensions/v2/ext/app/signatures/${digest}`, [blob.toString('base64')]]]);
  await using extended = await serveAnswers(({ method, url, headers, body }, response) => {
    if (!url.startsWith('/extensions/')) {
      void fetch(`http://${stage.host}${url}`, {
        method,
        redirect: 'manual',
        headers: Object.entries(headers).flatMap(([key, value]) =>
          ['accept', 'content-type', 'range'].includes(key) && typeof value === 'string'
            ? [[key, value] as [string, string]]
            : [],
        ),
        ...(method !== 'GET' && method !== 'HEAD' && { body: new Uint8Array(body) }),
      }).then(async (answer) => {
        for (const [key, value] of answer.headers) response.setHeader(key, value);
        response.writeHead(answer.status, { 'x-registry-supports-signatures': '1' });
        response.end(Buffer.from(await answer.arrayBuffer()));
      });
      return;
    }
    const there = kept.get(url) ?? [];
    if (method === 'PUT')
      kept.set(url, [...there, (JSON.parse(String(body)) as { content: string }).content]);
    const listed = there.map((content, at) => ({
      schemaVersion: 2,
      name: `${digest}@${at}`,
      type: 'atomic',
      content,
    }));
    response.writeHead(method === 'PUT' ? 201 : 200).end(JSON.stringify({ signatures: listed }));
  });
  const request = {
    images: [parseImageName(`docker://${extended.host}/ext/app:1`)],
    output: stage.path('ext.tar'),
    by: anything,
  };
  const made = await createTransfer(request, stage.world);
  assert.ok(made.created);
  assert.deepEqual(
    made.images[0]?.signatures.map(({ of }) => of),
    [digest],
  );
  const target = { transport: 'docker', prefix: `${extended.host}/far` } as const;
  for (let run = 0; run < 2; run += 1)
    await loadTransfer({ file: request.output, by: anything, target }, stage.world);
  assert.deepEqual(kept.get(`/extensions/v2/far/ext/app/signatures/${digest}`), [blob.toString('base64')]);
});

test('a bundle that was compressed on its way is read as it is', async () => {
  const file = stage.path('first.tar.gz');
  writeFileSync(file, gzipSync(readFileSync(stage.path('first.tar'))));
  const verdicts = await verifyTransfer({ file, fingerprints: [fingerprint] }, stage.world);
  assert.ok(verdicts.length === 2 && verdicts.every(({ accepted }) => accepted));
});
