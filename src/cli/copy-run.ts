/** One copy, from its flags to its receipt: what `bulla copy` and `bulla push` have in common. */
import { resolve } from 'node:path';

import { utf8 } from '../base/bytes.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import { replaceFile } from '../io/files.ts';
import type { Copied, CopyRequest, NotCopied } from '../operations/copy.ts';
import type { CommandContext } from './command.ts';
import { itemLine } from './copy-options.ts';
import { flagOption, type Parsed, textOption } from './options.ts';
import { openProgress } from './progress.ts';
import { openNamedSigners } from './signers.ts';
import { verdictJson, verdictLines } from './verdict.ts';

/** What the run adds to a request: the keys, and who is told of what passes. */
export type CopyTold = Pick<CopyRequest, 'signers' | 'onItem' | 'onProgress'>;

/**
 * Opens the keys that the flags name, copies, writes the digest file and prints the receipt, or the verdict that refused.
 * @param title the receipt's first line
 */
export async function runCopy(
  { source, destination }: { readonly source: ImageName; readonly destination: ImageName },
  parsed: Parsed,
  context: CommandContext,
  {
    copy,
    title,
  }: {
    readonly copy: (told: CopyTold) => Promise<Copied | NotCopied>;
    readonly title: (copied: Copied) => string;
  },
): Promise<void> {
  const { terminal } = context;
  // keys open while the manifests are on their way
  await using signers = openNamedSigners(parsed, terminal);
  const progress = await openProgress(terminal);
  const outcome = await copy({
    ...(signers !== undefined && { signers: signers.all }),
    onItem: (item) => progress.item(itemLine(item)),
    onProgress: (state) => progress.update(state),
  }).finally(() => progress.end());
  const json = flagOption(parsed, 'json');
  const image = formatImageName(destination);
  if (!outcome.copied) {
    const { verdict } = outcome;
    if (json) terminal.printJson({ image, copied: false, verdict: verdictJson(verdict) });
    else
      for (const line of verdictLines(verdict, false, (word, colour) => terminal.paint(word, colour)))
        terminal.print(line);
    context.finish(1);
    return;
  }
  const digestFile = textOption(parsed, 'digestfile');
  // as the peers write it: nothing but the digest, no line end
  if (digestFile !== undefined) await replaceFile(resolve(terminal.cwd, digestFile), utf8(outcome.digest));
  if (json) terminal.printJson({ image, source: formatImageName(source), ...outcome });
  else printReceipt(outcome, title(outcome), context);
}

function printReceipt(copied: Copied, title: string, { terminal }: CommandContext): void {
  terminal.print(title);
  const { signatures, attachments } = copied.carried;
  if (copied.sourceDigest !== copied.digest) terminal.print(`  changed from ${copied.sourceDigest}`);
  const { served } = copied;
  if (served !== undefined)
    terminal.print(`  served there: ${served ?? 'without a manifest, so by no digest'}`);
  if (signatures + attachments > 0)
    terminal.print(`  carried along: ${signatures} signatures, ${attachments} attachments`);
  for (const made of copied.signatures) {
    const of = made.digest === copied.digest ? '' : ` of ${made.digest}`;
    const what = made.format === 'bundle' ? ', as a bundle' : ` for ${made.identity}`;
    terminal.print(`  signed${of}${what}`);
    terminal.print(`    by ${made.keyId}, ${made.location}`);
  }
}
