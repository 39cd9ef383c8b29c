/** Certificates of a root, an intermediate and a signer, and signatures with them. */
import { type Bench, changed, data, type SigstoreCase } from './sigstore-case.ts';
import * as forge from './sigstore-forge.ts';

export const issuer: string = 'https://issuer.example.com';
export const email: string = 'alice@example.com';
export const invalid = 'signature.certificate-invalid' as const;

export type Plan = Partial<forge.CertificatePlan>;

export const mail: Uint8Array = forge.altNames([[1, email]], true);
export const leafExtensions: readonly Uint8Array[] = [
  forge.codeSigning,
  mail,
  forge.issuerText(issuer),
  forge.issuerUtf8(issuer),
];

export function rootOf({ root, logged }: Bench, plan: Plan = {}): Uint8Array {
  return forge.certificate({
    subject: 'root',
    key: root,
    from: logged - 1000,
    to: logged + 1_000_000,
    extensions: [forge.authority()],
    ...plan,
  });
}

export function middleOf({ middle, root, logged }: Bench, plan: Plan = {}): Uint8Array {
  const extensions = [forge.authority(0), forge.codeSigning];
  return forge.certificate({
    subject: 'middle',
    key: middle,
    by: root,
    from: logged - 900,
    to: logged + 900_000,
    extensions,
    ...plan,
  });
}

export function leafOf({ key, middle, logged }: Bench, plan: Plan = {}): Uint8Array {
  return forge.certificate({
    issuer: 'middle',
    key,
    by: middle,
    from: logged - 60,
    to: logged + 60,
    extensions: leafExtensions,
    ...plan,
  });
}

/** A signature with a leaf's certificate, its chain, and a log entry for them. */
export function signed(
  bench: Bench,
  leaf: Uint8Array,
  chain: readonly Uint8Array[],
  time = bench.logged,
): SigstoreCase['attachment'] {
  return signedText(bench, forge.certificatePem(leaf), forge.certificatePem(...chain), time);
}

export function signedText(
  bench: Bench,
  certificate: string,
  chain: string,
  time = bench.logged,
): SigstoreCase['attachment'] {
  const signature = forge.signBytes(bench.key, bench.payload);
  const bundle = forge.logEntry(bench.rekor, {
    signature,
    payload: bench.payload,
    signer: certificate,
    time,
  });
  const bare = forge.attach(bench.payload, bench.key);
  return changed(bare, { signature: Buffer.from(signature).toString('base64'), bundle, certificate, chain });
}

export function fulcio(
  bench: Bench,
  changes: Record<string, unknown> = {},
  ca: string = forge.certificatePem(rootOf(bench)),
): SigstoreCase['requirement'] {
  return {
    fulcio: { caData: data(ca), oidcIssuer: issuer, subjectEmail: email, ...changes },
    rekorPublicKeyData: data(forge.pemOf(bench.rekor)),
  };
}

export function pemBlock(bytes: Uint8Array): string {
  return forge.pemText('CERTIFICATE', bytes);
}
