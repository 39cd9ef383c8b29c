/** Keys that several images sign with at the same time. */
import type { Signer } from '../../keys/signer.ts';
import type { CopyRequest } from '../copy.ts';
import { planOf } from '../sign/formats.ts';
import { isSigstore } from '../sign/places.ts';
import type { SigningPlan } from '../sign/plan.ts';

/**
 * Keys that ask nobody, or one person, agent or device, sign one after another, as `sign` has it; those that wait for logs and for
 * Fulcio do so side by side.
 */
export async function inTurns(signers: CopyRequest['signers']): Promise<readonly SigningPlan[]> {
  return (await (signers ?? [])).map(planOf).map((plan) => {
    const { signer, witnesses } = plan;
    const isAlone = witnesses.logs.length + witnesses.timestamps.length === 0;
    return isAlone && !('certificates' in signer) ? { ...plan, signer: inTurn(signer) } : plan;
  });
}

function inTurn(signer: Signer): Signer {
  let last: Promise<unknown> = Promise.resolve();
  const next = <T>(work: () => Promise<T>): Promise<T> => {
    const made = last.then(work);
    last = made.catch(() => undefined);
    return made;
  };
  const one: Signer = { ...signer, sign: (message) => next(() => signer.sign(message)) };
  if (!isSigstore(signer)) return one;
  const signForBundle: typeof signer.signForBundle = (message, form) =>
    next(() => signer.signForBundle(message, form));
  return { ...one, signForBundle } as Signer;
}
