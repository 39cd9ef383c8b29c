/** The short names that cosign has for types of attestations. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';

/** What `custom` stands for: any text, wrapped (cosign's specs/COSIGN_PREDICATE_SPEC.md). */
export const customPredicateType = 'https://cosign.sigstore.dev/attestation/v1';

/** SPDX's own text form is no JSON: it stands in the predicate as one string. */
export const spdxTextName = 'spdx';

/** Of cosign's names `slsaprovenance` is version 0.2, as it always was. */
export const predicateTypes: Readonly<Record<string, string>> = {
  custom: customPredicateType,
  slsaprovenance: 'https://slsa.dev/provenance/v0.2',
  slsaprovenance02: 'https://slsa.dev/provenance/v0.2',
  slsaprovenance1: 'https://slsa.dev/provenance/v1',
  spdx: 'https://spdx.dev/Document',
  spdxjson: 'https://spdx.dev/Document',
  cyclonedx: 'https://cyclonedx.org/bom',
  link: 'https://in-toto.io/Link/v1',
  vuln: 'https://cosign.sigstore.dev/attestation/vuln/v1',
  openvex: 'https://openvex.dev/ns',
};

/**
 * The predicate type that a name or a URI stands for.
 * @throws BullaError `usage.invalid` for what is neither
 */
export function predicateTypeOf(text: string): string {
  const known = Object.hasOwn(predicateTypes, text) ? predicateTypes[text] : undefined;
  if (known !== undefined) return known;
  // a URI (RFC 3986 section 3), and nothing that only looks like a misspelt name
  if (/^[a-z][a-z0-9+.-]*:[^\s]+$/i.test(text) && text.length <= 2000) return text;
  throw new BullaError('usage.invalid', `"${printable(text, 80)}" is no type of attestation`, {
    hint: `write a URI, or one of ${Object.keys(predicateTypes).join(', ')}`,
  });
}
