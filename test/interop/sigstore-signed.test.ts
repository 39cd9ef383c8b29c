/**
 * sigstoreSigned: Bulla and skopeo are asked about the same (policy, signature), each signature as the
 * `signature-1` of a dir: image. They must agree, but for what docs/reference/differences.md names.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { digestOf } from '../../src/base/digest.ts';
import { encodeSignatureBlob } from '../../src/formats/blob.ts';
import { type CosignSignature, parseCosignPayload } from '../../src/formats/cosign.ts';
import { mapBounded } from '../../src/io/bounded.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { askBulla, askSkopeo, type OurAnswer, type PeerAnswer } from '../support/peer-verdicts.ts';
import { type Bench, needs, openBench } from '../support/peers.ts';
import { openCases, signedIdentity } from '../support/sigstore-case.ts';
import { allCases } from '../support/sigstore-cases.ts';
import { type AttachmentName, sampleAttachment, samples } from '../support/sigstore-samples.ts';

type Pair = {
  readonly name: string;
  readonly requirement: Readonly<Record<string, unknown>>;
  readonly manifest: Uint8Array;
  /** The stored bytes, `signature-1` and so on. */
  readonly blobs: readonly Uint8Array[];
  /** Where Bulla refuses what skopeo accepts, on purpose. */
  readonly stricter?: string;
};

const differences = readFileSync(new URL('../../docs/reference/differences.md', import.meta.url), 'utf8');

let folders = 0;

/** The pair's image and policy on disk; what the manifest points to is not there and not needed for a verdict. */
function stage(bench: Bench, { requirement, manifest, blobs }: Pair): { image: string; policy: string } {
  const folder = bench.path('pairs', String((folders += 1)));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'version'), 'Directory Transport Version: 1.1\n');
  writeFileSync(join(folder, 'manifest.json'), manifest);
  for (const [index, blob] of blobs.entries()) writeFileSync(join(folder, `signature-${index + 1}`), blob);
  const policy = `${folder}.policy.json`;
  writeFileSync(policy, JSON.stringify({ default: [{ type: 'sigstoreSigned', ...requirement }] }));
  return { image: `dir:${folder}`, policy };
}

/** Refused by the policy; a copy that fails for want of a layer was allowed before. */
function isRefused({ accepted, message }: PeerAnswer): boolean {
  if (accepted) return false;
  if (/Source image rejected: /.test(message)) return true;
  assert.match(message, /no such file or directory/);
  return false;
}

async function disagreements(bench: Bench, pairs: readonly Pair[]): Promise<readonly string[]> {
  const found = await mapBounded(pairs, 4, async (pair) => {
    const question = stage(bench, pair);
    const [ours, theirs] = await Promise.all([askBulla(bench, question), askSkopeo(bench, question)]);
    const allowed = !isRefused(theirs);
    if (pair.stricter !== undefined) {
      assert.ok(
        differences.includes(`\`${pair.stricter}\``),
        `differences.md does not name ${pair.stricter}`,
      );
      return allowed && !ours.accepted ? [] : [tell(pair, ours, theirs)];
    }
    return ours.accepted === allowed ? [] : [tell(pair, ours, theirs)];
  });
  return found.flat();
}

function tell({ name }: Pair, ours: OurAnswer, theirs: PeerAnswer): string {
  return `${name}: ours ${ours.accepted} (${ours.code}: ${ours.message}); skopeo: ${theirs.message}`;
}

function dataOf(text: string): string {
  return Buffer.from(text).toString('base64');
}

test('every rule of sigstoreSigned, forged', needs('skopeo'), async () => {
  await using bench = await openBench();
  const { manifest } = await writeOciImage(bench.path('image'));
  const pairs = allCases(openCases(digestOf(manifest))).map((each): Pair => {
    const blobs = [encodeSignatureBlob(each.attachment)];
    return { ...each, manifest, blobs, requirement: { signedIdentity, ...each.requirement } };
  });
  assert.ok(pairs.length > 150);
  assert.deepEqual(await disagreements(bench, pairs), []);
});

function key(name: keyof typeof samples.keys): string {
  return dataOf(samples.keys[name]);
}

function certificate(name: keyof typeof samples.certificates): string {
  return dataOf(samples.certificates[name]);
}

/** The policies that skopeo was once asked with, in the form that a dir: image needs. */
function samplePolicies(): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  const rekor = { rekorPublicKeyData: key('peersRekor') };
  const fulcio = {
    caData: certificate('oneLevelFulcioRoot'),
    oidcIssuer: 'http://127.0.0.1:5557',
    subjectEmail: 'alice@example.com',
  };
  const stack = { oidcIssuer: 'http://127.0.0.1:19001', subjectEmail: 'dev@sigstack.test' };
  const stackLog = { rekorPublicKeyData: key('rekor') };
  return {
    'sp-c2': { keyData: key('c2') },
    'sp-c3': { keyData: key('c3') },
    'sp-keydatas': { keyDatas: [key('c2'), key('c3')] },
    'sp-rekor': { keyData: key('sk'), rekorPublicKeyData: key('c3') },
    'sp-sk': { keyData: key('sk') },
    'kp-c2r': { keyData: key('c2'), ...rekor },
    'kp-kf-ca': { fulcio: { ...fulcio, caData: certificate('tsaChain') }, ...rekor },
    'kp-kf-iss': { fulcio: { ...fulcio, oidcIssuer: 'https://accounts.example.com' }, ...rekor },
    'kp-kf-mail': { fulcio: { ...fulcio, subjectEmail: 'eve@example.com' }, ...rekor },
    'kp-kf-rk': { fulcio, rekorPublicKeyData: key('sk') },
    'kp-kf': { fulcio, ...rekor },
    'kp-kr': { keyData: key('sk'), ...rekor },
    'stack key': { keyData: key('cosign') },
    'stack key + Rekor': { keyData: key('cosign'), ...stackLog },
    'stack Fulcio, root': { fulcio: { ...stack, caData: certificate('fulcioRoot') }, ...stackLog },
    'stack Fulcio, intermediate and root': {
      fulcio: { ...stack, caData: certificate('fulcioChain') },
      ...stackLog,
    },
    'two Rekor keys': { keyData: key('sk'), rekorPublicKeyDatas: [key('rekor'), key('peersRekor')] },
    'a Rekor key that is not ECDSA': { keyData: key('sk'), rekorPublicKeyData: key('rekor2') },
    pki: { pki: { caRootsData: certificate('oneLevelFulcioRoot'), subjectEmail: 'alice@example.com' } },
  };
}

/** Each identity rule that a dir: image can have, for what a signature names. */
function identities({ payload }: CosignSignature): Readonly<Record<string, unknown>> {
  const signed = parseCosignPayload(payload).dockerReference;
  const repository = signed.replace(/:v1$/, '');
  return {
    repository: { type: 'exactRepository', dockerRepository: repository },
    tag: { type: 'exactReference', dockerReference: `${repository}:v1` },
    'another repository': { type: 'exactRepository', dockerRepository: `${repository}x` },
  };
}

test('signatures of skopeo and cosign, each under every policy', needs('skopeo'), async () => {
  await using bench = await openBench();
  const manifests = Object.values(samples.manifests).map((text) => Buffer.from(text));
  const pairs = (Object.keys(samples.attachments) as readonly AttachmentName[]).flatMap((name) => {
    const attachment = sampleAttachment(name);
    const { manifestDigest } = parseCosignPayload(attachment.payload);
    const manifest = manifests.find((each) => digestOf(each) === manifestDigest) ?? Buffer.of();
    const blobs = [encodeSignatureBlob(attachment)];
    return Object.entries(samplePolicies()).flatMap(([policy, requirement]) =>
      // the identity is judged last: only where all else may hold does it matter
      Object.entries(identities(attachment))
        .slice(0, /^(?:sp-sk|sp-c2|kp-kf|kp-kr|stack key)$/.test(policy) ? 3 : 1)
        .map(([rule, identity]): Pair => ({
          name: `${name}, ${policy}, ${rule}`,
          requirement: { ...requirement, signedIdentity: identity },
          manifest,
          blobs,
        })),
    );
  });
  assert.ok(pairs.length >= 200);
  assert.deepEqual(await disagreements(bench, pairs), []);
});

test('signatures that skopeo makes now', needs('skopeo', 'docker-registry'), async () => {
  await using bench = await openBench();
  const registry = await startRegistry(bench);
  writeFileSync(
    join(bench.config, 'registries.d', 'attachments.yaml'),
    `docker: { "${registry.host}": { use-sigstore-attachments: true } }\n`,
  );
  writeFileSync(bench.path('pass'), 'secret\n');
  const { manifest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  const reference = `${registry.host}/ns/app:v1`;
  for (const name of ['one', 'two', 'stranger']) {
    await bench.ok('skopeo', [
      'generate-sigstore-key',
      '--output-prefix',
      bench.path(name),
      '--passphrase-file',
      bench.path('pass'),
    ]);
  }
  const from = [
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    '--registries.d',
    join(bench.config, 'registries.d'),
  ];
  const copy = (...args: readonly string[]): Promise<string> =>
    bench.ok('skopeo', [...from.slice(2), 'copy', '--quiet', ...from.slice(0, 2), ...args]);
  const signWith = (key: string): readonly string[] => [
    '--sign-by-sigstore-private-key',
    bench.path(`${key}.private`),
    '--sign-passphrase-file',
    bench.path('pass'),
  ];
  await copy(...signWith('one'), `oci:${bench.path('image')}:v1`, `docker://${reference}`);
  await copy(...signWith('two'), `docker://${reference}`, `docker://${reference}`);
  await copy(`docker://${reference}`, `dir:${bench.path('carried')}`);
  const blobs = [1, 2].map((number) => readFileSync(bench.path('carried', `signature-${number}`)));
  const exact = { type: 'exactReference', dockerReference: reference };
  const pem = (key: string): string => dataOf(readFileSync(bench.path(`${key}.pub`), 'utf8'));
  const requirements: readonly (readonly [string, Record<string, unknown>])[] = [
    ['one', { keyData: pem('one') }],
    ['two', { keyPath: bench.path('two.pub') }],
    ['stranger', { keyData: pem('stranger') }],
    ['any', { keyPaths: [bench.path('stranger.pub'), bench.path('two.pub')] }],
    ['missing', { keyPath: bench.path('missing.pub') }],
    ['missing beside one', { keyPaths: [bench.path('one.pub'), bench.path('missing.pub')] }],
  ];
  const sets: readonly (readonly [string, readonly Uint8Array[]])[] = [
    ['both', blobs],
    ['the first', blobs.slice(0, 1)],
    ['the second', blobs.slice(1)],
    ['none', []],
    ['garbage beside', [...blobs, Buffer.from('garbage')]],
  ];
  const pairs = requirements.flatMap(([key, requirement]) =>
    sets.map(([set, given]): Pair => ({
      name: `${key}, ${set}`,
      requirement: { ...requirement, signedIdentity: exact },
      manifest,
      blobs: given,
    })),
  );
  assert.deepEqual(await disagreements(bench, pairs), []);
});
