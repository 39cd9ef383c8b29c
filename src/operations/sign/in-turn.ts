/** One signature after another, however many images are under way: an agent, a card or a person answers one question at a time. */
import type { Signer, SigstoreSigner } from '../../keys/signer.ts';
import { isSigstore } from './places.ts';

/** The same key. Disposing of it is left to whoever has opened it. */
export function inTurn(signer: Signer): Signer {
  let last: Promise<unknown> = Promise.resolve();
  const turn = async <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
  const sign: Signer['sign'] = async (message) => turn(async () => signer.sign(message));
  if (!isSigstore(signer)) return { ...signer, sign };
  const signForBundle: SigstoreSigner['signForBundle'] = async (message, form) =>
    turn(async () => signer.signForBundle(message, form));
  const own: SigstoreSigner = { ...signer, sign, signForBundle };
  return own;
}
