/**
 * What a certificate says at a time: whom it names, what its keys may do and until when. The rules
 * are gpg's, since the verdicts must be: the latest valid self-signature speaks, any revocation is final.
 */
import {
  type CheckedSignature,
  type Components,
  isCrossCertified,
  isExpired,
  selfSignatures,
  type SubkeyComponent,
  type UserComponent,
} from './components.ts';
import { algorithms, type PublicKey } from './public-key.ts';
import { signatureTypes } from './signature-packet.ts';

export type KeyUsage = {
  readonly certify: boolean;
  readonly sign: boolean;
  readonly encrypt: boolean;
  readonly authenticate: boolean;
};

/** A primary key or subkey at a time. */
export type KeyState = {
  /** 40 upper-case hexadecimal digits. */
  readonly fingerprint: string;
  /** The last 16 digits of the fingerprint. */
  readonly keyId: string;
  /** As gpg names it: `rsa3072`, `ed25519`, `nistp256`. */
  readonly algorithm: string;
  readonly bits: number;
  readonly created: Date;
  /** Undefined: never. */
  readonly expires: Date | undefined;
  readonly revoked: boolean;
  readonly usage: KeyUsage;
  /** False: nothing valid ties it to the certificate, so it can do nothing. */
  readonly bound: boolean;
};

export type Certificate = KeyState & {
  /** Those with a valid self-signature and not revoked, the primary one first. Never proof of who someone is. */
  readonly userIds: readonly string[];
  readonly subkeys: readonly KeyState[];
};

/**
 * Judges a certificate.
 * @param now seconds since 1970
 * @param revokedByOther a revoker whom the owner named has revoked it
 */
export function judgeCertificate(of: Components, now: number, revokedByOther: boolean): Certificate {
  const direct = selfSignatures(of, of.direct);
  const statement = direct.find((one) => one.type === signatureTypes.directKey && !isExpired(one, now));
  const users = [...of.users.values()]
    .map((user) => judgeUser(of, user, now))
    .filter((user) => user !== undefined);
  const standing = users.filter((user) => user.valid).sort((a, b) => b.said.created - a.said.created);
  const spoken = statement === undefined ? standing.map(({ said }) => said) : [statement];
  const flags =
    spoken.find((said) => said.keyFlags !== undefined) ?? standing.find(({ said }) => said.keyFlags)?.said;
  const lifetime =
    statement?.keyLifetime ?? standing.find(({ said }) => said.keyLifetime !== undefined)?.said.keyLifetime;
  const revoked = revokedByOther || direct.some((one) => one.type === signatureTypes.keyRevocation);
  const primary: KeyState = {
    ...identityOf(of.primary),
    expires: expiryOf(of.primary, lifetime),
    revoked,
    usage: { ...usageOf(of.primary, flags?.keyFlags), certify: true },
    // gpg imports no key without a user ID that its owner signed
    bound: users.length > 0,
  };
  const named = [...standing].sort((a, b) => Number(b.said.primary) - Number(a.said.primary));
  return {
    ...primary,
    userIds: named.map(({ text }) => text).filter((text) => text !== undefined),
    subkeys: [...of.subkeys.values()].map((subkey) => judgeSubkey(of, subkey, primary, now)),
  };
}

type JudgedUser = {
  readonly text: string | undefined;
  readonly said: CheckedSignature;
  readonly valid: boolean;
};

/** The latest certification or revocation by the owner decides; undefined where there is none. */
function judgeUser(of: Components, user: UserComponent, now: number): JudgedUser | undefined {
  const about = selfSignatures(of, user).filter(
    ({ type }) => isCertification(type) || type === signatureTypes.certificationRevocation,
  );
  const said = about[0];
  if (said === undefined || !about.some(({ type }) => isCertification(type))) return undefined;
  return { text: user.text, said, valid: isCertification(said.type) && !isExpired(said, now) };
}

function isCertification(type: number): boolean {
  return type >= 0x10 && type <= 0x13;
}

function judgeSubkey(of: Components, subkey: SubkeyComponent, primary: KeyState, now: number): KeyState {
  const signatures = selfSignatures(of, subkey);
  // the latest binding decides; once that is over the subkey is bound no more
  const latest = signatures.find((one) => one.type === signatureTypes.subkeyBinding);
  const binding = latest !== undefined && isExpired(latest, now) ? undefined : latest;
  const usage = usageOf(subkey.key, binding?.keyFlags);
  const own = binding === undefined ? undefined : expiryOf(subkey.key, binding.keyLifetime);
  return {
    ...identityOf(subkey.key),
    // a subkey does not outlive its primary key
    expires: earlier(own, primary.expires),
    revoked: primary.revoked || signatures.some((one) => one.type === signatureTypes.subkeyRevocation),
    usage: { ...usage, sign: usage.sign && binding !== undefined && isCrossCertified(subkey, binding) },
    bound: binding !== undefined && primary.bound,
  };
}

function identityOf(
  key: PublicKey,
): Pick<KeyState, 'fingerprint' | 'keyId' | 'algorithm' | 'bits' | 'created'> {
  const { fingerprint, keyId, algorithmName, bits, created } = key;
  return { fingerprint, keyId, algorithm: algorithmName, bits, created: new Date(created * 1000) };
}

function expiryOf(key: PublicKey, lifetime: number | undefined): Date | undefined {
  return lifetime === undefined ? undefined : new Date((key.created + lifetime) * 1000);
}

function earlier(a: Date | undefined, b: Date | undefined): Date | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}

/** Key flags (RFC 9580 section 5.2.3.29); without them a key may do what its algorithm can. */
function usageOf(key: PublicKey, flags: Uint8Array | undefined): KeyUsage {
  const encrypts = new Set<number>([
    algorithms.rsa,
    algorithms.rsaEncrypt,
    algorithms.elgamal,
    algorithms.ecdh,
  ]).has(key.algorithm);
  const signs = key.material !== undefined;
  const has = (bits: number): boolean => flags === undefined || ((flags[0] ?? 0) & bits) !== 0;
  return {
    certify: signs && has(0x01),
    sign: signs && has(0x02),
    encrypt: encrypts && has(0x0c),
    authenticate: signs && has(0x20),
  };
}
