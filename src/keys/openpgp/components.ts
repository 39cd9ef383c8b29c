/**
 * A certificate's parts (RFC 9580 section 10.1) and which of their signatures its own primary key
 * really made. The mathematics is done when first asked for, and once: it does not depend on the
 * time, and a thousand images are judged with one keyring.
 */
import { concatBytes, hexOfBytes } from '../../base/bytes.ts';
import { isBullaError } from '../../base/errors.ts';
import { checkSignature } from './check.ts';
import { encodeNumber } from './packets.ts';
import { keyPrefix, type PublicKey } from './public-key.ts';
import { parseSignaturePacket, type SignaturePacket, signatureTypes } from './signature-packet.ts';

/** Something that signatures are about. */
export type Component = {
  /** What such a signature hashes before its own fields. */
  readonly covered: readonly Uint8Array[];
  /** Bodies of the signature packets that follow it, as found, by their bytes: each once. */
  readonly signatures: Map<string, Uint8Array>;
};

/** A user ID (`text`), or an attribute such as a photo (no text). */
export type UserComponent = Component & { readonly text: string | undefined };
export type SubkeyComponent = Component & { readonly key: PublicKey };

export type Components = {
  readonly primary: PublicKey;
  readonly direct: Component;
  /** By kind and bytes. */
  readonly users: Map<string, UserComponent>;
  /** By fingerprint. */
  readonly subkeys: Map<string, SubkeyComponent>;
  /** Bodies of all revocations of subkeys, wherever they stood. */
  readonly subkeyRevocations: Uint8Array[];
};

export function componentsOf(primary: PublicKey): Components {
  const direct = { covered: [keyPrefix(primary.body)], signatures: new Map<string, Uint8Array>() };
  return { primary, direct, users: new Map(), subkeys: new Map(), subkeyRevocations: [] };
}

/** The user ID or attribute (no text) with that packet body: the one that is there, or a new one. */
export function userOf(of: Components, body: Uint8Array, text: string | undefined): UserComponent {
  const id = `${text === undefined ? 'attribute' : 'name'} ${hexOfBytes(body)}`;
  const same = of.users.get(id);
  if (same !== undefined) return same;
  const prefix = concatBytes(
    Uint8Array.of(text === undefined ? 0xd1 : 0xb4),
    encodeNumber(body.length, 4),
    body,
  );
  const made = {
    covered: [keyPrefix(of.primary.body), prefix],
    signatures: new Map<string, Uint8Array>(),
    text,
  };
  of.users.set(id, made);
  return made;
}

/** The subkey with that fingerprint: the one that is there, or a new one. */
export function subkeyOf(of: Components, key: PublicKey): SubkeyComponent {
  const same = of.subkeys.get(key.fingerprint);
  if (same !== undefined) return same;
  const covered = [keyPrefix(of.primary.body), keyPrefix(key.body)];
  const made = { covered, signatures: new Map<string, Uint8Array>(), key };
  of.subkeys.set(key.fingerprint, made);
  return made;
}

export function addSignature(to: Component | undefined, body: Uint8Array): void {
  to?.signatures.set(hexOfBytes(body), body);
}

/** The 64-bit key IDs that a signature names as its issuer's. */
export function issuersOf(body: Uint8Array): readonly string[] {
  const signature = readOrSkip(body);
  const long = (signature?.issuerFingerprints ?? []).map((fingerprint) => fingerprint.slice(-16));
  return [...new Set([...long, ...(signature?.issuerKeyIds ?? [])])];
}

/** A signature whose mathematics held, and whose creation time is known. */
export type CheckedSignature = SignaturePacket & { readonly created: number };

const checkedSignatures = new WeakMap<Component, readonly CheckedSignature[]>();

/** The component's signatures by the primary key, newest first (of two of one second the later found, as in gpg). */
export function selfSignatures(of: Components, component: Component): readonly CheckedSignature[] {
  const known = checkedSignatures.get(component);
  if (known !== undefined) return known;
  const checked = [...component.signatures.values()]
    .map((body) => readOrSkip(body))
    .filter((signature) => isMadeBy(signature, component.covered, of.primary))
    .toReversed()
    .sort((a, b) => b.created - a.created);
  checkedSignatures.set(component, checked);
  return checked;
}

/** Malformed and unsupported signatures in a certificate are nothing, as in gpg. */
function readOrSkip(body: Uint8Array): SignaturePacket | undefined {
  try {
    return parseSignaturePacket(body, 'key.malformed', 'a signature in the key file');
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}

function isMadeBy(
  signature: SignaturePacket | undefined,
  covered: readonly Uint8Array[],
  key: PublicKey,
): signature is CheckedSignature {
  if (signature?.created === undefined || signature.problem !== undefined) return false;
  // the issuer only spares the mathematics of other people's signatures: it proves nothing. gpg
  // ignores signatures that name none; here a revocation counts all the same
  const [fingerprint, keyId] = [signature.issuerFingerprints[0], signature.issuerKeyIds[0]];
  const named = fingerprint === undefined ? keyId : fingerprint.slice(-16);
  if (named !== key.keyId && !(named === undefined && revocations.has(signature.type))) return false;
  return signature.created >= key.created && checkSignature(signature, covered, key);
}

const revocations: ReadonlySet<number> = new Set([
  signatureTypes.keyRevocation,
  signatureTypes.subkeyRevocation,
  signatureTypes.certificationRevocation,
]);

/** True when a key that the owner named as revoker has revoked the primary key (RFC 9580 section 5.2.3.23). */
export function isRevokedBy(of: Components, revoker: PublicKey): boolean {
  return [...of.direct.signatures.values()]
    .map((body) => readOrSkip(body))
    .some(
      (signature) =>
        signature?.type === signatureTypes.keyRevocation && isMadeBy(signature, of.direct.covered, revoker),
    );
}

const crossCertified = new WeakMap<SignaturePacket, boolean>();

/**
 * True when the subkey itself says that it belongs to the primary key: the back signature inside a
 * binding (RFC 9580 section 5.2.1.9). Without it anyone could adopt another's signing subkey.
 */
export function isCrossCertified(subkey: SubkeyComponent, binding: SignaturePacket): boolean {
  const known = crossCertified.get(binding);
  if (known !== undefined) return known;
  const certified = binding.embedded
    .map((body) => readOrSkip(body))
    .some(
      (signature) =>
        signature?.type === signatureTypes.primaryKeyBinding &&
        isMadeBy(signature, subkey.covered, subkey.key),
    );
  crossCertified.set(binding, certified);
  return certified;
}

/** True when the signature's own lifetime is over. `now` in seconds since 1970. */
export function isExpired(signature: CheckedSignature, now: number): boolean {
  return signature.lifetime !== undefined && signature.created + signature.lifetime <= now;
}
