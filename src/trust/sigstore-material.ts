/** The keys and authorities of sigstoreSigned requirements. */
import { type Certificate } from '../keys/certificates/certificate.ts';
import { readAuthorities } from '../keys/certificates/pem.ts';
import { parseSigstorePublicKey, type SigstorePublicKey } from '../keys/sigstore/public-key.ts';
import { parseRekorKey } from '../witnesses/rekor-set.ts';
import type { PolicyText } from './fields.ts';
import type { KeyView } from './key-view.ts';
import { type KeyReader, readMaterial, rememberLoaded } from './material.ts';
import type { Material, SigstoreSigned } from './requirement.ts';
import { signersByFulcio } from './sigstore-fulcio.ts';
import { signersByKey } from './sigstore-keys.ts';
import { signersByPki } from './sigstore-pki.ts';
import type { FindSigners } from './sigstore-signer.ts';

/**
 * Who may have signed, by a requirement. Every key that it names must load, even where another would do.
 * @returns gives them as a view has the keys
 * @throws BullaError `trust.key-unavailable` where a file is missing, unreadable, or does not hold what it should
 */
export const signersOf: (
  policy: PolicyText,
  requirement: SigstoreSigned,
  read: KeyReader,
) => Promise<SignersSeen> = rememberLoaded(loadSigners);

type SignersSeen = (view: KeyView | undefined) => FindSigners;

async function loadSigners({ signer, rekorKeys }: SigstoreSigned, read: KeyReader): Promise<SignersSeen> {
  const log = rekorKeys === undefined ? undefined : await loadKeys(rekorKeys, read, parseRekorKey);
  switch (signer.kind) {
    case 'keys': {
      const keys = await loadKeys(signer.keys, read, parseSigstorePublicKey);
      const rule = log === undefined ? undefined : { keys: log, demanded: true };
      return (view) => (untrusted) => signersByKey(untrusted, view?.sigstore(keys) ?? keys, rule);
    }
    case 'fulcio': {
      const { ca, oidcIssuer, subjectEmail } = signer.fulcio;
      const roots = await loadAuthorities(ca, read);
      // the parser lets no fulcio pass without a Rekor key; were there one, no entry would verify
      const rule = { roots, oidcIssuer, subjectEmail, rekorKeys: log ?? [] };
      return () => (untrusted) => signersByFulcio(untrusted, rule);
    }
    case 'pki': {
      const { caRoots, caIntermediates, ...subjects } = signer.pki;
      const roots = await loadAuthorities(caRoots, read);
      const intermediates = caIntermediates === undefined ? [] : await loadAuthorities(caIntermediates, read);
      const rule = { roots, intermediates, ...subjects };
      return () => (untrusted, now) => signersByPki(untrusted, rule, now);
    }
  }
}

async function loadKeys(
  material: Material,
  read: KeyReader,
  parse: (pem: Uint8Array) => SigstorePublicKey,
): Promise<readonly SigstorePublicKey[]> {
  return (await readMaterial(material, read)).map(parse);
}

async function loadAuthorities(material: Material, read: KeyReader): Promise<readonly Certificate[]> {
  return (await readMaterial(material, read)).flatMap(readAuthorities);
}
