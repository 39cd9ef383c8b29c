/** `bulla push NAME [DST]`: as podman push, from folders and archives too. */
import { Command, Option } from 'commander';

import { BullaError } from '../../base/errors.ts';
import { formatImageName, type ImageName, parseImageName } from '../../base/image-name.ts';
import { findPodmanImage, push, type PushRequest } from '../../operations/push.ts';
import type { CommandContext } from '../command.ts';
import { copiedOption, identityOption, refuseUnsupported, withUnsupported } from '../copy-options.ts';
import { runCopy } from '../copy-run.ts';
import {
  flagOption,
  listOption,
  type Parsed,
  policyOption,
  withPlatformOptions,
  withPodmanOptions,
  withRegistriesDOption,
  withRegistryOptions,
  withSigningOptions,
} from '../options.ts';
import { engineName } from '../engine-name.ts';
import { packingOption, type PackingFlags } from '../packing-options.ts';
import { openCommandWorld, platformOption } from '../world.ts';

const packingFlags: PackingFlags = {
  format: '--compression-format',
  level: '--compression-level',
  force: '--force-compression',
  compress: '--compress',
};

export function command(context: CommandContext): Command {
  const pushing = new Command('push')
    .description(
      'Send an image from an engine, a folder or an archive to a registry or another place, with its signatures. Its bytes stay as they are unless a flag says otherwise.',
    )
    .argument(
      '<name>',
      'an image of podman’s by its name, docker-daemon:NAME, oci:DIR[:ref], dir:DIR, oci-archive:FILE[:ref] or docker-archive:FILE[:ref]',
    )
    .argument(
      '[destination]',
      'docker://… or one of these; a name without transport means docker://. Default: an engine’s image goes to the registry in its name',
    );
  withPodmanOptions(withPushOptions(pushing));
  withPlatformOptions(withRegistriesDOption(withRegistryOptions(withSigningOptions(pushing))));
  return pushing
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla push --sign-by release@example.com --digestfile digest oci:image docker://registry.example.com/ns/app:1.0',
    )
    .action((name: string, destination: string | undefined, parsed: Parsed) =>
      run(name, destination, parsed, context),
    );
}

/** podman push's own, and of a list what goes. */
function withPushOptions(command: Command): Command {
  command
    .option('-a, --all', 'of a list send every instance and the list')
    .option('--multi-arch <which>', 'for a list: system (the default), all, index-only, or platforms')
    .option('--remove-signatures', 'leave the image’s signatures behind')
    .option('-f, --format <format>', 'the manifests’ format: oci or v2s2 (default: as it is)')
    .option(
      '--compression-format <format>',
      'pack all layers by gzip or zstd (default: as they are, an engine’s by gzip)',
    )
    .option('--compression-level <n>', 'for what is packed: gzip 1 to 9, zstd 1 to 22')
    .option('--force-compression', 'always so where --compression-format is given')
    .option('--compress', 'for a dir: destination: pack layers that are not packed')
    .option('--digestfile <file>', 'write the digest of the manifest pushed to this file')
    .option('--policy <file>', 'judge the image by this policy first (default: nobody judges it)')
    .addOption(new Option('--signature-policy <file>', 'alias of --policy').hideHelp())
    .option('--json', 'print the receipt as JSON');
  return withUnsupported(command);
}

async function run(
  name: string,
  to: string | undefined,
  parsed: Parsed,
  context: CommandContext,
): Promise<void> {
  const request = requestOf(await endsOf(name, to), parsed, context);
  const { source, destination } = request;
  await using world = await openCommandWorld(parsed, context.terminal, [source, destination]);
  await runCopy(request, parsed, context, {
    copy: (told) => push({ ...request, ...told }, world),
    title: ({ digest }) => digest,
  });
}

type Ends = Pick<PushRequest, 'source' | 'destination'>;

/** An exact name (a digest, a store in brackets, a transport) is no question for podman. */
async function endsOf(name: string, to: string | undefined): Promise<Ends> {
  const source = engineName(name);
  const destination = to === undefined ? undefined : parseImageName(to);
  if (source.transport !== 'containers-storage' || source.name !== name || /^\[|@/.test(name))
    return { source, destination: destination ?? ownRegistry(source) };
  const { image, isNamed } = await findPodmanImage(name);
  if (destination === undefined && !isNamed) throw unnamed(source);
  // as podman push: a short name is one of docker.io's, wherever its image was found
  return { source: image, destination: destination ?? ownRegistry(source) };
}

function requestOf({ source, destination }: Ends, parsed: Parsed, { terminal }: CommandContext): PushRequest {
  refuseUnsupported(parsed);
  const { instances, changes } = copiedOption(parsed);
  const packing = packingOption(parsed, destination, terminal, packingFlags);
  const platform = platformOption(parsed);
  const file = policyOption(parsed);
  return {
    source,
    destination,
    instances,
    changes: { ...changes, ...(packing !== undefined && { packing }) },
    removeSignatures: flagOption(parsed, 'removeSignatures'),
    identities: listOption(parsed, 'signIdentity').map(identityOption),
    ...(file !== undefined && { by: { kind: 'policy', file } }),
    ...(platform !== undefined && { platform }),
  };
}

/** Where podman push sends an image whose destination is not said. */
function ownRegistry(source: ImageName): ImageName {
  if (source.transport === 'containers-storage' || source.transport === 'docker-daemon')
    return parseImageName(`docker://${source.name}`);
  throw unnamed(source);
}

function unnamed(source: ImageName): BullaError {
  return new BullaError('usage.invalid', `${formatImageName(source)} has no name to be pushed under`, {
    hint: 'name the destination: bulla push NAME docker://REGISTRY/PATH:TAG',
  });
}
