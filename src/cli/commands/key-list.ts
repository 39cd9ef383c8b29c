/** `bulla key list` and `bulla key show`. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import type { KeyInfo } from '../../keys/key-info.ts';
import { findKey, listKeys } from '../../operations/keys.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed } from '../options.ts';
import { day, keyContext, keyringName, stateOf, withKeyringOptions } from './key-options.ts';

export function listCommand({ terminal }: CommandContext): Command {
  return withKeyringOptions(new Command('list'))
    .description('List the keys of both keyrings.')
    .option('--secret', 'only keys whose secret part is here')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ bulla key list --secret')
    .action(async (parsed: Parsed) => {
      const keys = await listKeys(keyContext(parsed, terminal), { secret: flagOption(parsed, 'secret') });
      if (flagOption(parsed, 'json')) terminal.printJson(keys.map(jsonOf));
      else for (const line of tableOf(keys)) terminal.print(line);
    });
}

export function showCommand({ terminal }: CommandContext): Command {
  return withKeyringOptions(new Command('show'))
    .description('Show what is known of a key.')
    .argument('<key>', 'fingerprint, key ID, mail or user ID')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ bulla key show release@example.com')
    .action(async (id: string, parsed: Parsed) => {
      const found = await findKey(keyContext(parsed, terminal), id);
      if (flagOption(parsed, 'json')) terminal.printJson(found.map(jsonOf));
      else for (const line of found.flatMap(linesOf)) terminal.print(line);
    });
}

/** The members that scripts may count on; a listing's own details stay inside. */
function jsonOf(key: KeyInfo): object {
  const { fingerprint, userIds, algorithm, created, expires, revoked, canSign, hasSecret, source, subkeys } =
    key;
  return {
    fingerprint,
    userIds,
    algorithm,
    created,
    expires: expires ?? null,
    revoked,
    state: stateOf(key),
    canSign,
    secret: hasSecret,
    keyring: source,
    subkeys: subkeys.map((each) => ({ ...each, expires: each.expires ?? null })),
  };
}

function tableOf(keys: readonly KeyInfo[]): readonly string[] {
  const head = ['FINGERPRINT', 'TYPE', 'PART', 'EXPIRES', 'STATE', 'KEYRING', 'USER ID'];
  const rows = keys.map((key) => [
    key.fingerprint,
    key.algorithm,
    key.hasSecret ? 'secret' : 'public',
    day(key.expires),
    stateOf(key),
    keyringName(key.source),
    printable(key.userIds[0] ?? ''),
  ]);
  const table = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  return table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function linesOf(key: KeyInfo): readonly string[] {
  return [
    `fingerprint  ${key.fingerprint}`,
    ...key.userIds.map((each) => `user ID      ${printable(each)}`),
    `type         ${key.algorithm}`,
    `created      ${day(key.created)}`,
    `expires      ${day(key.expires)}`,
    `state        ${stateOf(key)}`,
    `secret part  ${key.hasSecret ? 'here' : 'not here'}`,
    `keyring      ${keyringName(key.source)}`,
    ...key.subkeys.map(
      (each) =>
        `subkey       ${each.fingerprint} ${each.algorithm} ${stateOf(each)}, expires ${day(each.expires)}${each.canSign ? ', signs' : ''}`,
    ),
    '',
  ];
}
