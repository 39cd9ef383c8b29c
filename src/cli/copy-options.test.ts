/** skopeo's flags: what each side sees, what is refused by name. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { runBulla } from '../../test/support/fake-terminal.ts';
import { serveAnswers } from '../../test/support/registry-faults.ts';

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-copy-flags-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const anything = ['copy', '--insecure-policy'];

test('what is not done is refused by name, before anything is asked', () =>
  inFolder(async (folder) => {
    const unsupported = [
      ['--dest-compress-format', 'zstd:chunked'],
      ['--encryption-key', 'jwe:key'],
      ['--decryption-key', 'key'],
      ['--format', 'v2s1'],
    ];
    for (const flags of unsupported) {
      const { exit, err } = await runBulla(folder, [...anything, ...flags, 'dir:a', 'dir:b']);
      equal(exit, 2, err);
      match(err, /\[usage\.unsupported\]/);
      match(err, new RegExp(`${flags[0]}`));
    }
  }));

test('flags that contradict each other or name nothing are refused', () =>
  inFolder(async (folder) => {
    const wrong = [
      ['--all', '--multi-arch', 'system'],
      ['--multi-arch', 'everything'],
      ['--strip-removed-platforms'],
      ['--multi-arch', 'linux/amd64', '--strip-removed-platforms'],
      ['--format', 'squashfs'],
      ['--sign-identity', 'docker.io/library/app:1'],
      ['--additional-tag', 'two'],
      ['--dest-compress', '--dest-decompress'],
      ['--dest-compress-format', 'lz4'],
      ['--dest-force-compress-format'],
      ['--dest-compress-format', 'gzip', '--dest-compress-level', '10'],
      ['--dest-compress-level', '0'],
      ['--policy', 'policy.json'],
      ['--src-username', 'me'],
      ['--sign-by', 'me', '--sign-identity', 'app:1'],
    ];
    for (const flags of wrong) {
      const { exit, err } = await runBulla(folder, [...anything, ...flags, 'dir:a', 'dir:b']);
      equal(exit, 2, `${flags.join(' ')}: ${err}`);
      match(err, /\[usage\.invalid\]/, flags.join(' '));
    }
  }));

test('flags that can do nothing at the destination are warned of', () =>
  inFolder(async (folder) => {
    const idle: readonly (readonly [readonly string[], string])[] = [
      [['--dest-compress'], 'oci:b'],
      [['--dest-decompress'], 'oci:b'],
      [['--dest-compress-format', 'zstd'], 'dir:b'],
      [['--dest-compress-level', '9'], 'docker-archive:b'],
      [['--dest-compress-format', 'zstd', '--dest-oci-accept-uncompressed-layers'], 'oci:b'],
    ];
    for (const [flags, destination] of idle) {
      const { err } = await runBulla(folder, [...anything, ...flags, 'dir:a', destination]);
      match(err, new RegExp(`warning: ${flags[0]} does nothing here`), flags.join(' '));
    }
  }));

test('without a policy nothing is copied', () =>
  inFolder(async (folder) => {
    const env = { XDG_CONFIG_HOME: folder, CONTAINERS_POLICY_JSON: join(folder, 'none.json') };
    const { exit, err } = await runBulla(folder, ['copy', 'docker://127.0.0.1:1/app:1', 'dir:b'], env);
    equal(exit === 2 || exit === 3, true, err);
    await writeFile(join(folder, 'none.json'), '{"default": [{"type": "reject"}]}');
  }));

test('each side gets its own credentials, and the other does not see them', () =>
  inFolder(async (folder) => {
    const sites = await Promise.all(
      ['source', 'destination'].map(() =>
        serveAnswers((request, response) => {
          if (request.headers.authorization === undefined)
            response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
          else response.writeHead(404).end('{}');
        }),
      ),
    );
    try {
      const [source, destination] = sites;
      const flags = ['--src-creds', 'reader:one', '--dest-username', 'writer', '--dest-password', 'two'];
      const images = [`docker://${source?.host}/app:1`, `docker://${destination?.host}/app:1`];
      const { exit } = await runBulla(folder, [...anything, '--tls-verify=false', ...flags, ...images]);
      equal(exit, 3);
      const shown = sites.map(({ requests }) => [
        ...new Set(requests.flatMap(({ headers }) => headers.authorization ?? [])),
      ]);
      const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
      deepEqual(shown[0], [basic('reader:one')]);
      deepEqual(
        shown[1]?.filter((each) => each !== basic('writer:two')),
        [],
      );
    } finally {
      for (const each of sites) await each[Symbol.asyncDispose]();
    }
  }));

test('a side without credentials shows none, whatever both sides have', () =>
  inFolder(async (folder) => {
    await using source = await serveAnswers((_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    });
    const auth = Buffer.from('reader:one').toString('base64');
    await writeFile(join(folder, 'auth.json'), JSON.stringify({ auths: { [source.host]: { auth } } }));
    const copying = [...anything, '--tls-verify=false', '--authfile', join(folder, 'auth.json')];
    const images = [`docker://${source.host}/app:1`, `dir:${join(folder, 'out')}`];
    const shown = (): number =>
      source.requests.filter(({ headers }) => headers.authorization !== undefined).length;
    equal((await runBulla(folder, [...copying, ...images])).exit, 3);
    equal(shown() > 0, true);
    const before = shown();
    equal((await runBulla(folder, [...copying, '--src-no-creds', ...images])).exit, 3);
    equal(shown(), before);
    const both = await runBulla(folder, [...copying, '--src-no-creds', '--src-creds', 'a:b', ...images]);
    equal(both.exit, 2, both.err);
  }));
