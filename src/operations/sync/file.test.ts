/** skopeo sync's YAML: what it means, and where it says that it is wrong. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { formatReference } from '../../base/reference.ts';
import { parseSyncFile, type SyncWanted } from './file.ts';

const hex = 'a'.repeat(64);

function said({ repository, which }: SyncWanted): string {
  const name = formatReference(repository);
  return which.kind === 'tags' ? `${name} by tags` : which.references.map(formatReference).join(' ');
}

test('the example of skopeo’s manual', async () => {
  const { registries, warnings } = await parseSyncFile(
    `registry.example.com:
    images:
        busybox: []
        redis:
            - "1.0"
            - 2.0
            - "sha256:${hex}"
    images-by-tag-regex:
        nginx: ^1\\.13\\.[12]-alpine-perl$
    images-by-semver:
        alpine: ">= 3.12.0"
    credentials:
        username: john
        password: this is a secret
    tls-verify: true
    cert-dir: /home/john/certs
quay.io:
    tls-verify: false
    images:
        coreos/etcd:
            - latest
`,
    'sync.yml',
  );
  deepEqual(warnings, []);
  const [example, quay] = registries;
  ok(example !== undefined && quay !== undefined);
  deepEqual(example.wanted.map(said), [
    'registry.example.com/busybox by tags',
    `registry.example.com/redis:1.0 registry.example.com/redis:2.0 registry.example.com/redis@sha256:${hex}`,
    'registry.example.com/nginx by tags',
    'registry.example.com/alpine by tags',
  ]);
  const [busybox, , nginx, alpine] = example.wanted.map(({ which }) => which);
  ok(busybox?.kind === 'tags' && busybox.matches('anything'));
  ok(nginx?.kind === 'tags' && nginx.matches('1.13.2-alpine-perl') && !nginx.matches('1.13.3-alpine-perl'));
  ok(alpine?.kind === 'tags' && alpine.matches('3.12.1') && !alpine.matches('3.11'));
  deepEqual(example.settings, {
    tlsVerify: true,
    certDir: '/home/john/certs',
    credentials: { kind: 'password', username: 'john', password: 'this is a secret' },
  });
  deepEqual(quay.settings, { tlsVerify: false });
  deepEqual(quay.wanted.map(said), ['quay.io/coreos/etcd:latest']);
});

test('nothing is all tags; what means nothing is told of, as skopeo passes it over', async () => {
  const { registries, warnings } = await parseSyncFile(
    'r.example.com/ns:\n  images: {app: , other: null}\n  image-by-semver: {x: 1}\nempty.example.com:\n',
    'f.yml',
  );
  deepEqual(registries[0]?.wanted.map(said), [
    'r.example.com/ns/app by tags',
    'r.example.com/ns/other by tags',
  ]);
  deepEqual(warnings, [
    'f.yml:3:3: "image-by-semver" means nothing here',
    'f.yml:4:1: no images of empty.example.com are named',
  ]);
});

test('a mistake is named with its place, and no secret with it', async () => {
  const faulty: readonly (readonly [yaml: string, place: string, code?: ErrorCode])[] = [
    ['r.example.com:\n  images:\n    app: [a: b\n', 'f.yml:', 'yaml.malformed'],
    ['r.example.com: {}\nr.example.com: {}\n', 'f.yml:2:1', 'yaml.malformed'],
    ['a: &x {}\nb: *x\n', 'f.yml:', 'yaml.malformed'],
    ['- r.example.com\n', 'f.yml:1:1'],
    ['r.example.com: [app]\n', 'f.yml:1:16'],
    ['r.example.com:\n  images:\n    UPPER: []\n', 'f.yml:3:5'],
    ['r.example.com:\n  images:\n    app:latest: []\n', 'f.yml:3:5'],
    ['r.example.com:\n  images:\n    ../app: []\n', 'f.yml:3:5'],
    ['r.example.com:\n  images:\n    app: latest\n', 'f.yml:3:10'],
    ['r.example.com:\n  images:\n    app: [a/b]\n', 'f.yml:3:11'],
    ['r.example.com:\n  images:\n    app: ["x@sha256:00"]\n', 'f.yml:3:11'],
    ['r.example.com:\n  images:\n    app: [true]\n', 'f.yml:3:11'],
    ['r.example.com:\n  images-by-tag-regex:\n    app: (\n', 'f.yml:3:10'],
    ['r.example.com:\n  images-by-tag-regex:\n    app: (?i)x\n', 'f.yml:3:10'],
    ['r.example.com:\n  images-by-semver:\n    app: newest\n', 'f.yml:3:10'],
    ['r.example.com:\n  tls-verify: yes\n', 'f.yml:2:15'],
    ['r.example.com:\n  credentials: {password: hunter2}\n', 'f.yml:2:16'],
    ['r.example.com:\n  credentials: [hunter2]\n', 'f.yml:2:16'],
  ];
  for (const [yaml, place, code = 'sync-file.malformed'] of faulty)
    await rejects(parseSyncFile(yaml, 'f.yml'), (error) => {
      ok(isBullaError(error, code), `${yaml}: ${String(error)}`);
      ok(error.message.startsWith(place), `${yaml}: ${error.message}`);
      equal(/hunter2/.test(error.message + (error.hint ?? '')), false);
      return true;
    });
});
