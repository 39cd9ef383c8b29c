/** From bytes and a sigstore key to a signature in either format, seen by the witnesses of its plan. */
import { paeOf } from '../../base/pae.ts';
import { type BundleContent, bundleMediaType, encodeBundle } from '../../formats/bundle.ts';
import { cosignAttachment } from '../../formats/cosign.ts';
import { encodeProof } from '../../formats/cosign-proof.ts';
import { encodeDsse, inTotoPayloadType } from '../../formats/dsse.ts';
import type { Signature } from '../../formats/signature.ts';
import { parseCertificate } from '../../keys/certificates/certificate.ts';
import { fulcioIssuerOf } from '../../keys/certificates/extensions.ts';
import type { SigstoreSigner } from '../../keys/signer.ts';
import type { Witnesses } from './plan.ts';
import { hashOf, type HashName, logHash, type SeenSignature, signSeen } from './witness.ts';
import type { World } from '../world.ts';

/** A sigstore key and who sees what it signs. */
export type SigstorePlan = { readonly signer: SigstoreSigner; readonly witnesses: Witnesses };

/** What a receipt tells of the witnesses. */
export type Witnessed = {
  /** The log's URL and the entry's index in it; the time (ISO 8601) is the log's word, and Rekor v2 gives none. */
  readonly logs?: readonly { readonly url: string; readonly index: string; readonly time?: string }[];
  /** How many timestamps there are, where there are any. */
  readonly timestamps?: number;
  /** Whose certificate it is: mail addresses, URIs and hosts, and who vouched for them. */
  readonly certificate?: { readonly subjects: readonly string[]; readonly issuer: string };
};

export type Made = { readonly signature: Signature; readonly witnessed: Witnessed };

/**
 * A `.sig` attachment. It holds one log entry, of a Rekor v1, and one timestamp; others of the plan are left out.
 * @throws BullaError `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`
 */
export async function makeAttachment(payload: Uint8Array, plan: SigstorePlan, world: World): Promise<Made> {
  const witnesses = attachmentWitnesses(plan.witnesses);
  const content = { kind: 'message', message: payload, hash: 'sha256' } as const;
  const seen = await signSeen(() => plan.signer.sign(payload), content, { ...plan, witnesses }, world);
  const [logged] = seen.logged;
  const [timestamp] = seen.timestamps;
  const proof = encodeProof({
    certificates: seen.certificates,
    ...(logged !== undefined && { logEntry: logged.entry }),
    ...(timestamp !== undefined && { timestamp }),
  });
  return { signature: cosignAttachment(payload, seen.signature, proof), witnessed: witnessedOf(seen) };
}

/** Those that an attachment has a place for. */
export function attachmentWitnesses({ logs, timestamps, roots }: Witnesses): Witnesses {
  return {
    logs: logs.filter(({ version }) => version === 1).slice(0, 1),
    timestamps: timestamps.slice(0, 1),
    ...(roots !== undefined && { roots }),
  };
}

/**
 * A bundle around a DSSE envelope of an in-toto statement.
 * @throws BullaError as makeAttachment
 */
export async function makeStatementBundle(
  statement: Uint8Array,
  plan: SigstorePlan,
  world: World,
): Promise<Made> {
  const seen = await signStatement(statement, plan, world);
  const { signature } = seen;
  const content = { kind: 'dsse', payloadType: inTotoPayloadType, payload: statement, signature } as const;
  return { signature: bundleOf(content, plan.signer, seen), witnessed: witnessedOf(seen) };
}

/**
 * A layer of cosign 2's `.att` attachment: a DSSE envelope of an in-toto statement, its proof in the annotations.
 * @throws BullaError as makeAttachment
 */
export async function makeOldAttestation(
  statement: Uint8Array,
  predicateType: string,
  plan: SigstorePlan,
  world: World,
): Promise<Made> {
  const witnesses = attachmentWitnesses(plan.witnesses);
  const seen = await signStatement(statement, { ...plan, witnesses }, world);
  const { signature } = seen;
  const envelope = encodeDsse({ payloadType: inTotoPayloadType, payload: statement, signature });
  const [logged] = seen.logged;
  const [timestamp] = seen.timestamps;
  const proof = encodeProof({
    certificates: seen.certificates,
    ...(logged !== undefined && { logEntry: logged.entry }),
    ...(timestamp !== undefined && { timestamp }),
  });
  // cosign writes the signature's annotation, empty: the signature is in the envelope
  const { annotations } = cosignAttachment(envelope, new Uint8Array(), proof);
  return {
    signature: {
      format: 'attestation',
      mediaType: 'application/vnd.dsse.envelope.v1+json',
      envelope,
      annotations: { ...annotations, predicateType },
    },
    witnessed: witnessedOf(seen),
  };
}

/** A bundle around the signature of bytes, as for a file, and that signature. @throws BullaError as makeAttachment */
export async function makeMessageBundle(
  message: Uint8Array,
  plan: SigstorePlan,
  world: World,
): Promise<Made & { readonly bare: Uint8Array }> {
  const { signer, witnesses } = plan;
  const prehashed = witnesses.logs.length > 0;
  // Ed25519 without a log signs the message itself, and cosign names SHA-256 for it
  const isPure = !prehashed && signer.publicKey.algorithm === 'ed25519';
  const hash: HashName = isPure ? 'sha256' : logHash(signer.publicKey);
  const sign = (): Promise<Uint8Array> => signer.signForBundle(message, { prehashed });
  const seen = await signSeen(sign, { kind: 'message', message, hash }, plan, world);
  const { signature } = seen;
  const digest = { algorithm: hash, value: hashOf(hash, message) };
  const content = { kind: 'message', signature, digest } as const;
  return { signature: bundleOf(content, signer, seen), witnessed: witnessedOf(seen), bare: signature };
}

/**
 * The signature of an envelope. Rekor v2 takes the hash that the key's kind asks for; Rekor v1, and cosign where there is
 * no log, take SHA-256 for every curve and Ed25519 of the message itself (keys/sigstore/bundle-signature.ts has the table).
 */
function signStatement(statement: Uint8Array, plan: SigstorePlan, world: World): Promise<SeenSignature> {
  const { signer, witnesses } = plan;
  const pae = paeOf(inTotoPayloadType, statement);
  const byKind = witnesses.logs.some(({ version }) => version === 2);
  const sign = (): Promise<Uint8Array> =>
    byKind ? signer.signForBundle(pae, { prehashed: true }) : signer.sign(pae);
  return signSeen(sign, { kind: 'dsse', payloadType: inTotoPayloadType, payload: statement }, plan, world);
}

function bundleOf(content: BundleContent, { keyId }: SigstoreSigner, seen: SeenSignature): Signature {
  const { certificates, logged, timestamps } = seen;
  const json = encodeBundle({
    version: '0.3',
    material:
      certificates === undefined
        ? { kind: 'public-key', hint: Buffer.from(keyId, 'hex').toString('base64') }
        : { kind: 'certificates', certificates: [certificates[0]] },
    content,
    logEntries: logged.map(({ entry }) => entry),
    timestamps,
  });
  return { format: 'bundle', mediaType: bundleMediaType, json };
}

function witnessedOf({ logged, timestamps, certificates }: SeenSignature): Witnessed {
  const logs = logged.map(({ url, entry: { logIndex, integratedTime } }) => ({
    url,
    index: String(logIndex),
    ...(integratedTime !== undefined && { time: new Date(Number(integratedTime) * 1000).toISOString() }),
  }));
  return {
    ...(logs.length > 0 && { logs }),
    ...(timestamps.length > 0 && { timestamps: timestamps.length }),
    ...(certificates !== undefined && { certificate: whoseIs(certificates[0]) }),
  };
}

function whoseIs(der: Uint8Array): NonNullable<Witnessed['certificate']> {
  const { extensions } = parseCertificate(der);
  const { emails, uris, dnsNames } = extensions.names;
  return { subjects: [...emails, ...uris, ...dnsNames], issuer: fulcioIssuerOf(extensions) };
}
