/** Runs cold processes alternately and keeps what they took. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** One command that is measured. */
export type Contender = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Brings the world back to where it was; not measured. */
  readonly before?: () => void;
};

export type Summary = {
  readonly runs: number;
  /** Milliseconds. */
  readonly median: number;
  readonly least: number;
  readonly most: number;
};

export type Measured = Summary & {
  /** The most memory the process itself held, in MiB. */
  readonly peakMiB: number;
  /** What it kept processors busy, user and system, in milliseconds; in steps of ten. */
  readonly cpuMs: number;
};

export type Rounds = {
  readonly warmUps: number;
  readonly rounds: number;
  /** Further runs, which memory is watched in. */
  readonly peakRuns: number;
};

/**
 * Measures the contenders alternately: a round runs each of them once, beginning with another one
 * each time, so that whatever else the machine does falls on all of them alike.
 */
export async function measureAlternately(
  contenders: readonly Contender[],
  { warmUps, rounds, peakRuns }: Rounds,
  progress: (done: number, of: number) => void,
): Promise<ReadonlyMap<string, Measured>> {
  const taken = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < warmUps + rounds; round += 1) {
    progress(round, warmUps + rounds);
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const contender = contenders[(round + turn) % contenders.length];
      if (contender === undefined) continue;
      const milliseconds = await runOnce(contender);
      if (round >= warmUps) taken.get(contender.name)?.push(milliseconds);
    }
  }
  const measured = new Map<string, Measured>();
  for (const contender of contenders) {
    const watched = await watch(contender, peakRuns);
    measured.set(contender.name, { ...summaryOf(taken.get(contender.name) ?? []), ...watched });
  }
  return measured;
}

export function summaryOf(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
  return { runs: sorted.length, median, least: at(0), most: at(sorted.length - 1) };
}

/** Runs it to its end and gives the wall time in milliseconds, from the fork to the exit. */
export async function runOnce(contender: Contender): Promise<number> {
  contender.before?.();
  const started = performance.now();
  const { ended } = start(contender);
  await ended;
  return performance.now() - started;
}

/** What the kernel says of the process, asked every other millisecond until it is gone: VmHWM only grows. */
async function watch(
  contender: Contender,
  runs: number,
): Promise<{ readonly peakMiB: number; readonly cpuMs: number }> {
  let [peak, busy] = [0, 0];
  for (let run = 0; run < runs; run += 1) {
    contender.before?.();
    const { pid, ended } = start(contender);
    let [seen, ticks] = [0, 0];
    const timer = setInterval(() => {
      seen = Math.max(seen, residentPeak(pid));
      // before it has executed the program the time is this process's own
      if (seen > 0) ticks = Math.max(ticks, ticksOf(pid));
    }, 2);
    await ended.finally(() => clearInterval(timer));
    peak = Math.max(peak, seen);
    busy += ticks;
  }
  return { peakMiB: peak / 1024, cpuMs: (busy * 10) / runs };
}

/** Processor time in hundredths of a second (proc(5), stat), user and system. */
function ticksOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

function residentPeak(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    // until it has executed the program it is a copy of this process
    if (/^Name:\t(?:node|MainThread)$/m.test(status) && status.includes(`PPid:\t${process.pid}`)) {
      const executed = readFileSync(`/proc/${pid}/cmdline`, 'latin1') !== ownCommandLine;
      if (!executed) return 0;
    }
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const ownCommandLine = readFileSync('/proc/self/cmdline', 'latin1');

function start(contender: Contender): { readonly pid: number; readonly ended: Promise<void> } {
  const { command, args, env, cwd, name } = contender;
  const child = spawn(command, args, { env, cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.on('error', reject);
  child.on('close', (code) => {
    if (code === 0) resolve();
    else reject(new Error(`${name}: exit ${code}\n${command} ${args.join(' ').slice(0, 500)}\n${errors}`));
  });
  return { pid: child.pid ?? -1, ended: promise };
}
