/** When a signer of a trust.yaml is believed. */
import type { NamedSigner } from './requirement.ts';
import type { SignatureVerdict } from './verdict.ts';

/**
 * Why a signature is outside its signer's window, or undefined where it is within. Judged by every trusted time, and by now
 * where there is none: without a witness a stolen key could always claim to have signed in time.
 * @param times of verified witnesses, milliseconds since 1970
 */
export function windowFault(
  { name, window: { from, until } }: Pick<NamedSigner, 'name' | 'window'>,
  times: readonly number[],
  now: Date,
): string | undefined {
  const judged = times.length === 0 ? [now.getTime()] : times;
  const why = times.length === 0 ? ', and nothing trusted says when it was signed' : '';
  if (from !== undefined && judged.some((time) => !(time >= from))) {
    return `${name} is believed from ${dayOf(from)} on${why}`;
  }
  if (until !== undefined && judged.some((time) => !(time < until))) {
    return `${name} was believed until ${dayOf(until)}${why}`;
  }
  return undefined;
}

/** An accepted verdict as it stands with its signer's window. */
export function withinWindow(
  verdict: SignatureVerdict,
  signer: NamedSigner,
  times: readonly number[],
  now: Date,
): SignatureVerdict {
  if (!verdict.accepted) return verdict;
  const message = windowFault(signer, times, now);
  return message === undefined
    ? verdict
    : { ...verdict, accepted: false, code: 'signature.outside-window', message };
}

function dayOf(time: number): string {
  return new Date(time)
    .toISOString()
    .replace(/T00:00:00\.000Z$/, '')
    .replace('.000Z', 'Z');
}
