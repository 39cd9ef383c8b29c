/** The figures as one readable table. */
import type { Row } from './contenders.ts';
import type { Measured } from './measure.ts';

export type Line = Measured & {
  readonly name: string;
  readonly requests?: string;
  /** The row that it is compared with. */
  readonly against?: string;
  /** Median to the peer's median. */
  readonly ratio?: number;
  /** Median to the floor's. */
  readonly floorRatio?: number;
  readonly budget?: string;
  readonly row: Row;
};

export type Check = {
  readonly what: string;
  readonly measured: string;
  readonly budget: string;
  readonly holds: boolean;
};

export function linesOf(
  rows: readonly Row[],
  measured: ReadonlyMap<string, Measured>,
  requests: ReadonlyMap<string, string>,
): readonly Line[] {
  return rows.flatMap((row) => {
    const own = measured.get(row.name);
    if (own === undefined) return [];
    const fastest = (row.against ?? [])
      .flatMap((name) => {
        const other = measured.get(name);
        return other === undefined ? [] : [{ name, median: other.median }];
      })
      .sort((a, b) => a.median - b.median)[0];
    const floor = row.floor === undefined ? undefined : measured.get(row.floor.name);
    const counted = requests.get(row.name);
    return [
      {
        name: row.name,
        row,
        ...own,
        ...(counted !== undefined && { requests: counted }),
        ...(fastest !== undefined && { against: fastest.name, ratio: own.median / fastest.median }),
        ...(floor !== undefined && { floorRatio: own.median / floor.median }),
        ...(row.budget !== undefined && { budget: `≤ ${row.budget.most} ×, goal ${row.budget.goal} ×` }),
      },
    ];
  });
}

export function printLines(lines: readonly Line[]): void {
  const cells = lines.map((line) => [
    line.name,
    line.median.toFixed(1),
    `${line.least.toFixed(0)} – ${line.most.toFixed(0)}`,
    line.ratio === undefined ? '' : `${line.ratio.toFixed(2)} ×`,
    line.budget ?? '',
    line.requests ?? '',
    line.peakMiB.toFixed(0),
    `${line.runs}`,
  ]);
  printTable(['what', 'ms', 'min – max', 'ratio', 'budget', 'requests', 'MiB', 'runs'], cells);
}

/** Of commands that carry images: their processor time too. */
export function printCarried(lines: readonly Line[]): void {
  const cells = lines.map((line) => [
    line.name,
    line.median.toFixed(0),
    `${line.least.toFixed(0)} – ${line.most.toFixed(0)}`,
    line.cpuMs.toFixed(0),
    line.ratio === undefined ? '' : `${line.ratio.toFixed(2)} ×`,
    line.budget ?? '',
    line.requests ?? '',
    line.peakMiB.toFixed(0),
    `${line.runs}`,
  ]);
  printTable(['what', 'ms', 'min – max', 'CPU ms', 'ratio', 'budget', 'requests', 'MiB', 'runs'], cells);
}

export function printChecks(checks: readonly Check[]): void {
  printTable(
    ['figure', 'measured', 'budget', ''],
    checks.map(({ what, measured, budget, holds }) => [what, measured, budget, holds ? 'held' : 'MISSED']),
  );
}

/** A Markdown table, its columns aligned; all but the first are set to the right. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, column) =>
    Math.max(title.length, 3, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => pad(cells[column] ?? '', width, column)).join(' | ')} |`;
  console.log(line(head));
  console.log(
    `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`,
  );
  for (const row of rows) console.log(line(row));
  console.log('');
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}
