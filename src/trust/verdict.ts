/** What is judged, and what the judgement looks like; docs/reference/policy.md explains each part. */
import type { Digest } from '../base/digest.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Reference } from '../base/reference.ts';
import type { Signature, UnreadableSignature } from '../formats/signature.ts';
import type { ScopeName, ScopeSubject } from './scopes.ts';

/** A signature as a store gives it; `location` says where it was found, without credentials. */
export type StoredLike = {
  readonly signature: Signature | UnreadableSignature;
  readonly location: string;
};

/** An image under judgement. Its transport, identity and namespaces select the scope (scopes.ts). */
export type Subject = ScopeSubject & {
  /** The name to compare with the signatures'; undefined where the transport knows none (dir:, oci:). */
  readonly dockerReference?: Reference;
  /** sha256 of the bytes of the very manifest that will be used: the instance's, for an index. */
  readonly manifestDigest: Digest;
  /** All signatures of that manifest. What it throws means that no decision is possible, and is passed on. */
  signatures(): AsyncIterable<StoredLike>;
};

/** How one signature fared. `key` and `identity` are there only once the cryptographic check holds. */
export type SignatureVerdict = {
  readonly format: string;
  /** Where the signature was found. */
  readonly store: string;
  /** GPG: the primary key's fingerprint, upper-case hexadecimal. sigstore: sha256 of SubjectPublicKeyInfo, lower-case. */
  readonly key?: string;
  /** The docker-reference that was signed; for a certificate whose it is: `alice@example.com (https://issuer)`. */
  readonly identity?: string;
  /** The docker-reference that was signed, where the signature is sigstore's and accepted. */
  readonly reference?: string;
  /**
   * Whose it is, for counting distinct signers: `key:<key>`, `gpg:<primary fingerprint>`, `identity:<issuer> <subject>`.
   * Only where the signature is accepted.
   */
  readonly signer?: string;
  /** What a bundle or attestation says of the image, where it is accepted. */
  readonly predicateType?: string;
  /** The bytes of the statement that was signed, where it is accepted and another than cosign’s signature was asked for. */
  readonly statement?: Uint8Array;
  /** When it was signed, by every log and timestamp authority that is trusted and says so: RFC 3339. */
  readonly times?: readonly string[];
  /** What is worth saying where it is accepted, such as what was not checked; the message says it too. */
  readonly notes?: readonly string[];
  /** The list whose signature it is, where the manifest counts as signed because the list names it. */
  readonly list?: Digest;
  /** The names of a trust.yaml's signers whose it is, where it is accepted. */
  readonly countsFor?: readonly string[];
  /** What the signature says of itself and nobody vouches for. */
  readonly untrusted?: Readonly<Record<string, unknown>>;
  readonly accepted: boolean;
  readonly code: ErrorCode | 'accepted';
  readonly message: string;
};

/** How one requirement fared. A refused one has a code of its own, and a message that gives the reasons. */
export type RequirementVerdict = {
  readonly type: string;
  readonly accepted: boolean;
  readonly code?: ErrorCode;
  readonly message?: string;
  readonly signatures: readonly SignatureVerdict[];
};

/**
 * The judgement. All requirements must accept; judging ends with the first that does not, so the
 * last of a refusal's requirements is the one that refused. `scope` is null where keys were given
 * instead of a policy.
 */
export type Verdict = {
  readonly accepted: boolean;
  readonly scope: ScopeName | null;
  readonly requirements: readonly RequirementVerdict[];
};
