/** Rotations on the embedded registry: what is signed, what is not, at which rate, and after what went wrong. */
import assert from 'node:assert/strict';
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';

import { type ErrorCode, isBullaError } from '../src/base/errors.ts';
import { parseImageName } from '../src/base/image-name.ts';
import { parseWhere, resign, type ResignReceipt, type ResignRequest, sign, verify } from '../src/index.ts';
import { testClock } from './support/registry-faults.ts';
import { gpgRule, openRotationBench, type RotationBench, type TestKey } from './support/rotation-bench.ts';

type Stage = {
  readonly bench: RotationBench;
  readonly old: TestKey;
  readonly next: TestKey;
  readonly policy: string;
  readonly rotate: (where: string, more?: Partial<ResignRequest>) => Promise<ResignReceipt>;
};

async function onStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  await using bench = await openRotationBench();
  const [old, next] = [await bench.key('old'), await bench.key('next')];
  const policy = await bench.policy('policy.json', gpgRule(old.file));
  const rotate = async (where: string, more: Partial<ResignRequest> = {}): Promise<ResignReceipt> => {
    const request = { from: old.file, to: next.signer, toPublic: next.file, policy };
    return resign({ ...request, where: [parseWhere(`${bench.host}/${where}`)], ...more }, bench.world);
  };
  await run({ bench, old, next, policy, rotate });
}

/** State of each manifest, by its names without the host. */
function states({ images }: ResignReceipt): Readonly<Record<string, string>> {
  return Object.fromEntries(
    images.map(({ names, state }) => [
      names.map((name) => name.slice(name.indexOf('/') + 1)).join(' '),
      state,
    ]),
  );
}

async function accepts({ bench }: Stage, name: string, key: TestKey, as?: string): Promise<boolean> {
  const policy = await bench.policy('by.json', gpgRule(key.file));
  const images = [parseImageName(`docker://${bench.host}/${as ?? name}`)];
  const [verdict] = await verify({ images, by: { kind: 'policy', file: policy } }, bench.world);
  return verdict?.accepted === true;
}

const refusedWith =
  (code: ErrorCode) =>
  (error: unknown): boolean => {
    assert.ok(isBullaError(error, code), String(error));
    return true;
  };

test('each old signature is made anew for the name that it was for, once, however often it is asked for', () =>
  onStage(async (stage) => {
    const { bench, old, next, rotate } = stage;
    const { digest } = await bench.push('ns/app:1', 'same');
    await bench.push('ns/app:2', 'same');
    await bench.push('ns/app:unsigned-name', 'same');
    for (const tag of ['1', '2']) await bench.sign(`ns/app:${tag}`, old.signer);
    const plan = await rotate('ns/', { dryRun: true });
    assert.equal(plan.isDone, false);
    const host = bench.host;
    const [image] = plan.images;
    assert.deepEqual(
      image?.signatures.map(({ identity, state }) => [identity, state]),
      [
        [`${host}/ns/app:1`, 'planned'],
        [`${host}/ns/app:2`, 'planned'],
      ],
    );
    assert.equal(image?.reason?.code, 'trust.not-accepted', 'the third name was not accepted, and is not');
    assert.equal((await bench.stored('ns/app', digest)).length, 2, 'a plan writes nothing');
    assert.deepEqual(states(await rotate('ns/')), { 'ns/app:1 ns/app:2 ns/app:unsigned-name': 'signed' });
    for (const [name, isAccepted] of [
      ['ns/app:1', true],
      ['ns/app:2', true],
      ['ns/app:unsigned-name', false],
    ] as const) {
      assert.equal(await accepts(stage, name, next), isAccepted, name);
      assert.equal(await accepts(stage, name, old), isAccepted, name);
    }
    const before = await bench.stored('ns/app', digest);
    assert.deepEqual(states(await rotate('ns/')), { 'ns/app:1 ns/app:2 ns/app:unsigned-name': 'there' });
    assert.deepEqual(await bench.stored('ns/app', digest), before);
  }));

test('what a rule of the policy matched is signed for what was signed, not for what it was found under', () =>
  onStage(async ({ bench, old, rotate }) => {
    await bench.push('mirror/app:1');
    await bench.sign('mirror/app:1', old.signer, ['registry.example.com/prod/app:7']);
    const identity = { type: 'exactReference', dockerReference: 'registry.example.com/prod/app:7' };
    const policy = await bench.policy('exact.json', { ...gpgRule(old.file), signedIdentity: identity });
    const { images } = await rotate('mirror/app', { policy });
    assert.deepEqual(
      images.flatMap(({ signatures }) => signatures.map((each) => each.identity)),
      ['registry.example.com/prod/app:7'],
    );
    const other = await rotate('mirror/app');
    assert.equal(other.images[0]?.state, 'refused', 'by the default rule it is not the image’s name');
  }));

test('a list: instances and the list, each by its own signatures; what has none is passed over', () =>
  onStage(async (stage) => {
    const { bench, old, next, rotate } = stage;
    const { list, instances } = await bench.pushList('ns/multi:1', 3);
    const [first, second] = instances;
    await bench.sign('ns/multi:1', old.signer);
    const receipt = await rotate('ns/multi:1');
    assert.deepEqual(
      receipt.images.map(({ digest, state }) => [digest, state]),
      [...instances, list].map((digest) => [digest, 'signed']),
    );
    const policy = await bench.policy('next.json', gpgRule(next.file));
    const images = [parseImageName(`docker://${bench.host}/ns/multi:1`)];
    const [verdict] = await verify({ images, by: { kind: 'policy', file: policy }, all: true }, bench.world);
    assert.equal(verdict?.accepted, true);
    // one instance alone is signed
    const partly = await bench.pushList('ns/partly:1', 2);
    await bench.sign(`ns/partly@${partly.instances[0]}`, old.signer, [`${bench.host}/ns/partly:1`]);
    assert.deepEqual(
      (await rotate('ns/partly:1')).images.map(({ state }) => state),
      ['signed', 'not-by-old', 'not-by-old'],
    );
    assert.ok(first !== undefined && second !== undefined);
  }));

test('of a third key, of nobody, damaged, of another digest, behind garbage: not signed, each by its reason', () =>
  onStage(async ({ bench, old, rotate }) => {
    const third = await bench.key('third');
    await bench.push('ns/third:1');
    await bench.sign('ns/third:1', third.signer);
    await bench.push('ns/bare:1');
    const spoil = async (name: string, change: (bytes: Buffer) => Buffer): Promise<void> => {
      const { digest } = await bench.push(name);
      await bench.sign(name, old.signer);
      const [repository = ''] = name.split(':');
      const file = bench.path(`sigstore/${repository}@${digest.replace(':', '=')}/signature-1`);
      await writeFile(file, change(await readFile(file)));
    };
    await spoil('ns/damaged:1', (bytes) => Buffer.concat([bytes.subarray(0, -9), Buffer.alloc(9)]));
    await spoil('ns/garbage:1', () => Buffer.from('<html>'));
    const good = await bench.push('ns/good:1');
    await bench.sign('ns/good:1', old.signer);
    const copied = await readFile(
      bench.path(`sigstore/ns/good@${good.digest.replace(':', '=')}/signature-1`),
    );
    await spoil('ns/copied:1', () => copied);
    const { images } = await rotate('ns/');
    const told = Object.fromEntries(
      images.map(({ image, state, reason }) => [image.split('/').at(-1), [state, reason?.code]]),
    );
    assert.deepEqual(told, {
      third: ['not-by-old', 'resign.not-by-old'],
      bare: ['not-by-old', 'resign.not-by-old'],
      damaged: ['refused', 'signature.invalid'],
      garbage: ['refused', 'signature.unrecognized'],
      copied: ['refused', 'signature.wrong-digest'],
      good: ['signed', undefined],
    });
  }));

test('what the policy does not believe the old key for is not signed', () =>
  onStage(async ({ bench, old, next, rotate }) => {
    await bench.push('ns/app:1');
    await bench.sign('ns/app:1', old.signer);
    const third = await bench.key('third');
    const code = async (...requirements: readonly object[]): Promise<string | undefined> => {
      const policy = await bench.policy('other.json', ...requirements);
      const { images } = await rotate('ns/app', { policy });
      assert.equal(images[0]?.state, 'refused');
      return images[0]?.reason?.code;
    };
    assert.equal(await code(gpgRule(third.file)), 'trust.not-accepted');
    assert.equal(await code({ type: 'reject' }), 'trust.rejected');
    assert.equal(await code({ type: 'insecureAcceptAnything' }), 'trust.not-required');
    assert.equal(await code(gpgRule(old.file), gpgRule(third.file)), 'trust.not-accepted');
    await bench.sign('ns/app:1', third.signer);
    assert.equal(await code(gpgRule(third.file)), 'resign.not-believed');
    await assert.rejects(rotate('ns/app', { from: next.file }), refusedWith('resign.same-key'));
    await assert.rejects(
      rotate('ns/app', { policy: bench.path('none.json') }),
      refusedWith('policy.not-found'),
    );
  }));

/** The old key's file as it is once it is revoked. */
async function revoke({ file, revocation }: TestKey): Promise<void> {
  await appendFile(file, await readFile(revocation));
}

test('a revoked key: nothing is signed but what the record has, also where the policy knows of the revocation', () =>
  onStage(async (stage) => {
    const { bench, old, next, rotate } = stage;
    const listed = await bench.push('ns/listed:1');
    const { list } = await bench.pushList('ns/multi:1', 2);
    await bench.push('ns/other:1');
    for (const name of ['ns/listed:1', 'ns/multi:1', 'ns/other:1']) await bench.sign(name, old.signer);
    const unrevoked = bench.path('unrevoked.asc');
    await writeFile(unrevoked, await readFile(old.file));
    await revoke(old);
    const { images } = await rotate('ns/');
    assert.deepEqual(new Set(images.map(({ state }) => state)), new Set(['refused']));
    assert.deepEqual(new Set(images.map(({ reason }) => reason?.code)), new Set(['signature.key-revoked']));
    assert.match(images[0]?.reason?.hint ?? '', /--digests/);
    // a policy with the key as it was does not help: it is revoked
    const policy = await bench.policy('before.json', gpgRule(unrevoked));
    const still = await rotate('ns/', { policy });
    assert.deepEqual(new Set(still.images.map(({ state }) => state)), new Set(['refused']));

    const digests = bench.path('record.txt');
    await writeFile(digests, `# from the build system\n${listed.digest}\n${bench.host}/ns/multi@${list}\n`);
    assert.deepEqual(states(await rotate('ns/', { digests })), {
      'ns/listed:1': 'signed',
      'ns/multi:1': 'signed',
      'ns/other:1': 'refused',
    });
    assert.equal(await accepts(stage, 'ns/listed:1', next), true);
    assert.equal(await accepts(stage, 'ns/multi:1', next), false, 'the host’s platform is not in it');
    assert.equal(await accepts(stage, 'ns/other:1', next), false);
    assert.equal(await accepts(stage, 'ns/listed:1', old), false, 'by the old key nothing is accepted');
  }));

test('the record may say the names too: a good image that the thief gave another name does not get it', () =>
  onStage(async (stage) => {
    const { bench, old, next, rotate } = stage;
    const { digest } = await bench.push('ns/app:1', 'vulnerable');
    await bench.sign('ns/app:1', old.signer);
    await bench.push('ns/app:2', 'vulnerable');
    await bench.sign('ns/app:2', old.signer);
    await revoke(old);
    const digests = bench.path('record.txt');
    await writeFile(digests, `${bench.host}/ns/app:1 ${digest}\n`);
    const { images } = await rotate('ns/app', { digests });
    assert.deepEqual(
      images.flatMap(({ signatures }) => signatures.map(({ identity }) => identity)),
      [`${bench.host}/ns/app:1`],
    );
    assert.equal(images[0]?.reason?.code, 'resign.name-not-recorded');
    assert.equal(await accepts(stage, 'ns/app:1', next), true);
    assert.equal(await accepts(stage, 'ns/app:2', next), false);
    await writeFile(digests, `${bench.host}/ns/app@${digest}\n`);
    await rotate('ns/app', { digests });
    assert.equal(await accepts(stage, 'ns/app:2', next), true, 'a record without tags is for all of them');
  }));

test('an expired key is as a revoked one: its signatures verify no more, and the record is what is left', () =>
  onStage(async (stage) => {
    const { bench, next } = stage;
    const old = await bench.key('short', new Date(Date.now() + 86_400_000));
    const { digest } = await bench.push('ns/app:1');
    await bench.sign('ns/app:1', old.signer);
    const policy = await bench.policy('short.json', gpgRule(old.file));
    const more = { from: old.file, policy };
    bench.ahead = 2 * 86_400_000;
    const refused = await stage.rotate('ns/app', more);
    assert.equal(refused.images[0]?.reason?.code, 'signature.key-expired');
    const digests = bench.path('record.txt');
    await writeFile(digests, `${digest}\n`);
    assert.deepEqual(states(await stage.rotate('ns/app', { ...more, digests })), { 'ns/app:1': 'signed' });
    assert.equal(await accepts(stage, 'ns/app:1', next), true);
  }));

test('--compromised-since with a GPG key: nothing but the record can say when', () =>
  onStage(async ({ bench, old, rotate }) => {
    const { digest } = await bench.push('ns/app:1');
    await bench.push('ns/new:1');
    for (const name of ['ns/app:1', 'ns/new:1']) await bench.sign(name, old.signer);
    const compromisedSince = new Date(Date.now() - 1000);
    await assert.rejects(rotate('ns/', { compromisedSince }), refusedWith('usage.invalid'));
    await assert.rejects(
      rotate('ns/', { compromisedSince: new Date(Date.now() + 86_400_000) }),
      refusedWith('usage.invalid'),
    );
    const digests = bench.path('record.txt');
    await writeFile(digests, `${digest}\n`);
    const receipt = await rotate('ns/', { compromisedSince, digests });
    assert.deepEqual(states(receipt), { 'ns/app:1': 'signed', 'ns/new:1': 'refused' });
    const refused = receipt.images.find(({ state }) => state === 'refused');
    assert.equal(refused?.reason?.code, 'resign.no-trusted-time');
  }));

test('an image without a tag is named by the record; what is not there, and what is garbage, is said', () =>
  onStage(async ({ bench, old, rotate }) => {
    const { digest } = await bench.push('ns/app:1', 'first');
    await bench.sign('ns/app:1', old.signer);
    await bench.push('ns/app:1', 'second');
    const digests = bench.path('record.txt');
    const found = async (...lines: readonly string[]): Promise<ResignReceipt> => {
      await writeFile(digests, lines.join('\n'));
      return rotate('ns/', { digests, dryRun: true });
    };
    const planned = (receipt: ResignReceipt): readonly string[] =>
      receipt.images.flatMap((each) => (each.state === 'planned' ? [each.digest] : []));
    assert.deepEqual(planned(await found(`${bench.host}/ns/app@${digest}`)), [digest]);
    assert.deepEqual(planned(await found(digest)), [digest], 'there is one repository that it can be in');
    await bench.push('ns/two:1');
    const unseen = await found(digest);
    assert.deepEqual([planned(unseen), unseen.unseen], [[], [digest]]);
    const gone = `sha256:${'0'.repeat(64)}`;
    const missing = await found(`${bench.host}/ns/app@${gone}`);
    assert.equal(missing.missed[0]?.error.code, 'image.not-found');
    // of another registry, or not below WHERE: nobody asked for it
    assert.deepEqual((await found(`registry.example.com/ns/app@${gone}`, digest)).missed, []);
    for (const line of [
      '',
      '# nothing',
      'app:1',
      'sha512:00',
      `${digest} ${digest}`,
      `a b ${digest}`,
      '<html>',
      `app@${digest} ${gone}`,
    ]) {
      await assert.rejects(
        found(digest, line === '' ? '' : line, 'x'),
        refusedWith('resign.digests-malformed'),
      );
    }
    await assert.rejects(found(''), refusedWith('resign.digests-malformed'));
  }));

test('two hundred images: the rate is kept, and each costs so many requests', () =>
  onStage(async ({ bench, old, rotate }) => {
    const count = 200;
    for (let n = 0; n < count; n += 1) {
      await bench.push(`ns/app-${n % 10}:${n}`, `${n}`);
      await bench.sign(`ns/app-${n % 10}:${n}`, old.signer);
    }
    const clock = testClock();
    const steps: number[] = [];
    const began = clock.now();
    bench.requests.length = 0;
    const receipt = await rotate('ns/', {
      rate: { count: 10, milliseconds: 1000 },
      clock,
      progress: () => steps.push(clock.now() - began),
    });
    assert.equal(receipt.images.filter(({ state }) => state === 'signed').length, count);
    assert.equal(steps.length, 3 * count, 'looked up, judged, signed');
    // as many steps as there may be: the last begins when all before it have had their share of the time
    const least = (10 + 3 * count - 1) * 100;
    assert.ok(clock.now() - began >= least, `${clock.now() - began} ms`);
    for (const [index, at] of steps.entries())
      assert.ok(index + 1 <= 10 + at / 100 + 4, `step ${index} after ${at} ms`);
    // docs/reference/resign.md
    const [catalog, pings, tags] = [/_catalog/, /^GET \/v2\/$/, /tags\/list/].map(
      (pattern) => bench.requests.filter((line) => pattern.test(line)).length,
    );
    assert.deepEqual([catalog, tags], [1, 10]);
    const rest = bench.requests.length - (catalog ?? 0) - (tags ?? 0) - (pings ?? 0);
    assert.equal(rest / count, 3, bench.requests.slice(-20).join('\n'));
  }));

test('a registry that fails in between: others are signed, and doing it again completes it', () =>
  onStage(async (stage) => {
    const { bench, old, next, rotate } = stage;
    for (const name of ['ns/a:1', 'ns/b:1', 'ns/c:1', 'ns/d:1']) {
      await bench.push(name);
      await bench.sign(name, old.signer);
    }
    for (const status of [401, 403, 429, 500]) {
      let isFailing = false;
      bench.fault = (line) =>
        isFailing && /ns\/[bc]\//.test(line) ? new Response('{}', { status }) : undefined;
      const confirm = async (): Promise<boolean> => (isFailing = true);
      const receipt = await rotate('ns/', { confirm });
      const told = states(receipt);
      if (status === 401)
        assert.deepEqual(told, {
          'ns/a:1': 'signed',
          'ns/b:1': 'failed',
          'ns/c:1': 'failed',
          'ns/d:1': 'signed',
        });
      else
        assert.deepEqual(told, {
          'ns/a:1': 'there',
          'ns/b:1': 'failed',
          'ns/c:1': 'failed',
          'ns/d:1': 'there',
        });
    }
    bench.fault = (line) => (/ns\/b\/tags/.test(line) ? new Response('{}', { status: 500 }) : undefined);
    const unlisted = await rotate('ns/');
    assert.equal(unlisted.missed[0]?.error.code, 'registry.failed');
    assert.equal(states(unlisted)['ns/c:1'], 'signed');
    bench.fault = () => undefined;
    assert.deepEqual(new Set(Object.values(states(await rotate('ns/')))), new Set(['there', 'signed']));
    for (const name of ['ns/a:1', 'ns/b:1', 'ns/c:1', 'ns/d:1'])
      assert.equal(await accepts(stage, name, next), true);
  }));

test('a tag that moves, and an image that vanishes, between plan and signing: the digest is what counts', () =>
  onStage(async ({ bench, old, rotate }) => {
    const { digest } = await bench.push('ns/app:1', 'planned');
    await bench.sign('ns/app:1', old.signer);
    let other: string | undefined;
    const receipt = await rotate('ns/app', {
      confirm: async () => {
        other = (await bench.push('ns/app:1', 'moved')).digest;
        return true;
      },
    });
    assert.deepEqual([receipt.images[0]?.digest, receipt.images[0]?.state], [digest, 'signed']);
    assert.equal((await bench.stored('ns/app', digest)).length, 2);
    assert.deepEqual(await bench.stored('ns/app', other as typeof digest), []);

    const { digest: gone } = await bench.push('ns/gone:1');
    await bench.sign('ns/gone:1', old.signer);
    const vanished = await rotate('ns/gone', {
      confirm: async () => {
        bench.fault = (line) =>
          line.includes('ns/gone/manifests') ? new Response('{}', { status: 404 }) : undefined;
        return true;
      },
    });
    assert.deepEqual(
      [vanished.images[0]?.state, vanished.images[0]?.reason?.code],
      ['failed', 'image.not-found'],
    );
    assert.equal((await bench.stored('ns/gone', gone)).length, 1);
    bench.fault = () => undefined;
    const declined = await rotate('ns/gone', { confirm: async () => false });
    assert.deepEqual([declined.isDone, declined.images[0]?.state], [false, 'planned']);
    assert.equal((await bench.stored('ns/gone', gone)).length, 1);
  }));

test('a lookaside that is for reading is found out before anything is signed', () =>
  onStage(async ({ bench, old, rotate }) => {
    const { digest } = await bench.push('ns/app:1');
    await bench.sign('ns/app:1', old.signer);
    const path = bench.path(`sigstore/ns/app@${digest.replace(':', '=')}/signature-1`);
    const signature = await readFile(path);
    bench.fault = (line) => {
      if (line.endsWith('/signature-1')) return new Response(signature);
      return line.includes('/signature-') ? new Response('', { status: 404 }) : undefined;
    };
    await writeFile(
      bench.path('registries.d/x.yaml'),
      `default-docker:\n  lookaside: http://${bench.host}/sigs\n`,
    );
    await bench.reopen();
    const { images } = await rotate('ns/app');
    assert.deepEqual([images[0]?.state, images[0]?.reason?.code], ['failed', 'store.read-only']);
  }));

test('thousands of tags of one image are one image', () =>
  onStage(async ({ bench, old, rotate }) => {
    const { digest } = await bench.push('ns/app:1');
    await bench.sign('ns/app:1', old.signer);
    const manifest = await (await fetch(`http://${bench.host}/v2/ns/app/manifests/1`)).bytes();
    const tags = Array.from({ length: 3000 }, (_, n) => `t${n}`);
    bench.fault = (line) => {
      if (line.includes('/tags/list'))
        return Response.json({ name: 'ns/app', tags: [...tags, '1', `sha256-${'0'.repeat(64)}.sig`] });
      return line.includes('/manifests/t')
        ? new Response(manifest, {
            headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
          })
        : undefined;
    };
    const { images } = await rotate('ns/app', { dryRun: true, atOnce: 16 });
    assert.equal(images.length, 1);
    assert.equal(images[0]?.names.length, 3001);
    assert.deepEqual(
      [images[0]?.digest, images[0]?.signatures.map(({ identity }) => identity)],
      [digest, [`${bench.host}/ns/app:1`]],
    );
  }));

test('sigstore keys: a .sig and a bundle are made anew, and each costs so many requests', () =>
  onStage(async ({ bench }) => {
    const [old, next] = [await bench.sigstoreKey('sig-old'), await bench.sigstoreKey('sig-next')];
    const policy = bench.path('trust.yaml');
    await writeFile(
      policy,
      `apiVersion: bulla/v1\nsigners:\n  old: { type: sigstoreKey, keyPath: ${old.file} }\ndefault: [{ type: signed, by: old }]\n`,
    );
    const witnesses = { logs: [], timestamps: [] };
    const costs: Record<string, number> = {};
    for (const formats of [['cosign'], ['bundle'], ['cosign', 'bundle']] as const) {
      const name = `ns/${formats.join('-')}:1`;
      const { digest } = await bench.push(name);
      await bench.sign(name, { signer: old.signer, formats, witnesses, explicitFormat: true });
      bench.requests.length = 0;
      const where = [parseWhere(`${bench.host}/${name}`)];
      const request = { from: old.file, to: next.signer, policy, where };
      const { images } = await resign(request, bench.world);
      assert.deepEqual(
        images.map((each) => [each.digest, each.state, each.signatures.map(({ format }) => format)]),
        [[digest, 'signed', formats]],
      );
      costs[formats.join('-')] = bench.requests.length;
      const by = { kind: 'keys', files: [next.file] } as const;
      const [verdict] = await verify(
        { images: [parseImageName(`docker://${bench.host}/${name}`)], by },
        bench.world,
      );
      assert.equal(verdict?.accepted, true, name);
      const again = await resign(request, bench.world);
      assert.deepEqual(states(again), { [name]: 'there' });
    }
    // docs/reference/resign.md
    assert.deepEqual(costs, { cosign: 15, bundle: 14, 'cosign-bundle': 28 });
  }));

test('a registry that keeps GPG signatures itself gets the new ones', () =>
  onStage(async ({ bench, old, next, rotate }) => {
    const kept: object[] = [];
    bench.fault = (line, request) => {
      if (line === 'GET /v2/')
        return Response.json({}, { headers: { 'x-registry-supports-signatures': '1' } });
      if (line.startsWith('GET /extensions/')) return Response.json({ signatures: kept });
      if (!line.startsWith('PUT /extensions/')) return undefined;
      return request.json().then((signature) => {
        kept.push(signature as object);
        return new Response('', { status: 201 });
      });
    };
    await bench.push('ns/app:1');
    await bench.sign('ns/app:1', old.signer);
    assert.equal(kept.length, 1);
    assert.deepEqual(states(await rotate('ns/app')), { 'ns/app:1': 'signed' });
    assert.equal(kept.length, 2);
    assert.deepEqual(states(await rotate('ns/app')), { 'ns/app:1': 'there' });
    assert.equal(kept.length, 2);
    const by = { kind: 'keys', files: [next.file] } as const;
    const images = [parseImageName(`docker://${bench.host}/ns/app:1`)];
    assert.equal((await verify({ images, by }, bench.world))[0]?.accepted, true);
  }));

test('what lies in the staging folder and is not published yet is not signed twice', () =>
  onStage(async ({ bench, old, rotate }) => {
    const { digest } = await bench.push('ns/app:1');
    await bench.sign('ns/app:1', old.signer);
    const path = bench.path(`sigstore/ns/app@${digest.replace(':', '=')}/signature-1`);
    const signature = await readFile(path);
    bench.fault = (line) => {
      if (line.endsWith('/signature-1')) return new Response(signature);
      return line.includes('/signature-') ? new Response('', { status: 404 }) : undefined;
    };
    await writeFile(
      bench.path('registries.d/x.yaml'),
      `default-docker:\n  lookaside: http://${bench.host}/sigs\n  lookaside-staging: file://${bench.folder}/staging\n`,
    );
    await bench.reopen();
    assert.deepEqual(states(await rotate('ns/app')), { 'ns/app:1': 'signed' });
    assert.deepEqual(states(await rotate('ns/app')), { 'ns/app:1': 'there' });
    const staged = await readdir(bench.path(`staging/ns/app@${digest.replace(':', '=')}`));
    assert.deepEqual(staged, ['signature-1']);
  }));

test('the key is asked for one signature after another, however many images are under way', () =>
  onStage(async ({ bench, old, next, rotate }) => {
    for (let n = 0; n < 6; n += 1) {
      await bench.push(`ns/app:${n}`, `${n}`);
      await bench.sign(`ns/app:${n}`, old.signer);
    }
    let [active, most] = [0, 0];
    const signer = {
      ...next.signer,
      sign: async (message: Uint8Array): Promise<Uint8Array> => {
        active += 1;
        most = Math.max(most, active);
        const signature = await next.signer.sign(message);
        await new Promise((resolve) => void setImmediate(resolve));
        active -= 1;
        return signature;
      },
    };
    const { images } = await rotate('ns/app', { to: signer, atOnce: 6 });
    assert.deepEqual(
      [images.length, new Set(images.map(({ state }) => state)), most],
      [6, new Set(['signed']), 1],
    );
  }));

test('by a trust.yaml, which needs but one, every old signature is made anew', () =>
  onStage(async ({ bench, old, rotate }) => {
    await bench.push('ns/app:1');
    const names = ['1', '2', '3'].map((tag) => `${bench.host}/ns/app:${tag}`);
    await bench.sign('ns/app:1', old.signer, names);
    const policy = bench.path('trust.yaml');
    await writeFile(
      policy,
      `apiVersion: bulla/v1\nsigners: { old: { type: gpg, keyPath: ${old.file} } }\ndefault: [{ type: signed, by: old, signedIdentity: { type: matchRepository } }]\n`,
    );
    const { images } = await rotate('ns/app', { policy });
    assert.deepEqual(
      images.flatMap(({ signatures }) => signatures.map(({ identity, state }) => [identity, state])),
      names.map((name) => [name, 'signed']),
    );
  }));

test('what an old sigstore signature says besides is said again, but not on the word of a record', () =>
  onStage(async ({ bench }) => {
    const [old, next] = [await bench.sigstoreKey('sig-old'), await bench.sigstoreKey('sig-next')];
    const policy = await bench.policy('sigstore.json', { type: 'sigstoreSigned', keyPath: old.file });
    const saidOf = async (name: string, more: Partial<ResignRequest>): Promise<unknown> => {
      const image = parseImageName(`docker://${bench.host}/${name}`);
      await sign({ image, signers: [old.signer], annotations: { approved: 'yes' } }, bench.world);
      const where = [parseWhere(`${bench.host}/${name}`)];
      const { images } = await resign(
        { from: old.file, to: next.signer, policy, where, ...more },
        bench.world,
      );
      assert.equal(images[0]?.state, 'signed', JSON.stringify(images));
      const at = `http://${bench.host}/v2/${name.slice(0, -2)}`;
      const tag = `${images[0].digest.replace(':', '-')}.sig`;
      const { layers } = (await (await fetch(`${at}/manifests/${tag}`)).json()) as {
        layers: { digest: string }[];
      };
      const payload = await (await fetch(`${at}/blobs/${layers.at(-1)?.digest}`)).json();
      return (payload as { optional: Record<string, unknown> }).optional['approved'];
    };
    await bench.push('ns/one:1');
    assert.equal(await saidOf('ns/one:1', {}), 'yes');
    const { digest } = await bench.push('ns/two:1');
    const digests = bench.path('record.txt');
    await writeFile(digests, `${digest}\n`);
    const more = { digests, compromisedSince: new Date(Date.now() - 3_600_000) };
    assert.equal(await saidOf('ns/two:1', more), undefined);
  }));
