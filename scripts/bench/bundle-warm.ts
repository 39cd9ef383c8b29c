/**
 * How long one keyless bundle takes when everything is warm: signed entry timestamp, inclusion proof, SCT, RFC 3161 timestamp and
 * chain. `node scripts/bench/bundle-warm.ts [ROUNDS]` prints the median and the ends in milliseconds; the goal is 6.
 */
import { monotonicMs } from '../../src/base/node.ts';
import { forgeBundle } from '../../test/support/bundle-forge.ts';
import { instance, leaf, ruleOf, statement, subject } from '../../test/support/judge-bundle.ts';
import { judgeBundle } from '../../src/trust/bundle-judge.ts';

/** Milliseconds for each of so many distinct bundles, after as many to warm up. */
export function timeBundles(rounds: number): readonly number[] {
  const rule = ruleOf();
  const bundles = Array.from({ length: rounds }, (_, index) =>
    forgeBundle(instance, { signer: leaf, content: statement({ predicate: { index } }), timestamps: 1 }),
  );
  const judge = (json: Uint8Array): number => {
    const start = monotonicMs();
    const signature = { format: 'bundle', mediaType: '', json } as const;
    const { code, message } = judgeBundle({ signature, location: '' }, rule, subject);
    const took = monotonicMs() - start;
    if (code !== 'accepted') throw new Error(message);
    return took;
  };
  bundles.forEach(({ json }) => judge(json));
  return bundles.map(({ json }) => judge(json)).toSorted((a, b) => a - b);
}

if (import.meta.main) {
  const times = timeBundles(Number(process.argv[2] ?? 200));
  const at = (share: number): string => (times[Math.floor((times.length - 1) * share)] ?? 0).toFixed(2);
  process.stdout.write(`one keyless bundle, warm: median ${at(0.5)} ms, from ${at(0)} to ${at(1)} ms\n`);
}
