/**
 * Keys seen otherwise than a policy has them, for asking what if: without a key (what else vouches for the image?), or with a
 * key as it was before it was revoked or expired (what had it vouched for?). Files are never edited for that.
 */
import type { Candidate, Keyring } from '../keys/openpgp/keyring.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';

/** What is made of key material once it is read, before anything is judged by it. */
export type KeyView = {
  readonly keyring: (keyring: Keyring) => Keyring;
  readonly sigstore: (keys: readonly SigstorePublicKey[]) => readonly SigstorePublicKey[];
};

/** Keys by what names them for good. */
export type KeyNames = {
  /** Fingerprints of primary keys, upper-case hex; a subkey goes with its primary key. */
  readonly openpgp: ReadonlySet<string>;
  /** SHA-256 of SubjectPublicKeyInfo, lower-case hex. */
  readonly sigstore: ReadonlySet<string>;
};

/** Without these keys, wherever they are among others. What is left may be no key at all: nothing verifies by that. */
export function withoutKeys(names: KeyNames): KeyView {
  return {
    keyring: (keyring) => ({
      get certificates() {
        return keyring.certificates.filter(({ fingerprint }) => !names.openpgp.has(fingerprint));
      },
      candidates: (id) =>
        keyring.candidates(id).filter(({ primaryFingerprint }) => !names.openpgp.has(primaryFingerprint)),
    }),
    sigstore: (keys) => keys.filter(({ keyId }) => !names.sigstore.has(keyId)),
  };
}

/**
 * With these OpenPGP keys neither revoked nor expired. By such a view anybody who holds the key vouches for anything: what is judged
 * by it must be known from elsewhere.
 */
export function asBeforeItsEnd(names: KeyNames): KeyView {
  return {
    keyring: (keyring) => ({
      get certificates() {
        return keyring.certificates;
      },
      candidates: (id) =>
        keyring
          .candidates(id)
          .map((each) => (names.openpgp.has(each.primaryFingerprint) ? inItsTime(each) : each)),
    }),
    sigstore: (keys) => keys,
  };
}

function inItsTime(candidate: Candidate): Candidate {
  return {
    ...candidate,
    judge: (now) => {
      const { state, primary } = candidate.judge(now);
      const good = { revoked: false, expires: undefined };
      return { state: { ...state, ...good }, primary: { ...primary, ...good } };
    },
  };
}
