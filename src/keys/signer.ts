/** Whoever can sign. One interface for every kind of key. */

/**
 * `openpgp`: Bulla's own keyring or a key file, in process. `gnupg`: the user's gpg, as a process.
 * `sigstore`: an encrypted key file of cosign, skopeo or Bulla.
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
