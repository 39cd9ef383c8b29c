/** `bulla trust explain IMAGE`: which part of the policy speaks of it, and what it asks. */
import { Command } from 'commander';

import { printable } from '../../base/bytes.ts';
import { parseImageName } from '../../base/image-name.ts';
import { parseReference } from '../../base/reference.ts';
import {
  type ExplainedKey,
  type ExplainedRequirement,
  explainTrust,
  type TrustExplanation,
} from '../../operations/trust.ts';
import type { CommandContext } from '../command.ts';
import { flagOption, type Parsed, textOption } from '../options.ts';
import {
  environmentOf,
  policyFileOption,
  registriesFolderOption,
  withPolicyFile,
  withRegistriesFolder,
} from './trust-options.ts';

export function explainCommand({ terminal }: CommandContext): Command {
  const command = new Command('explain')
    .description('Tell what the policy asks of an image. Nothing is fetched and nothing is judged.')
    .argument('<image>', 'image name')
    .option('--as <ref>', 'Docker reference claimed for the image')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ bulla trust explain docker://registry.example.com/ns/app:1');
  return withRegistriesFolder(withPolicyFile(command)).action(async (image: string, parsed: Parsed) => {
    const as = textOption(parsed, 'as');
    const file = policyFileOption(parsed);
    const registriesD = registriesFolderOption(parsed);
    const explained = await explainTrust({
      image: parseImageName(image),
      environment: environmentOf(terminal),
      now: new Date(),
      ...(as !== undefined && { as: parseReference(as) }),
      ...(file !== undefined && { file }),
      ...(registriesD !== undefined && { registriesD }),
    });
    if (flagOption(parsed, 'json')) return terminal.printJson(explained);
    for (const line of linesOf(explained)) terminal.print(printable(line, 2000));
  });
}

function linesOf({ image, file, candidates, requirements, stores }: TrustExplanation): readonly string[] {
  return [
    `image   ${image}`,
    `policy  ${file}`,
    'scopes, in the order of looking:',
    ...candidates.map(({ transport, name, found, applies }) => {
      const mark = applies ? '→' : ' ';
      const remark = applies ? 'applies' : found ? 'in the policy, not reached' : 'not in the policy';
      return `  ${mark} ${scopeName(transport, name)} (${remark})`;
    }),
    'requirements, all of which must hold:',
    ...requirements.flatMap(requirementLines),
    stores.length === 0 ? 'signatures are read from nowhere' : 'signatures are read from:',
    ...stores.map(({ location, from }) => `  ${location} (${from})`),
  ];
}

function scopeName(transport: string, name: string): string {
  if (transport === '') return 'the global default';
  return name === '' ? `${transport}: the transport's default ""` : `${transport}: ${name}`;
}

function requirementLines(requirement: ExplainedRequirement): readonly string[] {
  const { type, place, keys, signedIdentity, signed } = requirement;
  return [
    `  ${type} (${place})`,
    ...(signed === undefined ? [] : signedLines(signed)),
    ...(keys ?? []).map((key) => `    key ${keyLine(key)}`),
    ...(signedIdentity === undefined ? [] : [`    identity ${Object.values(signedIdentity).join(' ')}`]),
  ];
}

function signedLines({
  threshold,
  signers,
  formats,
  predicateType,
}: NonNullable<ExplainedRequirement['signed']>): readonly string[] {
  return [
    `    by ${threshold} of ${signers.length}, as ${formats.join(', ')}, stating ${predicateType}`,
    ...signers.map(({ name, type, from }) => `    ${name}: ${type}, ${from}`),
  ];
}

function keyLine({ path, fingerprint, userIds, problem }: ExplainedKey): string {
  const who = fingerprint === undefined ? '' : `${fingerprint} ${(userIds ?? []).join(', ')} `;
  const where = path === undefined ? 'in the policy' : `from ${path}`;
  return `${who}${where}${problem === undefined ? '' : `: ${problem}`}`;
}
