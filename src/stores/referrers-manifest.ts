/** The manifests that refer to an image: what they are (OCI image specification 1.1, `subject`), and how one is made. */
import { textOf, utf8 } from '../base/bytes.ts';
import { type Descriptor, mediaTypes } from '../base/descriptor.ts';
import { digestOf } from '../base/digest.ts';
import { type ImageManifest, type Manifest, takeManifest } from '../base/manifest.ts';

/** What a referrer holds, as far as Bulla knows it. */
export type ReferrerKind = 'bundle' | 'notary' | 'cosign';

const bundlePrefix = 'application/vnd.dev.sigstore.bundle';
const notaryType = 'application/vnd.cncf.notary.signature';
/** cosign's `--registry-referrers-mode=oci-1-1`: the layers of a `.sig` in a referrer. */
const cosignType = 'application/vnd.dev.cosign.artifact.sig.v1+json';
export const emptyType = 'application/vnd.oci.empty.v1+json';
const notaryEnvelopes: readonly string[] = ['application/jose+json', 'application/cose'];

/**
 * Types that an entry of a list may have whatever its manifest is: go-containerregistry, and so
 * cosign 3, writes the configuration's type in place of the artifact's (cosign#4641).
 */
const sayNothing: ReadonlySet<string> = new Set(['', emptyType, mediaTypes.ociConfig]);

/** False: its entry says that it is something else, an SBOM say, and it need not be read. */
export function mayBeSignature({ mediaType, artifactType = '' }: Descriptor): boolean {
  if (mediaType !== mediaTypes.ociManifest) return false;
  return sayNothing.has(artifactType) || kindOfType(artifactType) !== undefined;
}

function kindOfType(type: string): ReferrerKind | undefined {
  if (type.startsWith(bundlePrefix)) return 'bundle';
  if (type === notaryType) return 'notary';
  return type === cosignType ? 'cosign' : undefined;
}

/** By the manifest itself. Undefined: no signature of any kind known here. */
export function kindOf({ artifactType = '', config, layers }: ImageManifest): ReferrerKind | undefined {
  return (
    kindOfType(artifactType) ??
    kindOfType(config.mediaType) ??
    (layers.some(({ mediaType }) => mediaType.startsWith(bundlePrefix)) ? 'bundle' : undefined)
  );
}

/** The one layer that a bundle or a Notary signature has. Undefined: it is not so. */
export function onlyLayer(
  kind: Exclude<ReferrerKind, 'cosign'>,
  { layers }: ImageManifest,
): Descriptor | undefined {
  const [layer, another] = layers;
  if (layer === undefined || another !== undefined) return undefined;
  const { mediaType } = layer;
  const fits = kind === 'bundle' ? mediaType.startsWith(bundlePrefix) : notaryEnvelopes.includes(mediaType);
  return fits ? layer : undefined;
}

export const referrerAnnotations = {
  created: 'org.opencontainers.image.created',
  content: 'dev.sigstore.bundle.content',
  predicateType: 'dev.sigstore.bundle.predicateType',
} as const;

/** `{}`, the configuration of what has none (OCI image specification, "Guidance for an empty descriptor"). */
export const emptyConfig: Uint8Array = utf8('{}');

/**
 * A referrer as cosign 3.1 writes it. Its annotations are hints for who lists them; nobody is to believe them.
 * @param layer the bundle
 * @param subject the image
 */
export function bundleReferrer(
  layer: Omit<Descriptor, 'annotations'>,
  subject: Descriptor,
  annotations: Readonly<Record<string, string>>,
): Manifest {
  const { mediaType: artifactType } = layer;
  const config = {
    mediaType: emptyType,
    size: emptyConfig.length,
    digest: digestOf(emptyConfig),
    artifactType,
  };
  return takeManifest(
    utf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config,
        layers: [layer],
        annotations,
        subject,
        artifactType,
      }),
    ),
  );
}

/** What the annotations of a bundle say of its content, read without checking anything. */
export function contentHints(json: Uint8Array): Readonly<Record<string, string>> {
  const bundle = objectOf(textOf(json));
  if (bundle?.['messageSignature'] !== undefined)
    return { [referrerAnnotations.content]: 'message-signature' };
  const envelope = bundle?.['dsseEnvelope'];
  const payload = isObject(envelope) ? envelope['payload'] : undefined;
  const statement =
    typeof payload === 'string' ? objectOf(Buffer.from(payload, 'base64').toString('utf8')) : undefined;
  const type = statement?.['predicateType'];
  return {
    [referrerAnnotations.content]: 'dsse-envelope',
    ...(typeof type === 'string' && { [referrerAnnotations.predicateType]: type }),
  };
}

type Untrusted = Readonly<Record<string, unknown>>;

function objectOf(text: string | undefined): Untrusted | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Untrusted {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
