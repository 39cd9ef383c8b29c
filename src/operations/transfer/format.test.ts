import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../../base/bytes.ts';
import { digestOf } from '../../base/digest.ts';
import { isBullaError } from '../../base/errors.ts';
import { parseReference } from '../../base/reference.ts';
import { encodeLayoutIndex, encodeTransferIndex, parseTransferIndex, type TransferImage } from './format.ts';

const mediaType = 'application/vnd.oci.image.manifest.v1+json';
const digests = fc.string().map((text) => digestOf(utf8(text)));
const entries = fc.record({
  mediaType: fc.constantFrom(mediaType, 'x/"y\\'),
  digest: digests,
  size: fc.nat(),
});
const images: fc.Arbitrary<TransferImage> = fc
  .record({
    entry: entries,
    tag: fc.stringMatching(/^[a-z]{1,8}$/),
    platforms: fc.option(fc.array(fc.constantFrom('linux/amd64', 'linux/arm64/v8'), { minLength: 1 }), {
      nil: undefined,
    }),
    signatures: fc.array(fc.record({ of: digests, entry: entries, artifactType: fc.string() }), {
      maxLength: 3,
    }),
    attachments: fc.array(
      fc.record({ of: digests, entry: entries, tag: fc.option(fc.string(), { nil: undefined }) }),
      { maxLength: 3 },
    ),
  })
  .map(({ entry, tag, platforms, signatures, attachments }) => ({
    reference: parseReference(`registry.example.com/ns/app:${tag}`),
    ...entry,
    ...(platforms !== undefined && { platforms }),
    signatures: signatures.map(({ of, entry: each, artifactType }) => ({ of, ...each, artifactType })),
    attachments: attachments.map(({ of, entry: each, tag: named }) => ({
      of,
      ...each,
      ...(named !== undefined && { tag: named }),
    })),
  }));
const indexes = fc
  .record({
    images: fc.array(images, { minLength: 1, maxLength: 3 }),
    members: fc.array(fc.record({ name: fc.string(), digest: digests, size: fc.nat() }), { maxLength: 4 }),
  })
  // plain objects, as the parser gives them
  .map((index) => ({ images: index.images, members: index.members.map((each) => ({ ...each })) }));

test('what is written is read as it was', () => {
  fc.assert(
    fc.property(indexes, (index) => {
      assert.deepEqual(parseTransferIndex(encodeTransferIndex(index), 'x.tar'), index);
    }),
  );
});

test('one byte more, less or other is another list, or none: never the same one', () => {
  fc.assert(
    fc.property(
      indexes,
      fc.nat(),
      fc.nat(255),
      fc.constantFrom('put', 'insert', 'remove'),
      (index, place, byte, how) => {
        const bytes = encodeTransferIndex(index);
        const at = place % bytes.length;
        const middle = how === 'remove' ? [] : [byte];
        const changed = Uint8Array.from([
          ...bytes.subarray(0, at),
          ...middle,
          ...bytes.subarray(how === 'insert' ? at : at + 1),
        ]);
        if (Buffer.compare(changed, bytes) === 0) return;
        try {
          assert.notDeepEqual(parseTransferIndex(changed, 'x.tar'), index);
        } catch (error) {
          if (!isBullaError(error)) throw error;
          assert.match(error.code, /^transfer\./);
        }
      },
    ),
  );
});

test('the layout’s list does not depend on the order of what hangs on an image', () => {
  fc.assert(
    fc.property(images, (image) => {
      const turned = {
        ...image,
        attachments: image.attachments.toReversed(),
        signatures: image.signatures.toReversed(),
      };
      const encoded = (one: TransferImage): string | undefined => {
        try {
          return Buffer.from(encodeLayoutIndex([one])).toString('utf8');
        } catch (error) {
          // one name for two things
          if (isBullaError(error, 'transfer.contradictory')) return undefined;
          throw error;
        }
      };
      const names = new Set([...image.attachments, ...image.signatures].map(({ digest }) => digest));
      // a manifest that is there twice, and said to be two things, is refused by the check of the manifests
      if (names.size === image.attachments.length + image.signatures.length)
        assert.equal(encoded(image), encoded(turned));
    }),
  );
});
