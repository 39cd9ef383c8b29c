/** The measured figures held against the budgets of their rows. */
import type { Check, Line } from './report.ts';
import { scryptName } from './sigstore.ts';

/** @param warm milliseconds for each of many bundles, in order */
export function checksOf(lines: readonly Line[], images: number, warm: readonly number[]): readonly Check[] {
  const checks = lines.flatMap((line) => [
    ...ratioChecks(line),
    ...requestChecks(line, images),
    ...eachChecks(line, images),
  ]);
  return [...checks, ...warmChecks(warm), ...scryptShare(lines), ...memoryChecks(lines)];
}

function ratioChecks({ name, ratio, floorRatio, against, row }: Line): readonly Check[] {
  const { budget, floor } = row;
  const checks: Check[] = [];
  if (ratio !== undefined && budget !== undefined) {
    const goal = ratio <= budget.goal ? ' (goal met)' : '';
    const peer = /^\w+: (\S+(?: \d\.\d)?)/.exec(against ?? '')?.[1] ?? '';
    checks.push({
      what: name,
      measured: `${ratio.toFixed(2)} × ${peer}${goal}`,
      budget: `≤ ${budget.most} ×, goal ${budget.goal} ×`,
      holds: ratio <= budget.most,
    });
  }
  if (floorRatio !== undefined && floor !== undefined) {
    checks.push({
      what: `${name}: to the floor`,
      measured: `${floorRatio.toFixed(2)} × ${floor.name}`,
      budget: `≤ ${floor.most} ×`,
      holds: floorRatio <= floor.most,
    });
  }
  return checks;
}

function requestsOf(line: Line): number {
  return Number(/\((\d+)\)/.exec(line.requests ?? '')?.[1] ?? Number.NaN);
}

function requestChecks(line: Line, images: number): readonly Check[] {
  const { name, requests, row } = line;
  if (requests === undefined) return [];
  const what = `${name}: requests`;
  if (row.mostRequests !== undefined) {
    const most = row.mostRequests;
    return [{ what, measured: requests, budget: `≤ ${most}`, holds: requestsOf(line) <= most }];
  }
  if (row.mostEach === undefined || !/lookaside/.test(name)) return [];
  const wanted = name.endsWith('http') ? 3 * images + 1 : images + 1;
  const budget = `N + 2 = 3 an image, and 1 ping${name.endsWith('file') ? ' (2 of them read files)' : ''}`;
  return [{ what, measured: requests, budget, holds: requestsOf(line) <= wanted }];
}

function eachChecks({ name, median, row }: Line, images: number): readonly Check[] {
  if (row.mostEach === undefined) return [];
  const each = median / images;
  return [
    {
      what: name,
      measured: `${each.toFixed(2)} ms an image`,
      budget: `≤ ${row.mostEach} ms`,
      holds: each <= row.mostEach,
    },
  ];
}

function warmChecks(warm: readonly number[]): readonly Check[] {
  const median = warm[warm.length >> 1];
  if (median === undefined) return [];
  const measured = `${median.toFixed(2)} ms (${(warm[0] ?? 0).toFixed(2)} – ${(warm.at(-1) ?? 0).toFixed(2)})`;
  return [{ what: 'one keyless bundle judged, warm', measured, budget: '≤ 6 ms', holds: median <= 6 }];
}

/** How much of a signature is the passphrase: nothing that Bulla does makes that shorter. */
function scryptShare(lines: readonly Line[]): readonly Check[] {
  const medianOf = (name: string): number => lines.find((line) => line.name === name)?.median ?? Number.NaN;
  const alone = medianOf(scryptName) - medianOf('floor: node -e 0');
  return lines
    .filter(({ name, row }) => name.startsWith('sign: bulla') && row.withScrypt === true)
    .map(({ name, median }) => ({
      what: `${name}: of it scrypt`,
      measured: `${alone.toFixed(0)} of ${median.toFixed(0)} ms, ${((100 * alone) / median).toFixed(0)} %`,
      budget: '',
      holds: true,
    }));
}

function memoryChecks(lines: readonly Line[]): readonly Check[] {
  const own = lines.filter(({ name }) => / bulla/.test(name));
  return [
    { kind: 'no scrypt', most: 110, of: own.filter(({ row }) => row.withScrypt !== true) },
    { kind: 'scrypt, N = 65536', most: 150, of: own.filter(({ row }) => row.withScrypt === true) },
  ].flatMap(({ kind, most, of }) => {
    const [first, ...rest] = of;
    if (first === undefined) return [];
    const peak = rest.reduce((highest, line) => (line.peakMiB > highest.peakMiB ? line : highest), first);
    return [
      {
        what: `peak memory, ${kind} (${peak.name})`,
        measured: `${peak.peakMiB.toFixed(0)} MiB`,
        budget: `≤ ${most} MiB`,
        holds: peak.peakMiB <= most,
      },
    ];
  });
}
