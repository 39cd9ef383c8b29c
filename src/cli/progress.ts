/** Progress of long work: a bar on a terminal, one line an item otherwise, nothing under --quiet. */
import type { Terminal } from './terminal.ts';

export type Progress = {
  /** A finished item; on a terminal the bar speaks for it. */
  item(line: string): void;
  /** How far it is. */
  update(state: { readonly passed: number; readonly total: number }): void;
  /** Takes the bar away; `update` brings another one. */
  end(): void;
};

const MiB = 1_048_576;

/** @param unit what `update` counts: bytes, shown in MiB, or things. */
export async function openProgress(
  terminal: Terminal,
  unit: 'bytes' | 'images' = 'bytes',
): Promise<Progress> {
  if (!terminal.interactive || terminal.quiet) {
    return { item: (line) => terminal.note(line), update: () => undefined, end: () => undefined };
  }
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format: `{bar} {percentage}% {value}/{total} ${unit === 'bytes' ? 'MiB' : unit}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    formatValue: (value, _options, type) =>
      type === 'percentage' || unit !== 'bytes' ? String(value) : (value / MiB).toFixed(1),
  });
  let started = false;
  return {
    item: () => undefined,
    update: ({ passed, total }) => {
      if (started) bar.setTotal(total);
      else bar.start(total, passed);
      started = true;
      bar.update(passed);
    },
    end: () => {
      bar.stop();
      started = false;
    },
  };
}

/** How many are done, where nobody knows of how many: a line on a terminal that goes when the work ends. */
export type Counter = {
  update(count: number): void;
  end(): void;
};

/**
 * @param what is counted: `images`
 * @param write to standard error
 */
export function openCounter(
  terminal: Terminal,
  what: string,
  write: (text: string) => void = (text) => void process.stderr.write(text),
): Counter {
  if (!terminal.interactive || terminal.quiet) return { update: () => undefined, end: () => undefined };
  let shown = false;
  return {
    update: (count) => {
      write(`\r\u001b[K${count} ${what}`);
      shown = true;
    },
    // erases the line
    end: () => shown && write('\r\u001b[K'),
  };
}
