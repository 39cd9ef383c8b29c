/** Requirements as policy.json spells them: for rendering a policy.json, and for a trust.yaml, which has the same words. */
import { encodeBase64 } from '../base/bytes.ts';
import type { RequirementJson } from './edit.ts';
import type { Material, Requirement, Signed, SignedIdentity, SigstoreSigner } from './requirement.ts';

/** A requirement that policy.json knows. */
export type PlainRequirement = Exclude<Requirement, Signed>;

/** Spells a requirement, paths as `resolve` gives them. Undefined for one that names an empty path, empty data or no key at all. */
export function encodeRequirement(
  requirement: PlainRequirement,
  resolve: (path: string) => string,
): RequirementJson | undefined {
  const { type } = requirement;
  switch (requirement.type) {
    case 'insecureAcceptAnything':
    case 'reject':
      return { type };
    case 'signedBaseLayer':
      return { type, baseLayerIdentity: requirement.baseLayerIdentity };
    case 'signedBy': {
      const keys = encodeMaterial('key', requirement.keys, resolve);
      const identity = encodeIdentity(requirement.signedIdentity);
      return keys && { type, keyType: requirement.keyType, ...keys, ...identity };
    }
    case 'sigstoreSigned': {
      const signer = encodeSigner(requirement.signer, resolve);
      const { rekorKeys } = requirement;
      const rekor = rekorKeys === undefined ? {} : encodeMaterial('rekorPublicKey', rekorKeys, resolve);
      if (signer === undefined || rekor === undefined) return undefined;
      return { type, ...signer, ...rekor, ...encodeIdentity(requirement.signedIdentity) };
    }
  }
}

/** The member, or none for the rule that holds without one. */
export function encodeIdentity(identity: SignedIdentity): RequirementJson {
  return identity.type === 'matchRepoDigestOrExact' ? {} : { signedIdentity: identity };
}

function encodeSigner(
  signer: SigstoreSigner,
  resolve: (path: string) => string,
): RequirementJson | undefined {
  switch (signer.kind) {
    case 'keys':
      return encodeMaterial('key', signer.keys, resolve);
    case 'fulcio': {
      const { ca, oidcIssuer, subjectEmail } = signer.fulcio;
      const encoded = encodeMaterial('ca', ca, resolve);
      return encoded && { fulcio: { ...encoded, oidcIssuer, subjectEmail } };
    }
    case 'pki': {
      const { caRoots, caIntermediates, ...subjects } = signer.pki;
      const roots = encodeMaterial('caRoots', caRoots, resolve);
      const more =
        caIntermediates === undefined ? {} : encodeMaterial('caIntermediates', caIntermediates, resolve);
      return roots && more && { pki: { ...roots, ...more, ...subjects } };
    }
  }
}

/** `keyPath`, `keyPaths`, `keyData` or `keyDatas`. */
export function encodeMaterial(
  name: string,
  material: Material,
  resolve: (path: string) => string,
): RequirementJson | undefined {
  const texts =
    material.kind === 'paths'
      ? material.paths.map((path) => (path === '' ? '' : resolve(path)))
      : material.data.map((bytes) => encodeBase64(bytes));
  const [first, ...more] = texts;
  if (first === undefined || texts.includes('')) return undefined;
  const word = `${name}${material.kind === 'paths' ? 'Path' : 'Data'}`;
  return more.length === 0 ? { [word]: first } : { [`${word}s`]: texts };
}
