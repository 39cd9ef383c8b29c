/** `bulla trust set`, as `podman image trust set`, with identities and any-of. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { type IdentityJson, setTrust, type TrustType, trustTypes } from '../../operations/trust.ts';
import type { CommandContext } from '../command.ts';
import { collect, flagOption, listOption, type Parsed, textOption } from '../options.ts';
import { environmentOf, policyFileOption, withPolicyFile } from './trust-options.ts';

export function setCommand({ terminal }: CommandContext): Command {
  const command = new Command('set')
    .description('Set what the policy asks of a scope, or its default. The rest of the file stays as it is.')
    .argument('<scope>', 'a registry, namespace, repository or image; or the word default')
    .option('-t, --type <type>', `trust type: ${trustTypes.join(', ')}`, 'signedBy')
    .option(
      '-f, --pubkeysfile <file>',
      'public key file; repeatable: an image must be signed by each',
      collect,
    )
    .option('--any-of', 'with several key files: signed by any one of the keys suffices')
    .option('--identity <rule>', identityHelp)
    .option('--transport <name>', 'transport of the scope (default: the one that has it, else docker)')
    .option('--create', 'make the policy file where there is none; its default is reject')
    .addHelpText('after', '\nExample:\n  $ bulla trust set -f alice.pub.asc registry.example.com/ns');
  return withPolicyFile(command).action(async (scope: string, parsed: Parsed) => {
    const file = policyFileOption(parsed);
    const identity = identityOption(textOption(parsed, 'identity'));
    const transport = textOption(parsed, 'transport');
    await setTrust({
      environment: environmentOf(terminal),
      cwd: terminal.cwd,
      target: scope === 'default' ? scope : { name: scope, ...(transport !== undefined && { transport }) },
      type: typeOption(textOption(parsed, 'type') ?? ''),
      keyFiles: listOption(parsed, 'pubkeysfile'),
      anyOf: flagOption(parsed, 'anyOf'),
      create: flagOption(parsed, 'create'),
      ...(file !== undefined && { file }),
      ...(identity !== undefined && { identity }),
    });
  });
}

const identityHelp =
  'matchExact, matchRepository, matchRepoDigestOrExact, exactReference=REF, exactRepository=REPO or remapIdentity=PREFIX=SIGNED';

function typeOption(text: string): TrustType {
  const type = trustTypes.find((known) => known === text);
  if (type !== undefined) return type;
  throw new BullaError('usage.invalid', `there is no trust type "${text}"`, {
    hint: `the types are ${trustTypes.join(', ')}`,
  });
}

/** `remapIdentity=docker.io=mirror.example.com/docker` as policy.json spells it; its values are checked there. */
function identityOption(text: string | undefined): IdentityJson | undefined {
  if (text === undefined) return undefined;
  const [type = '', first, second, ...more] = text.split('=');
  const plain = ['matchExact', 'matchRepository', 'matchRepoDigestOrExact'].includes(type);
  if (plain && first === undefined) return { type };
  if (first !== undefined && second === undefined) {
    if (type === 'exactReference') return { type, dockerReference: first };
    if (type === 'exactRepository') return { type, dockerRepository: first };
  }
  if (type === 'remapIdentity' && first !== undefined && second !== undefined && more.length === 0) {
    return { type, prefix: first, signedPrefix: second };
  }
  throw new BullaError('usage.invalid', `"${text}" is no identity rule`, { hint: `write ${identityHelp}` });
}
