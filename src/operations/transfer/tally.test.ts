import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { openTally } from './tally.ts';

const tooMuch = (what: string): BullaError => new BullaError('image.too-large', what);

test('manifests are counted as often as they are read, up to the limit and not past it', () => {
  const tally = openTally(tooMuch);
  const none = { bytes: new Uint8Array() };
  tally.add(Array.from({ length: limits.transferManifests }, () => none));
  assert.throws(() => tally.add([none]), { code: 'image.too-large', message: /more than \d+ manifests$/ });
});

test('so are their bytes', () => {
  const tally = openTally(tooMuch);
  const large = { bytes: new Uint8Array(limits.manifestBytes) };
  for (let sum = 0; sum < limits.transferManifestBytes; sum += limits.manifestBytes) tally.add([large]);
  assert.throws(() => tally.add([large]), { code: 'image.too-large', message: /bytes of manifests$/ });
});
