import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseReference } from '../base/reference.ts';
import { officialImageMeant, unreachableScope } from './docker-scope.ts';
import { dockerScopes } from './scopes.ts';

const digest = `sha256:${'a'.repeat(64)}`;

test('every scope that an image looks for can be reached', () => {
  const names = [
    'r.example.com:5000/ns/sub/app:1',
    'busybox',
    `docker.io/a/b@${digest}`,
    'localhost/x:2',
    '10.0.0.1/a',
  ];
  for (const name of names) {
    const { identity, namespaces } = dockerScopes(parseReference(name));
    for (const scope of ['', identity, ...namespaces]) {
      assert.equal(unreachableScope(scope), undefined, scope);
    }
  }
});

const unreachable: readonly (readonly [scope: string, instead: string | undefined])[] = [
  ['busybox', 'docker.io/library/busybox'],
  ['library/busybox', 'docker.io/library/busybox'],
  ['busybox:latest', 'docker.io/library/busybox:latest'],
  ['docker.io/busybox:1', 'docker.io/library/busybox:1'],
  ['index.docker.io', 'docker.io'],
  ['index.docker.io/library/busybox', 'docker.io/library/busybox'],
  ['https://r.example.com/ns', 'r.example.com/ns'],
  ['r.example.com/', 'r.example.com'],
  [`r.example.com/a:1@${digest}`, `r.example.com/a@${digest}`],
  ['r.example.com/Upper', undefined],
  ['r.example.com//a', undefined],
  ['*', undefined],
  ['*.example.com:5000', undefined],
  ['*.example.com/ns', undefined],
  ['r.example.com/*', undefined],
  ['r.*.com', undefined],
  ['a b', undefined],
];

for (const [scope, instead] of unreachable) {
  test(`${scope} never applies; meant was ${instead ?? 'nothing that can be told'}`, () => {
    const found = unreachableScope(scope);
    assert.ok(found !== undefined);
    assert.equal(found.instead, instead);
    if (instead !== undefined) assert.equal(unreachableScope(instead), undefined);
  });
}

test('a repository right under docker.io may be an official image written short', () => {
  assert.equal(officialImageMeant('docker.io/busybox'), 'docker.io/library/busybox');
  assert.equal(officialImageMeant('docker.io/library/busybox'), undefined);
  assert.equal(officialImageMeant('docker.io/busybox:1'), undefined);
  assert.equal(officialImageMeant('quay.io/busybox'), undefined);
});
