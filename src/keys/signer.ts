/** Whoever can sign. One interface for every kind of key. */
import type { SigstorePublicKey } from './sigstore/public-key.ts';

/**
 * `openpgp`: Bulla's own keyring or a key file, in process. `gnupg`: the user's gpg, as a process.
 * `sigstore`: an encrypted key file of cosign, skopeo or Bulla, a device, a service, or Fulcio's certificate.
 */
export type KeyKind = 'openpgp' | 'gnupg' | 'sigstore';

/** A key that signs. Dispose it when done: it may hold secret material or a process. */
export interface Signer extends AsyncDisposable {
  readonly kind: KeyKind;
  /**
   * Names the key to people and verifiers: for OpenPGP the primary key's fingerprint, upper-case hex; for sigstore the
   * SHA-256 of the SubjectPublicKeyInfo, lower-case hex.
   */
  readonly keyId: string;
  /**
   * Signs a message. An OpenPGP signer gives a binary OpenPGP signed message that holds it
   * (one-pass signature, literal data, signature; RFC 9580 section 10.3), as simple signing wants.
   * A sigstore signer gives the signature alone.
   * @throws BullaError `key.unusable`, `key.passphrase-missing`, `key.passphrase-wrong`
   */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** A sigstore key: a file, a device, a service, or one made for this signature with a certificate for it. */
export interface SigstoreSigner extends Signer {
  readonly kind: 'sigstore';
  readonly publicKey: SigstorePublicKey;
  /**
   * The certificate for the key and those that lead to its root, DER, its own first. Fulcio's keys have one: after the
   * first signature, undefined before, and always the one that is to go with the signature just made.
   */
  readonly certificates?: readonly [Uint8Array, ...Uint8Array[]] | undefined;
  /**
   * Signs a message as bundles and logs want it: with the hash that the key's size asks for (P-256 and RSA: SHA-256,
   * P-384: SHA-384, P-521: SHA-512). `sign` is for attachments, which containers/image hashes with SHA-256 whatever the key.
   * Ed25519 signs the message itself, which is what cosign verifies; `prehashed` makes it Ed25519ph, the only form that Rekor's
   * hashedrekord entries take (all of Rekor v2's, and v1's of a file). Other kinds of key do not ask for the difference.
   * @throws BullaError also `key.unusable` where the device or service cannot make that form
   */
  signForBundle(message: Uint8Array, form?: { readonly prehashed: boolean }): Promise<Uint8Array>;
}
