/** New self-signatures that differ from the old ones only in when the key expires. */
import { setTimeout } from 'node:timers/promises';

import type { Config, PrivateKey, SecretKeyPacket, SignaturePacket, Subkey } from 'openpgp';

import { BullaError } from '../base/errors.ts';

type OpenPgp = typeof import('openpgp');
type Signing = {
  readonly openpgp: OpenPgp;
  readonly config: Config;
  readonly signer: SecretKeyPacket;
  readonly date: Date;
  readonly expires: Date | undefined;
};

/** OpenPGP.js's own order of arguments; its declarations leave out the last. */
type Sign = (
  key: SecretKeyPacket,
  data: object,
  date: Date,
  detached: boolean,
  config: Config,
) => Promise<void>;

/**
 * Adds to `key`, in place, a self-signature for every user ID, direct signature and signing subkey that has one now.
 * @param unlocked the same key with its primary secret part unlocked
 * @param expires undefined: never
 */
export async function resignExpiry(
  openpgp: OpenPgp,
  config: Config,
  key: PrivateKey,
  unlocked: PrivateKey,
  expires: Date | undefined,
): Promise<void> {
  const direct = (key as PrivateKey & { directSignatures: SignaturePacket[] }).directSignatures;
  const all = [
    ...direct,
    ...key.users.flatMap((each) => each.selfCertifications),
    ...key.subkeys.flatMap((each) => each.bindingSignatures),
  ];
  const date = await momentAfter(all);
  const signing: Signing = { openpgp, config, signer: unlocked.keyPacket as SecretKeyPacket, date, expires };
  const primary = key.keyPacket;
  let renewed = 0;
  for (const user of key.users) {
    const last = latest(user.selfCertifications);
    if (last === undefined || user.revocationSignatures.length > 0) continue;
    const data = { userID: user.userID, userAttribute: user.userAttribute, key: primary };
    user.selfCertifications.push(await renew(signing, last, data, primary.created));
    renewed += 1;
  }
  const lastDirect = latest(direct);
  if (lastDirect !== undefined) {
    direct.push(await renew(signing, lastDirect, { key: primary }, primary.created));
    renewed += 1;
  }
  if (renewed === 0)
    throw new BullaError('key.unusable', 'the key has no self-signature that could be renewed');
  for (const subkey of key.subkeys.filter(isSigning)) {
    const last = latest(subkey.bindingSignatures);
    if (last === undefined) continue;
    const data = { key: primary, bind: subkey.keyPacket };
    subkey.bindingSignatures.push(await renew(signing, last, data, subkey.keyPacket.created));
  }
}

function isSigning(subkey: Subkey): boolean {
  const flags = latest(subkey.bindingSignatures)?.keyFlags?.[0] ?? 0;
  return (flags & 0x02) !== 0 && subkey.revocationSignatures.length === 0;
}

function latest(signatures: readonly SignaturePacket[]): SignaturePacket | undefined {
  return [...signatures].sort((a, b) => timeOf(b) - timeOf(a))[0];
}

function timeOf(signature: SignaturePacket): number {
  return signature.created?.getTime() ?? 0;
}

/**
 * The latest self-signature counts, and time is told in seconds: two of the same second would be a
 * matter of luck. So a key made this very second is renewed in the next one.
 */
async function momentAfter(signatures: readonly SignaturePacket[]): Promise<Date> {
  const last = Math.max(0, ...signatures.map(timeOf));
  const wait = last + 1000 - Date.now();
  if (wait > 2000)
    throw new BullaError('key.unusable', 'the key has signatures from the future; is the clock right?');
  if (wait > 0) await setTimeout(wait);
  return new Date(Math.floor(Date.now() / 1000) * 1000);
}

async function renew(
  signing: Signing,
  old: SignaturePacket,
  data: object,
  created: Date,
): Promise<SignaturePacket> {
  const { openpgp, config, signer, date, expires } = signing;
  const { sha256, sha384, sha512 } = openpgp.enums.hash;
  const fresh = new openpgp.SignaturePacket();
  Object.assign(fresh, {
    signatureType: old.signatureType,
    publicKeyAlgorithm: signer.algorithm,
    hashAlgorithm: [sha256, sha384, sha512].find((each) => each === old.hashAlgorithm) ?? sha512,
    keyFlags: old.keyFlags,
    isPrimaryUserID: old.isPrimaryUserID,
    features: old.features,
    preferredSymmetricAlgorithms: old.preferredSymmetricAlgorithms,
    preferredHashAlgorithms: old.preferredHashAlgorithms,
    preferredCompressionAlgorithms: old.preferredCompressionAlgorithms,
    preferredAEADAlgorithms: old.preferredAEADAlgorithms,
    keyServerPreferences: old.keyServerPreferences,
    preferredKeyServer: old.preferredKeyServer,
    policyURI: old.policyURI,
    embeddedSignature: old.embeddedSignature,
    rawNotations: old.rawNotations.filter(({ name }) => name !== 'salt@notations.openpgpjs.org'),
    keyNeverExpires: expires === undefined,
    keyExpirationTime:
      expires === undefined ? null : Math.floor((expires.getTime() - created.getTime()) / 1000),
  });
  await (fresh.sign as Sign).call(fresh, signer, data, date, false, config);
  return fresh;
}
