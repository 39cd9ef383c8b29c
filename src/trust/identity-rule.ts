/**
 * Whom a certificate must be about: issuer, subject and the fields that Fulcio writes (fulcio's docs/oid-info.md), each an exact
 * text or an anchored pattern. A policy on the workflow's name by an unanchored pattern is the classic hole: there is no way
 * to write one here.
 */
import { printable } from '../base/bytes.ts';

export { parsePattern } from './linear-pattern.ts';

/** What a text must be. Patterns match whole texts only (parsePattern). */
export type TextRule =
  | { readonly kind: 'exact'; readonly text: string }
  | { readonly kind: 'pattern'; readonly pattern: RegExp };

/** The fields of a certificate by Fulcio, by name: the arc below 1.3.6.1.4.1.57264.1. */
export const fulcioFields = {
  'build-signer-uri': 9,
  'build-signer-digest': 10,
  'runner-environment': 11,
  'source-repository-uri': 12,
  'source-repository-digest': 13,
  'source-repository-ref': 14,
  'source-repository-identifier': 15,
  'source-repository-owner-uri': 16,
  'source-repository-owner-identifier': 17,
  'build-config-uri': 18,
  'build-config-digest': 19,
  'build-trigger': 20,
  'run-invocation-uri': 21,
  'source-repository-visibility': 22,
  // GitHub's own, the bare text without a type (deprecated by those above, still written and asked for by cosign's flags)
  'github-workflow-trigger': 2,
  'github-workflow-sha': 3,
  'github-workflow-name': 4,
  'github-workflow-repository': 5,
  'github-workflow-ref': 6,
} as const;

export type FulcioField = keyof typeof fulcioFields;

/** Who may have signed by a certificate. All that is named must hold; without `subject` the issuer and fields alone. */
export type CertificateIdentity = {
  /** The OpenID issuer. */
  readonly issuer: TextRule;
  /** The subject alternative name, of which a certificate must have exactly one: URI, mail address or Fulcio's user name. */
  readonly subject?: TextRule;
  readonly fields?: Readonly<Partial<Record<FulcioField, TextRule>>>;
};

/** Longer texts match no pattern. Fulcio's names are some dozens of characters long. */
const mostText = 1024;

/** Whether a text is what a rule wants. A text longer than 1 KiB matches no pattern. */
export function matchesText(rule: TextRule, text: string): boolean {
  if (rule.kind === 'exact') return rule.text === text;
  return text.length <= mostText && rule.pattern.test(text);
}

/** The rule as people read it: `"https://…"` or `/pattern/`. */
export function describeText(rule: TextRule): string {
  return rule.kind === 'exact' ? `"${printable(rule.text)}"` : printable(String(rule.pattern));
}
