/** `bulla manifest-digest FILE`, as skopeo's. */
import { Command } from 'commander';

import { limits } from '../../base/limits.ts';
import { takeManifest } from '../../base/manifest.ts';
import { readBoundedFile } from '../../io/files.ts';
import type { CommandContext } from '../command.ts';

export function command({ terminal }: CommandContext): Command {
  return new Command('manifest-digest')
    .description('Print the digest of a manifest file: what a signature of that image speaks of.')
    .argument('<file>', 'a manifest as the registry serves it')
    .addHelpText('after', '\nExample:\n  $ bulla manifest-digest manifest.json\n  sha256:…')
    .action(async (file: string) => {
      const bytes = await readBoundedFile(file, limits.manifestBytes);
      terminal.print(takeManifest(bytes).digest);
    });
}
