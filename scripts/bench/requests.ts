/** Counts what one run of a command asks the registry and the lookaside for. */
import { type Row } from './contenders.ts';
import { runOnce } from './measure.ts';
import type { Stage } from './stage.ts';

/** For each row with requests: `6 registry + 2 lookaside (8): GET 8`. */
export async function countRequests(
  stage: Stage,
  rows: readonly Row[],
): Promise<ReadonlyMap<string, string>> {
  const counted = new Map<string, string>();
  for (const row of rows) {
    stage.registryRequests();
    await stage.lookaside.count();
    await runOnce(row);
    // the registry's log comes through a pipe, the last line a little later than its answer
    await new Promise((resolve) => setTimeout(resolve, 30));
    const registry = stage.registryRequests();
    const lookaside = await stage.lookaside.count();
    if (registry === undefined || registry.length + lookaside === 0) continue;
    const asked = lookaside === 0 ? '' : ` + lookaside ${lookaside}`;
    counted.set(row.name, `${methodsOf(registry)}${asked} (${registry.length + lookaside})`);
  }
  return counted;
}

/** What one run asks registries, by their logs: `GET 8 PUT 1 (9)`. */
export async function askedBy(row: Row, logs: readonly (() => readonly string[])[]): Promise<string> {
  const { before, ...bare } = row;
  // the registries' logs come through pipes, their last lines a little later than the answers
  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));
  before?.();
  await settled();
  for (const each of logs) each();
  await runOnce(bare);
  await settled();
  const asked = logs.flatMap((each) => each());
  return `${methodsOf(asked)} (${asked.length})`;
}

/** `GET 8 PUT 1` */
export function methodsOf(requests: readonly string[]): string {
  const methods = Object.entries(Object.groupBy(requests, (line) => line.split(' ', 1)[0] ?? ''));
  return methods.map(([method, lines]) => `${method} ${lines?.length ?? 0}`).join(' ');
}
