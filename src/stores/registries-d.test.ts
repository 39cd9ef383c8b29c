import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { describeOrigin, lookasideScopes, lookupLookaside } from './lookup-lookaside.ts';
import { parseRegistriesDFile } from './registries-d-file.ts';
import { readRegistriesD, type RegistriesDOptions } from './registries-d.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

function folderWith(files: Readonly<Record<string, string>>): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'bulla-registries-d-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Reads a configuration of one or more drop-ins and looks an image up. */
async function lookup(
  files: string | Readonly<Record<string, string>>,
  image = 'registry.example.com:5000/a/b/app:1',
): Promise<{ read: string; write: string; attachments: boolean }> {
  using folder = folderWith(typeof files === 'string' ? { 'a.yaml': files } : files);
  const config = await readRegistriesD({ dir: folder.path, env: { HOME: '/home/u' }, uid: 0 });
  const { read, write, useSigstoreAttachments } = lookupLookaside(config, parseReference(image));
  return { read: read.url, write: write.url, attachments: useSigstoreAttachments };
}

test('the scopes of an image, most specific first', () => {
  const scopes = (image: string): readonly string[] => lookasideScopes(parseReference(image));
  deepEqual(scopes('r.example.com:5000/a/b/app:1'), [
    'r.example.com:5000/a/b/app:1',
    'r.example.com:5000/a/b/app',
    'r.example.com:5000/a/b',
    'r.example.com:5000/a',
    'r.example.com:5000',
    '*.example.com',
    '*.com',
  ]);
  deepEqual(scopes(`busybox@${digest}`), [
    `docker.io/library/busybox@${digest}`,
    'docker.io/library/busybox',
    'docker.io/library',
    'docker.io',
    '*.io',
  ]);
  equal(scopes('localhost:5000/app:1').at(-1), 'localhost:5000');
  equal(
    lookasideScopes({ domain: '[2001:db8::1]:5000', path: 'app', tag: '1' }).at(-1),
    '[2001:db8::1]:5000',
  );
});

test('the most specific scope answers', async () => {
  const file = `
default-docker: { lookaside: file:///default }
docker:
  "*.com": { lookaside: file:///com }
  "*.example.com": { lookaside: file:///wild }
  registry.example.com: { lookaside: file:///other-port }
  registry.example.com:5000: { lookaside: file:///host }
  registry.example.com:5000/a: { lookaside: file:///namespace }
  registry.example.com:5000/a/b/app: { lookaside: file:///repository }
  registry.example.com:5000/a/b/app:1: { lookaside: file:///tag }
  registry.example.com:5000/a/b/app@${digest}: { lookaside: file:///digest }
`;
  const read = async (image: string): Promise<string> => (await lookup(file, image)).read;
  equal(await read('registry.example.com:5000/a/b/app:1'), 'file:///tag');
  equal(await read(`registry.example.com:5000/a/b/app@${digest}`), 'file:///digest');
  equal(await read('registry.example.com:5000/a/b/app:2'), 'file:///repository');
  equal(await read('registry.example.com:5000/a/b/apple:1'), 'file:///namespace');
  equal(await read('registry.example.com:5000/ab/app:1'), 'file:///host');
  equal(await read('registry.example.com/a/b/app:1'), 'file:///other-port');
  equal(await read('other.example.com:1/app:1'), 'file:///wild');
  equal(await read('example.com/app:1'), 'file:///com');
  equal(await read('example.org/app:1'), 'file:///default');
});

test('each matter falls through to wider scopes by itself', async () => {
  const file = `
default-docker: { lookaside: file:///default, use-sigstore-attachments: true }
docker:
  registry.example.com:5000/a/b/app: { lookaside-staging: file:///staging }
  registry.example.com:5000/a: { use-sigstore-attachments: false }
  registry.example.com:5000: { lookaside: file:///host }
`;
  deepEqual(await lookup(file), { read: 'file:///host', write: 'file:///staging', attachments: false });
  deepEqual(await lookup(file, 'example.org/x:1'), {
    read: 'file:///default',
    write: 'file:///default',
    attachments: true,
  });
});

test('within a section the new names win over the deprecated ones, staging over reading', async () => {
  const section = async (text: string): Promise<[string, string]> => {
    const { read, write } = await lookup(`default-docker: { ${text} }`);
    return [read, write];
  };
  const all = 'lookaside: f:1, sigstore: f:2, lookaside-staging: f:3, sigstore-staging: f:4';
  deepEqual(await section(all), ['f:1', 'f:3']);
  deepEqual(await section('sigstore: f:2, sigstore-staging: f:4'), ['f:2', 'f:4']);
  deepEqual(await section('lookaside: "", sigstore: f:2, lookaside-staging: "", sigstore-staging: f:4'), [
    'f:2',
    'f:4',
  ]);
  deepEqual(await section('lookaside: f:1, sigstore-staging: f:4'), ['f:1', 'f:4']);
});

test('without configuration: the folder of root or of the user', async () => {
  const builtIn = async (options: Partial<RegistriesDOptions>): Promise<string> =>
    (
      await readRegistriesD({
        dir: '/nonexistent/registries.d',
        env: { HOME: '/home/u v' },
        uid: 0,
        ...options,
      })
    ).builtIn;
  equal(await builtIn({}), 'file:///var/lib/containers/sigstore');
  equal(await builtIn({ uid: 1000 }), 'file:///home/u%20v/.local/share/containers/sigstore');
  equal(
    await builtIn({ env: { HOME: '/root', _CONTAINERS_ROOTLESS_UID: '1000' } }),
    'file:///root/.local/share/containers/sigstore',
  );
  equal((await lookup({})).read, 'file:///var/lib/containers/sigstore');
});

test('which folders are read: the user’s alone, else the system’s', async () => {
  using root = folderWith({
    'etc/containers/registries.d/a.yaml': 'default-docker: {lookaside: file:///etc}',
    'home/.config/containers/registries.d/b.yaml': '',
    'xdg/containers/registries.d/a.yaml': 'default-docker: {lookaside: file:///xdg}',
  });
  const read = async (home: string): Promise<readonly string[]> => {
    const env = { HOME: join(root.path, home), XDG_CONFIG_HOME: join(root.path, 'xdg') };
    return (await readRegistriesD({ env, uid: 1000, root: root.path })).files;
  };
  deepEqual(await read('home'), [join(root.path, 'home/.config/containers/registries.d/b.yaml')]);
  deepEqual(await read('nowhere'), [join(root.path, 'etc/containers/registries.d/a.yaml')]);
});

test('the rule of containers/image 5.40: all folders, a basename in an earlier one hides later ones', async () => {
  using root = folderWith({
    'home/.config/containers/registries.d/z.yaml': 'docker: {a.example: {lookaside: file:///user}}',
    'etc/containers/registries.rootless.d/1000/y.yaml': 'docker: {b.example: {lookaside: file:///mine}}',
    'etc/containers/registries.rootless.d/y.yaml': 'docker: {b.example: {lookaside: file:///hidden}}',
    'etc/containers/registries.rootful.d/root.yaml': 'docker: {b.example: {lookaside: file:///root}}',
    'etc/containers/registries.d/z.yaml': 'docker: {a.example: {lookaside: file:///hidden}}',
    'usr/share/containers/registries.d/a.yaml': 'docker: {c.example: {lookaside: file:///vendor}}',
  });
  const options = { env: { HOME: join(root.path, 'home') }, root: root.path, rule: 'merge' } as const;
  const urls = async (uid: number): Promise<readonly (readonly [string, string])[]> =>
    [...(await readRegistriesD({ ...options, uid })).docker].map(([scope, { read }]) => [
      scope,
      read?.url ?? '',
    ]);
  deepEqual(await urls(1000), [
    ['c.example', 'file:///vendor'],
    ['b.example', 'file:///mine'],
    ['a.example', 'file:///user'],
  ]);
  deepEqual(await urls(0), [
    ['c.example', 'file:///vendor'],
    ['b.example', 'file:///root'],
    ['a.example', 'file:///user'],
  ]);
});

test('only *.yaml counts, hidden ones too; a link to nothing is passed over', async () => {
  using folder = folderWith({
    'a.yml': '[',
    'b.yaml.rpmsave': '[',
    '.c.yaml': 'default-docker: {lookaside: file:///c}',
  });
  symlinkSync(join(folder.path, 'gone'), join(folder.path, 'd.yaml'));
  const { defaultDocker } = await readRegistriesD({ dir: folder.path, env: {}, uid: 0 });
  equal(defaultDocker?.read?.url, 'file:///c');
});

test('what two files define is refused, both named', async () => {
  for (const text of ['default-docker: {}', 'docker: {example.com: {}}']) {
    await rejects(
      lookup({ 'a.yaml': text, 'b.yaml': text }),
      (error: unknown) =>
        isBullaError(error, 'registries-d.malformed') && /a\.yaml.*b\.yaml/.test(error.message),
    );
  }
});

test('what cannot be read is refused', async () => {
  using folder = folderWith({ 'a.yaml/file': '' });
  await rejects(readRegistriesD({ dir: folder.path, env: {}, uid: 0 }), (error: unknown) =>
    isBullaError(error, 'registries-d.unreadable'),
  );
  using file = folderWith({ file: '' });
  await rejects(readRegistriesD({ dir: join(file.path, 'file'), env: {}, uid: 0 }), (error: unknown) =>
    isBullaError(error, 'registries-d.unreadable'),
  );
  if (process.getuid?.() !== 0) {
    chmodSync(file.path, 0);
    await rejects(readRegistriesD({ dir: file.path, env: {}, uid: 0 }));
    chmodSync(file.path, 0o755);
  }
});

test('YAML that containers/image reads', async () => {
  const read = async (text: string): Promise<string> => (await lookup(text)).read;
  const builtIn = 'file:///var/lib/containers/sigstore';
  for (const text of [
    '',
    '# nothing\n',
    'null\n',
    '---\n',
    'docker:\n',
    'default-docker: null',
    'docker: {x: null}',
    'other: {a: [1]}',
  ]) {
    equal(await read(text), builtIn, text);
  }
  equal(await read('x: &a {lookaside: file:///x}\ndefault-docker: *a\n'), 'file:///x');
  equal(await read('x: &a {lookaside: file:///x}\ndefault-docker:\n  <<: *a\n'), 'file:///x');
  equal(await read('%YAML 1.1\n---\ndefault-docker: {lookaside: file:///x}\n...\n'), 'file:///x');
  equal(await read('\ufeffdefault-docker: {lookaside: file:///x}'), 'file:///x');
  equal(await read('"default-docker": {"lookaside": "file:///x",}'), 'file:///x');
  equal(await read('Default-Docker: {lookaside: file:///x}'), builtIn);
  for (const word of ['true', 'True', 'yes', 'on', 'y', '"yes"', 'YES']) {
    equal((await lookup(`default-docker: {use-sigstore-attachments: ${word}}`)).attachments, true, word);
  }
  for (const word of ['false', 'no', 'Off', 'n', 'null', '~', '']) {
    equal((await lookup(`default-docker: {use-sigstore-attachments: ${word}}`)).attachments, false, word);
  }
});

test('YAML that is refused, with its place', async () => {
  const bad: readonly (readonly [string, string])[] = [
    ['default-docker: [\n', '2:1'],
    ['a: 1\na: 2\n', '2:1'],
    ['docker:\n  x: {}\n  x: {}\n', '3:3'],
    ['a: 1\n---\nb: 2\n', '2:1'],
    ['[]\n', '1:1'],
    ['docker: []\n', '1:9'],
    ['docker:\n  x: text\n', '2:6'],
    ['docker:\n  5: {}\n', '2:3'],
    ['default-docker:\n  lookaside: [a]\n', '2:14'],
    ['default-docker:\n  lookaside: 5\n', '2:14'],
    ['default-docker:\n  use-sigstore-attachments: maybe\n', '2:29'],
    ['default-docker:\n  use-sigstore-attachments: "true"\n', '2:29'],
    ['default-docker: *nowhere\n', '1:'],
    ['default-docker:\n\tlookaside: x\n', '2:1'],
  ];
  for (const [text, place] of bad) {
    await rejects(parseRegistriesDFile(utf8(text), '/etc/a.yaml'), (error: unknown) => {
      ok(isBullaError(error, 'registries-d.malformed'), `${text}: ${String(error)}`);
      match(error.message, new RegExp(`^/etc/a\\.yaml:${place}`), text);
      return true;
    });
  }
  await rejects(parseRegistriesDFile(new Uint8Array([0x61, 0xff]), 'a.yaml'), (error: unknown) =>
    isBullaError(error, 'registries-d.malformed'),
  );
});

test('aliases that unfold into gigabytes are refused in no time', async () => {
  const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x]'];
  for (let n = 1; n < 12; n += 1)
    lines.push(`a${n}: &a${n} [${Array.from({ length: 9 }, () => `*a${n - 1}`).join(',')}]`);
  await rejects(parseRegistriesDFile(utf8(lines.join('\n')), 'a.yaml'), (error: unknown) =>
    isBullaError(error, 'registries-d.malformed'),
  );
});

test('a URL that is none is refused when it is the answer, its place named', async () => {
  const config = async (text: string): Promise<void> => void (await lookup(text));
  await rejects(
    config('default-docker: {lookaside: "::bad"}'),
    (error: unknown) =>
      isBullaError(error, 'registries-d.malformed') && error.message.includes('default-docker'),
  );
  await config('docker: {elsewhere.example: {lookaside: "::bad"}}');
});

test('the answer says where it comes from', async () => {
  using folder = folderWith({
    'a.yaml': 'docker: {example.com: {sigstore-staging: file:///w, use-sigstore-attachments: on}}',
  });
  const config = await readRegistriesD({ dir: folder.path, env: { HOME: '/h' }, uid: 1 });
  const { read, write, attachmentsFrom } = lookupLookaside(config, parseReference('example.com/app:1'));
  const file = join(folder.path, 'a.yaml');
  deepEqual(write.from, { kind: 'file', file, scope: 'example.com', key: 'sigstore-staging' });
  deepEqual(read.from, { kind: 'built-in' });
  equal(describeOrigin(attachmentsFrom), `use-sigstore-attachments of example.com in ${file}`);
});

test('any bytes: parsed or refused by its code, never anything else', async () => {
  const words = fc.constantFrom(
    'docker',
    'default-docker',
    ':',
    ' ',
    '\n',
    '  ',
    '{',
    '}',
    '[',
    ']',
    '&a',
    '*a',
    '<<',
    '- ',
    '"',
    "'",
    '|',
    '>',
    '#',
    '!',
    '%',
    '?',
    '---',
    'lookaside',
    '\t',
    '\u0000',
    'ä',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(words, { maxLength: 30 }), async (parts) => {
      try {
        await parseRegistriesDFile(utf8(parts.join('')), 'a.yaml');
      } catch (error) {
        ok(error instanceof BullaError);
        equal(error.code, 'registries-d.malformed');
      }
    }),
    { numRuns: 500 },
  );
  throws(() =>
    lookupLookaside(
      {
        folders: [],
        files: [],
        docker: new Map([['docker.io', { file: 'f', scope: 's', read: { url: 'http://[', key: 'k' } }]]),
        builtIn: '',
      },
      parseReference('a'),
    ),
  );
});
