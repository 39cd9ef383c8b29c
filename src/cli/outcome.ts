/** Exit codes of several images in one command. */
import type { Outcome } from './command.ts';

/** Worst first: wrong usage, key trouble, could not decide, refused, done. */
const order: readonly Outcome[] = [2, 4, 3, 1, 0];

/** The first of 2, 4, 3, 1, 0 that occurred; 3 for no outcome at all: nothing was decided. */
export function worstOutcome(outcomes: readonly Outcome[]): Outcome {
  return order.find((each) => outcomes.includes(each)) ?? 3;
}
