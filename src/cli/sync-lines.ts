/** What became of the images of a sync, as lines for people and as JSON for machines. */
import { printable } from '../base/bytes.ts';
import type { BullaError } from '../base/errors.ts';
import type { CheckedImage, Lack } from '../operations/sync/check.ts';
import type { SyncedImage } from '../operations/sync.ts';
import type { Outcome } from './command.ts';
import type { Terminal } from './terminal.ts';
import { verdictJson, verdictLines } from './verdict.ts';

type Paint = Terminal['paint'];

export function syncLines(image: SyncedImage, paint: Paint): readonly string[] {
  const { state } = image;
  const { source, destination } = shown(image);
  switch (state) {
    case 'copied':
    case 'there': {
      const { digest, carried, signatures } = image.receipt;
      const along = withCounts([
        [carried.signatures, 'signature'],
        [carried.attachments, 'attachment'],
        [signatures.length, 'new signature'],
      ]);
      return [`${state} ${destination} ${digest}${along === '' ? '' : `, with ${along}`}`];
    }
    case 'refused':
      return verdictLines({ ...image.verdict, image: source }, false, paint);
    case 'failed':
      return [`${paint('failed', 'red')} ${source}`];
    case 'planned':
      return [`would copy ${source} to ${destination}`];
    case 'left':
      return [`not begun ${source}`];
  }
}

/** A folder's name may be anything. */
function shown({ source, destination = '' }: Pick<SyncedImage, 'source' | 'destination'>): {
  readonly source: string;
  readonly destination: string;
} {
  return { source: printable(source, 1000), destination: printable(destination, 1000) };
}

export function checkLines(image: CheckedImage, paint: Paint): readonly string[] {
  const { state } = image;
  const { source, destination } = shown(image);
  switch (state) {
    case 'complete':
      return [`${paint('complete', 'green')} ${destination} ${image.lack.digest}`];
    case 'lacks':
      return [`${paint('lacks', 'red')} ${destination} ${image.lack.digest}: ${lackText(image.lack)}`];
    case 'refused':
      return verdictLines({ ...image.verdict, image: source }, false, paint);
    case 'failed':
      return [`${paint('failed', 'red')} ${source}`];
  }
}

const imageTexts: Readonly<Record<Lack['image'], string>> = {
  there: '',
  absent: 'the image',
  other: 'the image, it is another one',
  partial: 'files of the image',
};

function lackText({ image, found, signatures, attachments }: Lack): string {
  const counts = withCounts([
    [signatures, 'signature'],
    [attachments, 'attachment'],
  ]);
  const what = `${imageTexts[image]}${found === undefined ? '' : ` (${found})`}`;
  return [what, counts].filter((each) => each !== '').join(', ');
}

function withCounts(counts: readonly (readonly [number, string])[]): string {
  return counts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${what}${count === 1 ? '' : 's'}`)
    .join(', ');
}

/** `100 images: 3 copied, 97 there` */
export function totals(images: readonly (SyncedImage | CheckedImage)[]): string {
  const words: Readonly<Record<string, string>> = {
    left: 'not begun',
    planned: 'to copy',
    lacks: 'incomplete',
  };
  const groups = Map.groupBy(images, ({ state }) => words[state] ?? state);
  const counts = [...groups].map(([state, { length }]) => `${length} ${state}`);
  return `${images.length} ${images.length === 1 ? 'image' : 'images'}: ${counts.join(', ')}`;
}

export function syncOutcome(image: SyncedImage): Outcome {
  if (image.state === 'failed') return image.error.exitCode;
  return image.state === 'refused' ? 1 : 0;
}

export function checkOutcome(image: CheckedImage): Outcome {
  if (image.state === 'failed') return image.error.exitCode === 1 ? 1 : 3;
  return image.state === 'complete' ? 0 : 1;
}

export function syncJson(images: readonly SyncedImage[]): object {
  return {
    images: images.map((image) => {
      const { source, destination, state } = image;
      const names = { source, ...(destination !== undefined && { destination }), state };
      switch (image.state) {
        case 'copied':
        case 'there': {
          const { copied: _copied, written: _written, ...receipt } = image.receipt;
          return { ...names, ...receipt };
        }
        case 'refused':
          return { ...names, verdict: verdictJson(image.verdict) };
        case 'failed':
          return { ...names, error: errorJson(image.error) };
        case 'planned':
        case 'left':
          return names;
      }
    }),
  };
}

export function checkJson(images: readonly CheckedImage[]): object {
  return {
    images: images.map((image) => {
      const { source, destination, state } = image;
      const names = { source, ...(destination !== undefined && { destination }), state };
      switch (image.state) {
        case 'complete':
        case 'lacks':
          return { ...names, ...image.lack };
        case 'refused':
          return { ...names, verdict: verdictJson(image.verdict) };
        case 'failed':
          return { ...names, error: errorJson(image.error) };
      }
    }),
  };
}

function errorJson({ code, message, hint }: BullaError): object {
  return { code, message, ...(hint !== undefined && { hint }) };
}
