import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseDigest } from '../base/digest.ts';
import { parseReference } from '../base/reference.ts';
import { parsePolicy } from './policy.ts';
import {
  archiveScopes,
  daemonScopes,
  dockerScopes,
  listCandidates,
  pathScopes,
  type ScopeNames,
  selectRequirements,
  storageScopes,
} from './scopes.ts';

const digest = `sha256:${'a'.repeat(64)}`;

test('docker: reference, repository, parents, host with port, wildcards', () => {
  assert.deepEqual(dockerScopes(parseReference('r.example.com:5000/ns/sub/app:1')), {
    identity: 'r.example.com:5000/ns/sub/app:1',
    namespaces: [
      'r.example.com:5000/ns/sub/app',
      'r.example.com:5000/ns/sub',
      'r.example.com:5000/ns',
      'r.example.com:5000',
      '*.example.com',
      '*.com',
    ],
  });
  assert.deepEqual(dockerScopes(parseReference(`busybox@${digest}`)), {
    identity: `docker.io/library/busybox@${digest}`,
    namespaces: ['docker.io/library/busybox', 'docker.io/library', 'docker.io', '*.io'],
  });
  assert.deepEqual(dockerScopes(parseReference('localhost/a:1')).namespaces, ['localhost/a', 'localhost']);
});

test('docker with --as: a name without tag, and one with tag and digest', () => {
  assert.deepEqual(dockerScopes(parseReference('h.x/a')), { identity: 'h.x/a', namespaces: ['h.x', '*.x'] });
  assert.deepEqual(dockerScopes(parseReference(`h.x/a:1@${digest}`)), {
    identity: `h.x/a:1@${digest}`,
    namespaces: ['h.x/a:1', 'h.x/a', 'h.x', '*.x'],
  });
});

test('paths: every parent but the root', () => {
  assert.deepEqual(pathScopes('/srv/images/app'), {
    identity: '/srv/images/app',
    namespaces: ['/srv/images', '/srv'],
  });
  assert.deepEqual(pathScopes('/a'), { identity: '/a', namespaces: [] });
});

test('docker-daemon: by name as docker, by ID only the default', () => {
  assert.deepEqual(daemonScopes(parseReference('h.x/a:1')), dockerScopes(parseReference('h.x/a:1')));
  assert.deepEqual(daemonScopes(parseDigest(digest)), { identity: '', namespaces: [] });
});

test('containers-storage: store, name, ID', () => {
  const store = { driver: 'overlay', root: '/var/lib/c' };
  const id = 'b'.repeat(64);
  assert.deepEqual(storageScopes({ ...store, reference: parseReference('h.x/n/a:1'), id }), {
    identity: `[overlay@/var/lib/c]h.x/n/a:1@${id}`,
    namespaces: [
      '[overlay@/var/lib/c]h.x/n/a:1',
      '[overlay@/var/lib/c]h.x/n/a',
      '[overlay@/var/lib/c]h.x/n',
      '[overlay@/var/lib/c]h.x',
      '[overlay@/var/lib/c]',
      '[/var/lib/c]',
    ],
  });
  assert.deepEqual(storageScopes({ ...store, id }), {
    identity: `[overlay@/var/lib/c]@${id}`,
    namespaces: ['[overlay@/var/lib/c]', '[/var/lib/c]'],
  });
  assert.deepEqual(
    storageScopes({ ...store, reference: parseReference(`h.x/a:1@${digest}`) }).namespaces.slice(0, 2),
    ['[overlay@/var/lib/c]h.x/a:1', '[overlay@/var/lib/c]h.x/a'],
  );
});

const reject = [{ type: 'reject' }];
function selected(scopes: readonly string[], names: ScopeNames, transport = 'docker'): object {
  const entries = Object.fromEntries(scopes.map((scope) => [scope, reject]));
  const policy = parsePolicy(JSON.stringify({ default: reject, transports: { docker: entries } }), 'p');
  return selectRequirements(policy, { transport, ...names }).scope;
}

test('the narrowest scope wins; then the transport default; then the global one', () => {
  const names = dockerScopes(parseReference('r.example.com/ns/app:1'));
  const all = [...names.namespaces, names.identity, ''];
  assert.deepEqual(selected(all, names), { transport: 'docker', name: names.identity });
  for (const [index, name] of names.namespaces.entries()) {
    assert.deepEqual(selected([...names.namespaces.slice(index), ''], names), { transport: 'docker', name });
  }
  assert.deepEqual(selected(['', 'other'], names), { transport: 'docker', name: '' });
  assert.deepEqual(selected(['other'], names), { transport: '', name: '' });
  assert.deepEqual(selected(all, names, 'dir'), { transport: '', name: '' });
  assert.deepEqual(selected(['', 'x'], archiveScopes()), { transport: 'docker', name: '' });
});

test('no scope is found by less than a whole part of its name', () => {
  const names = dockerScopes(parseReference('r.example.com:5000/ns/app:1'));
  for (const near of ['r.example.com', 'r.example.com:5000/n', 'example.com', '*.r.example.com', 'app']) {
    assert.deepEqual(selected([near], names), { transport: '', name: '' });
  }
});

test('scopes named like members of every JavaScript object are ordinary', () => {
  assert.deepEqual(selected([], { identity: 'constructor', namespaces: ['__proto__'] }), {
    transport: '',
    name: '',
  });
});

test('candidates are listed in order, each with what the policy has', () => {
  const policy = parsePolicy(
    JSON.stringify({ default: reject, transports: { docker: { 'h.x': reject } } }),
    'p',
  );
  const list = listCandidates(policy, { transport: 'docker', ...dockerScopes(parseReference('h.x/a:1')) });
  assert.deepEqual(
    list.map(({ scope, found }) => [scope.name, found !== undefined]),
    [
      ['h.x/a:1', false],
      ['h.x/a', false],
      ['h.x', true],
      ['*.x', false],
      ['', false],
    ],
  );
});
