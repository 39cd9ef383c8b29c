/** Having a signature seen: by all logs and timestamp authorities of a plan, at once. */
import { isBullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { paeOf } from '../../base/pae.ts';
import { parseCertificate } from '../../keys/certificates/certificate.ts';
import type { SigstoreSigner } from '../../keys/signer.ts';
import { bundleHash } from '../../keys/sigstore/public-key.ts';
import type { UntrustedLogEntry } from '../../witnesses/log-entry.ts';
import type { LoggedArtifact } from '../../witnesses/logged-artifact.ts';
import type { ServiceOptions } from '../../witnesses/ask-witness.ts';
import type { Witnesses } from './plan.ts';
import type { World } from '../world.ts';

export type HashName = 'sha256' | 'sha384' | 'sha512';

/** What is signed: bytes, of which logs see the hash, or a DSSE envelope's payload. */
export type Content =
  | { readonly kind: 'message'; readonly message: Uint8Array; readonly hash: HashName }
  | { readonly kind: 'dsse'; readonly payloadType: string; readonly payload: Uint8Array };

/** An entry and the log that made it. */
export type Logged = { readonly url: string; readonly entry: UntrustedLogEntry };

/** A signature with what its witnesses answered, each checked for being about it. */
export type SeenSignature = {
  readonly signature: Uint8Array;
  /** Of a keyless key, DER, its own first. */
  readonly certificates: SigstoreSigner['certificates'];
  readonly logged: readonly Logged[];
  /** TimeStampResp, DER. */
  readonly timestamps: readonly Uint8Array[];
};

/**
 * Signs, and has the signature seen. A log that gives no second answer about a signature that it has (Rekor v2) gets
 * another one, where the key makes a different one each time.
 * @param sign makes the signature
 * @throws BullaError `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`, `io.offline`
 */
export async function signSeen(
  sign: () => Promise<Uint8Array>,
  content: Content,
  { signer, witnesses }: { readonly signer: SigstoreSigner; readonly witnesses: Witnesses },
  world: World,
): Promise<SeenSignature> {
  const signature = await sign();
  const { certificates } = signer;
  const seen = { signature, certificates };
  if (witnesses.logs.length + witnesses.timestamps.length === 0)
    return { ...seen, logged: [], timestamps: [] };
  const artifact = artifactOf(signer, content, signature);
  try {
    return { ...seen, ...(await beSeen(artifact, digestOf(signer, content), witnesses, world)) };
  } catch (error) {
    if (!isBullaError(error, 'log.duplicate') || signer.publicKey.algorithm !== 'ecdsa') throw error;
    const other = await sign();
    const again = artifactOf(signer, content, other);
    return {
      signature: other,
      certificates,
      ...(await beSeen(again, digestOf(signer, content), witnesses, world)),
    };
  }
}

async function beSeen(
  artifact: LoggedArtifact,
  digest: Uint8Array,
  { logs, timestamps, roots }: Witnesses,
  world: World,
): Promise<Pick<SeenSignature, 'logged' | 'timestamps'>> {
  const { http, signal } = world;
  const options: ServiceOptions = {
    http,
    ...(roots !== undefined && { roots }),
    ...(signal !== undefined && { signal }),
  };
  const [logged, stamped] = await Promise.all([
    Promise.all(
      logs.map(async ({ url, version }) => ({
        url,
        entry: await (version === 1 ? logV1(url, artifact, options) : logV2(url, artifact, digest, options)),
      })),
    ),
    Promise.all(timestamps.map(({ url }) => stamp(url, artifact.signature, options))),
  ]);
  return { logged, timestamps: stamped };
}

async function logV1(
  url: string,
  artifact: LoggedArtifact,
  options: ServiceOptions,
): Promise<UntrustedLogEntry> {
  const { logInRekorV1 } = await import('../../witnesses/rekor-v1-client.ts');
  return logInRekorV1(url, artifact, options);
}

async function logV2(
  url: string,
  artifact: LoggedArtifact,
  digest: Uint8Array,
  options: ServiceOptions,
): Promise<UntrustedLogEntry> {
  const { logInRekorV2 } = await import('../../witnesses/rekor-v2-client.ts');
  return logInRekorV2(url, artifact, digest, options);
}

async function stamp(url: string, signature: Uint8Array, options: ServiceOptions): Promise<Uint8Array> {
  const { requestTimestamp } = await import('../../witnesses/timestamp-client.ts');
  return requestTimestamp(url, signature, options);
}

function artifactOf(
  { publicKey, certificates }: SigstoreSigner,
  content: Content,
  signature: Uint8Array,
): LoggedArtifact {
  return {
    signer:
      certificates === undefined
        ? { kind: 'key', key: publicKey }
        : { kind: 'certificate', certificate: parseCertificate(certificates[0]) },
    signature,
    content: content.kind === 'dsse' ? content : messageOf(content),
  };
}

function messageOf({ message, hash }: Extract<Content, { kind: 'message' }>): LoggedArtifact['content'] {
  return { kind: 'message', message, digest: { algorithm: hash, value: hashOf(hash, message) } };
}

/** What a hashedrekord entry of Rekor v2 is of; an Ed25519 key's is of SHA-512, as Ed25519ph. */
function digestOf({ publicKey }: SigstoreSigner, content: Content): Uint8Array {
  return content.kind === 'message'
    ? hashOf(content.hash, content.message)
    : hashOf(logHash(publicKey), paeOf(content.payloadType, content.payload));
}

/** The hash that the key's kind asks for where a log is to see it. */
export function logHash(publicKey: SigstoreSigner['publicKey']): HashName {
  return bundleHash(publicKey) ?? 'sha512';
}

export function hashOf(hash: HashName, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(crypto.createHash(hash).update(bytes).digest());
}
