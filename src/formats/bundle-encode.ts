/** Writing a bundle: version 0.3, its members in the order that cosign writes them in. */
import { encodeBase64, utf8 } from '../base/bytes.ts';
import type { UntrustedLogEntry } from '../witnesses/log-entry.ts';
import type { BundleContent, UntrustedBundle, UntrustedMaterial } from './bundle.ts';
import { envelopeJson } from './dsse.ts';

/** What is written. */
export const bundleMediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/**
 * The JSON of a bundle of version 0.3, whatever version it was read from: of several certificates the signer's own alone,
 * as the version wants it (the others belong to the trusted root).
 */
export function encodeBundle({ material, content, logEntries, timestamps }: UntrustedBundle): Uint8Array {
  const document = {
    mediaType: bundleMediaType,
    verificationMaterial: {
      ...materialJson(material),
      ...(logEntries.length > 0 && { tlogEntries: logEntries.map(logEntryJson) }),
      ...(timestamps.length > 0 && {
        timestampVerificationData: {
          rfc3161Timestamps: timestamps.map((each) => ({ signedTimestamp: encodeBase64(each) })),
        },
      }),
    },
    ...contentJson(content),
  };
  return utf8(JSON.stringify(document));
}

function materialJson(material: UntrustedMaterial): object {
  return material.kind === 'public-key'
    ? { publicKey: { hint: material.hint } }
    : { certificate: { rawBytes: encodeBase64(material.certificates[0]) } };
}

/** As proto3 has it: int64 as text, what is zero or empty left out. */
function logEntryJson(entry: UntrustedLogEntry): object {
  const {
    logIndex,
    logId,
    kind,
    version,
    integratedTime = 0n,
    signedEntryTimestamp,
    inclusionProof: proof,
  } = entry;
  return {
    ...countJson('logIndex', logIndex),
    logId: { keyId: encodeBase64(logId) },
    kindVersion: { kind, version },
    ...countJson('integratedTime', integratedTime),
    ...(signedEntryTimestamp !== undefined && {
      inclusionPromise: { signedEntryTimestamp: encodeBase64(signedEntryTimestamp) },
    }),
    ...(proof !== undefined && {
      inclusionProof: {
        ...countJson('logIndex', proof.logIndex),
        ...(proof.rootHash.length > 0 && { rootHash: encodeBase64(proof.rootHash) }),
        ...countJson('treeSize', proof.treeSize),
        ...(proof.hashes.length > 0 && { hashes: proof.hashes.map(encodeBase64) }),
        checkpoint: { envelope: proof.checkpoint },
      },
    }),
    canonicalizedBody: encodeBase64(entry.body),
  };
}

function countJson(name: string, count: bigint): object {
  return count === 0n ? {} : { [name]: String(count) };
}

const hashNames: Readonly<Record<string, string>> = {
  sha256: 'SHA2_256',
  sha384: 'SHA2_384',
  sha512: 'SHA2_512',
};

function contentJson(content: BundleContent): object {
  if (content.kind === 'dsse') return { dsseEnvelope: envelopeJson(content) };
  const { digest, signature } = content;
  return {
    messageSignature: {
      ...(digest !== undefined && {
        messageDigest: { algorithm: hashNames[digest.algorithm], digest: encodeBase64(digest.value) },
      }),
      signature: encodeBase64(signature),
    },
  };
}
