/** `bulla demo`: the main job, end to end, on an embedded registry in a temporary folder. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Command } from 'commander';

import { utf8 } from '../../base/bytes.ts';
import { makeFolder, replaceFile } from '../../io/files.ts';
import type { CommandContext } from '../command.ts';
import { runSteps } from '../demo/run.ts';
import { flagOption, type Parsed } from '../options.ts';

export function command(context: CommandContext): Command {
  return new Command('demo')
    .description(
      'Show the whole job: make a key, push an image, sign it, publish the signature, verify, tamper, be refused. ' +
        'It runs on an embedded registry and a temporary folder and touches nothing of yours.',
    )
    .option('--keep', 'keep the temporary folder')
    .addHelpText('after', '\nExample:\n  $ bulla demo')
    .action((parsed: Parsed) => demo(context, flagOption(parsed, 'keep')));
}

async function demo(context: CommandContext, keep: boolean): Promise<void> {
  const { terminal } = context;
  const folder = await mkdtemp(join(tmpdir(), 'bulla-demo-'));
  const { serveRegistry } = await import('../../servers/registry/serve.ts');
  const registry = await serveRegistry({ host: '127.0.0.1', port: 0 });
  try {
    const host = new URL(registry.url).host;
    await prepare(folder, host);
    // the commands name their files as a person would: relative to where they stand
    process.chdir(folder);
    terminal.print(`The registry is at ${host}, everything else in ${folder}.`);
    const failed = await runSteps({ folder, registry: host }, context);
    terminal.print(
      failed.length === 0 ? '\nEvery step did what it should.' : `\nFailed: ${failed.join('; ')}`,
    );
    context.finish(failed.length === 0 ? 0 : 3);
  } finally {
    process.chdir(terminal.cwd);
    await registry.close();
    if (!keep) await rm(folder, { recursive: true, force: true });
  }
}

/** What an administrator writes once: where signatures are, a policy that trusts nothing yet, a passphrase. */
async function prepare(folder: string, registry: string): Promise<void> {
  await makeFolder(join(folder, 'registries.d'));
  await makeFolder(join(folder, 'web'));
  await replaceFile(
    join(folder, 'registries.d', 'demo.yaml'),
    utf8(
      `docker:\n  ${registry}:\n    lookaside: file://${join(folder, 'web')}\n    lookaside-staging: file://${join(folder, 'staging')}\n`,
    ),
  );
  await replaceFile(
    join(folder, 'policy.json'),
    utf8('{\n    "default": [\n        {\n            "type": "reject"\n        }\n    ]\n}\n'),
  );
  await replaceFile(join(folder, 'passphrase'), utf8('correct horse battery staple\n'), 0o600);
}
