import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseDigest } from '../../base/digest.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import { parseReference } from '../../base/reference.ts';
import type { TransferImage } from './format.ts';
import { type LoadTarget, nameLoadings, type NameRules, remapsOf } from './names.ts';

const digest = parseDigest(`sha256:${'a'.repeat(64)}`);
const imageNamed = (text: string): TransferImage => ({
  reference: parseReference(text),
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest,
  size: 1,
  signatures: [],
  attachments: [],
});

function named(texts: readonly string[], target: LoadTarget, rules: NameRules = {}): readonly string[] {
  return nameLoadings(texts.map(imageNamed), target, rules).map(({ destination }) =>
    formatImageName(destination),
  );
}

const far = (prefix: string): LoadTarget => ({ transport: 'docker', prefix });
const app = 'registry.example.com:5000/ns/app:1.0';

test('names by default, scoped, and mapped; in layouts and folders', () => {
  assert.deepEqual(named([app], far('far.example.com')), ['docker://far.example.com/ns/app:1.0']);
  assert.deepEqual(named([app], far('far:5000/a/b')), ['docker://far:5000/a/b/ns/app:1.0']);
  assert.deepEqual(named(['busybox:1'], far('far:5000')), ['docker://far:5000/library/busybox:1']);
  assert.deepEqual(named([`h.example.com/a@${digest}`], far('far:5000')), [`docker://far:5000/a@${digest}`]);
  assert.deepEqual(named([app], far('far:5000'), { scoped: true }), [
    'docker://far:5000/registry.example.com-5000/ns/app:1.0',
  ]);
  assert.deepEqual(named([app], { transport: 'oci', path: '/l' }), ['oci:/l:ns/app:1.0']);
  assert.deepEqual(named([app], { transport: 'dir', path: '/d/' }), ['dir:/d/ns/app:1.0']);
});

test('the longest mapping that fits at a slash counts', () => {
  const map = [
    { from: 'registry.example.com:5000', to: 'all' },
    { from: 'registry.example.com:5000/ns', to: 'team' },
    { from: 'registry.example.com:5000/ns/app', to: 'renamed' },
  ];
  const images = [app, 'registry.example.com:5000/ns/apple:1', 'registry.example.com:5000/nsx/app:1'];
  assert.deepEqual(named(images, far('far:5000'), { map }), [
    'docker://far:5000/renamed:1.0',
    'docker://far:5000/team/apple:1',
    'docker://far:5000/all/nsx/app:1',
  ]);
  assert.deepEqual(
    named([app], far('far:5000'), { map: [{ from: 'registry.example.com:5000/ns', to: '' }] }),
    ['docker://far:5000/app:1.0'],
  );
});

test('two images with one name, names that are none, and mappings of nothing are refused', () => {
  const refused = (code: ErrorCode, ...args: Parameters<typeof named>): void => {
    assert.throws(
      () => named(...args),
      (error) => isBullaError(error, code),
    );
  };
  refused('transfer.name-clash', ['a.example.com/x:1', 'b.example.com/x:1'], far('far:5000'));
  refused('transfer.name-clash', ['a.example.com/x:1', 'b.example.com/x:1'], {
    transport: 'dir',
    path: '/d',
  });
  refused('usage.invalid', [app], far('far:5000/Upper'));
  // a word without dot and port would be a repository of docker.io
  refused('usage.invalid', [app], far('far'));
  refused('usage.invalid', [app], far('far:5000'), { map: [{ from: 'other.example.com', to: 'x' }] });
  const whole = [{ from: 'registry.example.com:5000/ns/app', to: '' }];
  refused('usage.invalid', [app], far('far:5000'), { map: whole });
  refused('usage.invalid', [app], far('far:5000'), {
    map: [{ from: 'registry.example.com:5000', to: '../up' }],
  });
  refused(
    'usage.invalid',
    [app],
    { transport: 'dir', path: '/d' },
    { map: [{ from: 'registry.example.com:5000', to: '../up' }] },
  );
});

test('what a policy has to say of new names is as wide as what has changed, and said once', () => {
  const remaps = (texts: readonly string[], target: LoadTarget, rules: NameRules = {}): unknown =>
    remapsOf(nameLoadings(texts.map(imageNamed), target, rules)).map(({ prefix, signedPrefix }) => [
      prefix,
      signedPrefix,
    ]);
  const both = [app, 'registry.example.com:5000/ns/db:7'];
  assert.deepEqual(remaps(both, far('far:5000')), [['far:5000', 'registry.example.com:5000']]);
  assert.deepEqual(remaps(both, far('far:5000/mirror')), [['far:5000/mirror', 'registry.example.com:5000']]);
  assert.deepEqual(remaps(both, far('registry.example.com:5000')), []);
  const map = [{ from: 'registry.example.com:5000/ns/app', to: 'renamed' }];
  assert.deepEqual(remaps([app], far('far:5000'), { map }), [
    ['far:5000/renamed', 'registry.example.com:5000/ns/app'],
  ]);
  // one prefix cannot stand for two
  assert.deepEqual(remaps(['a.example.com/x:1', 'b.example.com/y:1', 'b.example.com/y:2'], far('far:5000')), [
    ['far:5000/x', 'a.example.com/x'],
    ['far:5000/y', 'b.example.com/y'],
  ]);
  assert.deepEqual(remaps(both, { transport: 'oci', path: '/l' }), []);
});
