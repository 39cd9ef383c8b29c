/**
 * Whether a certificate leads to a trusted authority at a moment, for signing code: the rules of Go's
 * crypto/x509 (Certificate.Verify), which containers/image judges by.
 */
import { bytesEqual } from '../../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { crypto } from '../../base/node.ts';
import { encodePem } from '../sigstore/pem.ts';
import { parseSigstorePublicKey, type SigstorePublicKey } from '../sigstore/public-key.ts';
import type { Certificate } from './certificate.ts';
import { oids } from './extensions.ts';

/** Whom to trust, and who may stand between. A trusted certificate ends a chain, whoever issued it. */
export type Authorities = {
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
};

export type ChainOptions = {
  /** The whole chain must be valid then; milliseconds since 1970. */
  readonly at: number;
  /** A critical subject alternative name of unknown kind is the caller's to judge (Fulcio's user names). */
  readonly anySubjectName?: boolean;
  /** The extended key usage that every certificate of the chain must allow; default: signing code. */
  readonly usage?: string;
};

export type ChainResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/** As in Go: what a chain may cost, in signatures checked. */
const mostSignatureChecks = 100;

/** A refusal has the code `signature.certificate-invalid`; its message is that of the first path that failed. */
export function verifyChain(leaf: Certificate, authorities: Authorities, options: ChainOptions): ChainResult {
  const search: Search = { ...authorities, ...options, checks: 0, fault: undefined };
  const fault = faultOf(leaf, [], search, 'leaf');
  if (fault !== undefined) return refuse(fault);
  const isTrusted = authorities.roots.some(({ der }) => bytesEqual(der, leaf.der));
  const found = isTrusted ? usableFor(leaf, [], search) : findChain([leaf], search);
  return found
    ? { ok: true }
    : refuse(
        search.fault ??
          (options.usage === undefined ? 'it is not for signing code' : 'it is not for this use'),
      );
}

type Search = Authorities &
  ChainOptions & {
    checks: number;
    /** Why the first candidate did not do. */
    fault: string | undefined;
  };

type Chain = readonly [Certificate, ...Certificate[]];

/** Depth first: true as soon as one chain from `chain` to a root holds. */
function findChain(chain: Chain, search: Search): boolean {
  const child = chain.at(-1) ?? chain[0];
  for (const kind of ['root', 'intermediate'] as const) {
    const pool = kind === 'root' ? search.roots : search.intermediates;
    for (const candidate of pool) {
      if (!bytesEqual(candidate.subject, child.issuer) || isIn(chain, candidate)) continue;
      const fault = issuerFault(child, candidate, search) ?? faultOf(candidate, chain, search, kind);
      if (fault !== undefined) search.fault ??= fault;
      else if (
        kind === 'intermediate'
          ? findChain([...chain, candidate], search)
          : usableFor(candidate, chain, search)
      ) {
        return true;
      }
    }
  }
  search.fault ??= 'no authority that is trusted here has issued it';
  return false;
}

/** The same name and key: a second time in one chain it adds nothing. */
function isIn(chain: Chain, candidate: Certificate): boolean {
  return chain.some(
    ({ subject, spki }) => bytesEqual(subject, candidate.subject) && bytesEqual(spki, candidate.spki),
  );
}

/** Why the parent cannot have issued the child. */
function issuerFault(child: Certificate, parent: Certificate, search: Search): string | undefined {
  if ((search.checks += 1) > mostSignatureChecks) return 'its chain would take too long to check';
  const { basicConstraints, maySignCertificates } = parent.extensions;
  const isAuthority = basicConstraints?.isAuthority ?? parent.version < 3;
  if (!isAuthority || maySignCertificates === false) return 'its issuer is no authority';
  if (!isSignedBy(child, parent)) return 'its signature is not by the authority that it names';
  return undefined;
}

/** Why a certificate cannot stand at its place above `below`. */
function faultOf(
  certificate: Certificate,
  below: readonly Certificate[],
  { at, anySubjectName }: Search,
  kind: 'leaf' | 'intermediate' | 'root',
): string | undefined {
  const { unhandled, basicConstraints, all } = certificate.extensions;
  const [unknown] = unhandled.filter(
    (oid) => !(kind === 'leaf' && anySubjectName === true && oid === oids.subjectAltName),
  );
  const whose = kind === 'leaf' ? 'it' : `its ${kind === 'root' ? 'root' : 'intermediate'} certificate`;
  if (unknown !== undefined)
    return `${whose} has the critical extension ${unknown}, which is not understood here`;
  // NaN is no time at all
  if (!(at >= certificate.notBefore)) return `${whose} was not valid yet at ${moment(at)}`;
  if (at > certificate.notAfter) return `${whose} had expired at ${moment(at)}`;
  if (kind === 'leaf') return undefined;
  // what it permits and forbids is not evaluated, so it permits nothing
  if (all.some(({ oid }) => oid === oids.nameConstraints)) return `${whose} has name constraints`;
  if (kind === 'intermediate' && basicConstraints?.isAuthority !== true) return `${whose} is no authority`;
  const limit = basicConstraints?.pathLength;
  if (limit !== undefined && below.length - 1 > limit) return `${whose} allows no chain of that length`;
  return undefined;
}

/** The extended key usages of every certificate that has any must include the one that is asked for, or all. */
function usableFor(
  top: Certificate,
  below: readonly Certificate[],
  { usage = oids.codeSigning }: Search,
): boolean {
  return [...below, top].every(({ extensions: { extendedKeyUsage: usages } }) => {
    return usages.length === 0 || usages.includes(usage) || usages.includes(oids.anyUsage);
  });
}

/** AlgorithmIdentifiers, DER as hex, with what they hash with (RFC 5758, RFC 4055, RFC 8410). SHA-1 is none. */
const algorithms: ReadonlyMap<string, readonly [SigstorePublicKey['algorithm'], string | null]> = new Map([
  ['300a06082a8648ce3d040302', ['ecdsa', 'sha256']],
  ['300a06082a8648ce3d040303', ['ecdsa', 'sha384']],
  ['300a06082a8648ce3d040304', ['ecdsa', 'sha512']],
  ['300d06092a864886f70d01010b0500', ['rsa', 'sha256']],
  ['300d06092a864886f70d01010c0500', ['rsa', 'sha384']],
  ['300d06092a864886f70d01010d0500', ['rsa', 'sha512']],
  ['300506032b6570', ['ed25519', null]],
]);

// A link between two certificates that are kept (those of a trusted root) holds for ever, and P-384 costs a millisecond.
const links = new WeakMap<Certificate, WeakMap<Certificate, boolean>>();

function isSignedBy(child: Certificate, parent: Certificate): boolean {
  const known = links.get(child) ?? new WeakMap<Certificate, boolean>();
  links.set(child, known);
  const holds = known.get(parent) ?? checkSignature(child, parent);
  known.set(parent, holds);
  return holds;
}

function checkSignature(child: Certificate, parent: Certificate): boolean {
  const known = algorithms.get(Buffer.from(child.signatureAlgorithm).toString('hex'));
  const key = publicKeyOfCertificate(parent);
  if (known === undefined || key === undefined || known[0] !== key.algorithm) return false;
  if (key.algorithm === 'rsa' && (key.key.asymmetricKeyDetails?.modulusLength ?? 0) < 1024) return false;
  try {
    return crypto.verify(known[1], child.signedPart, key.key, child.signature);
  } catch {
    return false;
  }
}

// An authority's key is asked for with every signature; parsing it is dearer than using it.
const keys = new WeakMap<Certificate, { readonly key: SigstorePublicKey | undefined }>();

/** The key that a certificate is about, or undefined where it is of no kind that signs here. */
export function publicKeyOfCertificate(certificate: Certificate): SigstorePublicKey | undefined {
  const known = keys.get(certificate) ?? { key: parseKey(certificate) };
  keys.set(certificate, known);
  return known.key;
}

function parseKey({ spki }: Certificate): SigstorePublicKey | undefined {
  try {
    return parseSigstorePublicKey(encodePem('PUBLIC KEY', spki));
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}

function moment(at: number): string {
  // beyond the calendar of Date there is no text for it
  return Number.isNaN(new Date(at).getTime()) ? 'that time' : new Date(at).toISOString();
}

function refuse(why: string): ChainResult {
  return {
    ok: false,
    code: 'signature.certificate-invalid',
    message: `the certificate is not accepted: ${why}`,
  };
}
