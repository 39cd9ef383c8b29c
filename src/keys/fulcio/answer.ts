/** What Fulcio answered, checked: a certificate that is not what was asked for must not be used, whoever gave it. */
import { bytesEqual, printable, textOf } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { type JsonObject, parseJson } from '../../base/json.ts';
import { type Certificate } from '../certificates/certificate.ts';
import { type ChainResult, verifyChain } from '../certificates/chain.ts';
import { readCertificates } from '../certificates/pem.ts';
import { listMember, memberOf, objectOf } from '../json-members.ts';
import type { IdentityToken } from '../oidc/identity-token.ts';
import type { Authority } from '../trusted-root/trusted-root.ts';
import { checkIdentity } from './identity.ts';
import type { FulcioApi } from './request.ts';

export type Chain = readonly [Certificate, ...Certificate[]];

export type AnswerRules = {
  /** The key that the certificate must be for: SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly token: IdentityToken;
  readonly now: Date;
  /** False: a certificate that no log has seen is taken too. */
  readonly needSct: boolean;
  /** Whom the chain must lead to, where the user has a trusted root. */
  readonly authorities?: readonly Authority[];
  /** Checks the certificate's SCTs by the user's trusted root. */
  readonly verifySct?: (leaf: Certificate, issuer: Certificate) => ChainResult;
};

/** Fulcio's clock and this one may differ by so much. */
const skewMs = 60_000;

/** Signed certificate timestamps in a certificate (RFC 6962 section 3.3). */
const sctList = '1.3.6.1.4.1.11129.2.4.2';

/**
 * The chain, the certificate for our key first, once everything about it holds: form, key, chain, validity, identity
 * and issuer of the token, and the certificate log's word.
 * @throws BullaError `fulcio.answer-refused`
 */
export function checkAnswer(body: Uint8Array, api: FulcioApi, rules: AnswerRules): Chain {
  const chain = api === 2 ? chainOfV2(body) : readChain(textOf(body) ?? '');
  const [leaf, issuer] = chain;
  if (!bytesEqual(leaf.spki, rules.spki)) throw refused('the certificate is for another key');
  const at = momentFor(leaf, rules.now);
  checkChain(chain, at, rules);
  checkIdentity(leaf, rules.token, refused);
  checkSct(leaf, issuer, rules);
  return chain;
}

/** SigningCertificate of fulcio.proto. */
function chainOfV2(body: Uint8Array): Chain {
  const answer = objectOf(parseAnswer(body), 'the answer', refused);
  const embedded = memberOf(answer, 'signedCertificateEmbeddedSct');
  const detached = memberOf(answer, 'signedCertificateDetachedSct');
  if ((embedded === undefined) === (detached === undefined))
    throw refused('it holds not just one certificate');
  const chain = memberOf(objectOf(embedded ?? detached, 'the certificate', refused), 'chain');
  return readChain(certificatesOf(objectOf(chain, 'the chain', refused)));
}

function parseAnswer(body: Uint8Array): ReturnType<typeof parseJson> {
  const text = textOf(body);
  if (text === undefined) throw refused('it is no text');
  try {
    return parseJson(text, 'the answer');
  } catch (error) {
    if (isBullaError(error)) throw refused('it is no JSON');
    throw error;
  }
}

/** Each item is one certificate in PEM. */
function certificatesOf(chain: JsonObject): string {
  const items = listMember(chain, 'certificates', refused).map((item) => {
    if (item.kind !== 'string') throw refused('the chain holds something that is no text');
    return item.value.trim();
  });
  return items.join('\n');
}

function readChain(pem: string): Chain {
  let certificates: readonly Certificate[];
  try {
    certificates = readCertificates(pem);
  } catch (error) {
    if (isBullaError(error)) throw refused(error.message);
    throw error;
  }
  const [leaf, ...others] = certificates;
  if (leaf === undefined) throw refused('it holds no certificate');
  return [leaf, ...others];
}

/** Now, moved into the certificate's validity where clocks may differ. */
function momentFor({ notBefore, notAfter }: Certificate, now: Date): number {
  const at = now.getTime();
  if (!(at >= notBefore - skewMs)) {
    throw refused('the certificate is not valid yet by this machine’s clock; is the clock right?');
  }
  if (!(at <= notAfter))
    throw refused('the certificate has expired by this machine’s clock; is the clock right?');
  return Math.max(at, notBefore);
}

/** The answer's own chain must hold together, and where the user trusts certain authorities it must be theirs. */
function checkChain(chain: Chain, at: number, { authorities }: AnswerRules): void {
  const [leaf, ...above] = chain;
  const top = above.at(-1);
  // Fulcio's user names are a critical name of a kind that is not read here
  const options = { at, anySubjectName: true };
  if (top !== undefined) {
    mustHold(verifyChain(leaf, { roots: [top], intermediates: above.slice(0, -1) }, options));
  }
  if (authorities === undefined) return;
  const valid = authorities.filter(({ validFor: { start, end = Infinity } }) => start <= at && at <= end);
  const results = valid.map((authority) => {
    const root = authority.chain.at(-1) ?? authority.chain[0];
    return verifyChain(leaf, { roots: [root], intermediates: authority.chain.slice(0, -1) }, options);
  });
  if (results.some(({ ok }) => ok)) return;
  throw refused('none of the trusted root’s certificate authorities has issued the certificate');
}

function checkSct(leaf: Certificate, issuer: Certificate | undefined, rules: AnswerRules): void {
  if (!rules.needSct) return;
  if (!leaf.extensions.all.some(({ oid }) => oid === sctList)) {
    // one beside the certificate (a detached SCT) could not be kept with the signature
    throw new BullaError(
      'fulcio.answer-refused',
      'Fulcio’s certificate holds no signed certificate timestamp',
      {
        hint: 'verifiers refuse such a certificate; where yours do without, take it by --insecure-skip-verify',
      },
    );
  }
  const parent =
    issuer ??
    rules.authorities?.find(({ chain: [first] }) => bytesEqual(first.subject, leaf.issuer))?.chain[0];
  if (rules.verifySct === undefined) return;
  if (parent === undefined) throw refused('its chain lacks the issuer, so that no timestamp can be checked');
  mustHold(rules.verifySct(leaf, parent));
}

function mustHold(result: ChainResult): void {
  if (!result.ok) throw refused(result.message);
}

function refused(why: string): BullaError {
  return new BullaError('fulcio.answer-refused', `Fulcio’s answer is not usable: ${printable(why)}`, {
    hint: 'nothing was signed; is it the Fulcio that you meant?',
  });
}
