/** Transfer bundles as damage and attackers leave them: each is refused for its own reason, and nothing is written. */
import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { type ErrorCode, isBullaError } from '../src/base/errors.ts';
import { parseImageName } from '../src/base/image-name.ts';
import { loadTransfer, showTransfer, sign, verifyTransfer } from '../src/index.ts';
import { encodePem } from '../src/keys/sigstore/pem.ts';
import { makeKeyPair, signForBundle } from '../src/keys/sigstore/private-key.ts';
import type { SigstoreSigner } from '../src/keys/signer.ts';
import type { JudgedBy } from '../src/operations/judge.ts';
import { forgeEntry, forgePax, forgeTar } from './support/tar-forge.ts';
import { editList, type Files, isThere, openStage, sha256, type Stage } from './support/transfer-stage.ts';

let stage: Stage;
let good: string;
let policy: JudgedBy;

before(async () => {
  stage = await openStage();
  await stage.push('ns/app', '1', 'one');
  await stage.push('ns/evil', '1', 'evil');
  await stage.sign('release', 'ns/app:1');
  policy = { kind: 'policy', file: stage.policy('release') };
  good = await stage.bundle('good.tar', ['ns/app:1'], { keys: [stage.path('release.pub.asc')] });
});
after(() => stage[Symbol.asyncDispose]());

/** Every door refuses it, and the loader has written nothing. */
async function refused(file: string, code: ErrorCode, by: JudgedBy = policy): Promise<void> {
  const isIt = (error: unknown): boolean => {
    assert.ok(isBullaError(error, code), String(error));
    return true;
  };
  await assert.rejects(verifyTransfer({ file, by }, stage.world), isIt);
  const path = `${file}.loaded`;
  await assert.rejects(loadTransfer({ file, by, target: { transport: 'oci', path } }, stage.world), isIt);
  await assert.rejects(showTransfer({ file }, stage.world), isIt);
  assert.equal(isThere(path), false);
}

/** What is in it is whole, and the verdict is no. */
async function notBelieved(file: string, code: ErrorCode, by: JudgedBy = policy): Promise<void> {
  const verdicts = await verifyTransfer({ file, by }, stage.world);
  assert.ok(verdicts.length > 0);
  const [refusal] = verdicts.filter(({ accepted }) => !accepted);
  assert.equal(refusal?.requirements.at(-1)?.code, code);
  const path = `${file}.loaded`;
  const loaded = await loadTransfer({ file, by, target: { transport: 'oci', path } }, stage.world);
  assert.equal(loaded.loaded, false);
  assert.equal(isThere(path), false);
}

function written(name: string, bytes: Uint8Array): string {
  writeFileSync(stage.path(name), bytes);
  return stage.path(name);
}

test('what is not changed is accepted: the cases below fail for what they change', async () => {
  const [verdict] = await verifyTransfer(
    { file: stage.changed(good, () => undefined, 'in line'), by: policy },
    stage.world,
  );
  assert.equal(verdict?.accepted, true);
});

for (const [what, name] of [
  ['a name that climbs out', '../evil'],
  ['an absolute name', '/etc/evil'],
  ['a name with a backslash', 'bulla\\evil'],
] as const) {
  test(what, () =>
    refused(
      stage.changed(good, (files) => files.set(name, Buffer.from('x'))),
      'image.malformed',
    ),
  );
}

for (const [what, type] of [
  ['a hard link', '1'],
  ['a symbolic link', '2'],
  ['a character device', '3'],
  ['a fifo', '6'],
  ['a sparse file', 'S'],
] as const) {
  test(what, () => {
    const entry = forgeEntry({ name: 'bulla/keys/link', type, link: '../../../etc/passwd' });
    return refused(
      written(`type-${type}.tar`, Buffer.concat([entry, readFileSync(good)])),
      'image.malformed',
    );
  });
}

test('an entry twice', () => {
  const twice = forgeEntry({ name: 'index.json', content: '{}' });
  return refused(written('twice.tar', Buffer.concat([twice, readFileSync(good)])), 'image.malformed');
});

test('a size that the file does not have', async () => {
  await refused(
    written('huge.tar', forgeTar({ name: 'bulla/transfer.json', size: 8 ** 11 - 1 })),
    'image.malformed',
  );
  const pax = forgePax({ size: '99999999999999999999' });
  await refused(written('pax.tar', forgeTar(pax, { name: 'bulla/transfer.json' })), 'image.malformed');
});

test('more entries than any bundle has', () => {
  const entries = Array.from({ length: 65_537 }, (_, at) => forgeEntry({ name: `blobs/${at}` }));
  return tooLarge(written('many.tar', forgeTar(...entries)));
});

test('a bomb', () => {
  // one MiB of zeros, packed once and there three hundred times: gzip reads them as one
  const zeros = gzipSync(new Uint8Array(1_048_576));
  return tooLarge(written('bomb.tar', Buffer.concat(Array.from({ length: 300 }, () => zeros))));
});

/** By one door alone: it takes its seconds. */
async function tooLarge(file: string): Promise<void> {
  await assert.rejects(verifyTransfer({ file, by: policy }, stage.world), (error) =>
    isBullaError(error, 'image.too-large'),
  );
}

test('a file that ends early, anywhere', async () => {
  const { length } = readFileSync(good);
  for (const left of [700, Math.floor(length / 2), length - 3000]) {
    const file = written(`short-${left}.tar`, readFileSync(good));
    truncateSync(file, left);
    await assert.rejects(
      showTransfer({ file }, stage.world),
      (error) => isBullaError(error) && error.exitCode === 1,
    );
  }
  await refused(written('empty.tar', new Uint8Array()), 'image.malformed');
});

test('no tar, and a tar that is no transfer bundle', async () => {
  await refused(written('text.tar', Buffer.from('hello\n'.repeat(1000))), 'image.malformed');
  const file = stage.changed(good, (files) => files.delete('bulla/transfer.json'));
  await refused(file, 'transfer.malformed');
  await assert.rejects(showTransfer({ file: stage.path('nowhere.tar') }, stage.world), (error) =>
    isBullaError(error, 'image.not-found'),
  );
});

const blobs = (files: Files): readonly string[] =>
  [...files.keys()].filter((name) => name.startsWith('blobs/'));

test('one byte changed, in any member', async () => {
  const names = new Set<string>();
  stage.changed(good, (files) => [...files.keys()].forEach((name) => names.add(name)));
  for (const name of names) {
    const file = stage.changed(good, (files) => {
      const bytes = Buffer.from(files.get(name) ?? '');
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      files.set(name, bytes);
    });
    const code =
      name === 'bulla/transfer.json'
        ? 'transfer.malformed'
        : name === 'index.json' || name === 'oci-layout'
          ? 'transfer.contradictory'
          : 'transfer.altered';
    if (code !== 'transfer.malformed') await refused(file, code);
    else
      await assert.rejects(
        showTransfer({ file }, stage.world),
        (error) => isBullaError(error) && error.exitCode <= 2,
      );
  }
});

test('a member longer or shorter than listed', async () => {
  for (const change of [Buffer.from('x'), undefined]) {
    const file = stage.changed(good, (files) => {
      const [name = ''] = blobs(files);
      const bytes = files.get(name) ?? Buffer.alloc(0);
      files.set(name, change === undefined ? bytes.subarray(1) : Buffer.concat([bytes, change]));
    });
    await refused(file, 'transfer.altered');
  }
});

test('a blob is missing, in the file and also in the list', async () => {
  for (const list of [undefined, 'in line'] as const) {
    for (const name of new Set(allBlobs())) {
      await refused(
        stage.changed(good, (files) => files.delete(name), list),
        'transfer.incomplete',
      );
    }
  }
});

function allBlobs(): readonly string[] {
  let names: readonly string[] = [];
  stage.changed(good, (files) => {
    names = blobs(files);
  });
  return names;
}

test('something more: not listed, listed and named by nothing, listed where nothing belongs', async () => {
  const extra = Buffer.from('extra');
  const blob = `blobs/sha256/${sha256(extra).slice(7)}`;
  await refused(
    stage.changed(good, (files) => files.set(blob, extra)),
    'transfer.extra',
  );
  await refused(
    stage.changed(good, (files) => files.set(blob, extra), 'in line'),
    'transfer.extra',
  );
  for (const name of ['notes.txt', 'bulla/more/x', 'bulla/keys/.hidden', 'blobs/sha256/other']) {
    await refused(
      stage.changed(good, (files) => files.set(name, extra), 'in line'),
      'transfer.malformed',
    );
  }
});

test('index.json names another image than the list', async () => {
  const other = await stage.bundle('evil.tar', ['ns/evil:1']);
  let index: Buffer = Buffer.alloc(0);
  stage.changed(other, (files) => {
    index = files.get('index.json') ?? index;
  });
  const change = (files: Files): Files => files.set('index.json', index);
  await refused(stage.changed(good, change), 'transfer.altered');
  await refused(stage.changed(good, change, 'in line'), 'transfer.contradictory');
});

test('the list says another digest of an image than the file has', async () => {
  const file = stage.changed(good, (files) => {
    editList(files, ({ images: [image] }) => {
      if (image !== undefined) image.digest = `sha256:${'0'.repeat(64)}`;
    });
  });
  await refused(file, 'transfer.contradictory');
});

test('another image under the name of a signed one, and everything in line with it, is not believed', async () => {
  await stage.push('ns/app', 'evil', 'evil');
  const evil = await stage.bundle('swapped.tar', ['ns/app:evil']);
  const named = (files: Files): void => {
    editList(files, ({ images: [image] }) => {
      if (image !== undefined) image.reference = `${stage.host}/ns/app:1`;
    });
    files.set('index.json', Buffer.from(String(files.get('index.json')).replace('app:evil', 'app:1')));
  };
  await notBelieved(stage.changed(evil, named, 'in line'), 'trust.no-signature');
  // with the signature of the good one, which speaks of another digest
  const signatures = new Map<string, Buffer>();
  let listed: unknown;
  stage.changed(good, (files) => {
    for (const name of blobs(files)) signatures.set(name, files.get(name) ?? Buffer.alloc(0));
    editList(files, ({ images: [image] }) => {
      listed = image?.signatures;
    });
  });
  const carried = stage.changed(
    evil,
    (files) => {
      named(files);
      for (const [name, bytes] of signatures) files.set(name, bytes);
      editList(files, ({ images: [image] }) => {
        if (image !== undefined) image.signatures = listed as typeof image.signatures;
      });
    },
    'in line',
  );
  // index.json does not list it, and where it did the signature would hang on an image that is not there
  await refused(carried, 'transfer.contradictory');
});

test('a signature of nothing in the file, and one that the list hangs on another manifest', async () => {
  const file = stage.changed(good, (files) => {
    editList(files, ({ images: [image] }) => {
      const [signature] = image?.signatures ?? [];
      if (signature !== undefined) signature.of = `sha256:${'1'.repeat(64)}`;
    });
  });
  await refused(file, 'transfer.contradictory');
});

test('a list of a newer version, with unknown members, twice the same, or spelled otherwise', async () => {
  const edit = (change: (text: string) => string): string =>
    stage.changed(good, (files) => {
      files.set('bulla/transfer.json', Buffer.from(change(String(files.get('bulla/transfer.json')))));
    });
  await refused(
    edit((text) => text.replace('"schemaVersion": 1', '"schemaVersion": 2')),
    'transfer.unsupported',
  );
  for (const change of [
    (text: string) => text.replace('"schemaVersion": 1', '"schemaVersion": 1, "more": 1'),
    (text: string) => text.replace('"schemaVersion": 1', '"schemaVersion": 1, "schemaVersion": 1'),
    (text: string) => text.trimEnd(),
    (text: string) => text.replace('"size": ', '"size":  '),
    (text: string) => text.replace('sha256:', 'sha256:..'),
    () => '['.repeat(100_000),
    () => '',
    () => '{"format":"bulla-transfer","schemaVersion":1,"images":[],"members":[]}',
  ]) {
    await refused(edit(change), 'transfer.malformed');
  }
});

test('lists within lists, deeper than anybody makes them', async () => {
  const nested = (deep: number): string =>
    stage.changed(
      good,
      (files) => {
        editList(files, ({ images: [image] }) => {
          if (image === undefined) return;
          let child = { mediaType: image.mediaType, digest: image.digest, size: image.size };
          for (let level = 0; level < deep; level += 1) {
            const mediaType = 'application/vnd.oci.image.index.v1+json';
            const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [child] }));
            const digest = sha256(bytes);
            files.set(`blobs/sha256/${digest.slice(7)}`, bytes);
            child = { mediaType, digest, size: bytes.length };
          }
          const index = String(files.get('index.json')).replace(
            `"mediaType":"${image.mediaType}","digest":"${image.digest}","size":${image.size},"annotations"`,
            `"mediaType":"${child.mediaType}","digest":"${child.digest}","size":${child.size},"annotations"`,
          );
          files.set('index.json', Buffer.from(index));
          Object.assign(image, child);
        });
      },
      'in line',
    );
  await refused(nested(6), 'image.too-deep');
  // one is read, and what is in it is judged: it is the signed image
  const [verdict] = await verifyTransfer({ file: nested(1), by: policy }, stage.world);
  assert.equal(verdict?.accepted, true);
});

test('one large manifest under names enough to keep its reader busy for an hour', async () => {
  const file = stage.changed(
    good,
    (files) =>
      editList(files, (list) => {
        const [image] = list.images;
        if (image === undefined) return;
        const remark = 'x'.repeat(4_000_000);
        const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: '', size: 2 };
        files.clear();
        const add = (text: string): string => {
          const digest = sha256(Buffer.from(text));
          files.set(`blobs/sha256/${digest.slice(7)}`, Buffer.from(text));
          return digest;
        };
        const { mediaType } = image;
        const layers: never[] = [];
        config.digest = add('{}');
        const text = JSON.stringify({
          schemaVersion: 2,
          mediaType,
          config,
          layers,
          annotations: { remark },
        });
        const entry = { mediaType, digest: add(text), size: text.length };
        const names = Array.from({ length: 100 }, (_, n) => `example.com/ns/app:${1000 + n}`);
        files.set('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
        const manifests = names.map((name) => ({
          ...entry,
          annotations: { 'org.opencontainers.image.ref.name': name },
        }));
        const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests };
        files.set('index.json', Buffer.from(JSON.stringify(index)));
        list.images = names.map((reference) => ({ reference, ...entry, signatures: [], attachments: [] }));
      }),
    'in line',
  );
  await assert.rejects(showTransfer({ file }, stage.world), { code: 'image.too-large' });
});

test('platforms that are none, of an image that is no list, or out of order', async () => {
  const withPlatforms = (platforms: string[]): string =>
    stage.changed(good, (files) =>
      editList(files, (list) => {
        list.images = list.images.map(({ reference, mediaType, digest, size, ...rest }) => ({
          reference,
          mediaType,
          digest,
          size,
          platforms,
          ...rest,
        }));
      }),
    );
  await refused(withPlatforms(['linux/amd64']), 'transfer.contradictory');
  await refused(withPlatforms(['linux/\u001b[31mred']), 'transfer.malformed');
  await refused(withPlatforms(['linux/s390x', 'linux/amd64']), 'transfer.malformed');
  await refused(withPlatforms([]), 'transfer.malformed');
});

test('two policies, and a name that would mean two images', async () => {
  const two = stage.changed(
    good,
    (files) => {
      for (const name of ['bulla/policy.json', 'bulla/policy.yaml']) files.set(name, Buffer.from('{}'));
    },
    'in line',
  );
  await refused(two, 'transfer.malformed');
  const file = stage.changed(good, (files) => {
    editList(files, (list) => {
      const [image] = list.images;
      if (image === undefined) return;
      const { digest, mediaType, size } = image;
      const tag = `sha256-${digest.slice(7)}.sig`;
      const other = {
        ...image,
        reference: image.reference.replace(/:1$/, `:${tag}`),
        signatures: [],
        attachments: [],
      };
      image.attachments.push({ of: digest, tag, mediaType, digest: `sha256:${'2'.repeat(64)}`, size });
      list.images.push(other);
    });
  });
  await refused(file, 'transfer.contradictory');
});

test('a list that lists more than its bytes let on', () => {
  const text = `{"format":"bulla-transfer","schemaVersion":1,"images":[${'0,'.repeat(1_100_000)}0],"members":[]}`;
  const file = stage.changed(good, (files) => files.set('bulla/transfer.json', Buffer.from(text)));
  return refused(file, 'transfer.malformed');
});

test('images and members out of order are refused: a bundle is written in one way', async () => {
  const file = stage.changed(good, (files) =>
    editList(files, (list) => {
      list.members = list.members.toReversed();
    }),
  );
  await refused(file, 'transfer.malformed');
  const twice = stage.changed(good, (files) =>
    editList(files, ({ images: [image] }) => {
      image?.signatures.push(...image.signatures);
    }),
  );
  await refused(twice, 'transfer.malformed');
});

test('an image without a signature where the policy wants one', async () => {
  await stage.push('ns/unsigned', '1', 'unsigned');
  await notBelieved(await stage.bundle('unsigned.tar', ['ns/unsigned:1']), 'trust.no-signature');
  // one that is refused keeps all others out
  const file = await stage.bundle('mixed.tar', ['ns/app:1', 'ns/unsigned:1']);
  await notBelieved(file, 'trust.no-signature');
});

test('a policy in the file that accepts anything does not matter', async () => {
  writeFileSync(stage.path('anything.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
  const file = await stage.bundle('anything.tar', ['ns/unsigned:1'], { policy: stage.path('anything.json') });
  await notBelieved(file, 'trust.no-signature');
  await assert.rejects(verifyTransfer({ file }, stage.world), (error) =>
    isBullaError(error, 'transfer.untrusted'),
  );
});

test('a key in the file that says it is the trusted one is not the trusted one', async () => {
  await stage.push('ns/impostor', '1', 'impostor');
  const impostor = await stage.sign('release-impostor', 'ns/impostor:1');
  const file = await stage.bundle('impostor.tar', ['ns/impostor:1'], {
    keys: [stage.path('release-impostor.pub.asc'), stage.path('release.pub.asc')],
  });
  await notBelieved(file, 'trust.not-accepted');
  await notBelieved(file, 'trust.not-accepted', { kind: 'keys', files: [stage.path('release.pub.asc')] });
  const { keys } = await showTransfer({ file }, stage.world);
  assert.equal(
    new Set(keys.flatMap(({ userIds = [] }) => userIds)).size,
    1,
    'they say the same of themselves',
  );
  assert.ok(keys.some(({ fingerprint }) => fingerprint === impostor));
});

test('a name that no signature speaks of is said to be the file’s word alone', async () => {
  const { host } = stage;
  await stage.push('ns/bundled', '1', 'bundled');
  const pair = makeKeyPair('ecdsa-p256');
  const { publicKey } = pair;
  writeFileSync(stage.path('bundled.pub'), encodePem('PUBLIC KEY', publicKey.spki));
  const signer: SigstoreSigner = {
    kind: 'sigstore',
    keyId: publicKey.keyId,
    publicKey,
    sign: (message) => signForBundle(pair, message, false),
    signForBundle: (message) => signForBundle(pair, message, false),
    [Symbol.asyncDispose]: async () => undefined,
  };
  const plan = {
    signer,
    formats: ['bundle'],
    explicitFormat: true,
    witnesses: { logs: [], timestamps: [] },
  } as const;
  await sign({ image: parseImageName(`${host}/ns/bundled:1`), signers: [plan] }, stage.world);
  const file = await stage.bundle('names.tar', ['ns/bundled:1']);
  const renamed = stage.changed(
    file,
    (files) => {
      for (const member of ['bulla/transfer.json', 'index.json'])
        files.set(member, Buffer.from(String(files.get(member)).replaceAll('ns/bundled', 'ns/prod')));
    },
    'in line',
  );
  const warnings: string[] = [];
  const world = { ...stage.world, warn: (message: string) => void warnings.push(message) };
  const by = { kind: 'keys', files: [stage.path('bundled.pub')] } as const;
  const [verdict] = await verifyTransfer({ file: renamed, by }, world);
  assert.equal(verdict?.accepted, true);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', new RegExp(`no signature says so: docker://${host}/ns/prod:1$`));
  // a GPG signature says the name
  await verifyTransfer({ file: good, by: policy }, world);
  assert.equal(warnings.length, 1);
});
