/** Progress of long work: a bar on a terminal, one line an item otherwise, nothing under --quiet. */
import type { Terminal } from './terminal.ts';

export type Progress = {
  /** A finished item; on a terminal the bar speaks for it. */
  item(line: string): void;
  /** How far it is, in bytes or images. */
  update(state: { readonly passed: number; readonly total: number }): void;
  /** Takes the bar away. */
  end(): void;
};

const MiB = 1_048_576;

/** What is counted: bytes, shown in MiB, or images. */
const formats = {
  bytes: '{bar} {percentage}% {value}/{total} MiB',
  images: '{bar} {value}/{total} images',
} as const;

export async function openProgress(
  terminal: Terminal,
  counted: keyof typeof formats = 'bytes',
): Promise<Progress> {
  if (!terminal.interactive || terminal.quiet) {
    return { item: (line) => terminal.note(line), update: () => undefined, end: () => undefined };
  }
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format: formats[counted],
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    formatValue: (value, _options, type) =>
      type === 'percentage' || counted === 'images' ? String(value) : (value / MiB).toFixed(1),
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
    end: () => bar.stop(),
  };
}
