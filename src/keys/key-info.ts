/** What Bulla knows of an OpenPGP key, wherever it is kept, and what one can do with it there. */

/** `own`: Bulla's own keyring. `gnupg`: the user's GnuPG home. */
export type KeySource = 'own' | 'gnupg';

/** The kinds of key that can be made: those that GnuPG 2.2, and so podman and skopeo, can use. */
export const keyTypes = ['rsa3072', 'rsa4096', 'ed25519', 'p256'] as const;
export type KeyType = (typeof keyTypes)[number];

export type SubkeyInfo = {
  /** Upper-case hex, 40 digits. */
  readonly fingerprint: string;
  /** As GnuPG writes it: `rsa3072`, `ed25519`, `nistp256`. */
  readonly algorithm: string;
  readonly created: Date;
  readonly expires?: Date;
  readonly revoked: boolean;
  readonly canSign: boolean;
};

export type KeyInfo = {
  /** The primary key's, upper-case hex, 40 digits. */
  readonly fingerprint: string;
  /** User IDs that are not revoked, the primary one first. */
  readonly userIds: readonly string[];
  readonly algorithm: string;
  readonly created: Date;
  readonly expires?: Date;
  readonly revoked: boolean;
  /** The primary key itself may sign data. */
  readonly canSign: boolean;
  /** A secret part is there (on a card counts). */
  readonly hasSecret: boolean;
  readonly source: KeySource;
  readonly subkeys: readonly SubkeyInfo[];
};

/** Where a passphrase comes from when one is needed. */
export type PassphraseSource = {
  /** Read from a file. The empty text is a passphrase that was given and is empty. */
  readonly given?: string;
  /** Asks a person; not there where nobody can be asked. */
  readonly ask?: (question: string) => Promise<string>;
};

export type GenerateRequest = {
  readonly userId: string;
  readonly type: KeyType;
  /** Not there: the key does not expire. */
  readonly expires?: Date;
  /** The empty text: the secret key is not protected. Not there: GnuPG's own pinentry asks. */
  readonly passphrase?: string;
};

/** Why a key is revoked (RFC 9580 section 5.2.3.31): `none`, 1 superseded, 2 compromised, 3 no longer used. */
export const revocationReasons = ['none', 'superseded', 'compromised', 'unused'] as const;
export type RevocationReason = (typeof revocationReasons)[number];

export type Imported = {
  readonly fingerprint: string;
  readonly what: 'public' | 'secret' | 'revocation';
  /** False: it was there already, and nothing changed. */
  readonly changed: boolean;
  /** A secret key came without a passphrase on it (told of Bulla's own keyring only). */
  readonly unprotected?: true;
};

/** A place that keeps keys. Both adapters pass the same contract test. Fingerprints are primary keys'. */
export interface KeyStore {
  readonly source: KeySource;
  /** Where it is, for people. */
  readonly description: string;
  /** All keys, or those that `pattern` may mean (GnuPG's ways to name a key); the caller chooses by chooseKey. */
  list(pattern?: string): Promise<readonly KeyInfo[]>;
  /**
   * Makes a signing key with its revocation certificate.
   * @returns its fingerprint
   * @throws BullaError `key.passphrase-missing`, `key.unusable`
   */
  generate(request: GenerateRequest): Promise<string>;
  /** The public certificate. @throws BullaError `key.not-found` */
  exportPublic(fingerprint: string, armor: boolean): Promise<Uint8Array>;
  /** The secret key, protected as it is kept. @throws BullaError `key.not-found`, `key.passphrase-missing`, `key.passphrase-wrong` */
  exportSecret(fingerprint: string, armor: boolean, passphrase: PassphraseSource): Promise<Uint8Array>;
  /**
   * Takes public keys, secret keys or a revocation certificate, armored or not; what is there is merged.
   * All of it or nothing. The passphrase is needed where a secret key is protected in a way that
   * GnuPG and Bulla cannot read (AEAD, Argon2): it is then protected anew.
   * @throws BullaError `key.malformed`, `key.not-found` (a revocation certificate of an unknown key),
   *   `key.passphrase-missing`, `key.passphrase-wrong`
   */
  import(bytes: Uint8Array, passphrase?: PassphraseSource): Promise<readonly Imported[]>;
  /** Sets when the key and its signing subkeys expire; undefined: never. @throws BullaError as exportSecret */
  extend(fingerprint: string, expires: Date | undefined, passphrase: PassphraseSource): Promise<void>;
  /**
   * Revokes: without a reason by the certificate made at birth where it is there, else by the secret key.
   * @throws BullaError as exportSecret, `key.unusable`
   */
  revoke(
    fingerprint: string,
    reason: RevocationReason | undefined,
    passphrase: PassphraseSource,
  ): Promise<void>;
  /** Deletes the secret part, or all. @throws BullaError `key.not-found` */
  delete(fingerprint: string, what: 'secret' | 'all'): Promise<void>;
}
