/** Who saw a signature, as receipts tell it. */
import type { Witnessed } from '../operations/sign/sigstore.ts';

/** One line for each log, and one for all timestamps. */
export function witnessLines({ logs = [], timestamps = 0 }: Witnessed): readonly string[] {
  const logged = logs.map(({ url, index, time }) => {
    return `logged at ${url}, entry ${index}${time === undefined ? '' : `, ${time}`}`;
  });
  return timestamps === 0
    ? logged
    : [...logged, timestamps === 1 ? 'timestamped' : `${timestamps} timestamps`];
}
