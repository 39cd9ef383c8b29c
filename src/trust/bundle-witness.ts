/** What logs and timestamp authorities say of a signature: whether it is logged, and the times that can be believed. */
import { printable } from '../base/bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Authority, TransparencyLog } from '../keys/trusted-root/trusted-root.ts';
import { type LoggedSigner, verifyLogEntry } from '../witnesses/log-entry-verify.ts';
import { verifyTimestamp } from '../witnesses/timestamp.ts';
import type { Demand } from './bundle-rule.ts';
import type { UntrustedEvidence } from './evidence.ts';

export type Fault = { readonly ok: false; readonly code: ErrorCode; readonly message: string };

export type Witnessed = {
  readonly ok: true;
  /** Milliseconds since 1970: signed entry timestamps that hold, then RFC 3161 timestamps that hold. */
  readonly times: readonly number[];
  readonly isLogged: boolean;
  /** What is worth saying where the signature is accepted. */
  readonly notes: readonly string[];
};

export type WitnessRule = {
  readonly logs: readonly TransparencyLog[];
  readonly authorities: readonly Authority[];
  readonly log: Demand;
  readonly timestamp: Demand;
};

/** Judges entries and timestamps. The times are for the caller to compare with certificates. */
export function judgeWitnesses(
  evidence: UntrustedEvidence,
  signer: LoggedSigner,
  rule: WitnessRule,
): Witnessed | Fault {
  const stamped = judgeTimestamps(evidence, rule);
  if (!stamped.ok) return stamped;
  const logged = judgeLog(evidence, signer, rule, stamped.times);
  if (!logged.ok) return logged;
  return {
    ok: true,
    times: [...logged.times, ...stamped.times],
    isLogged: logged.isLogged,
    notes: [...logged.notes, ...stamped.notes],
  };
}

/** At least one must hold where any is there and an authority is trusted; those of others are passed over. */
function judgeTimestamps({ timestamps, signature }: UntrustedEvidence, rule: WitnessRule): Witnessed | Fault {
  const { authorities, timestamp: demand } = rule;
  if (timestamps.length === 0) {
    return demand === 'required'
      ? fault('signature.timestamp-missing', 'a timestamp is required, but there is none')
      : nothing;
  }
  if (demand === 'ignored' || (authorities.length === 0 && demand === 'optional'))
    return noted('its timestamp is not checked');
  const results = timestamps.map((each) => verifyTimestamp(each, signature, authorities));
  const times = results.flatMap((result) => (result.ok ? [result.time] : []));
  const [first] = results;
  if (times.length === 0 && first?.ok === false) return first;
  return { ...nothing, times };
}

/** At least one must hold; an entry of a log that is trusted and does not hold is a refusal, one of another log says nothing. */
function judgeLog(
  { logEntries, signature, content }: UntrustedEvidence,
  signer: LoggedSigner,
  { logs, log: demand }: WitnessRule,
  stamped: readonly number[],
): Witnessed | Fault {
  if (logEntries.length === 0) {
    return demand === 'required'
      ? fault('signature.log-entry-missing', 'a log entry is required, but there is none')
      : nothing;
  }
  if (demand === 'ignored' || (logs.length === 0 && demand === 'optional'))
    return noted('its log entry is not checked');
  const times: number[] = [];
  const named: string[] = [];
  let isLogged = false;
  for (const entry of logEntries) {
    const result = verifyLogEntry(entry, { signer, signature, content }, logs);
    if (!result.ok) {
      if (result.unknownLog === true) continue;
      return result;
    }
    const { integratedTime } = result;
    if (integratedTime !== undefined) times.push(integratedTime);
    if (!(integratedTime === undefined ? stamped : []).every((time) => isWithin(time, result.log.validFor))) {
      return fault(
        'signature.log-entry-invalid',
        'its log was not to be trusted at the time of the timestamp',
      );
    }
    isLogged = true;
    // a bare key of a log has no address
    if (result.log.baseUrl !== '') named.push(`in the log ${printable(result.log.baseUrl, 200)}`);
  }
  if (isLogged) return { ...nothing, times, isLogged, notes: named };
  return fault('signature.log-entry-invalid', 'it is logged, but in no log that is trusted here');
}

/** Both ends count. */
export function isWithin(
  time: number,
  { start, end = Number.POSITIVE_INFINITY }: TransparencyLog['validFor'],
): boolean {
  return time >= start && time <= end;
}

const nothing: Witnessed = { ok: true, times: [], isLogged: false, notes: [] };

function noted(note: string): Witnessed {
  return { ...nothing, notes: [note] };
}

export function fault(code: ErrorCode, message: string): Fault {
  return { ok: false, code, message };
}
