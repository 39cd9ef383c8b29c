/** One stored signature of a case: who signed what for which name, and what then happened to the bytes. */
import { deflateRawSync } from 'node:zlib';

import * as forge from '../../support/openpgp-forge.ts';
import { type Keys, type SignerName, signerNames } from './keys.ts';
import { type PayloadKind, payloadKinds, payloadOf } from './payloads.ts';
import type { Random } from './random.ts';

/** The name that the payload gives the image, seen from the name under which it is asked for. */
export const identities = [
  ...(['same', 'tag', 'digest', 'other tag', 'name only', 'tag and digest', 'other digest'] as const),
  ...(['other repository', 'parent repository', 'longer repository', 'other port', 'other host'] as const),
  ...([
    'release',
    'release by digest',
    'short name',
    'upper case',
    'upper-case host',
    'with transport',
  ] as const),
  ...(['no reference', 'empty tag', 'space behind', 'docker.io short'] as const),
] as const;
export type IdentityKind = (typeof identities)[number];

export const digestKinds = ['right', 'list', 'other image', 'none'] as const;
export type DigestKind = (typeof digestKinds)[number];

/** What happened to the signed message. */
export const framings = [
  ...(['as signed', 'compressed', 'with simple-signing header', 'with sigstore-json header'] as const),
  ...([
    'with unknown header',
    'header without end',
    'cut',
    'one byte more',
    'twice',
    'one bit changed',
  ] as const),
  ...([
    'payload changed',
    'first byte changed',
    'empty',
    'HTML',
    'cleartext',
    'armored',
    'detached',
    'unsigned',
  ] as const),
  ...(['spaces', 'NUL', 'sigstore signature', 'new one-pass header'] as const),
] as const;
export type Framing = (typeof framings)[number];

export type SignatureRecipe = {
  readonly signer: SignerName;
  readonly identity: IdentityKind;
  readonly digest: DigestKind;
  readonly payload: PayloadKind;
  readonly framing: Framing;
};

export const good: SignatureRecipe = {
  signer: 'first',
  identity: 'same',
  digest: 'right',
  payload: 'plain',
  framing: 'as signed',
};

/** Mostly good ones; else with one or two things changed. */
export function drawSignature(random: Random): SignatureRecipe {
  let recipe = good;
  if (random.chance(0.4)) return recipe;
  for (let changes = random.chance(0.25) ? 2 : 1; changes > 0; changes -= 1) {
    const what = random.weighted({ signer: 5, identity: 5, digest: 1, payload: 2, framing: 2 });
    recipe = {
      ...recipe,
      ...(what === 'signer' && { signer: random.pick(signerNames) }),
      ...(what === 'identity' && { identity: random.pick(identities) }),
      ...(what === 'digest' && { digest: random.pick(digestKinds) }),
      ...(what === 'payload' && { payload: random.pick(payloadKinds) }),
      ...(what === 'framing' && { framing: random.pick(framings) }),
    };
  }
  return recipe;
}

/** The image that is signed, as the case asks for it. */
export type Signed = {
  readonly host: string;
  readonly path: string;
  /** One of them is what the case asks for. */
  readonly tag: string;
  readonly digest: string;
  readonly by: 'tag' | 'digest';
  /** sha256 of the manifest that is used, of the list it is in, of another image. */
  readonly digests: Readonly<Record<DigestKind, string>>;
};

/** The reference that a payload names. */
export function nameOf(kind: IdentityKind, { host, path, tag, digest, by }: Signed): string {
  const repository = `${host}/${path}`;
  const suffix = by === 'tag' ? `:${tag}` : `@${digest}`;
  const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : 'other';
  switch (kind) {
    case 'same':
      return repository + suffix;
    case 'tag':
      return `${repository}:${tag}`;
    case 'digest':
      return `${repository}@${digest}`;
    case 'other tag':
      return `${repository}:other`;
    case 'name only':
      return repository;
    case 'tag and digest':
      return `${repository}:${tag}@${digest}`;
    case 'other digest':
      return `${repository}@sha256:${'1'.repeat(64)}`;
    case 'other repository':
      return `${host}/else/where${suffix}`;
    case 'parent repository':
      return `${host}/${parent}${suffix}`;
    case 'longer repository':
      return `${repository}/more${suffix}`;
    case 'other port':
      return `${host.replace(/:.*/, '')}:1/${path}${suffix}`;
    case 'other host':
      return `registry.example.com/${path}${suffix}`;
    case 'release':
      return `release.example.com/${path}:${tag}`;
    case 'release by digest':
      return `release.example.com/${path}@${digest}`;
    case 'short name':
      return `busybox${suffix}`;
    case 'docker.io short':
      return `docker.io/busybox${suffix}`;
    case 'upper case':
      return `${host}/${path.toUpperCase()}${suffix}`;
    case 'upper-case host':
      return `${host.toUpperCase().replace('127', 'A127')}/${path}${suffix}`;
    case 'with transport':
      return `docker://${repository}${suffix}`;
    case 'no reference':
      return ':::';
    case 'empty tag':
      return `${repository}:`;
    case 'space behind':
      return `${repository}${suffix} `;
  }
}

/** Makes the bytes of one signature. */
export async function makeSignature(
  recipe: SignatureRecipe,
  signed: Signed,
  keys: Keys,
): Promise<Uint8Array> {
  const reference = nameOf(recipe.identity, signed);
  const digest = signed.digests[recipe.digest];
  const payload = payloadOf(recipe.payload, digest, reference);
  return frame(recipe.framing, await keys.sign(recipe.signer, payload), payload);
}

const { join, octets, packet, utf8 } = forge;

function frame(framing: Framing, message: Uint8Array, payload: Uint8Array): Uint8Array {
  switch (framing) {
    case 'as signed':
      return message;
    case 'compressed':
      return join(octets(0xa3, 1), deflateRawSync(message));
    case 'with simple-signing header':
      return join(utf8('\0simple-signing\n'), message);
    case 'with sigstore-json header':
      return join(utf8('\0sigstore-json\n'), message);
    case 'with unknown header':
      return join(utf8('\0something\n'), message);
    case 'header without end':
      return utf8('\0simple-signing');
    case 'cut':
      return message.subarray(0, message.length - 20);
    case 'one byte more':
      return join(message, octets(0));
    case 'twice':
      return join(message, message);
    case 'one bit changed':
      return flip(message, message.length - 10);
    case 'payload changed': {
      const at = Buffer.from(message).indexOf('atomic container');
      return at < 0 ? flip(message, 40) : flip(message, at);
    }
    case 'first byte changed':
      return join(octets(0xff), message.subarray(1));
    case 'empty':
      return new Uint8Array();
    case 'HTML':
      return utf8('<!DOCTYPE html><title>Not found</title>');
    case 'cleartext':
      return utf8(`-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n${Buffer.from(payload).toString()}\n`);
    case 'armored': {
      const base64 = Buffer.from(message)
        .toString('base64')
        .replaceAll(/.{1,64}/g, '$&\n');
      return utf8(`-----BEGIN PGP MESSAGE-----\n\n${base64}-----END PGP MESSAGE-----\n`);
    }
    case 'detached':
      return lastPacket(message);
    case 'unsigned':
      return forge.literal(payload);
    case 'spaces':
      return utf8('  \n');
    case 'NUL':
      return octets(0);
    case 'sigstore signature':
      return utf8(
        `\0sigstore-json\n{"mimeType":"application/vnd.dev.cosign.simplesigning.v1+json","payload":"${Buffer.from(payload).toString('base64')}","annotations":{"dev.cosignproject.cosign/signature":"MEUCIQ=="}}`,
      );
    case 'new one-pass header':
      // the same message behind a packet that nobody reads
      return join(packet(10, utf8('PGP')), message);
  }
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  const index = Math.max(0, Math.min(at, changed.length - 1));
  changed[index] = (changed[index] ?? 0) ^ 1;
  return changed;
}

/** The signature packet at the end of a message of one-pass, literal and signature. */
function lastPacket(message: Uint8Array): Uint8Array {
  let at = 0;
  let start = 0;
  while (at < message.length) {
    start = at;
    const first = message[at + 1] ?? 0;
    const [header, length] =
      first < 192
        ? [2, first]
        : first < 224
          ? [3, (first - 192) * 256 + (message[at + 2] ?? 0) + 192]
          : [6, Buffer.from(message).readUInt32BE(at + 2)];
    at += header + length;
  }
  return message.subarray(start);
}
