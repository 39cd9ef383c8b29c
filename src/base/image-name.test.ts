import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isBullaError } from './errors.ts';
import { formatImageName, parseImageName } from './image-name.ts';

const hex = 'b'.repeat(64);

const good: readonly (readonly [string, string])[] = [
  ['docker://busybox', 'docker://docker.io/library/busybox:latest'],
  ['registry.example.com/ns/app:1', 'docker://registry.example.com/ns/app:1'],
  ['localhost:5000/app', 'docker://localhost:5000/app:latest'],
  [`docker://registry.example.com/app@sha256:${hex}`, `docker://registry.example.com/app@sha256:${hex}`],
  ['dir:/srv/image', 'dir:/srv/image'],
  ['dir:a:b', 'dir:a:b'],
  ['oci:layout', 'oci:layout'],
  ['oci:layout:v1:x', 'oci:layout:v1:x'],
  ['oci-archive:a.tar:v1', 'oci-archive:a.tar:v1'],
  ['containers-storage:localhost/app:1', 'containers-storage:localhost/app:1'],
];
for (const [text, expected] of good) {
  test(`${text} is ${expected}`, () => assert.equal(formatImageName(parseImageName(text)), expected));
}

for (const text of [
  '',
  'docker:',
  'docker:app',
  'docker://',
  'dir:',
  'oci:',
  'oci::v1',
  'containers-storage:',
  `app:1@sha256:${hex}`,
  'docker://Upper',
  'dir:a\0b',
]) {
  test(`refused: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseImageName(text),
      (error) => isBullaError(error) && error.exitCode === 2,
    );
  });
}
