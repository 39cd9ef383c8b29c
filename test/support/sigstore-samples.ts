/** Signature attachments that skopeo and cosign made, with keys and certificates (test/fixtures/sigstore). */
import { readFileSync } from 'node:fs';

import { utf8 } from '../../src/base/bytes.ts';
import { type Digest, digestOf } from '../../src/base/digest.ts';
import { cosignAnnotations, type CosignSignature, signatureOf } from '../../src/formats/cosign.ts';

type Samples = {
  readonly attachments: Readonly<
    Record<
      AttachmentName,
      { readonly mimeType: string; readonly payload: string; readonly annotations: Record<string, string> }
    >
  >;
  readonly keys: Readonly<
    Record<'cosign' | 'rekor' | 'ct' | 'rekor2' | 'c2' | 'c3' | 'sk' | 'peersRekor', string>
  >;
  readonly certificates: Readonly<
    Record<
      | 'fulcioRoot'
      | 'fulcioIntermediate'
      | 'fulcioChain'
      | 'tsaChain'
      | 'oneLevelFulcioRoot'
      | 'oneLevelLeaf',
      string
    >
  >;
  readonly manifests: Readonly<Record<'sigstack' | 'peers', string>>;
};

export type AttachmentName =
  | 'skopeo key rekor'
  | 'skopeo fulcio rekor'
  | 'cosign key rekor'
  | 'cosign fulcio rekor'
  | 'skopeo key'
  | 'cosign 2.5 key'
  | 'cosign 3.1 key'
  | 'skopeo fulcio rekor one level'
  | 'skopeo key rekor one level'
  | 'cosign25 fulcio rekor one level';

const file = new URL('../fixtures/sigstore/samples.json', import.meta.url);
export const samples: Samples = JSON.parse(readFileSync(file, 'utf8')) as Samples;

export function sampleAttachment(name: AttachmentName): CosignSignature {
  const { mimeType, payload, annotations } = samples.attachments[name];
  return {
    format: 'cosign',
    mediaType: mimeType,
    payload: new Uint8Array(Buffer.from(payload, 'base64')),
    annotations,
  };
}

/** Its payload, signature and proof, the proof empty where there is none. */
export function sampleParts(name: AttachmentName): {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly certificate: string;
  readonly logEntry: string;
} {
  const attachment = sampleAttachment(name);
  const { payload, annotations } = attachment;
  return {
    payload,
    signature: signatureOf(attachment),
    certificate: annotations[cosignAnnotations.certificate] ?? '',
    logEntry: annotations[cosignAnnotations.bundle] ?? '',
  };
}

export function sampleDigest(manifest: keyof Samples['manifests']): Digest {
  return digestOf(utf8(samples.manifests[manifest]));
}

/** An attachment with some annotations changed, or taken away by undefined. */
export function withAnnotations(
  attachment: CosignSignature,
  changes: Readonly<Record<string, string | undefined>>,
): CosignSignature {
  const entries = Object.entries({ ...attachment.annotations, ...changes });
  const annotations = Object.fromEntries(
    entries.filter((each): each is [string, string] => each[1] !== undefined),
  );
  return { ...attachment, annotations };
}
