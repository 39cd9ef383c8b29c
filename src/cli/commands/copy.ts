/** `bulla copy SRC DST`: as skopeo copy, with all that hangs on the image. */
import { Command } from 'commander';

import { formatImageName, type ImageName, parseImageName } from '../../base/image-name.ts';
import { copy, type CopyRequest } from '../../operations/copy.ts';
import type { CommandContext } from '../command.ts';
import {
  additionalTags,
  copiedOption,
  identityOption,
  judgedByPolicy,
  openCopyWorlds,
  refuseUnsupported,
  sharingBlobs,
  withCopyOptions,
  withLocalTwinOptions,
  withTwinOptions,
} from '../copy-options.ts';
import { runCopy } from '../copy-run.ts';
import {
  countOption,
  flagOption,
  listOption,
  type Parsed,
  withPlatformOptions,
  withPolicyOptions,
  withRegistriesDOption,
  withRegistryOptions,
  withSigningOptions,
} from '../options.ts';
import { packingOption, withPackingOptions } from '../packing-options.ts';
import { platformOption } from '../world.ts';

export function command(context: CommandContext): Command {
  const copying = new Command('copy')
    .description(
      'Copy an image as the policy allows it, its bytes unchanged, with its signatures and whatever hangs on it. The name comes last.',
    )
    .argument(
      '<source>',
      'docker://…, a folder (oci:, dir:), an archive or an engine; a name without transport means docker://',
    )
    .argument('<destination>', 'the same');
  withPackingOptions(withCopyOptions(withLocalTwinOptions(withTwinOptions(copying))));
  withPlatformOptions(
    withPolicyOptions(withRegistriesDOption(withRegistryOptions(withSigningOptions(copying)))),
  );
  return copying
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla copy --policy policy.json --sign-by release@example.com \\\n      docker://dev.example.com/ns/app:1.0 docker://prod.example.com/ns/app:1.0',
    )
    .action((source: string, destination: string, parsed: Parsed) =>
      run(
        sharingBlobs(parseImageName(source), parsed, 'src'),
        sharingBlobs(parseImageName(destination), parsed, 'dest'),
        parsed,
        context,
      ),
    );
}

async function run(
  source: ImageName,
  destination: ImageName,
  parsed: Parsed,
  context: CommandContext,
): Promise<void> {
  const request = requestOf(source, destination, parsed, context);
  await using worlds = await openCopyWorlds(parsed, context.terminal, [source, destination]);
  await runCopy(request, parsed, context, {
    copy: (told) => copy({ ...request, ...told }, worlds),
    title: ({ digest }) => `${formatImageName(destination)} ${digest}`,
  });
}

function requestOf(
  source: ImageName,
  destination: ImageName,
  parsed: Parsed,
  { terminal }: CommandContext,
): CopyRequest {
  refuseUnsupported(parsed);
  const platform = platformOption(parsed);
  const { instances, changes } = copiedOption(parsed);
  const packing = packingOption(parsed, destination, terminal);
  const parallelBlobs = countOption(parsed, 'imageParallelCopies', '--image-parallel-copies', 1);
  return {
    source,
    destination,
    instances,
    changes: { ...changes, ...(packing !== undefined && { packing }) },
    by: judgedByPolicy(parsed, terminal),
    requireSigned: flagOption(parsed, 'requireSigned'),
    removeSignatures: flagOption(parsed, 'removeSignatures'),
    removeListSignatures: flagOption(parsed, 'removeListSignatures'),
    attachments: parsed['attachments'] !== false,
    preserveDigests: flagOption(parsed, 'preserveDigests'),
    additionalTags: additionalTags(listOption(parsed, 'additionalTag'), destination),
    identities: listOption(parsed, 'signIdentity').map(identityOption),
    ...(platform !== undefined && { platform }),
    ...(parallelBlobs !== undefined && { parallelBlobs }),
  };
}
