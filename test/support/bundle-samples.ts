/** Bundles by the real programs (test/fixtures/sigstore/bundles.json). */
import { readFileSync } from 'node:fs';

import { utf8 } from '../../src/base/bytes.ts';
import { parseBundle, type UntrustedBundle } from '../../src/formats/bundle.ts';
import { type Certificate, parseCertificate } from '../../src/keys/certificates/certificate.ts';
import { parseSigstorePublicKey } from '../../src/keys/sigstore/public-key.ts';
import { parseTrustedRoots } from '../../src/keys/trusted-root/parse.ts';
import type { TrustedRoot } from '../../src/keys/trusted-root/trusted-root.ts';
import type { LoggedArtifact } from '../../src/witnesses/log-entry-verify.ts';

type Samples = {
  readonly trustedRoot: object;
  readonly key: string;
  readonly message: string;
  readonly bundles: Readonly<Record<string, string>>;
  readonly attestation: {
    readonly envelope: string;
    readonly annotations: Readonly<Record<string, string>>;
  };
};

const file = new URL('../fixtures/sigstore/bundles.json', import.meta.url);

export const bundleSamples: Samples = JSON.parse(readFileSync(file, 'utf8')) as Samples;

export function sampleRoot(): TrustedRoot {
  const [root] = parseTrustedRoots(utf8(JSON.stringify(bundleSamples.trustedRoot)), 'root');
  if (root === undefined) throw new Error('no trusted root among the samples');
  return root;
}

export function sampleJson(name: string): Uint8Array {
  const text = bundleSamples.bundles[name];
  if (text === undefined) throw new Error(`no sample ${name}`);
  return utf8(text);
}

/** The signer's certificate; undefined for a bundle with a key. */
export function leafOf({ material }: UntrustedBundle): Certificate | undefined {
  return material.kind === 'certificates' ? parseCertificate(material.certificates[0]) : undefined;
}

/** What the entries of a sample have to be about. */
export function loggedOf(
  bundle: UntrustedBundle,
  key = parseSigstorePublicKey(utf8(bundleSamples.key)),
): LoggedArtifact {
  const leaf = leafOf(bundle);
  const { content } = bundle;
  return {
    signer: leaf === undefined ? { kind: 'key', key } : { kind: 'certificate', certificate: leaf },
    signature: content.signature,
    content,
  };
}

export function sampleBundle(name: string): UntrustedBundle {
  return parseBundle(sampleJson(name));
}

// tests of lower floors may not import formats/ themselves
export { parseBundle as parseForgedBundle } from '../../src/formats/bundle.ts';
export { parseEnvelope as parseSampleEnvelope } from '../../src/formats/dsse.ts';
