/** Whose a sigstore signature may be: what each kind of sigstoreSigned requirement makes of its proof. */
import type { ErrorCode } from '../base/errors.ts';
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';

/** A signature attachment taken apart; nothing in it is verified. */
export type UntrustedAttachment = {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly certificate: string | undefined;
  readonly chain: string | undefined;
  /** Rekor's signed entry timestamp. */
  readonly logEntry: string | undefined;
};

/** The keys that the signature may be by. With `identity` there is one, and a certificate has said whose. */
export type Signers =
  | {
      readonly ok: true;
      readonly keys: readonly SigstorePublicKey[];
      readonly identity?: string;
      /** What is worth saying where the signature is accepted. */
      readonly note?: string;
    }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/** One kind of requirement. `now` is in milliseconds since 1970. */
export type FindSigners = (untrusted: UntrustedAttachment, now: number) => Signers;

export function noSigner(code: ErrorCode, message: string): Signers {
  return { ok: false, code, message };
}
