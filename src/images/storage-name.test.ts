import { deepEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { parseStorageName } from './storage-name.ts';

const id = 'a'.repeat(64);
const app = parseReference('registry.example.com/ns/app:1');

test('a name, an ID, both, and a store', () => {
  const flags: readonly string[] = [];
  deepEqual(parseStorageName('registry.example.com/ns/app:1'), {
    flags,
    image: 'registry.example.com/ns/app:1',
    reference: app,
  });
  deepEqual(parseStorageName('busybox').image, 'docker.io/library/busybox:latest');
  deepEqual(parseStorageName(`@${id}`), { flags, image: id, id });
  deepEqual(parseStorageName(id), { flags, image: id, id });
  deepEqual(parseStorageName(`registry.example.com/ns/app:1@${id}`), {
    flags,
    image: id,
    id,
    reference: app,
  });
  deepEqual(parseStorageName(`x/y@sha256:${id}`).image, `docker.io/x/y@sha256:${id}`);
  deepEqual(parseStorageName('[vfs@/var/lib/s+/run/s:a=b,c=d]registry.example.com/ns/app:1').flags, [
    ...['--storage-driver', 'vfs', '--root', '/var/lib/s', '--runroot', '/run/s'],
    ...['--storage-opt', 'a=b', '--storage-opt', 'c=d'],
  ]);
  deepEqual(parseStorageName('[/s]app:1').flags, ['--root', '/s']);
});

test('what is none of these is refused', () => {
  for (const text of [
    '',
    'UPPER',
    '[relative]app',
    '[vfs@/s',
    '[]app',
    '[vfs@/s]',
    '--root',
    `app@${id.slice(1)}`,
  ])
    throws(
      () => parseStorageName(text),
      (error: unknown) => isBullaError(error, 'image-name.malformed'),
      text,
    );
});
