import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { type Ended, runBulla } from '../../../test/support/fake-terminal.ts';
import { putSample, sampleImage } from '../../images/image-contract.ts';
import { openOciSink } from '../../images/oci.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-store-cli-'));
after(() => rmSync(folder, { recursive: true }));

async function bulla(...argv: readonly string[]): Promise<Ended> {
  return runBulla(folder, argv);
}

const image = `ns/app@sha256=${'ab'.repeat(32)}`;

test('check: 0 for a sound store, 1 for one that misleads, 3 for none', async () => {
  mkdirSync(join(folder, 'broken', image), { recursive: true });
  mkdirSync(join(folder, 'empty'));
  writeFileSync(join(folder, 'broken', image, 'signature-1'), '<html>');
  deepEqual(await bulla('store', 'check', 'empty'), { exit: 0, out: '0 images, 0 signatures\n', err: '' });
  const broken = await bulla('store', 'check', 'broken');
  equal(broken.exit, 1);
  match(
    broken.out,
    /^problem broken: .*signature-1: .* \[signature\.unrecognized\]\n1 images, 1 signatures\n$/,
  );
  const json = await bulla('store', 'check', '--json', `file://${join(folder, 'broken')}`);
  equal((JSON.parse(json.out) as { findings: unknown[] }).findings.length, 1);
  const none = await bulla('store', 'check', 'nowhere');
  equal(none.exit, 3);
  match(none.err, /\[io\.not-found\]/);
});

test('publish: what is passed over is said, and exits 1; a web address is refused', async () => {
  const passed = await bulla('store', 'publish', 'broken', 'published');
  equal(passed.exit, 1);
  match(passed.err, /passed over .*signature-1/);
  const web = await bulla('store', 'fetch', 'https://sigs.example.com', 'own');
  equal(web.exit, 2);
  match(web.err, /\[store\.unsupported\]\nhint: /);
});

test('push: the digest on stdout and in the digest file, without a line end there', async () => {
  await using sink = await openOciSink(join(folder, 'layout'), 'v1');
  const sample = sampleImage('a');
  await putSample(sink, sample);
  const { digest } = sample.manifest;
  const pushed = await bulla(
    'push',
    '--digestfile',
    'digest',
    `oci:${folder}/layout:v1`,
    `dir:${folder}/dir`,
  );
  equal(pushed.exit, 0, pushed.err);
  equal(pushed.out, `${digest}\n`);
  equal(readFileSync(join(folder, 'digest'), 'utf8'), digest);
  const again = await bulla('push', '--json', `oci:${folder}/layout:v1`, `dir:${folder}/dir`);
  deepEqual(JSON.parse(again.out), {
    image: `dir:${folder}/dir`,
    source: `oci:${folder}/layout:v1`,
    copied: true,
    digest,
    mediaType: sample.manifest.mediaType,
    size: sample.manifest.bytes.length,
    sourceDigest: digest,
    carried: { signatures: 0, attachments: 0 },
    signatures: [],
    written: false,
  });
  match(again.err, /there already/);
});

test('push: images of registries are refused with what to do', async () => {
  const { exit, err } = await bulla('push', 'docker://r.example.com/app', `dir:${folder}/x`);
  equal(exit, 2);
  match(err, /\[usage\.unsupported\]\nhint: .*bulla copy takes images from registries/);
  const nameless = await bulla('push', 'oci:a');
  equal(nameless.exit, 2);
  match(nameless.err, /oci:a has no name to be pushed under/);
  equal((await bulla('push', '--all', '--multi-arch', 'all', 'oci:a', 'dir:b')).exit, 2);
  equal((await bulla('push', '--multi-arch', 'some', 'oci:a', 'dir:b')).exit, 2);
  for (const flags of [
    ['--encrypt-layer', '1'],
    ['--sign-by-sq-fingerprint', 'F'],
  ]) {
    const refused = await bulla('push', ...flags, 'oci:a', 'dir:b');
    equal(refused.exit, 2);
    match(refused.err, /\[usage\.unsupported\]/);
  }
});
