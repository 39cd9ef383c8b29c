/** Who has signed, once everything about it holds. */
export type Signed = {
  readonly ok: true;
  /** For counting: `key:<SHA-256 of SubjectPublicKeyInfo>` or `identity:<issuer> <subject>`. */
  readonly signer: string;
  /** SHA-256 of SubjectPublicKeyInfo, lower-case hexadecimal. */
  readonly key?: string;
  /** `alice@example.com (https://issuer)` */
  readonly identity?: string;
  /** When, by the witnesses that hold: signed entry timestamps, then RFC 3161 timestamps; milliseconds since 1970. */
  readonly times: readonly number[];
  readonly isLogged: boolean;
  readonly notes: readonly string[];
};
