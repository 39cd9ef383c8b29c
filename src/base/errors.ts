/**
 * Every error Bulla can report, with the exit code that the terminal gives it.
 *
 * The codes are API: scripts and tests match on them, so a code is never renamed. The first part
 * names the folder or matter; the number is the exit code of docs/reference/exit-codes.md:
 * 1 refused · 2 wrong usage or configuration · 3 could not decide · 4 key or passphrase trouble.
 * A code is used both for errors that are thrown and for the reasons inside a verdict.
 */
const exitCodes = {
  // base: values that do not parse
  'digest.malformed': 2,
  'reference.malformed': 2,
  'image-name.malformed': 2,
  'json.malformed': 2,
  'yaml.malformed': 2,
  'manifest.malformed': 1,
  'manifest.too-large': 1,
  'manifest.digest-mismatch': 1,
  'blob.digest-mismatch': 1,
  // usage
  'usage.invalid': 2,
  'usage.unsupported': 2,
  'internal.bug': 3,
  // io
  'io.not-found': 3,
  'io.failed': 3,
  'io.too-large': 3,
  'io.no-space': 3,
  'io.read-only': 3,
  'io.locked': 3,
  'io.offline': 3,
  'http.failed': 3,
  'http.timeout': 3,
  'http.too-large': 3,
  'http.certificate-refused': 3,
  'http.redirect-refused': 3,
  'http.url-refused': 3,
  'process.not-found': 3,
  'process.timeout': 3,
  'process.output-too-large': 3,
  'process.failed': 3,
  // keys
  'key.malformed': 2,
  'key.none': 2,
  'key.not-found': 4,
  'key.ambiguous': 2,
  'key.unusable': 4,
  'key.passphrase-missing': 4,
  'key.passphrase-wrong': 4,
  'key.exists': 2,
  'trusted-root.malformed': 2,
  'trusted-root.unusable': 1,
  'oidc.token-missing': 4,
  'oidc.token-malformed': 4,
  'oidc.token-expired': 4,
  'oidc.token-wrong-audience': 4,
  'oidc.refused': 4,
  'oidc.failed': 3,
  'oidc.timeout': 3,
  'fulcio.refused': 4,
  'fulcio.rate-limited': 3,
  'fulcio.failed': 3,
  'fulcio.answer-refused': 3,
  'signing-config.malformed': 2,
  'signing-config.unusable': 2,
  // registry
  'registry.unauthorized': 3,
  'registry.denied': 3,
  'registry.failed': 3,
  'registry.no-catalog': 3,
  'registry.rate-limited': 3,
  'registry.not-a-registry': 3,
  'registry.challenge-refused': 3,
  'registry.blocked': 1,
  'registry.not-logged-in': 3,
  'registry.too-many-referrers': 3,
  'registry.changed': 3,
  'registries-conf.malformed': 2,
  'auth-file.malformed': 2,
  'auth-file.not-found': 2,
  'certs-d.malformed': 2,
  'credential-helper.failed': 3,
  // witnesses: logs and timestamp authorities that are asked while signing
  'log.failed': 3,
  'log.refused': 3,
  'log.rate-limited': 3,
  'log.answer-invalid': 3,
  'log.duplicate': 3,
  'timestamp.failed': 3,
  'timestamp.refused': 3,
  'timestamp.rate-limited': 3,
  'timestamp.answer-invalid': 3,
  // formats: what is wrong with one signature
  'signature.empty': 1,
  'signature.unrecognized': 1,
  'signature.malformed': 1,
  'signature.too-large': 1,
  'signature.unsupported': 1,
  'signature.unknown-key': 1,
  'signature.invalid': 1,
  'signature.expired': 1,
  'signature.key-expired': 1,
  'signature.key-revoked': 1,
  'signature.key-unusable': 1,
  'signature.payload-malformed': 1,
  'signature.wrong-digest': 1,
  'signature.wrong-identity': 1,
  'signature.wrong-type': 1,
  'signature.log-entry-missing': 1,
  'signature.log-entry-invalid': 1,
  'signature.certificate-missing': 1,
  'signature.certificate-invalid': 1,
  'signature.wrong-signer': 1,
  'signature.outside-window': 1,
  'signature.timestamp-missing': 1,
  'signature.timestamp-invalid': 1,
  'signature.wrong-predicate': 1,
  'signature.sct-missing': 1,
  'signature.sct-invalid': 1,
  'signature.wrong-subject': 1,
  'signature.wrong-size': 1,
  'signature.not-found': 1,
  // images
  'image.not-found': 3,
  'image.unsupported': 2,
  'image.malformed': 1,
  'image.too-large': 1,
  'image.ambiguous': 2,
  'image.occupied': 2,
  'image.no-such-platform': 3,
  'image.too-deep': 1,
  'engine.unavailable': 3,
  'engine.failed': 3,
  'engine.refused': 1,
  'engine.wrong-digest': 3,
  // copying: why a manifest may not change
  'copy.signatures-freeze': 2,
  'copy.digest-freezes': 2,
  'copy.preserve-digests': 2,
  'copy.attachments-freeze': 2,
  // syncing: what is asked for cannot be, or is not there
  'sync-file.malformed': 2,
  'sync.same-destination': 2,
  'sync.nothing': 3,
  // promoting
  'promote.not-carryable': 2,
  'promote.source-moved': 3,
  'promote.tag-taken': 3,
  'stages.malformed': 2,
  'stages.not-found': 2,
  'stages.unknown': 2,
  // signing anew for a rotated key: why a digest is passed over
  'resign.same-key': 2,
  'resign.digests-malformed': 2,
  'resign.not-by-old': 1,
  'resign.not-believed': 1,
  'resign.no-trusted-time': 1,
  'resign.name-not-recorded': 1,
  // transfer bundles, for the air gap
  'transfer.malformed': 1,
  'transfer.unsupported': 2,
  'transfer.incomplete': 1,
  'transfer.extra': 1,
  'transfer.altered': 1,
  'transfer.contradictory': 1,
  'transfer.untrusted': 2,
  'transfer.name-clash': 2,
  // stores
  'store.unreadable': 3,
  'store.too-many-signatures': 3,
  'store.read-only': 3,
  'store.unsupported': 2,
  'store.none': 2,
  'store.contended': 3,
  'store.attachments-off': 2,
  'store.hides-attachment': 2,
  'store.failed': 3,
  'registries-d.malformed': 2,
  'registries-d.unreadable': 2,
  // trust
  'policy.not-found': 2,
  'policy.malformed': 2,
  'trust.rejected': 1,
  'trust.no-signature': 1,
  'trust.not-accepted': 1,
  'trust.not-required': 1,
  'trust.not-read': 1,
  'trust.key-unavailable': 2,
  // operations
  'tuf.unreachable': 3,
  'tuf.refused': 3,
  // servers
  'server.cannot-listen': 3,
} as const;

/** What the process exits with; 0 is not here because success is not an error. */
export type ExitCode = 1 | 2 | 3 | 4;

/** A stable, dotted error code. */
export type ErrorCode = keyof typeof exitCodes;

/** All codes with their exit code, for documentation and tests. */
export const errorCodes: Readonly<Record<ErrorCode, ExitCode>> = exitCodes;

/**
 * The one error class: a stable code, a one-line message (what and why), and where a human can
 * act a hint (what to do). Messages and hints never carry secrets, tokens or URL queries.
 */
export class BullaError extends Error {
  override readonly name = 'BullaError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  get exitCode(): ExitCode {
    return exitCodes[this.code];
  }
}

/** True when `error` is a BullaError, with that code if one is given. */
export function isBullaError(error: unknown, code?: ErrorCode): error is BullaError {
  return error instanceof BullaError && (code === undefined || error.code === code);
}
