/**
 * Signatures in an OCI layout: each is a manifest of its own with the image as `subject`. Bundles, Notary
 * envelopes and `.sig` layers look as they do in registries (cosign's `oci-1-1` form for the latter), so that
 * other tools copy them there as what they are. A GPG signature has no such form; Bulla's own has the
 * stored blob, byte for byte, as its one layer (docs/formats/oci-layout.md).
 */
import { utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type ImageManifest, type Manifest, takeManifest } from '../base/manifest.ts';
import { parseSignatureBlob } from '../formats/blob.ts';
import type { Signature, UnreadableSignature } from '../formats/signature.ts';
import { attestationAttachments, signatureAttachments } from './attachments-kind.ts';
import { contentHints, emptyConfig, emptyType, kindOf, onlyLayer } from './referrers-manifest.ts';

/** A GPG signature: artifact type of the manifest, media type of its layer. */
export const simpleReferrerType = 'application/vnd.bulla.signature.v1';
const cosignReferrerType = 'application/vnd.dev.cosign.artifact.sig.v1+json';
/** cosign's name for what stands in `.att`, in the same form. */
const attestationReferrerType = 'application/vnd.dev.cosign.artifact.att.v1+json';
const notaryReferrerType = 'application/vnd.cncf.notary.signature';

/** What a manifest in a layout holds, if it is a signature. */
export type LayoutKind = 'simple' | 'attestation' | NonNullable<ReturnType<typeof kindOf>>;

/** Undefined: it is none of any kind known here. */
export function layoutKindOf(manifest: ImageManifest): LayoutKind | undefined {
  if (manifest.artifactType === simpleReferrerType) return 'simple';
  if (manifest.artifactType === attestationReferrerType) return 'attestation';
  return kindOf(manifest);
}

/** What a signature needs to be read: its layers, each with the most bytes it may have. */
export function contentLayers(
  kind: LayoutKind,
  manifest: ImageManifest,
): readonly (readonly [layer: Descriptor, most: number])[] {
  const { layers } = manifest;
  if (kind === 'cosign') return layers.map((each) => [each, signatureAttachments.mostBytes]);
  if (kind === 'attestation') return layers.map((each) => [each, attestationAttachments.mostBytes]);
  const layer = kind === 'simple' ? onlyOf(layers) : onlyLayer(kind, manifest);
  if (layer === undefined) {
    throw new BullaError(
      'signature.malformed',
      `the ${kind} referrer has not the one layer that it should have`,
    );
  }
  return [[layer, kind === 'bundle' ? limits.bundleBytes : limits.signatureBytes]];
}

function onlyOf(layers: readonly Descriptor[]): Descriptor | undefined {
  return layers.length === 1 && layers[0]?.mediaType === simpleReferrerType ? layers[0] : undefined;
}

/** A layer's content as a signature. */
export function signatureIn(
  kind: LayoutKind,
  { mediaType, annotations = {} }: Descriptor,
  content: Uint8Array,
): Signature | UnreadableSignature {
  switch (kind) {
    case 'simple':
      return simpleIn(content);
    case 'cosign':
      return signatureAttachments.signatureOf({ mediaType, content, annotations });
    case 'attestation':
      return attestationAttachments.signatureOf({ mediaType, content, annotations });
    case 'bundle':
      return { format: 'bundle', mediaType, json: content };
    case 'notary':
      return { format: 'notary', mediaType, envelope: content };
  }
}

function simpleIn(content: Uint8Array): Signature | UnreadableSignature {
  try {
    const signature = parseSignatureBlob(content);
    if (signature.format === 'simple') return signature;
    const message = `a ${signature.format} signature stands where a GPG signature should`;
    return { format: 'unreadable', code: 'signature.unrecognized', message };
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { format: 'unreadable', code: error.code, message: error.message };
  }
}

/** What is to be stored for a signature. */
export type LayoutReferrer = {
  readonly artifactType: string;
  readonly layer: Descriptor;
  readonly content: Uint8Array;
  readonly manifest: Manifest;
};

/** The same signature of the same image gives the same bytes: there is no time in it. */
export function layoutReferrer(signature: Signature, subject: Descriptor): LayoutReferrer {
  const { artifactType, mediaType, content, annotations, hints } = partsOf(signature);
  const layer = {
    mediaType,
    size: content.length,
    digest: digestOf(content),
    ...(annotations !== undefined && { annotations: sorted(annotations) }),
  };
  const value = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType,
    config: { mediaType: emptyType, digest: digestOf(emptyConfig), size: emptyConfig.length },
    layers: [layer],
    subject,
    ...(hints !== undefined && { annotations: hints }),
  };
  return { artifactType, layer, content, manifest: takeManifest(utf8(JSON.stringify(value))) };
}

function sorted(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(annotations).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

type Parts = {
  readonly artifactType: string;
  readonly mediaType: string;
  readonly content: Uint8Array;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly hints?: Readonly<Record<string, string>>;
};

function partsOf(signature: Signature): Parts {
  switch (signature.format) {
    case 'simple':
      return { artifactType: simpleReferrerType, mediaType: simpleReferrerType, content: signature.blob };
    case 'cosign': {
      const { mediaType, payload, annotations } = signature;
      return { artifactType: cosignReferrerType, mediaType, content: payload, annotations };
    }
    case 'attestation': {
      const { mediaType, envelope, annotations } = signature;
      return { artifactType: attestationReferrerType, mediaType, content: envelope, annotations };
    }
    case 'bundle': {
      const { mediaType, json } = signature;
      return { artifactType: mediaType, mediaType, content: json, hints: contentHints(json) };
    }
    case 'notary':
      return {
        artifactType: notaryReferrerType,
        mediaType: signature.mediaType,
        content: signature.envelope,
      };
  }
}

/** Whether an entry of index.json says that it is a signature. */
export function saysSignature({ artifactType = '' }: Descriptor): boolean {
  const own: readonly string[] = [
    simpleReferrerType,
    cosignReferrerType,
    attestationReferrerType,
    notaryReferrerType,
  ];
  return own.includes(artifactType) || artifactType.startsWith('application/vnd.dev.sigstore.bundle');
}
