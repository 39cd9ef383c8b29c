/** What the verdicts on sigstore signatures have in common. */
import { printable } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { type Fault, fault } from './bundle-witness.ts';
import type { Signed } from './evidence-signer.ts';
import type { SignatureVerdict } from './verdict.ts';

/** Which signature a verdict is about. */
export type Place = { readonly format: string; readonly store: string };

/** `signed by KEY` or `signed by alice@example.com (https://issuer), at TIME` */
export function signedBy({ identity, key = '', times: [time] }: Signed): string {
  const by = identity === undefined ? key : printable(identity);
  return `signed by ${by}${time === undefined ? '' : ` at ${new Date(time).toISOString()}`}`;
}

/** What holds of a signature whose signer is proven. */
export function proven(
  place: Place,
  { signer, key, identity, times, notes }: Signed,
): Pick<SignatureVerdict, 'format' | 'store' | 'key' | 'identity' | 'signer' | 'times' | 'notes'> {
  return {
    ...place,
    signer,
    ...(key !== undefined && { key }),
    ...(identity !== undefined && { identity }),
    ...(notes.length > 0 && { notes }),
    ...(times.length > 0 && { times: times.map((time) => new Date(time).toISOString()) }),
  };
}

/** The verdict on a signature that is not believed. */
export function refused(place: Place, { code, message }: Fault): SignatureVerdict {
  return { ...place, accepted: false, code, message };
}

/** What `read` gives; what it throws as a BullaError is the refusal. */
export function orFault<T extends object>(read: () => T): T | Fault {
  try {
    return read();
  } catch (error) {
    if (isBullaError(error)) return fault(error.code, error.message);
    throw error;
  }
}
