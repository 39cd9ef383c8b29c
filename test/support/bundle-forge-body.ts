/** What the logs of bundle-forge.ts take in: Rekor's kinds of entries. */
import { encodeBase64, hexOfBytes, utf8 } from '../../src/base/bytes.ts';
import { paeOf } from '../../src/base/pae.ts';
import { sha256 } from './bundle-forge-log.ts';
import * as forge from './sigstore-forge.ts';
import type { KeyPair } from './sigstore-forge.ts';

/** A certificate as Fulcio issues it, and its key. */
export type Leaf = { readonly key: KeyPair; readonly der: Uint8Array };

export type Content =
  | { readonly message: Uint8Array }
  | { readonly payloadType: string; readonly payload: Uint8Array };

export type Body = { kind: string; apiVersion: string; spec: Record<string, unknown> };

/** What is signed. */
export function signedBytes(content: Content): Uint8Array {
  return 'message' in content ? content.message : paeOf(content.payloadType, content.payload);
}

type Signed = {
  readonly signer: Leaf | KeyPair;
  readonly content: Content;
  readonly signature: Uint8Array;
};

function pemOf(signer: Leaf | KeyPair): string {
  return encodeBase64(utf8('der' in signer ? forge.pemText('CERTIFICATE', signer.der) : forge.pemOf(signer)));
}

export function body1({ signer, content, signature }: Signed): Body {
  const publicKey = pemOf(signer);
  const sig = encodeBase64(signature);
  if ('message' in content) {
    const hash = { algorithm: 'sha256', value: hexOfBytes(sha256(content.message)) };
    const spec = { data: { hash }, signature: { content: sig, publicKey: { content: publicKey } } };
    return { kind: 'hashedrekord', apiVersion: '0.0.1', spec };
  }
  const payloadHash = { algorithm: 'sha256', value: hexOfBytes(sha256(content.payload)) };
  const envelopeHash = { algorithm: 'sha256', value: '00'.repeat(32) };
  const signatures = [{ signature: sig, verifier: publicKey }];
  return { kind: 'dsse', apiVersion: '0.0.1', spec: { envelopeHash, payloadHash, signatures } };
}

export function bodyInToto({ signer, content, signature }: Signed): Body {
  if ('message' in content) throw new Error('an intoto entry is about an envelope');
  const sig = encodeBase64(utf8(encodeBase64(signature)));
  const envelope = { payloadType: content.payloadType, signatures: [{ publicKey: pemOf(signer), sig }] };
  const hash = { algorithm: 'sha256', value: '00'.repeat(32) };
  const payloadHash = { algorithm: 'sha256', value: hexOfBytes(sha256(content.payload)) };
  return { kind: 'intoto', apiVersion: '0.0.2', spec: { content: { envelope, hash, payloadHash } } };
}

export function body2({ signer, content, signature }: Signed): Body {
  const verifier =
    'der' in signer
      ? { x509Certificate: { rawBytes: encodeBase64(signer.der) } }
      : { publicKey: { rawBytes: encodeBase64(forge.spkiOf(signer)) } };
  const digest = encodeBase64(sha256(signedBytes(content)));
  const hashedRekordV002 = {
    data: { algorithm: 'SHA2_256', digest },
    signature: {
      content: encodeBase64(signature),
      verifier: { keyDetails: 'PKIX_ECDSA_P256_SHA_256', ...verifier },
    },
  };
  return { kind: 'hashedrekord', apiVersion: '0.0.2', spec: { hashedRekordV002 } };
}
