import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { isBullaError } from '../base/errors.ts';
import { isAtOrBelow, parseWhere } from './where.ts';

const hex = 'a'.repeat(64);

test('registries, namespaces, repositories and images', () => {
  for (const text of [
    'r.example.com',
    'r.example.com/',
    'docker://r.example.com',
    'docker://r.example.com/',
  ]) {
    deepEqual(parseWhere(text), { kind: 'namespace', domain: 'r.example.com', path: '' }, text);
  }
  deepEqual(parseWhere('localhost:5000'), { kind: 'namespace', domain: 'localhost:5000', path: '' });
  deepEqual(parseWhere('registry:5000/'), { kind: 'namespace', domain: 'registry:5000', path: '' });
  deepEqual(parseWhere('r.example.com:1/a/b/'), {
    kind: 'namespace',
    domain: 'r.example.com:1',
    path: 'a/b',
  });
  const repository = { domain: 'r.example.com', path: 'a/b' };
  deepEqual(parseWhere('r.example.com/a/b'), { kind: 'repository', reference: repository });
  deepEqual(parseWhere('docker://r.example.com/a/b:1'), {
    kind: 'image',
    reference: { ...repository, tag: '1' },
  });
  deepEqual(parseWhere(`r.example.com/a/b@sha256:${hex}`), {
    kind: 'image',
    reference: { ...repository, digest: `sha256:${hex}` },
  });
  deepEqual(parseWhere('busybox'), {
    kind: 'repository',
    reference: { domain: 'docker.io', path: 'library/busybox' },
  });
  deepEqual(parseWhere('docker.io/library/'), { kind: 'namespace', domain: 'docker.io', path: 'library' });
});

test('what is no place in a registry is refused', () => {
  for (const text of [
    '',
    '/',
    'docker://',
    'r.example.com//',
    'r.example.com/A/',
    'r.example.com/a:1/',
    'a b',
    'app/',
    '../',
    'r.example.com/../x/',
    `r.example.com/a@sha256:${hex}/`,
  ]) {
    throws(
      () => parseWhere(text),
      (error: unknown) => isBullaError(error, 'reference.malformed'),
      text,
    );
  }
  for (const text of ['oci:layout', 'dir:x', 'containers-storage:x', 'https://r.example.com']) {
    throws(
      () => parseWhere(text),
      (error: unknown) => isBullaError(error, 'usage.unsupported'),
      text,
    );
  }
});

test('a namespace ends at a slash', () => {
  const top = { domain: 'r', path: 'ns' };
  equal(isAtOrBelow({ domain: 'r', path: 'ns' }, top), true);
  equal(isAtOrBelow({ domain: 'r', path: 'ns/a' }, top), true);
  equal(isAtOrBelow({ domain: 'r', path: 'nsx/a' }, top), false);
  equal(isAtOrBelow({ domain: 'q', path: 'ns/a' }, top), false);
  equal(isAtOrBelow({ domain: 'r', path: 'x' }, { domain: 'r', path: '' }), true);
});
