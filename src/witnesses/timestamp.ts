/**
 * RFC 3161 timestamps: whether an authority of the trusted root saw a signature, and when. The token's certificate comes with it
 * or from the root; either way the root's chain decides.
 */
import { bytesEqual } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import { type Certificate, parseCertificate } from '../keys/certificates/certificate.ts';
import { publicKeyOfCertificate, verifyChain } from '../keys/certificates/chain.ts';
import { DerReader, type Element, oidOf, onlyElement, tags, unsignedOf } from '../keys/certificates/der.ts';
import type { Authority } from '../keys/trusted-root/trusted-root.ts';
import type { Fault } from './fault.ts';
import {
  algorithmOf,
  invalid,
  keyIdentifierOf,
  parseTimestampResponse,
  type SignerInfo,
  type UntrustedToken,
} from './timestamp-token.ts';

export type TimestampResult =
  | { readonly ok: true; /** Milliseconds since 1970. */ readonly time: number }
  | Fault;

/**
 * Verifies a response (TimeStampResp, DER) about a signature's bytes.
 * @returns a fault has the code `signature.timestamp-invalid`
 */
export function verifyTimestamp(
  response: Uint8Array,
  signature: Uint8Array,
  authorities: readonly Authority[],
): TimestampResult {
  try {
    const token = parseTimestampResponse(response);
    matchImprint(token, signature);
    matchAttributes(token);
    const embedded = embeddedSigner(token);
    let fault = invalid('no timestamp authority is trusted here');
    for (const [index, authority] of authorities.entries()) {
      try {
        verifyByAuthority(token, embedded, authority);
        return { ok: true, time: token.info.time };
      } catch (error) {
        if (!isBullaError(error)) throw error;
        if (index === 0) fault = error;
      }
    }
    throw fault;
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return { ok: false, code: 'signature.timestamp-invalid', message: error.message };
  }
}

const hashes: ReadonlyMap<string, string> = new Map([
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

function matchImprint({ info: { imprint } }: UntrustedToken, signature: Uint8Array): void {
  if (!bytesEqual(digestOf(imprint.algorithm, signature), imprint.digest)) {
    throw invalid('it is of another signature');
  }
}

function digestOf(oid: string, bytes: Uint8Array): Uint8Array {
  const name = hashes.get(oid);
  if (name === undefined) throw invalid('it uses a hash algorithm that is not accepted');
  return crypto.createHash(name).update(bytes).digest();
}

const attributeOids = {
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingCertificate: '1.2.840.113549.1.9.16.2.12',
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  timestampInfo: '1.2.840.113549.1.9.16.1.4',
} as const;

/** RFC 5652 section 11: what ties the signed attributes to the content. */
function matchAttributes({ content, signer: { values, digestAlgorithm } }: UntrustedToken): void {
  const type = attribute(values, attributeOids.contentType, tags.oid);
  if (oidOf(type) !== attributeOids.timestampInfo) throw invalid('its signed content type is another one');
  const digest = attribute(values, attributeOids.messageDigest, tags.octetString);
  if (!bytesEqual(digest.content, digestOf(digestAlgorithm, content))) {
    throw invalid('its content was changed');
  }
}

function attribute(values: SignerInfo['values'], oid: string, tag: number): Element {
  const value = values.get(oid);
  if (value?.tag !== tag) throw invalid(`the signed attribute ${oid} is missing`);
  return value;
}

/** The signer's certificate among those that came with the token, if any came. */
function embeddedSigner({ certificates, signer: { id } }: UntrustedToken): Certificate | undefined {
  if (certificates.length === 0) return undefined;
  const [found] = certificates.map(parseCertificate).filter((each) => isNamed(each, id));
  if (found === undefined) throw invalid("its signer's certificate is not among those that it brings");
  return found;
}

function isNamed(certificate: Certificate, id: SignerInfo['id']): boolean {
  if ('issuer' in id) {
    return bytesEqual(certificate.issuer, id.issuer) && bytesEqual(certificate.serial, id.serial);
  }
  const extension = certificate.extensions.all.find(({ oid }) => oid === '2.5.29.14');
  return extension !== undefined && bytesEqual(keyIdentifierOf(extension.value), id.keyIdentifier);
}

function verifyByAuthority(
  token: UntrustedToken,
  embedded: Certificate | undefined,
  { chain, validFor }: Authority,
): void {
  const { time } = token.info;
  if (!(time >= validFor.start && time <= (validFor.end ?? Number.POSITIVE_INFINITY))) {
    throw invalid('its authority was not to be trusted then');
  }
  const signer = signerOf(token, embedded, chain);
  matchSigningCertificate(token.signer.values, signer);
  verifySignature(token.signer, signer);
  isForTimestampsAlone(signer);
  const root = chain.at(-1) ?? chain[0];
  const authorities = { roots: [root], intermediates: chain.slice(0, -1) };
  const result = verifyChain(signer, authorities, { at: time, usage: timeStamping });
  if (!result.ok) throw invalid(result.message);
}

/** A chain that begins with an authority issues the signers' certificates; any other begins with the signer's own. */
function signerOf(
  { signer: { id } }: UntrustedToken,
  embedded: Certificate | undefined,
  [first]: Authority['chain'],
): Certificate {
  if (first.extensions.basicConstraints?.isAuthority === true) {
    if (embedded === undefined) throw invalid("its signer's certificate is not there");
    return embedded;
  }
  if (embedded !== undefined && !bytesEqual(embedded.der, first.der))
    throw invalid('it is by another authority');
  if (!isNamed(first, id)) throw invalid('it is by another authority');
  // the root's own object, whose chain is checked once in a process
  return first;
}

/** RFC 5035: which certificate the signer meant, so that nobody puts another one with the same key in its place. */
function matchSigningCertificate(values: SignerInfo['values'], signer: Certificate): void {
  const second = values.get(attributeOids.signingCertificateV2);
  const first = values.get(attributeOids.signingCertificate);
  if (second === undefined && first === undefined) throw invalid('it does not name its certificate');
  if (second !== undefined) matchCertificateId(second, signer, 'sha256');
  if (first !== undefined) matchCertificateId(first, signer, 'sha1');
}

function matchCertificateId(value: Element, signer: Certificate, usual: 'sha256' | 'sha1'): void {
  const list = new DerReader(onlyElement(value.whole, tags.sequence).content).inside(tags.sequence);
  const first = list.inside(tags.sequence);
  const algorithm = usual === 'sha256' ? first.optional(tags.sequence) : undefined;
  const name = algorithm === undefined ? usual : hashes.get(algorithmOf(new DerReader(algorithm.content)));
  if (name === undefined) throw invalid('it names its certificate by a hash that is not accepted');
  const digest = crypto.createHash(name).update(signer.der).digest();
  if (!bytesEqual(first.next(tags.octetString).content, digest))
    throw invalid('it names another certificate');
  if (first.atEnd) return;
  const issuerSerial = first.inside(tags.sequence);
  first.end();
  issuerSerial.next(tags.sequence);
  if (!bytesEqual(unsignedOf(issuerSerial.next(tags.integer)), signer.serial)) {
    throw invalid('it names another certificate');
  }
}

const timeStamping = '1.3.6.1.5.5.7.3.8';

/** RFC 3161 section 2.3: the usage is critical and the only one. */
function isForTimestampsAlone({ extensions: { all, extendedKeyUsage } }: Certificate): void {
  const isCritical = all.some(({ oid, critical }) => oid === '2.5.29.37' && critical);
  if (!isCritical || extendedKeyUsage.length !== 1 || extendedKeyUsage[0] !== timeStamping) {
    throw invalid("its signer's certificate is not for timestamps alone");
  }
}

/** Signature algorithms: the kind of key, and the hash, where the algorithm names it. */
const algorithms: ReadonlyMap<string, readonly [string, string | undefined]> = new Map([
  ['1.2.840.10045.4.3.2', ['ecdsa', 'sha256']],
  ['1.2.840.10045.4.3.3', ['ecdsa', 'sha384']],
  ['1.2.840.10045.4.3.4', ['ecdsa', 'sha512']],
  ['1.2.840.113549.1.1.1', ['rsa', undefined]],
  ['1.2.840.113549.1.1.11', ['rsa', 'sha256']],
  ['1.2.840.113549.1.1.12', ['rsa', 'sha384']],
  ['1.2.840.113549.1.1.13', ['rsa', 'sha512']],
  ['1.3.101.112', ['ed25519', undefined]],
]);

function verifySignature(signer: SignerInfo, certificate: Certificate): void {
  const [kind, named] = algorithms.get(signer.signatureAlgorithm) ?? [];
  const key = publicKeyOfCertificate(certificate);
  const digest = hashes.get(signer.digestAlgorithm);
  if (key === undefined || kind !== key.algorithm || digest === undefined) {
    throw invalid('it is signed by an algorithm that is not accepted');
  }
  // two different hashes would leave open which one the signature is of
  if (named !== undefined && named !== digest) throw invalid('it names two hash algorithms');
  if (!isSigned(kind === 'ed25519' ? null : digest, signer, key.key)) {
    throw invalid("its authority's signature does not hold");
  }
}

function isSigned(
  hash: string | null,
  { attributes, signature }: SignerInfo,
  key: import('node:crypto').KeyObject,
): boolean {
  if (key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048) return false;
  try {
    return crypto.verify(hash, attributes, key, signature);
  } catch {
    return false;
  }
}
