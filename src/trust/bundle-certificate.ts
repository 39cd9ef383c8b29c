/** Signed by whoever a certificate is about: authority, certificate log, trusted time and identity, all by one trusted root. */
import { bytesEqual } from '../base/bytes.ts';
import type { Certificate } from '../keys/certificates/certificate.ts';
import { publicKeyOfCertificate, verifyChain } from '../keys/certificates/chain.ts';
import { oids } from '../keys/certificates/extensions.ts';
import type { Authority, TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import { verifySct } from '../witnesses/sct.ts';
import { type BundleRule, logsOf } from './bundle-rule.ts';
import { type Fault, fault, isWithin, judgeWitnesses, type Witnessed } from './bundle-witness.ts';
import { matchCertificate } from './certificate-identity.ts';
import type { Signed } from './evidence-signer.ts';
import { isSignedBy } from './evidence-message.ts';
import type { UntrustedEvidence } from './evidence.ts';
import type { CertificateIdentity } from './identity-rule.ts';

/** Judges by each root; the refusal is that of the one which knows the certificate's issuer, else of the first. */
export function signedByCertificate(
  evidence: UntrustedEvidence,
  identity: CertificateIdentity,
  rule: BundleRule,
): Signed | Fault {
  const [leaf, ...others] = evidence.certificates ?? [];
  if (leaf === undefined) {
    return fault('signature.certificate-missing', 'signed by a key, where a certificate is wanted');
  }
  const signature = checkLeaf(leaf, evidence);
  if (signature !== undefined) return signature;
  let refusal: Fault | undefined;
  const isIssuer = (root: TrustedRoot): boolean =>
    issuersOf(leaf, [...certificatesOf(root), ...others]).length > 0;
  for (const root of [...rule.roots].sort((a, b) => Number(isIssuer(b)) - Number(isIssuer(a)))) {
    const witnessed = witnessedBy(root, evidence, leaf, rule);
    const held = witnessed.ok ? certifiedBy(root, { leaf, others }, witnessed, rule) : witnessed;
    if (held.ok) return named(leaf, identity, held);
    refusal ??= held;
  }
  return (
    refusal ??
    fault('signature.certificate-invalid', 'no trusted root is given, so no certificate is believed')
  );
}

/** The signature by the certificate's key, and what the certificate says of itself: cheap, and no root changes it. */
function checkLeaf(leaf: Certificate, evidence: UntrustedEvidence): Fault | undefined {
  const key = publicKeyOfCertificate(leaf);
  if (key === undefined) {
    return fault('signature.key-unusable', 'the certificate is about a key of no kind that is used here');
  }
  if (leaf.extensions.basicConstraints?.isAuthority === true) {
    return fault('signature.certificate-invalid', 'the certificate is an authority’s, not a signer’s');
  }
  if (!leaf.extensions.extendedKeyUsage.includes(oids.codeSigning)) {
    return fault('signature.certificate-invalid', 'the certificate is not for signing code');
  }
  if (isSignedBy(evidence, key)) return undefined;
  return fault(
    'signature.invalid',
    'the signature is not by the key of its certificate, or of something else',
  );
}

/**
 * Log and time. An instance without any log (GitHub's private one) lives by its timestamps alone; whoever has a log must
 * use it.
 */
function witnessedBy(
  root: TrustedRoot,
  evidence: UntrustedEvidence,
  certificate: Certificate,
  rule: BundleRule,
): Witnessed | Fault {
  const logs = logsOf([root], rule.logKeys);
  const isLogless = logs.length === 0 && root.timestampAuthorities.length > 0;
  const witnessed = judgeWitnesses(
    evidence,
    { kind: 'certificate', certificate },
    {
      logs,
      authorities: root.timestampAuthorities,
      log: isLogless && rule.log === 'required' ? 'optional' : rule.log,
      timestamp: isLogless ? 'required' : rule.timestamp,
    },
  );
  if (!witnessed.ok || witnessed.times.length > 0) return witnessed;
  if (rule.log !== 'required' && rule.timestamp !== 'required') {
    return {
      ...witnessed,
      times: [rule.now],
      notes: [...witnessed.notes, 'no witness tells the time: judged as of now'],
    };
  }
  const why = witnessed.isLogged
    ? 'the log entry has no time of its own (Rekor v2)'
    : 'nothing tells when it was signed';
  return fault(
    'signature.timestamp-missing',
    `${why}: a timestamp is required, and there is none that can be checked`,
  );
}

type Chain = { readonly leaf: Certificate; readonly others: readonly Certificate[] };

/** One authority of the root must have issued it, for all of the times; and a certificate log must know of it. */
function certifiedBy(
  root: TrustedRoot,
  chain: Chain,
  witnessed: Witnessed,
  rule: BundleRule,
): Witnessed | Fault {
  let refusal: Fault | undefined;
  for (const authority of root.certificateAuthorities) {
    const refused = chainFault(chain, authority, witnessed.times) ?? sctFault(root, chain, authority, rule);
    if (refused === undefined) return witnessed;
    // what is said of the authority that has issued it helps more than that another has not
    const isIssuer = issuersOf(chain.leaf, [...authority.chain, ...chain.others]).length > 0;
    if (refusal === undefined || isIssuer) refusal = refused;
  }
  return refusal ?? fault('signature.certificate-invalid', 'the trusted root has no certificate authority');
}

function chainFault(
  { leaf, others }: Chain,
  { chain, validFor }: Authority,
  times: readonly number[],
): Fault | undefined {
  const root = chain.at(-1) ?? chain[0];
  const authorities = { roots: [root], intermediates: [...chain.slice(0, -1), ...others] };
  for (const at of times) {
    if (!isWithin(at, validFor)) {
      return fault(
        'signature.certificate-invalid',
        'its certificate authority was not to be trusted at the time',
      );
    }
    const result = verifyChain(leaf, authorities, { at, anySubjectName: true });
    if (!result.ok) return result;
  }
  return undefined;
}

/** An instance that has neither kind of log has none to be in. */
function sctFault(
  root: TrustedRoot,
  { leaf, others }: Chain,
  authority: Authority,
  rule: BundleRule,
): Fault | undefined {
  const hasNone = root.certificateLogs.length === 0 && root.transparencyLogs.length === 0;
  if (rule.sct !== 'required' || hasNone) return undefined;
  const results = issuersOf(leaf, [...authority.chain, ...others]).map((issuer) =>
    verifySct(leaf, issuer, root.certificateLogs),
  );
  if (results.some(({ ok }) => ok)) return undefined;
  const [first = fault('signature.sct-invalid', 'the certificate’s issuer is not at hand')] = results;
  return first.ok ? undefined : first;
}

function certificatesOf(root: TrustedRoot): readonly Certificate[] {
  return root.certificateAuthorities.flatMap(({ chain }) => chain);
}

function issuersOf({ issuer }: Certificate, candidates: readonly Certificate[]): readonly Certificate[] {
  return candidates.filter(({ subject }) => bytesEqual(subject, issuer));
}

function named(
  leaf: Certificate,
  identity: CertificateIdentity,
  { times, notes, isLogged }: Witnessed,
): Signed | Fault {
  const match = matchCertificate(leaf, identity);
  if (!match.ok) return match;
  const key = publicKeyOfCertificate(leaf);
  const { issuer, subject } = match;
  return {
    ok: true,
    signer: `identity:${issuer} ${subject}`,
    identity: `${subject} (${issuer})`,
    ...(key !== undefined && { key: key.keyId }),
    times,
    isLogged,
    notes,
  };
}
