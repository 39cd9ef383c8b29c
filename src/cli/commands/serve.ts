/** `bulla serve registry`: the small registry of the demo, for trying things out. */
import { Command } from 'commander';

import type { CommandContext } from '../command.ts';
import { countOption, flagOption, type Parsed, textOption } from '../options.ts';
import type { Terminal } from '../terminal.ts';

export function command({ terminal }: CommandContext): Command {
  return new Command('serve')
    .description('Serve a registry.')
    .addCommand(registry(terminal))
    .addHelpText('after', '\nExample:\n  $ bulla serve registry --port 5000');
}

function registry(terminal: Terminal): Command {
  return new Command('registry')
    .description(
      'Serve a small OCI registry over plain HTTP, without users: for trying things out and for tests.',
    )
    .option('--root <dir>', 'keep the content in this folder (default: in memory, gone at the end)')
    .option('--port <n>', 'listen on this port (default: a free one)')
    .option('--host <address>', 'listen on this address', '127.0.0.1')
    .option('--no-referrers', 'leave out the referrers API, as older registries do')
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla serve registry --port 5000 --root ./registry &\n  $ bulla push --tls-verify=false oci:image docker://127.0.0.1:5000/ns/app:1',
    )
    .action((options: Parsed) => serve(terminal, options));
}

async function serve(terminal: Terminal, options: Parsed): Promise<void> {
  const root = textOption(options, 'root');
  const host = textOption(options, 'host') ?? '127.0.0.1';
  const port = countOption(options, 'port', '--port') ?? 0;
  const { serveRegistry } = await import('../../servers/registry/serve.ts');
  await using server = await serveRegistry({
    host,
    port,
    referrers: flagOption(options, 'referrers'),
    ...(root !== undefined && { root }),
  });
  if (!/^(?:127\.|::1$|localhost$)/.test(host)) {
    terminal.warn(
      'anybody who reaches this address can push, pull and delete: there are no users and no TLS',
    );
  }
  terminal.print(server.url);
  terminal.note('serving until interrupted');
  await interrupted();
}

/** Resolves when the process is told to end. */
async function interrupted(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.once(signal, resolve);
  await promise;
}
