/** The two attachments of cosign up to version 2: tags beside an image, whose layers are what is attached. */
import { limits } from '../base/limits.ts';
import type { Signature, UnreadableSignature } from '../formats/signature.ts';

type Layer = {
  readonly mediaType: string;
  readonly content: Uint8Array;
  readonly annotations: Readonly<Record<string, string>>;
};

export type AttachmentKind = {
  /** Behind `sha256-<hex>`. */
  readonly suffix: '.sig' | '.att';
  /** What this holds, for people. */
  readonly what: string;
  /** The most that one layer may hold. */
  readonly mostBytes: number;
  /** And all of them, as one reader may hold them at once. */
  readonly mostTogether: number;
  readonly signatureOf: (layer: Layer) => Signature | UnreadableSignature;
  /** Undefined: such a signature has no place here. */
  readonly layerOf: (signature: Signature) => Layer | undefined;
};

/** Signatures: cosign 2, podman and skopeo. A layer of another kind is listed too, and never verifies. */
export const signatureAttachments: AttachmentKind = {
  suffix: '.sig',
  what: 'sigstore attachments',
  mostBytes: limits.signatureBytes,
  mostTogether: limits.attachmentsBytes,
  signatureOf: ({ mediaType, content, annotations }) => ({
    format: 'cosign',
    mediaType,
    payload: content,
    annotations,
  }),
  layerOf: (signature) => {
    if (signature.format !== 'cosign') return undefined;
    const { mediaType, payload, annotations } = signature;
    return { mediaType, content: payload, annotations };
  },
};

const dsseMediaType = 'application/vnd.dsse.envelope.v1+json';

/** Attestations: cosign up to 2. */
export const attestationAttachments: AttachmentKind = {
  suffix: '.att',
  what: 'attestations (.att)',
  mostBytes: limits.bundleBytes,
  mostTogether: limits.referrersBytes,
  signatureOf: ({ mediaType, content, annotations }) =>
    mediaType === dsseMediaType
      ? { format: 'attestation', mediaType, envelope: content, annotations }
      : {
          format: 'unreadable',
          code: 'signature.unsupported',
          message: `the layer is a ${mediaType}, not an attestation`,
        },
  layerOf: (signature) => {
    if (signature.format !== 'attestation') return undefined;
    const { mediaType, envelope, annotations } = signature;
    return { mediaType, content: envelope, annotations };
  },
};
