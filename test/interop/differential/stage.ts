/** Everything the cases need: images on a real registry and in folders, keys, and each case's files. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { startRegistry } from '../../support/docker-registry.ts';
import { writeOciImage } from '../../support/oci-image.ts';
import type { Question } from '../../support/peer-verdicts.ts';
import type { Bench } from '../../support/peers.ts';
import { signatureFolder } from '../../support/simple-signing.ts';
import { type Case, type ImageKind, imageKinds, type Images, type Place } from './cases.ts';
import { makeKeys } from './keys.ts';
import { makeSignature, type SignatureRecipe, type Signed } from './signatures.ts';

const repositories = ['ns/deep/app', 'solo'] as const;

/** Starts the registry, fills it, makes the keys. */
export async function openPlace(bench: Bench): Promise<Place> {
  const registry = await startRegistry(bench);
  mkdirSync(bench.path('keys'));
  const images = await pushImages(bench, registry.host);
  const keys = await makeKeys(bench);
  const numbers = new Map<string, number>();
  const folderOf = (id: string): string => {
    const number = numbers.get(id) ?? numbers.size;
    numbers.set(id, number);
    return bench.path('cases', String(number));
  };
  const requireSigned = (await bench.ok('skopeo', ['--help'])).includes('--require-signed');
  return { host: registry.host, images, keys, requireSigned, folderOf };
}

async function pushImages(bench: Bench, host: string): Promise<Images> {
  await writeOciImage(bench.path('oci'), { tag: 'v1' });
  await writeList(bench.path('list'), [bench.path('amd64'), bench.path('arm64')]);
  const copy = async (from: string, to: string, flags: readonly string[] = []): Promise<void> => {
    const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    await bench.ok('skopeo', ['copy', '--quiet', ...insecure, ...flags, from, to]);
  };
  for (const path of repositories) {
    const to = `docker://${host}/${path}`;
    await copy(`oci:${bench.path('oci')}:v1`, `${to}:oci`);
    await copy(`oci:${bench.path('oci')}:v1`, `${to}:docker`, ['--format', 'v2s2']);
    await copy(`oci:${bench.path('list')}:v1`, `${to}:list`, ['--all']);
  }
  const images: Partial<Record<ImageKind, Images[ImageKind]>> = {};
  for (const kind of imageKinds) {
    const folder = bench.path('dir', kind);
    mkdirSync(bench.path('dir'), { recursive: true });
    await copy(`docker://${host}/solo:${kind}`, `dir:${folder}`, ['--all']);
    const top = readFileSync(join(folder, 'manifest.json'));
    const list = JSON.parse(top.toString()) as { manifests?: { digest: string }[] };
    const digest = `sha256:${createHash('sha256').update(top).digest('hex')}`;
    images[kind] = { folder, top: digest, judged: list.manifests?.[0]?.digest ?? digest };
  }
  return images as Images;
}

/** An OCI layout with one list of two images, for amd64 and arm64. */
async function writeList(folder: string, [amd64, arm64]: readonly [string, string]): Promise<void> {
  const blobs = join(folder, 'blobs', 'sha256');
  const manifests = [];
  for (const [architecture, from] of [
    ['amd64', amd64],
    ['arm64', arm64],
  ] as const) {
    const { digest, manifest } = await writeOciImage(from, { files: { [architecture]: architecture } });
    cpSync(join(from, 'blobs'), join(folder, 'blobs'), { recursive: true });
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    manifests.push({ mediaType, digest, size: manifest.length, platform: { architecture, os: 'linux' } });
  }
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const list = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  const hex = createHash('sha256').update(list).digest('hex');
  writeFileSync(join(blobs, hex), list);
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' };
  const entry = { mediaType, digest: `sha256:${hex}`, size: list.length, annotations };
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

const made = new Map<string, Promise<Uint8Array>>();

/** A signature's bytes; the same recipe for the same image is signed once. */
function signatureOf(recipe: SignatureRecipe, signed: Signed, place: Place): Promise<Uint8Array> {
  const key = JSON.stringify([recipe, signed]);
  const known = made.get(key) ?? makeSignature(recipe, signed, place.keys);
  made.set(key, known);
  return known;
}

/** Writes a case's files; gives what both judges are asked. */
export async function writeCase(one: Case, place: Place): Promise<Question> {
  const folder = place.folderOf(one.id);
  mkdirSync(join(folder, 'registries.d'), { recursive: true });
  writeFileSync(join(folder, 'policy.json'), one.policy);
  writeFileSync(
    join(folder, 'registries.d', 'case.yaml'),
    `default-docker:\n  lookaside: file://${folder}/sig\n`,
  );
  const blobs = await Promise.all(one.signatures.map((each) => signatureOf(each, one.signed, place)));
  const { folder: image, top, judged } = place.images[one.kind];
  const digests = one.kind !== 'list' || one.filed === 'instance' ? [judged] : [judged, top];
  const filed = one.kind === 'list' && one.filed === 'list' ? [top] : digests;
  if (one.transport === 'dir') cpSync(image, join(folder, 'image'), { recursive: true });
  for (const digest of filed) {
    const [to, prefix] =
      one.transport === 'dir'
        ? [join(folder, 'image'), digest === top ? '' : `${digest.slice(7)}.`]
        : [signatureFolder(join(folder, 'sig'), one.signed.path, digest), ''];
    for (const [index, blob] of blobs.entries()) {
      writeFileSync(join(to, `${prefix}signature-${one.numbers[index] ?? index + 1}`), blob);
    }
  }
  return {
    image: one.image,
    policy: join(folder, 'policy.json'),
    registriesD: join(folder, 'registries.d'),
    requireSigned: one.requireSigned,
  };
}

/** What is in a case's lookaside or image folder, for a report. */
export function filesOf(one: Case, place: Place): readonly string[] {
  return readdirSync(place.folderOf(one.id), { recursive: true }).map(String).toSorted();
}
