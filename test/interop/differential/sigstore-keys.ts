/** Keys of the sigstore cases, and the files in which policies find them. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';

import { openCases, type Bench as Actors } from '../../support/sigstore-case.ts';
import * as forge from '../../support/sigstore-forge.ts';
import { middleOf, rootOf } from '../../support/sigstore-issue.ts';
import type { Bench } from '../../support/peers.ts';

export const keyKinds = ['P-256', 'P-384', 'P-521', 'RSA', 'Ed25519', 'stranger'] as const;
export type KeyKind = (typeof keyKinds)[number];

type Text = string | Uint8Array;

export type SigstoreKeys = {
  /** Who signs, logs and certifies; `actors.key` is the P-256 key. */
  readonly actors: Actors;
  readonly pairs: Readonly<Record<KeyKind, forge.KeyPair>>;
  /** What each form of key file holds; undefined: no such file, or a folder. */
  readonly forms: ReadonlyMap<string, Uint8Array | undefined>;
  path(form: string): string;
};

/** A PKIX key of another kind than sigstore's, or with odd parameters. */
function oddKeys(): Readonly<Record<string, Text>> {
  const pem = (pair: { publicKey: import('node:crypto').KeyObject }): string =>
    pair.publicKey.export({ type: 'spki', format: 'pem' });
  return {
    'P-224': pem(generateKeyPairSync('ec', { namedCurve: 'secp224r1' })),
    secp256k1: pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' })),
    'brainpool P-256': pem(generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' })),
    'explicit parameters': pem(
      generateKeyPairSync('ec', { namedCurve: 'prime256v1', paramEncoding: 'explicit' }),
    ),
    'RSA 1024': pem(generateKeyPairSync('rsa', { modulusLength: 1024 })),
    'RSA with exponent 3': pem(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })),
    'RSA-PSS': pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 })),
    Ed448: pem(generateKeyPairSync('ed448')),
    X25519: pem(generateKeyPairSync('x25519')),
    DSA: pem(generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 })),
  };
}

/** Everything that somebody may put into a key file; all but the last lines hold the P-256 key. */
function formsOf(actors: Actors, pairs: SigstoreKeys['pairs']): Readonly<Record<string, Text>> {
  const { key, other } = actors;
  const [good, stranger] = [forge.pemOf(key), forge.pemOf(other)];
  const spki = forge.spkiOf(key);
  const compressed = key.publicKey.export({ type: 'spki', format: 'der' });
  const oneLine = Buffer.from(spki).toString('base64');
  const block = (type: string, bytes: Uint8Array): string => forge.pemText(type, bytes);
  return {
    ...Object.fromEntries(keyKinds.map((kind) => [kind, forge.pemOf(pairs[kind])])),
    'two keys': good + stranger,
    'two keys, the other first': stranger + good,
    'text before': `my key:\n${good}`,
    'text in the first line': `my key: ${good}`,
    'another BEGIN before': `-----BEGIN PUBLIC KEY-----\n${good}`,
    'a block without END before': `-----BEGIN PUBLIC KEY-----\nMFkw\n${good}`,
    'a block that is no base64 before': `-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n${good}`,
    'a certificate before': forge.certificatePem(rootOf(actors)) + good,
    'text behind': `${good}my key\n`,
    'text behind without line end': `${good}x`,
    'no line end': good.trimEnd(),
    'CR LF': good.replaceAll('\n', '\r\n'),
    'CR alone': good.replaceAll('\n', '\r'),
    'byte order mark': `\ufeff${good}`,
    'blank lines around': `\n\n${good}\n\n`,
    'blanks before each line': good.replaceAll(/^/gm, ' '),
    'blanks behind each line': good.replaceAll('\n', ' \n'),
    'in one line': `-----BEGIN PUBLIC KEY-----\n${oneLine}\n-----END PUBLIC KEY-----\n`,
    'everything in one line': good.replaceAll('\n', ''),
    'short lines': `-----BEGIN PUBLIC KEY-----\n${oneLine.replaceAll(/.{10}/g, '$&\n')}\n-----END PUBLIC KEY-----\n`,
    'with headers': good.replace('-----\n', '-----\nComment: mine\n\n'),
    'with headers and no blank line': good.replace('-----\n', '-----\nComment: mine\n'),
    'no padding': good.replaceAll('=', ''),
    'URL-safe base64': good.replaceAll('+', '-').replaceAll('/', '_'),
    'other dashes': good.replaceAll('-----', '----'),
    'another end': good.replace('END PUBLIC', 'END PRIVATE'),
    'no end': good.slice(0, good.indexOf('-----END')),
    'as EC PUBLIC KEY': block('EC PUBLIC KEY', spki),
    'as RSA PUBLIC KEY': block('RSA PUBLIC KEY', spki),
    'as lower case': good.replaceAll('PUBLIC KEY', 'public key'),
    'as CERTIFICATE': block('CERTIFICATE', spki),
    'a certificate': forge.certificatePem(rootOf(actors, { key })),
    'a byte less': block('PUBLIC KEY', spki.subarray(0, -1)),
    'a byte more': block('PUBLIC KEY', Buffer.concat([spki, Buffer.of(0)])),
    'the point alone': block('PUBLIC KEY', spki.subarray(-65)),
    'a point beside the curve': block('PUBLIC KEY', Uint8Array.from(spki).fill(1, -4)),
    DER: compressed,
    'base64 alone': oneLine,
    'as a private key': key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'a private key behind': good + key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'PKCS#1': pairs.RSA.publicKey.export({ type: 'pkcs1', format: 'pem' }),
    'PKCS#1 as PUBLIC KEY': block('PUBLIC KEY', pairs.RSA.publicKey.export({ type: 'pkcs1', format: 'der' })),
    empty: '',
    'line end alone': '\n',
    garbage: 'this is no key\n',
    NULs: new Uint8Array(64),
    'an OpenSSH key': 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0y mine\n',
    ...oddKeys(),
  };
}

/** Makes the keys and writes their files. */
export function makeSigstoreKeys(bench: Bench, digest: Parameters<typeof openCases>[0]): SigstoreKeys {
  const actors = openCases(digest);
  const pairs = {
    'P-256': actors.key,
    'P-384': forge.ecKey('P-384'),
    'P-521': forge.ecKey('P-521'),
    RSA: forge.rsaKey(),
    Ed25519: forge.edKey(),
    stranger: actors.other,
  };
  const folder = bench.path('sigstore-keys');
  mkdirSync(folder);
  const path = (form: string): string => `${folder}/${form.replaceAll(/[^\w.-]+/g, '-')}`;
  const forms = new Map<string, Uint8Array | undefined>();
  const files = {
    ...formsOf(actors, pairs),
    log: forge.pemOf(actors.rekor),
    root: forge.certificatePem(rootOf(actors)),
    'root and more': forge.certificatePem(rootOf(actors), middleOf(actors)),
    intermediate: forge.certificatePem(middleOf(actors)),
    'another root': forge.certificatePem(rootOf(actors, { key: actors.other })),
  };
  for (const [form, text] of Object.entries(files)) {
    writeFileSync(path(form), text);
    forms.set(form, Buffer.from(text));
  }
  mkdirSync(path('a folder'));
  for (const form of ['a folder', 'missing']) forms.set(form, undefined);
  return { actors, pairs, forms, path };
}
