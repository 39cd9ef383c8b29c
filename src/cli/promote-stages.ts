/** `bulla promote app:1.4 --to STAGE`: what stages.yaml says of it, as the names and flags of a promotion. */
import { resolve } from 'node:path';

import { BullaError } from '../base/errors.ts';
import { formatReference } from '../base/reference.ts';
import type { ImageName } from '../base/image-name.ts';
import type { PromoteRequest } from '../operations/promote.ts';
import {
  identityIn,
  parseStagedName,
  readStages,
  referenceIn,
  type Stage,
  type StagedName,
  type Stages,
  stepTo,
  worldOf,
} from '../operations/stages.ts';
import type { CopyWorlds } from './copy-options.ts';
import { listOption, type Parsed, textOption } from './options.ts';
import { namesKey } from './signers.ts';
import type { Terminal } from './terminal.ts';

/** A promotion as its arguments or its stages give it. */
export type PromotionPlan = {
  readonly source: ImageName;
  readonly destination: ImageName;
  /** The flags, with the stage's key among them where none is named. */
  readonly parsed: Parsed;
  /** Those that the flags name, or the stages' own. */
  readonly policies: Pick<PromoteRequest, 'sourceBy' | 'destinationBy'>;
  /** The worlds with the stages' own stores; they are not disposed. */
  readonly reach: (worlds: CopyWorlds) => Promise<Pick<CopyWorlds, 'from' | 'to'>>;
};

/** @throws BullaError `stages.*`, `io.*` */
export function readStagesOption(parsed: Parsed, terminal: Terminal): Promise<Stages> {
  return readStages(resolve(terminal.cwd, textOption(parsed, 'stages') ?? 'stages.yaml'));
}

/** @throws BullaError `stages.*`, `usage.invalid` */
export async function planByStages(
  text: string,
  to: string,
  parsed: Parsed,
  terminal: Terminal,
): Promise<PromotionPlan> {
  refusePolicies(parsed);
  const stages = await readStagesOption(parsed, terminal);
  const name = taggedName(text);
  const fromName = textOption(parsed, 'from');
  const {
    from,
    to: target,
    skipped,
  } = stepTo(stages, { to, ...(fromName !== undefined && { from: fromName }) });
  if (skipped.length > 0) {
    const names = skipped.map((each) => each.name).join(', ');
    terminal.warn(`it goes from ${from.name} to ${target.name} and passes over ${names}`);
  }
  return {
    source: { transport: 'docker', reference: referenceIn(from, name) },
    destination: { transport: 'docker', reference: referenceIn(target, name) },
    parsed: withStageKey(parsed, target, name),
    policies: { sourceBy: from.by, destinationBy: target.by },
    reach: async (worlds) => ({
      from: await worldOf(from, worlds.from),
      to: await worldOf(target, worlds.to),
    }),
  };
}

/** The stages' own policies are their law. */
function refusePolicies(parsed: Parsed): void {
  const policy = ['policy', 'signaturePolicy', 'srcPolicy', 'destPolicy'].find(
    (each) => parsed[each] !== undefined,
  );
  if (policy !== undefined) {
    throw new BullaError(
      'usage.invalid',
      'with --to the stages say whom they believe, and no policy is named',
      {
        hint: 'change require or policy in stages.yaml',
      },
    );
  }
}

function taggedName(text: string): Required<StagedName> {
  const { path, tag } = parseStagedName(text);
  if (tag !== undefined) return { path, tag };
  throw new BullaError('usage.invalid', `which tag of ${path} is to be promoted?`, {
    hint: `write it: ${path}:TAG; bulla promote status ${path} lists them`,
  });
}

/** A key named by a flag counts alone: two signers from two places are more than was asked for. */
function withStageKey(parsed: Parsed, { sign, name: stage }: Stage, name: Required<StagedName>): Parsed {
  if (textOption(parsed, 'mode') === 'carry') return parsed;
  if (namesKey(parsed)) return parsed;
  if (sign === undefined) {
    throw new BullaError('usage.invalid', `no key is named to sign for the stage ${stage}`, {
      hint: 'name one in stages.yaml (sign), or by --sign-by, --sign-by-sigstore-private-key or --key',
    });
  }
  const merged: Record<string, unknown> = { ...parsed };
  for (const [flag, texts] of sign) {
    const values =
      flag === 'sign-identity' ? texts.map((pattern) => formatReference(identityIn(pattern, name))) : texts;
    const option = flag.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    // what is typed beside the stage's key, such as its passphrase, goes before what the file says
    if (listOption(parsed, option).length === 0) merged[option] = values;
  }
  return merged;
}
