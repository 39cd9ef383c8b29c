import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { textOf, utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { takeManifest } from '../base/manifest.ts';
import {
  type AttachmentManifest,
  appendLayer,
  firstLayer,
  indexOfLayer,
  parseAttachmentManifest,
} from './attachments-manifest.ts';

const annotations = fc.dictionary(fc.string({ maxLength: 12 }), fc.string({ maxLength: 40 }), {
  maxKeys: 4,
  noNullPrototype: true,
});
const layers = fc.array(
  fc.record(
    {
      mediaType: fc.constantFrom('application/vnd.dev.cosign.simplesigning.v1+json', 'x/y'),
      size: fc.nat(),
      digest: fc.string().map((text) => digestOf(utf8(text))),
      annotations,
      // members that nobody here knows
      data: fc.string({ maxLength: 5 }),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 4 },
);
const layer = fc.record(
  {
    mediaType: fc.constant('x/y'),
    size: fc.nat(),
    digest: fc.string().map((text) => digestOf(utf8(text))),
    annotations,
  },
  { noNullPrototype: true },
);

function parsed(bytes: Uint8Array): AttachmentManifest {
  return parseAttachmentManifest(takeManifest(bytes));
}

function valueOf(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  return JSON.parse(textOf(bytes) ?? '') as Readonly<Record<string, unknown>>;
}

function manifestOf(others: readonly object[], more: object = {}): AttachmentManifest {
  const config = { mediaType: mediaTypes.ociConfig, size: 2, digest: digestOf(utf8('{}')) };
  const value = { ...more, schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: others };
  return parsed(utf8(JSON.stringify(value)));
}

test('appending changes nothing that is there, and what it appended is found', () => {
  fc.assert(
    fc.property(
      layers,
      layer,
      fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }),
      (others, mine, more) => {
        const own = ['schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'subject', 'annotations'];
        const extra = Object.fromEntries(
          Object.entries(more).filter(([key]) => !own.includes(key) && key !== 'fsLayers'),
        );
        const there = manifestOf(others, extra);
        const { manifest, config, configDigest } = appendLayer(there, utf8('{"author":"a"}'), mine);
        const value = valueOf(manifest);
        deepEqual(value['layers'], [...others, mine]);
        for (const [key, each] of Object.entries(valueOf(there.bytes)))
          if (!own.includes(key)) deepEqual(value[key], each);
        const again = parsed(manifest);
        equal(again.config.digest, configDigest);
        equal(again.config.size, config.length);
        equal(digestOf(config), configDigest);
        deepEqual(valueOf(config), { author: 'a', rootfs: { type: 'layers', diff_ids: [mine.digest] } });
        const index = indexOfLayer(again.layers, mine);
        equal(index >= 0 && index <= others.length, true);
      },
    ),
  );
});

test('a layer is the same only with the same annotations', () => {
  const one: Descriptor = { mediaType: 'x', size: 1, digest: digestOf(utf8('a')), annotations: { a: '1' } };
  const { annotations: _, ...bare } = one;
  const others: readonly Descriptor[] = [
    bare,
    { ...one, annotations: { a: '2' } },
    { ...one, annotations: { a: '1', b: '' } },
    { ...one, annotations: { b: '1' } },
    { ...one, mediaType: 'y' },
    { ...one, size: 2 },
    { ...one, digest: digestOf(utf8('b')) },
  ];
  equal(indexOfLayer(others, one), -1);
  equal(indexOfLayer([...others, { ...one }], one), others.length);
  equal(indexOfLayer([{ ...one, annotations: {} }], bare), 0);
});

test('a configuration that is no image’s is not built upon', () => {
  const mine: Descriptor = { mediaType: 'x', size: 1, digest: digestOf(utf8('a')) };
  for (const config of ['', '[]', 'null', '{"rootfs":1}', '{"rootfs":{"diff_ids":{}}}', '\u0000']) {
    throws(
      () => appendLayer(manifestOf([]), utf8(config), mine),
      (error: unknown) => isBullaError(error, 'signature.malformed'),
      config,
    );
  }
  deepEqual(parsed(firstLayer(mine).manifest).layers, [mine]);
});
