/** What `resign` and `key impact` have in common: where to look, how fast, and how far it is. */
import { type Command, Option } from 'commander';

import { BullaError } from '../base/errors.ts';
import type { ImageName } from '../base/image-name.ts';
import { parseRate, type Rate } from '../operations/resign/pace.ts';
import type { Where } from '../operations/where.ts';
import { countOption, flagOption, type Parsed, textOption } from './options.ts';
import { openProgress } from './progress.ts';
import type { Terminal } from './terminal.ts';

export function withPaceOptions(command: Command): Command {
  return command
    .option('--rate <n/s>', 'at most so many manifests looked up, judged or signed, like 10/s or 300/m')
    .option('--jobs <n>', 'so many at once', '4');
}

/** @throws BullaError `usage.invalid` */
export function paceOptions(parsed: Parsed): { readonly rate?: Rate; readonly atOnce?: number } {
  const rate = textOption(parsed, 'rate');
  const atOnce = countOption(parsed, 'jobs', '--jobs', 1);
  if (atOnce !== undefined && atOnce > 64) throw new BullaError('usage.invalid', '--jobs takes 64 at most');
  return { ...(rate !== undefined && { rate: parseRate(rate) }), ...(atOnce !== undefined && { atOnce }) };
}

/** The policy that believes the key. One that accepts anything is refused with a reason. */
export function withKeyPolicyOptions(command: Command): Command {
  return command
    .option(
      '--policy <file>',
      'policy.json or trust.yaml that believes the key (default: as containers/image searches policy.json)',
    )
    .addOption(new Option('--signature-policy <file>', 'alias of --policy').hideHelp())
    .addOption(new Option('--insecure-policy', 'refused').hideHelp());
}

/** A policy that accepts anything tells nothing here. @throws BullaError `usage.invalid` */
export function refuseInsecurePolicy(parsed: Parsed): void {
  if (!flagOption(parsed, 'insecurePolicy')) return;
  throw new BullaError('usage.invalid', '--insecure-policy says nothing of a key', {
    hint: 'name the policy that believes the key: --policy FILE',
  });
}

/** The registries that the command line names, for --offline. */
export function registriesOf(where: readonly Where[]): readonly ImageName[] {
  return where.map((each) => {
    const { domain } = each.kind === 'namespace' ? each : each.reference;
    return { transport: 'docker', reference: { domain, path: 'any' } };
  });
}

export type Step = 'find' | 'judge' | 'sign';

const stepWords: Readonly<Record<Step, string>> = { find: 'looked up', judge: 'judged', sign: 'signed' };

/** Runs with a bar for each step, one after another; without a terminal each tenth of a step is a line. */
export async function withSteps<T>(
  terminal: Terminal,
  run: (progress: (step: Step, done: number, total: number) => void) => Promise<T>,
): Promise<T> {
  const bar = await openProgress(terminal, 'images');
  try {
    return await run((step, passed, total) => {
      bar.update({ passed, total });
      const isTenth = Math.floor((passed * 10) / total) > Math.floor(((passed - 1) * 10) / total);
      if (isTenth) bar.item(`${stepWords[step]} ${passed} of ${total}`);
      // between steps a person may be asked
      if (passed === total) bar.end();
    });
  } finally {
    bar.end();
  }
}

/** `1 manifest`, `2 manifests` */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
