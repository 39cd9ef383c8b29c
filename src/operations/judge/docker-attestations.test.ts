import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../../base/bytes.ts';
import type { Descriptor } from '../../base/descriptor.ts';
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { type IndexManifest, type Manifest, takeManifest } from '../../base/manifest.ts';
import type { Image } from '../../images/image.ts';
import type { Verdict } from '../../trust/verdict.ts';
import { judgeAttestationManifests } from './docker-attestations.ts';

const slsa = 'https://slsa.dev/provenance/v1';
const instance = digestOf(utf8('the instance'));
const other = digestOf(utf8('another'));

type Plan = {
  readonly about?: Digest;
  readonly reference?: Digest;
  readonly type?: string;
  readonly said?: string;
  readonly signed?: boolean;
};

/** A list with one attestation manifest in memory, as BuildKit makes it. */
async function judged({
  about = instance,
  reference = instance,
  type = slsa,
  said = type,
  signed = true,
}: Plan): Promise<{ readonly verdict: Verdict | undefined; readonly asked: readonly Digest[] }> {
  const statement = utf8(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v0.1',
      subject: [{ name: 'pkg:docker/app', digest: { sha256: hexOf(about) } }],
      predicateType: type,
      predicate: {},
    }),
  );
  const layer = {
    mediaType: 'application/vnd.in-toto+json',
    digest: digestOf(statement),
    size: statement.length,
    annotations: { 'in-toto.io/predicate-type': said },
  };
  const config = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: digestOf(utf8('{}')),
    size: 2,
  };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = takeManifest(
    utf8(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [layer] })),
  );
  const list = {
    kind: 'index',
    manifests: [
      {
        mediaType,
        digest: manifest.digest,
        size: manifest.bytes.length,
        annotations: {
          'vnd.docker.reference.type': 'attestation-manifest',
          'vnd.docker.reference.digest': reference,
        },
      },
    ],
  } as unknown as IndexManifest;
  const asked: Digest[] = [];
  const verdict = await judgeAttestationManifests({
    image: imageOf(manifest, statement),
    list,
    named: instance,
    digest: instance,
    rule: { predicateType: slsa },
    judgeSigned: async (digest) => {
      asked.push(digest);
      const one = {
        format: 'bundle',
        store: 'here',
        code: 'accepted',
        message: 'signed',
        accepted: signed,
      } as const;
      return {
        accepted: signed,
        scope: null,
        requirements: [{ type: 'certificateIdentity', accepted: signed, signatures: [one] }],
      };
    },
  });
  return { verdict, asked };
}

function imageOf(manifest: Manifest, blob: Uint8Array): Image {
  const missing = new BullaError('manifest.digest-mismatch', 'missing');
  return {
    manifest: async (digest: Digest) => {
      if (digest === manifest.digest) return manifest;
      throw missing;
    },
    blob: async ({ digest }: Descriptor) => {
      equal(digest, digestOf(blob));
      return new ReadableStream({
        start: (controller) => {
          controller.enqueue(blob);
          controller.close();
        },
      });
    },
  } as unknown as Image;
}

test('a signed attestation manifest vouches for what its statement says of the instance', async () => {
  const { verdict, asked } = await judged({});
  equal(verdict?.accepted, true);
  equal(asked.length, 1);
  const [signature] = verdict?.requirements[0]?.signatures ?? [];
  equal(signature?.predicateType, slsa);
  match(signature?.message ?? '', /attestation manifest sha256:/);
  match(Buffer.from(signature?.statement ?? []).toString(), /Statement/);
});

test('nothing else does', async () => {
  for (const plan of [
    { about: other },
    { reference: other },
    { type: 'https://spdx.dev/Document' },
    // the annotation lies about the statement, and the other way round
    { type: 'https://spdx.dev/Document', said: slsa },
    { said: 'https://spdx.dev/Document' },
  ]) {
    deepEqual(await judged(plan), { verdict: undefined, asked: [] }, JSON.stringify(plan));
  }
  const { verdict, asked } = await judged({ signed: false });
  deepEqual([verdict, asked.length], [undefined, 1]);
});
