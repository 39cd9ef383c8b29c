/** `bulla bundle load FILE --to DST`: the images of a transfer bundle to this side's registry, once they are believed. */
import { resolve } from 'node:path';

import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import type { ImageName } from '../../base/image-name.ts';
import { loadTransfer, type TransferLoaded } from '../../operations/transfer/load.ts';
import type { LoadTarget, NameRules } from '../../operations/transfer/names.ts';
import { isTrusting, printRefusal, trustLines, trustOption, withTrustOptions } from '../bundle-options.ts';
import type { CommandContext } from '../command.ts';
import {
  collect,
  flagOption,
  listOption,
  type Parsed,
  textOption,
  withRegistriesDOption,
  withRegistryOptions,
} from '../options.ts';
import { openProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { verdictJson } from '../verdict.ts';
import { openCommandWorld } from '../world.ts';
import { untrusted } from './bundle-verify.ts';

export function loadCommand(context: CommandContext): Command {
  const command = new Command('load')
    .description(
      'Judge the images of a transfer bundle as `bundle verify` does, then load all of them: digests kept, signatures to this side’s stores. No key and no policy is installed.',
    )
    .argument('<file>', 'the transfer bundle')
    .requiredOption('--to <destination>', 'docker://host[:port][/namespace], oci:DIR or dir:DIR')
    .option('--scoped', 'keep the host in the name, as skopeo sync does')
    .option(
      '--map <old=new>',
      'put NEW below the destination in place of the beginning OLD (host included) of a name; repeatable',
      collect,
    )
    .option('--dry-run', 'judge, and tell what would be loaded where')
    .option('--json', 'print the receipt, or the verdicts that refused, as JSON');
  return withTrustOptions(withRegistriesDOption(withRegistryOptions(command)))
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla bundle load --policy policy.json --registries.d registries.d release.tar --to docker://far.example.com/mirror',
    )
    .action((file: string, parsed: Parsed) => run(file, parsed, context));
}

async function run(file: string, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const json = flagOption(parsed, 'json');
  const trust = trustOption(parsed, terminal);
  const target = targetOption(textOption(parsed, 'to') ?? '', terminal);
  const rules = rulesOption(parsed);
  await using world = await openCommandWorld(parsed, terminal, namesOf(target));
  if (!isTrusting(trust)) throw await untrusted(file, !json, world, context);
  const progress = await openProgress(terminal);
  const outcome = await loadTransfer(
    {
      file,
      ...trust,
      ...rules,
      target,
      dryRun: flagOption(parsed, 'dryRun'),
      onProgress: (state) => progress.update(state),
      onItem: ({ kind, digest, size, sent }) =>
        progress.item(`${kind} ${digest} ${size} bytes${sent ? '' : ', there already'}`),
    },
    world,
  ).finally(() => progress.end());
  if (!outcome.loaded) printRefusal(outcome.verdicts, { file, loaded: false }, json, context);
  else if (json)
    terminal.printJson({ file, ...outcome, verdicts: outcome.verdicts.map((each) => verdictJson(each)) });
  else printReceipt(outcome, terminal, flagOption(parsed, 'dryRun'));
}

function printReceipt({ images, remaps, bundle }: TransferLoaded, terminal: Terminal, dryRun: boolean): void {
  if (dryRun) terminal.note('would be loaded:');
  for (const { destination, digest, carried } of images) {
    terminal.print(`${destination} ${digest}`);
    if (carried.signatures + carried.attachments > 0)
      terminal.print(`  carried along: ${carried.signatures} signatures, ${carried.attachments} attachments`);
  }
  if (remaps.length > 0) {
    terminal.note('signatures speak of the old names; signedIdentity of a policy for the new ones:');
    for (const each of remaps) terminal.print(`  ${JSON.stringify(each)}`);
  }
  const came = trustLines(bundle);
  if (came.length === 0) return;
  terminal.note(
    'came along, and is not installed (bulla trust import --bundle takes a key by its fingerprint):',
  );
  for (const line of came) terminal.note(`  ${line}`);
}

/** A registry, layout or folder; relative folders as the shell has them. */
function targetOption(text: string, { cwd }: Terminal): LoadTarget {
  const [, transport, rest = ''] = /^(docker:\/\/|oci:|dir:)(.+)$/.exec(text) ?? [];
  if (transport === 'docker://') {
    const prefix = rest.replace(/\/$/, '');
    if (/^[^/@\s]+(?:\/[^:@\s]+)?$/.test(prefix)) return { transport: 'docker', prefix };
  }
  if (transport === 'dir:') return { transport: 'dir', path: resolve(cwd, rest) };
  if (transport === 'oci:' && !rest.includes(':')) return { transport: 'oci', path: resolve(cwd, rest) };
  // a password may stand before an @
  const shown = printable(text.replace(/\/\/.*@/, '//…@'));
  throw new BullaError(
    'usage.invalid',
    `--to takes docker://host[:port][/namespace], oci:DIR or dir:DIR, not "${shown}"`,
    {
      hint: text.includes('@')
        ? '--creds or bulla login says who you are'
        : 'the images’ own names come behind it',
    },
  );
}

/** What --offline may reach: the registry that is loaded. */
function namesOf(target: LoadTarget): readonly ImageName[] {
  if (target.transport !== 'docker') return [];
  const [domain = ''] = target.prefix.split('/');
  return [{ transport: 'docker', reference: { domain, path: 'any' } }];
}

function rulesOption(parsed: Parsed): NameRules {
  const scoped = flagOption(parsed, 'scoped');
  const map = listOption(parsed, 'map').map((each) => {
    const [, from, to] = /^([^=]+?)\/?=\/?([^=]*?)\/?$/.exec(each) ?? [];
    if (from !== undefined && to !== undefined) return { from, to };
    throw new BullaError('usage.invalid', `--map takes OLD=NEW, not "${each}"`);
  });
  return { scoped, map };
}
