/**
 * Terminal sessions as text, run for real and compared. The format, in `*.txt` files here and in
 * the ```console blocks of docs/:
 *
 *     $ bulla verify docker://registry.example.com/ns/app:1
 *     accepted docker://registry.example.com/ns/app:1 …
 *     [exit 1]
 *
 * `$ ` starts a command for bash (a trailing backslash continues it, and so does a line that starts with `> `); the lines after it are its
 * stdout and stderr, in which `…` stands for any text of a line and a line that is only `…` for any
 * number of lines; `[exit N]` is its exit code where that is not 0; `#` lines are remarks.
 * `registry.example.com` stands for the embedded registry that each session gets. `layout/` is a small
 * image in an OCI layout, as a builder makes it. A session that speaks of them also gets the registries
 * `dev.example.com` and `prod.example.com`, and web servers `http://dev-sigs.example.com` and
 * `http://prod-sigs.example.com` for the folders `dev-web` and `prod-web`.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { buildImage } from '../../src/cli/demo/image.ts';
import { serveFolder } from '../support/web-server.ts';
import { serveRegistry } from '../../src/servers/registry/serve.ts';

export type Command = {
  readonly line: number;
  readonly text: string;
  readonly output: readonly string[];
  readonly exit: number;
};

/** What stands for a server, and its folder where it is a web server. */
const registryNames = ['registry.example.com', 'dev.example.com', 'prod.example.com'];
const webNames = { 'dev-sigs.example.com': 'dev-web', 'prod-sigs.example.com': 'prod-web' };
const root = fileURLToPath(new URL('../../', import.meta.url));

/** The commands of a session. */
export function parseSession(text: string): readonly Command[] {
  const commands: { line: number; text: string; output: string[]; exit: number }[] = [];
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    const last = commands.at(-1);
    const exit = /^\[exit ([0-9]+)\]$/.exec(line);
    if (line.startsWith('$ ')) {
      let command = line.slice(2);
      const start = index + 1;
      while (command.endsWith('\\')) command = `${command}\n${lines[(index += 1)] ?? ''}`;
      while (lines[index + 1]?.startsWith('> ') === true)
        command = `${command}\n${lines[(index += 1)]?.slice(2) ?? ''}`;
      commands.push({ line: start, text: command, output: [], exit: 0 });
    } else if (last !== undefined && exit !== null) last.exit = Number(exit[1]);
    else if (last !== undefined && !line.startsWith('#')) last.output.push(line);
  }
  for (const command of commands) while (command.output.at(-1) === '') command.output.pop();
  return commands;
}

/** The ```console blocks of a page, one session. */
export function sessionOfPage(markdown: string): string {
  return [...markdown.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, block]) => block ?? '').join('\n');
}

/** A world of its own for one session; dispose it. */
export type Place = AsyncDisposable & { run(command: string): Promise<{ output: string; exit: number }> };

/** The servers that a text speaks of, and the first registry: by the name that stands for each, its real host. */
async function openServers(
  home: string,
  text: string,
): Promise<
  {
    readonly registries: ReadonlyMap<string, string>;
    readonly hosts: ReadonlyMap<string, string>;
  } & AsyncDisposable
> {
  const running = new AsyncDisposableStack();
  const registries = new Map<string, string>();
  for (const [index, name] of registryNames.entries()) {
    if (index > 0 && !text.includes(name)) continue;
    const registry = await serveRegistry({ host: '127.0.0.1', port: 0 });
    running.defer(() => registry.close());
    registries.set(name, new URL(registry.url).host);
  }
  const hosts = new Map(registries);
  for (const [name, folder] of Object.entries(webNames)) {
    if (!text.includes(name)) continue;
    const { url } = running.use(await serveFolder(join(home, folder)));
    hosts.set(name, new URL(url).host);
  }
  return { registries, hosts, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/**
 * Opens a temporary home with `bulla` in PATH, a registry, a lookaside folder and a policy that rejects.
 * @param text of the session: the servers it speaks of are started
 */
export async function openPlace(text = ''): Promise<Place> {
  const home = await mkdtemp(join(tmpdir(), 'bulla-session-'));
  const servers = await openServers(home, text);
  const config = join(home, '.config', 'containers');
  await mkdir(join(config, 'registries.d'), { recursive: true });
  await mkdir(join(home, 'bin'));
  await buildImage(join(home, 'layout'), 'hello');
  await writeFile(
    join(home, 'bin', 'bulla'),
    `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'bin', 'bulla.js')}" "$@"\n`,
  );
  await chmod(join(home, 'bin', 'bulla'), 0o755);
  const plain = [...servers.registries.values()];
  await writeFile(
    join(config, 'registries.conf'),
    plain.map((host) => `[[registry]]\nlocation = "${host}"\ninsecure = true\n`).join(''),
  );
  await writeFile(
    join(config, 'registries.d', 'default.yaml'),
    `default-docker:\n  lookaside: file://${home}/sigstore\n`,
  );
  await writeFile(join(config, 'policy.json'), '{"default":[{"type":"reject"}]}\n');
  const env = {
    PATH: `${join(home, 'bin')}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_DATA_HOME: join(home, '.local', 'share'),
    XDG_CACHE_HOME: join(home, '.cache'),
    XDG_RUNTIME_DIR: join(home, 'run'),
    GNUPGHOME: join(home, '.gnupg'),
    LC_ALL: 'C.UTF-8',
    ROOT: root,
  };
  const names = [...servers.hosts];
  const show = (output: string): string =>
    names.reduce((shown, [name, host]) => shown.replaceAll(host, name), output).replaceAll(home, '~');
  const meant = (command: string): string =>
    names.reduce((line, [name, host]) => line.replaceAll(name, host), command);
  return {
    run: async (command) => {
      const { promise, resolve } = Promise.withResolvers<{ output: string; exit: number }>();
      execFile(
        'bash',
        ['-c', `exec 2>&1; ${meant(command)}`],
        { cwd: home, env, timeout: 60_000, maxBuffer: 16 * 1024 * 1024 },
        (error, stdout) =>
          resolve({ output: show(stdout), exit: error === null ? 0 : Number(error.code ?? 255) }),
      ).stdin?.end();
      return promise;
    },
    [Symbol.asyncDispose]: async () => {
      await servers[Symbol.asyncDispose]();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** True when the output is what the pattern's lines say. */
export function matches(pattern: readonly string[], output: string): boolean {
  const expression = pattern
    .map((line) =>
      line === '…'
        ? '(?:[^\\n]*\\n)*'
        : `${line
            .split('…')
            .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
            .join('[^\\n]*')}\\n`,
    )
    .join('');
  const ended = output === '' || output.endsWith('\n') ? output : `${output}\n`;
  return new RegExp(`^${expression}$`).test(ended);
}

/**
 * Runs a session and compares. In a page (`loose`) a command without output lines may print anything.
 */
export async function runSession(name: string, text: string, loose: boolean): Promise<void> {
  await using place = await openPlace(text);
  for (const command of parseSession(text)) {
    const { output, exit } = await place.run(command.text);
    const where = `${name}, line ${command.line}: $ ${command.text}\n${output}`;
    assert.equal(exit, command.exit, where);
    if (loose && command.output.length === 0) continue;
    assert.ok(matches(command.output, output), `${where}\nexpected:\n${command.output.join('\n')}`);
  }
}
