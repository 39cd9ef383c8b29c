/** What `verify` and `verify-attestation` do alike: judge the images, print the verdicts. */
import { parseImageName } from '../base/image-name.ts';
import { parseReference } from '../base/reference.ts';
import type { JudgedBy } from '../operations/judge.ts';
import { type ImageVerdict, verify } from '../operations/verify.ts';
import type { CommandContext, Outcome } from './command.ts';
import { forOption } from './for-option.ts';
import { flagOption, type Parsed, textOption } from './options.ts';
import { worstOutcome } from './outcome.ts';
import { verdictJson, verdictLines } from './verdict.ts';
import { openCommandWorld, platformOption } from './world.ts';

/** @param by reads the flags that say who judges; what it throws leaves `[]` behind under --json */
export async function runVerify(
  images: readonly string[],
  parsed: Parsed,
  context: CommandContext,
  by: () => JudgedBy,
): Promise<void> {
  const { terminal } = context;
  const json = flagOption(parsed, 'json');
  try {
    const judging = forOption(parsed, by());
    const as = textOption(parsed, 'as');
    const platform = platformOption(parsed);
    const names = images.map(parseImageName);
    await using world = await openCommandWorld(parsed, terminal, names);
    const verdicts = await verify(
      {
        images: names,
        ...judging,
        all: flagOption(parsed, 'all'),
        requireSigned: flagOption(parsed, 'requireSigned'),
        ...(as !== undefined && { as: parseReference(as) }),
        ...(platform !== undefined && { platform }),
      },
      world,
    );
    if (json) terminal.printJson(verdicts.map((each) => verdictJson(each)));
    else print(verdicts, flagOption(parsed, 'explain'), context);
    context.finish(worstOutcome(verdicts.map(outcomeOf)));
  } catch (error) {
    // nothing was judged: an empty list is the one document that is true
    if (json) terminal.printJson([]);
    throw error;
  }
}

function print(verdicts: readonly ImageVerdict[], explain: boolean, { terminal }: CommandContext): void {
  for (const verdict of verdicts) {
    if (verdict.error !== undefined) terminal.error(verdict.error);
    for (const line of verdictLines(verdict, explain, (word, colour) => terminal.paint(word, colour)))
      terminal.print(line);
  }
}

function outcomeOf(verdict: ImageVerdict): Outcome {
  if (verdict.error !== undefined) return verdict.error.exitCode;
  return verdict.accepted ? 0 : 1;
}
