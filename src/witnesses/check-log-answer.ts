/** Whether what a log answered is the entry that was asked for: before it is used or stored. */
import { isBullaError } from '../base/errors.ts';
import type { Fault } from '../keys/json-members.ts';
import type { TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import { matchEntryBody } from './entry-body.ts';
import { verifyLogEntry } from './log-entry-verify.ts';
import type { UntrustedLogEntry } from './log-entry.ts';
import type { LoggedArtifact } from './logged-artifact.ts';

/**
 * The entry is of the kind that was sent, about the very signer, signature and content; and it verifies by one of the roots,
 * where there are any. Whether it does is otherwise for those who verify the signature.
 * @throws what `fault` makes
 */
export function checkLogAnswer(
  entry: UntrustedLogEntry,
  sent: { readonly artifact: LoggedArtifact; readonly kind: string; readonly version: string },
  roots: readonly TrustedRoot[] | undefined,
  fault: Fault,
): UntrustedLogEntry {
  if (entry.kind !== sent.kind || entry.version !== sent.version)
    throw fault('it is of another kind than was sent');
  try {
    matchEntryBody(entry.body, entry, sent.artifact);
  } catch (error) {
    throw isBullaError(error) ? fault(error.message) : error;
  }
  if (roots === undefined || roots.length === 0) return entry;
  const logs = roots.flatMap((root) => root.transparencyLogs);
  const result = verifyLogEntry(entry, sent.artifact, logs);
  if (!result.ok) throw fault(result.message);
  return entry;
}
