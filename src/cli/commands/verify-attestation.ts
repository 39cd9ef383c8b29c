/** `bulla verify-attestation IMAGE...`: is there a statement of that type about the image, by somebody who is believed. */
import { Command } from 'commander';

import { BullaError } from '../../base/errors.ts';
import type { CommandContext } from '../command.ts';
import { givenJudge, withSignerOptions } from '../judge-options.ts';
import {
  collect,
  type Parsed,
  textOption,
  withPlatformOptions,
  withRegistriesDOption,
  withRegistryOptions,
} from '../options.ts';
import { readPredicateType } from '../predicate-type.ts';
import { runVerify } from '../verify-run.ts';

export function command(context: CommandContext): Command {
  const verify = new Command('verify-attestation')
    .description(
      'Judge the attestations of images: signature, signer, subject and type. Exit 0 accepted, 1 refused.',
    )
    .argument('<image...>', 'images; a name without transport means docker://')
    .option(
      '--type <type>',
      'a URI, any, or one of slsaprovenance (v0.2), slsaprovenance1, spdx, spdxjson, cyclonedx, vuln, openvex, link, custom',
      'custom',
    )
    .option('--key <key>', 'public key (PEM), or a key’s URI; repeatable', collect)
    .option('--all', 'judge each instance of a list')
    .option('--explain', 'tell every attestation and its reason')
    .option('--json', 'print the verdicts as JSON, with the statement that was accepted');
  withPlatformOptions(withRegistriesDOption(withRegistryOptions(withSignerOptions(verify))));
  return verify
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla verify-attestation --type slsaprovenance1 --key release.pub docker://registry.example.com/ns/app:1.0',
    )
    .action((images: readonly string[], parsed: Parsed) =>
      runVerify(images, parsed, context, () => {
        const type = readPredicateType(textOption(parsed, 'type') ?? 'custom');
        const given = givenJudge(parsed, context.terminal, type);
        if (given !== undefined) return given;
        throw new BullaError('usage.invalid', 'nothing says who is believed', {
          hint: 'name a key by --key, or a signer by --certificate-identity and --certificate-oidc-issuer',
        });
      }),
    );
}
