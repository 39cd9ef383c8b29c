import { equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes, type Platform } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { chooseInstance, formatPlatform, hostPlatform } from './choose-instance.ts';

/** `linux/arm/v7`, `linux/amd64+zstd`, `none` as an entry of an index. */
function entry(text: string): Descriptor {
  const [name = '', zstd] = text.split('+');
  const [os = '', architecture = '', variant] = name.split('/');
  const platform: Platform = { os, architecture, ...(variant !== undefined && { variant }) };
  return {
    mediaType: mediaTypes.ociManifest,
    digest: digestOf(utf8(text)),
    size: 1,
    ...(name !== 'none' && { platform }),
    ...(zstd !== undefined && { annotations: { 'io.github.containers.compression.zstd': 'true' } }),
  };
}

function choose(wanted: string, ...listed: readonly string[]): string | undefined {
  const { digest } = chooseInstance(
    { kind: 'index', manifests: listed.map(entry) },
    entry(wanted).platform ?? hostPlatform(),
  );
  return listed.find((each) => entry(each).digest === digest);
}

test('system and architecture must be the ones wanted', () => {
  equal(choose('linux/amd64', 'windows/amd64', 'linux/arm64', 'linux/amd64'), 'linux/amd64');
  for (const listed of [[], ['linux/arm64'], ['windows/amd64'], ['unknown/unknown'], ['linux/amd64/v2']]) {
    throws(
      () => choose('linux/amd64', ...listed),
      (error: unknown) => isBullaError(error, 'image.no-such-platform'),
    );
  }
});

test('a variant: the best one that runs, then none', () => {
  equal(choose('linux/arm/v7', 'linux/arm', 'linux/arm/v5', 'linux/arm/v6', 'linux/arm/v8'), 'linux/arm/v6');
  equal(choose('linux/arm/v7', 'linux/arm', 'linux/arm/v7'), 'linux/arm/v7');
  equal(choose('linux/arm/v6', 'linux/arm', 'linux/arm/v7'), 'linux/arm');
  equal(choose('linux/arm64/v8', 'linux/arm64', 'linux/arm64/v8'), 'linux/arm64/v8');
  equal(choose('linux/amd64/v3', 'linux/amd64', 'linux/amd64/v2'), 'linux/amd64');
});

test('no variant wanted: one without, then the most capable known', () => {
  equal(choose('linux/arm', 'linux/arm/v5', 'linux/arm/v7', 'linux/arm'), 'linux/arm');
  equal(choose('linux/arm', 'linux/arm/v5', 'linux/arm/v7'), 'linux/arm/v7');
  equal(choose('linux/arm64', 'linux/arm64/v8'), 'linux/arm64/v8');
});

test('equals: zstd first, then the earlier; entries without platform last', () => {
  equal(choose('linux/amd64', 'linux/amd64', 'linux/amd64+zstd'), 'linux/amd64+zstd');
  equal(choose('linux/amd64', 'none', 'linux/amd64'), 'linux/amd64');
  equal(choose('linux/amd64', 'linux/arm64', 'none'), 'none');
  const twice = [entry('linux/amd64'), { ...entry('linux/amd64'), digest: digestOf(utf8('second')) }];
  equal(
    chooseInstance({ kind: 'index', manifests: twice }, { os: 'linux', architecture: 'amd64' }),
    twice[0],
  );
});

test('the host speaks Go’s words', () => {
  const { os, architecture } = hostPlatform();
  ok(!['x64', 'ia32'].includes(architecture));
  ok(os !== 'win32');
  equal(formatPlatform({ os: 'linux', architecture: 'arm', variant: 'v7' }), 'linux/arm/v7');
});
