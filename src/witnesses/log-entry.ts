/** An entry of a transparency log as a bundle carries it (sigstore_rekor.proto, TransparencyLogEntry). */

/** Nothing of it is verified; numbers are whole and not negative, bytes are decoded. */
export type UntrustedLogEntry = {
  /** Over all shards of the log. */
  readonly logIndex: bigint;
  /** Rekor v1: SHA-256 of the log's SubjectPublicKeyInfo; v2: the checkpoint key ID (C2SP), 32 bytes. */
  readonly logId: Uint8Array;
  readonly kind: string;
  readonly version: string;
  /** Seconds since 1970, vouched for by `signedEntryTimestamp` alone; Rekor v2 has none. */
  readonly integratedTime?: bigint;
  readonly signedEntryTimestamp?: Uint8Array;
  readonly inclusionProof?: UntrustedInclusionProof;
  /** The entry, canonical JSON. */
  readonly body: Uint8Array;
};

export type UntrustedInclusionProof = {
  /** In this shard's tree; Rekor v1's differs from the entry's. */
  readonly logIndex: bigint;
  readonly treeSize: bigint;
  readonly rootHash: Uint8Array;
  /** From the leaf's sibling upwards (RFC 9162 section 2.1.3). */
  readonly hashes: readonly Uint8Array[];
  /** A signed note (C2SP tlog-checkpoint). */
  readonly checkpoint: string;
};
