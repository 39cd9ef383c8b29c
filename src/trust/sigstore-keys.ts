/** sigstoreSigned by public keys, with or without Rekor. */
import type { SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { verifyRekorSet } from '../witnesses/rekor-set.ts';
import { noSigner, type Signers, type UntrustedAttachment } from './sigstore-signer.ts';

/** How the log counts. `demanded: false`: an entry that is there must hold, none is asked for. */
export type LogRule = { readonly keys: readonly SigstorePublicKey[]; readonly demanded: boolean };

/**
 * The keys that a signature may be by: any of those given; with a log, the one whose entry the log has
 * signed. The entry is verified before the signature, as containers/image does.
 */
export function signersByKey(
  untrusted: UntrustedAttachment,
  keys: readonly SigstorePublicKey[],
  log: LogRule | undefined,
): Signers {
  const { payload, signature, logEntry } = untrusted;
  if (log === undefined) {
    return { ok: true, keys, ...(logEntry !== undefined && { note: 'its log entry is not checked' }) };
  }
  if (logEntry === undefined) {
    if (!log.demanded) return { ok: true, keys };
    return noSigner('signature.log-entry-missing', 'a log entry is required, but the signature has none');
  }
  const logged = verifyRekorSet(
    logEntry,
    { payload, signature, signers: keys.map(({ spki }) => spki) },
    log.keys,
  );
  if (!logged.ok) return logged;
  const key = keys[logged.signer];
  return { ok: true, keys: key === undefined ? [] : [key], note: `logged ${logTime(logged.integratedTime)}` };
}

/** The log's time as text. */
export function logTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s after 1970` : date.toISOString();
}
