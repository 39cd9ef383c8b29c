/** A new entry in a Rekor v2 log (rekor-tiles' rekor_service.proto: POST /api/v2/log/entries). */
import { encodeBase64 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import { displayUrl } from '../io/http.ts';
import { publicKeyOf, type SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { checkLogAnswer } from './check-log-answer.ts';
import { parseRekorV2Answer } from './log-answer.ts';
import type { UntrustedLogEntry } from './log-entry.ts';
import type { LoggedArtifact } from './logged-artifact.ts';
import { callService, invalidAnswer, jsonBody, methodUrl, type ServiceOptions } from './ask-witness.ts';

/**
 * Has an entry made: `hashedrekord` 0.0.2, the one kind that there is. The answer comes with the log's next checkpoint.
 * @param base the log's URL, without /api/v2
 * @param artifact what the answer must be about
 * @param digest of the message or of the envelope's PAE, by the hash that the key's kind asks for
 * @returns an entry with inclusion proof, about that very artifact; verified only where roots are given
 * @throws BullaError `log.duplicate` (it has the signature already, and gives no second answer), `log.failed`,
 *   `log.refused`, `log.rate-limited`, `log.answer-invalid`, `key.unusable` (a kind of key that Rekor v2 does not know), `usage.invalid`, `io.offline`
 */
export async function logInRekorV2(
  base: string,
  artifact: LoggedArtifact,
  digest: Uint8Array,
  options: ServiceOptions,
): Promise<UntrustedLogEntry> {
  const url = methodUrl(base, 'api/v2/log/entries');
  const body = jsonBody(requestOf(artifact, digest));
  const answer = await callService({ kind: 'log', url, ...body, statuses: [409] }, options);
  if (answer.status === 409) {
    throw new BullaError('log.duplicate', `${displayUrl(url)} has an entry of this very signature already`, {
      hint: 'a Rekor v2 gives out no second answer; an ECDSA key signs differently each time, others cannot be logged twice',
    });
  }
  const fault = (why: string): BullaError => invalidAnswer('log', url, why);
  const sent = { artifact, kind: 'hashedrekord', version: '0.0.2' };
  return checkLogAnswer(parseRekorV2Answer(answer.body, fault), sent, options.roots, fault);
}

function requestOf({ signer, signature }: LoggedArtifact, digest: Uint8Array): unknown {
  const key = signer.kind === 'key' ? signer.key : keyIn(signer.certificate.spki);
  const who =
    signer.kind === 'key'
      ? { publicKey: { rawBytes: encodeBase64(signer.key.spki) } }
      : { x509Certificate: { rawBytes: encodeBase64(signer.certificate.der) } };
  const signed = { content: encodeBase64(signature), verifier: { ...who, keyDetails: keyDetailsOf(key) } };
  return { hashedRekordRequestV002: { digest: encodeBase64(digest), signature: signed } };
}

function keyIn(spki: Uint8Array): SigstorePublicKey {
  return publicKeyOf(crypto.createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }));
}

const ecdsa: Readonly<Record<string, string>> = {
  prime256v1: 'PKIX_ECDSA_P256_SHA_256',
  secp384r1: 'PKIX_ECDSA_P384_SHA_384',
  secp521r1: 'PKIX_ECDSA_P521_SHA_512',
};

/** sigstore_common.proto, PublicKeyDetails: those that Rekor v2 takes. */
function keyDetailsOf({ algorithm, key }: SigstorePublicKey): string {
  const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const found = algorithm === 'ecdsa' ? ecdsa[namedCurve] : undefined;
  if (found !== undefined) return found;
  if (algorithm === 'ed25519') return 'PKIX_ED25519_PH';
  if (algorithm === 'rsa' && [2048, 3072, 4096].includes(modulusLength)) {
    return `PKIX_RSA_PKCS1V15_${modulusLength}_SHA256`;
  }
  throw new BullaError('key.unusable', 'Rekor v2 knows no key of this kind and size', {
    hint: 'ECDSA on P-256, P-384 and P-521, RSA of 2048, 3072 and 4096 bits, and Ed25519 work',
  });
}
