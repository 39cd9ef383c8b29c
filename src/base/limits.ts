/** Upper bounds for everything that comes from outside. Those of containers/image have its values. */
export const limits = {
  /** One image manifest or index (containers/image: 4 MiB). */
  manifestBytes: 4_194_304,
  /** One detached signature (containers/image: 4 MiB). */
  signatureBytes: 4_194_304,
  /** What one signature may unpack to; a payload is under 1 KiB in practice. */
  signaturePayloadBytes: 4_194_304,
  /** The X-R-S-S signature list of an image (containers/image: 4 MiB). */
  signatureListBytes: 4_194_304,
  /** An image's configuration (containers/image: 4 MiB). */
  configBytes: 4_194_304,
  /** A token server's answer (containers/image: 1 MiB). */
  tokenBytes: 1_048_576,
  /** The body of an HTTP error (containers/image: 1 MiB). */
  errorBodyBytes: 1_048_576,
  /** Reading this many signatures in a row from a lookaside is an error: 127 are usable. */
  lookasideSignatures: 128,
  /** Layers of a `.sig` attachment, each a signature (cosign: 1000). */
  attachments: 1000,
  /** All payloads of a `.sig` attachment together: they are held at once. */
  attachmentsBytes: 67_108_864,
  /** The answer of a transparency log or timestamp authority: an entry holds no artifact. */
  logAnswerBytes: 1_048_576,
  /** One sigstore bundle; an attestation of a large image (an SBOM) is a few MiB. */
  bundleBytes: 16_777_216,
  /** What refers to one image: more is not believed. */
  referrers: 1000,
  /** All bundles and envelopes of an image together, as one reader gets them. */
  referrersBytes: 268_435_456,
  /** Log entries, and timestamps, of one bundle (sigstore-go: 32 each). */
  bundleWitnesses: 32,
  /** Subjects of one in-toto statement (sigstore-go: 1024). */
  statementSubjects: 1024,
  /** Digests of one subject (sigstore-go: 32). */
  subjectDigests: 32,
  /** A key or keyring file. */
  keyringBytes: 16_777_216,
  /** What a key service or a key plugin answers: a public key, a signature. */
  keyAnswerBytes: 1_048_576,
  /** An identity token; issuers' are under 4 KiB. */
  identityTokenBytes: 65_536,
  /** What an OpenID issuer or Fulcio answers: a certificate chain is under 8 KiB. */
  identityAnswerBytes: 262_144,
  /** trusted_root.json, one root or several. */
  trustedRootBytes: 4_194_304,
  /** One file of a TUF repository, as it lies in the cache. */
  tufBytes: 16_777_216,
  /** The list of digests that a record of one's own holds: 100,000 lines of names. */
  digestRecordBytes: 16_777_216,
  /** policy.json, registries.d, registries.conf, auth.json: one file. */
  configFileBytes: 4_194_304,
  /** A file that is signed or verified: it is held at once. */
  signedFileBytes: 1_073_741_824,
  /** Entries of an image archive; an image of 127 layers has 400. */
  archiveEntries: 65_536,
  /** A transfer bundle's list of what is in it. */
  transferIndexBytes: 16_777_216,
  /** Commas in that list, each of which may be a value: a value takes more memory than its text. */
  transferIndexValues: 1_000_000,
  /** Files in a transfer bundle. */
  transferMembers: 32_768,
  /** Manifests of a transfer bundle's images together, each as often as an image has it: all are read and judged. */
  transferManifests: 100_000,
  /** Their bytes together, counted so too: reading them takes seconds. */
  transferManifestBytes: 268_435_456,
  /** What a compressed archive, or a compressed layer in a docker-archive, may unpack to whatever its size. */
  unpackedFreely: 268_435_456,
  /** Beyond that it may grow so many times: layers of text shrink to a tenth. */
  unpackedRatio: 200,
  /** Nothing is unpacked beyond this. */
  unpackedBytes: 34_359_738_368,
  /** An engine that answers nothing for so long, in milliseconds, is stuck: saving a large image takes minutes. */
  engineMs: 1_800_000,
  /** Findings of one kind that a check or merge of a store names; the rest is counted. */
  storeFindings: 1000,
  /** One run of git, in milliseconds: a first fetch over a slow line takes minutes. */
  gitMs: 900_000,
  /** Asking a git repository where its branch is, in milliseconds. */
  gitAskMs: 120_000,
  /** What is fetched of a git repository: the newest state of one branch, as one packed file. */
  gitFetchBytes: 1_073_741_824,
  /** The list of all files in a git repository's branch: 300,000 signatures. */
  gitListBytes: 67_108_864,
  /** How often a push that somebody else's came before is tried again. */
  gitTries: 20,
  /** Nesting of JSON that Bulla parses strictly. */
  jsonDepth: 64,
} as const;
