/**
 * Whether a certificate speaks of the one that the token speaks of: against a Fulcio that mixes requests up or lies.
 * It is no verification: whoever verifies the signature names the identity that they want.
 */
import { isBullaError } from '../../base/errors.ts';
import type { Certificate } from '../certificates/certificate.ts';
import { fulcioIssuerOf } from '../certificates/extensions.ts';
import { memberOf, objectOf, textMember } from '../json-members.ts';
import type { IdentityToken } from '../oidc/identity-token.ts';

type Refused = (why: string) => Error;

/** Throws what `refused` makes. */
export function checkIdentity(leaf: Certificate, token: IdentityToken, refused: Refused): void {
  const issuers = issuersOf(token, refused);
  if (!issuers.includes(issuerIn(leaf, refused)))
    throw refused('the certificate names another issuer than the token');
  const { emails, uris } = leaf.extensions.names;
  const found = [...emails, ...uris];
  const expected = namesOf(token, refused);
  if (expected.length > 0 && !(found.length === 1 && found.some((name) => expected.includes(name)))) {
    throw refused('the certificate names somebody else than the token');
  }
  // Fulcio makes names of other kinds by rules of its own; a mail address it takes from the token alone
  if (expected.length === 0 && emails.length > 0)
    throw refused('the certificate names a mail address that the token has not');
}

function issuerIn(leaf: Certificate, refused: Refused): string {
  try {
    return fulcioIssuerOf(leaf.extensions);
  } catch (error) {
    if (isBullaError(error)) throw refused(error.message);
    throw error;
  }
}

/** The token's own, or whom a broker (Dex, as of the public instance) has it from. */
function issuersOf({ issuer, claims }: IdentityToken, refused: Refused): readonly string[] {
  const federated = memberOf(claims, 'federated_claims');
  if (federated?.kind !== 'object') return [issuer];
  const connector = textMember(objectOf(federated, 'federated_claims', refused), 'connector_id', refused);
  return connector === undefined ? [issuer] : [issuer, connector];
}

/** What Fulcio can make of the token; none where that depends on its configuration. */
function namesOf({ email, subject, claims }: IdentityToken, refused: Refused): readonly string[] {
  if (email !== undefined) return subject === undefined ? [email] : [email, subject];
  const workflow = textMember(claims, 'job_workflow_ref', refused);
  const pipeline = textMember(claims, 'ci_config_ref_uri', refused);
  if (workflow !== undefined) return [`https://github.com/${workflow}`];
  if (pipeline !== undefined) return [`https://${pipeline}`];
  return subject !== undefined && /^(?:spiffe|https):\/\//.test(subject) ? [subject] : [];
}
