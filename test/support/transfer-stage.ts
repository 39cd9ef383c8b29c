/** A registry with signed images, transfer bundles made of them, and bundles as an attacker changes them. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { utf8 } from '../../src/base/bytes.ts';
import { type Descriptor, mediaTypes } from '../../src/base/descriptor.ts';
import { type Digest, digestOf } from '../../src/base/digest.ts';
import { parseImageName } from '../../src/base/image-name.ts';
import { parseReference } from '../../src/base/reference.ts';
import { createTransfer, openWorld, sign, type World } from '../../src/index.ts';
import { openSecretKey } from '../../src/keys/openpgp/sign.ts';
import { generateKey } from '../../src/operations/keys.ts';
import { serveRegistry } from '../../src/servers/registry/serve.ts';
import { forgeTar } from './tar-forge.ts';

export type Pushed = Pick<Descriptor, 'mediaType' | 'digest' | 'size'>;

/** The files of a bundle by name; a test changes the map. */
export type Files = Map<string, Buffer>;

export interface Stage extends AsyncDisposable {
  readonly world: World;
  readonly host: string;
  path(...parts: readonly string[]): string;
  /** An image whose one difference is `content`. */
  push(
    repository: string,
    tag: string,
    content: string,
    options?: { readonly docker?: boolean },
  ): Promise<Pushed>;
  /** A list of images for these architectures. */
  pushList(
    repository: string,
    tag: string,
    architectures: readonly string[],
  ): Promise<Pushed & { readonly images: readonly Digest[] }>;
  /** Signs by a key made for `who`; its public part is `who.pub.asc`, its fingerprint is given. */
  sign(who: string, image: string): Promise<string>;
  /** A policy.json that believes `who` for every image. */
  policy(who: string): string;
  /** Packs images unjudged; gives the path. */
  bundle(
    name: string,
    images: readonly string[],
    trust?: Parameters<typeof createTransfer>[0]['trust'],
  ): Promise<string>;
  /** A changed copy of a bundle. @param list brings `bulla/transfer.json` in line with what is there, as an attacker would */
  changed(path: string, change: (files: Files) => void, list?: 'in line'): string;
}

export async function openStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-transfer-'));
  const registry = await serveRegistry();
  const host = new URL(registry.url).host;
  const path = (...parts: readonly string[]): string => join(folder, ...parts);
  mkdirSync(path('registries.d'));
  writeFileSync(path('registries.d', 'x.yaml'), `default-docker:\n  lookaside: file://${folder}/sigstore\n`);
  const environment = { env: { HOME: folder }, home: folder, uid: 1, etc: path('etc'), share: path('share') };
  const world = openWorld({ environment, tlsVerify: false, registriesDFolder: path('registries.d') });
  const signers = new Map<string, string>();
  let copies = 0;
  const push: Stage['push'] = (repository, tag, content, options) =>
    pushImage(world, `${host}/${repository}:${tag}`, content, options?.docker === true);
  return {
    world,
    host,
    path,
    push,
    pushList: async (repository, tag, architectures) => {
      const images: Pushed[] = [];
      for (const each of architectures) images.push(await push(repository, `${tag}-${each}`, each));
      const entries = images.map((each, index) => ({
        ...each,
        platform: { os: 'linux', architecture: architectures[index] },
      }));
      const bytes = utf8(
        JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries }),
      );
      const client = await clientFor(world, `${host}/${repository}:${tag}`);
      await client.putManifest(repository, tag, { bytes, mediaType: mediaTypes.ociIndex });
      const made = { mediaType: mediaTypes.ociIndex, digest: digestOf(bytes), size: bytes.length };
      return { ...made, images: images.map(({ digest }) => digest) };
    },
    sign: async (who, image) => {
      const context = { env: { HOME: folder } };
      const request = {
        userId: `${who.split('-')[0]} <release@example.com>`,
        type: 'ed25519',
        passphrase: '',
      } as const;
      if (!signers.has(who)) {
        const made = await generateKey(context, request, { prefix: path(who) });
        signers.set(who, made.fingerprint);
      }
      const secret = readFileSync(path(`${who}.private.asc`));
      const signer = await openSecretKey(new Uint8Array(secret), { passphrase: async () => '' });
      await sign({ image: parseImageName(`${host}/${image}`), signers: [signer] }, world);
      return signers.get(who) ?? '';
    },
    policy: (who) => {
      const file = path(`${who}.json`);
      const requirement = { type: 'signedBy', keyType: 'GPGKeys', keyPath: path(`${who}.pub.asc`) };
      writeFileSync(file, JSON.stringify({ default: [requirement] }));
      return file;
    },
    bundle: async (name, images, trust = {}) => {
      const request = {
        images: images.map((each) => parseImageName(`${host}/${each}`)),
        output: path(name),
        by: { kind: 'insecure-accept-anything' },
        trust,
      } as const;
      await createTransfer(request, world);
      return path(name);
    },
    changed: (from, change, list) => {
      const files = readTar(readFileSync(from));
      change(files);
      if (list === 'in line') bringInLine(files);
      const to = path(`changed-${(copies += 1)}.tar`);
      writeFileSync(to, forgeTar(...[...files].map(([name, content]) => ({ name, content }))));
      return to;
    },
    [Symbol.asyncDispose]: async () => {
      await world[Symbol.asyncDispose]();
      await registry.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type Client = Awaited<ReturnType<World['registries']['open']>>;

function clientFor(world: World, reference: string): Promise<Client> {
  return world.registries.open({ reference: parseReference(reference), insecure: true });
}

async function pushImage(world: World, reference: string, content: string, docker: boolean): Promise<Pushed> {
  const { path, tag = '' } = parseReference(reference);
  const client = await clientFor(world, reference);
  const put = async (bytes: Uint8Array, mediaType: string): Promise<Pushed> => {
    const described = { mediaType, digest: digestOf(bytes), size: bytes.length };
    await client.putBlob(path, described, bytes);
    return described;
  };
  const [manifestType, configType, layerType] = docker
    ? [
        mediaTypes.dockerManifest,
        'application/vnd.docker.container.image.v1+json',
        'application/vnd.docker.image.rootfs.diff.tar.gzip',
      ]
    : [mediaTypes.ociManifest, mediaTypes.ociConfig, 'application/vnd.oci.image.layer.v1.tar+gzip'];
  const config = await put(utf8(JSON.stringify({ os: 'linux', architecture: 'amd64', content })), configType);
  const layer = await put(utf8(`no tar, but a layer: ${content}`), layerType);
  const bytes = utf8(JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config, layers: [layer] }));
  await client.putManifest(path, tag, { bytes, mediaType: manifestType });
  return { mediaType: manifestType, digest: digestOf(bytes), size: bytes.length };
}

/** The files of a plain tar, without any of Bulla's own code. */
export function readTar(bytes: Buffer): Files {
  const files: Files = new Map();
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0;) {
    const text = (from: number, length: number): string =>
      bytes.toString('latin1', at + from, at + from + length).replace(/\0.*$/s, '');
    const size = Number.parseInt(text(124, 12), 8);
    if (text(156, 1) !== '5') files.set(text(0, 100), bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

export type List = {
  images: {
    reference: string;
    mediaType: string;
    digest: string;
    size: number;
    platforms?: string[];
    signatures: { of: string; digest: string; size: number; mediaType: string; artifactType: string }[];
    attachments: { of: string; digest: string; size: number; mediaType: string; tag?: string }[];
  }[];
  members: { name: string; digest: string; size: number }[];
};

/** Changes `bulla/transfer.json` and leaves all else. */
export function editList(files: Files, edit: (list: List) => void): void {
  const list = JSON.parse(String(files.get('bulla/transfer.json'))) as List;
  edit(list);
  files.set('bulla/transfer.json', Buffer.from(`${JSON.stringify(list, null, 1)}\n`));
}

/** Members as they are now, in order. */
function bringInLine(files: Files): void {
  editList(files, (list) => {
    list.members = [...files]
      .filter(([name]) => name !== 'bulla/transfer.json')
      .map(([name, content]) => ({ name, digest: sha256(content), size: content.length }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  });
}

export function sha256(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** Whether anything is at a path. */
export function isThere(path: string): boolean {
  return existsSync(path);
}
