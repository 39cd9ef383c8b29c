/**
 * The bodies of log entries, by kind and version (rekor's pkg/types, rekor-tiles' entry.proto). Each must name the very signer,
 * signature and content: a log takes in anybody's entries, and one about something else would lend its time to a forgery.
 */
import { bytesEqual, textOf } from '../base/bytes.ts';
import { wholePem } from '../keys/certificates/pem.ts';
import {
  base64Of,
  invalid,
  type Members,
  membersOf,
  onceMembers,
  readJson,
  stringOf,
  valueOf,
} from './entry-members.ts';
import { isDigest, isSignedDigest, type LoggedArtifact, type LoggedSigner } from './logged-artifact.ts';

/** The kinds that are read, as `kind version`. Rekor v2 has the last one alone. */
const readers: ReadonlyMap<string, (spec: Members, logged: LoggedArtifact) => void> = new Map([
  ['hashedrekord 0.0.1', matchHashedRekord],
  ['dsse 0.0.1', matchDsse],
  ['intoto 0.0.2', matchInToto],
  ['hashedrekord 0.0.2', matchHashedRekord2],
]);

/** What a body says that it is. @throws BullaError `signature.log-entry-invalid` */
export function kindOfBody(body: Uint8Array): { readonly kind: string; readonly version: string } {
  const entry = entryOf(body);
  return {
    kind: stringOf(entry.get('kind'), 'kind'),
    version: stringOf(entry.get('apiVersion'), 'apiVersion'),
  };
}

/**
 * Throws unless the body is of that kind and about that artifact.
 * @throws BullaError `signature.log-entry-invalid`
 */
export function matchEntryBody(
  body: Uint8Array,
  { kind, version }: { readonly kind: string; readonly version: string },
  logged: LoggedArtifact,
): void {
  const entry = entryOf(body);
  if (stringOf(entry.get('kind'), 'kind') !== kind) {
    throw invalid('its body is of another kind');
  }
  if (stringOf(entry.get('apiVersion'), 'apiVersion') !== version)
    throw invalid('its body is of another version');
  const match = readers.get(`${kind} ${version}`);
  if (match === undefined) throw invalid('its kind or version is not read here');
  match(membersOf(entry, 'spec'), logged);
}

function entryOf(body: Uint8Array): Members {
  const text = textOf(body);
  if (text === undefined) throw invalid('its body is not valid UTF-8');
  return onceMembers(readJson(text));
}

function matchHashedRekord(spec: Members, { signer, signature, content }: LoggedArtifact): void {
  const logged = membersOf(spec, 'signature');
  matchPem(base64Of(membersOf(logged, 'publicKey').get('content'), 'publicKey.content'), signer);
  matchSignature(base64Of(logged.get('content'), 'signature.content'), signature);
  const { algorithm, value } = hexDigest(membersOf(membersOf(spec, 'data'), 'hash'));
  if (!isSignedDigest(content, algorithm, value)) throw invalid('its entry is about another content');
}

/** The payload is hashed without its type here, but the signature is of both. */
function matchDsse(spec: Members, { signer, signature, content }: LoggedArtifact): void {
  if (content.kind !== 'dsse') throw invalid('its entry is about an envelope');
  const list = valueOf(spec, 'signatures');
  const [first, ...others] = list.kind === 'array' ? list.items : [];
  if (first === undefined || others.length > 0) throw invalid('its entry has not exactly one signature');
  const one = onceMembers(first);
  matchPem(base64Of(one.get('verifier'), 'verifier'), signer);
  matchSignature(base64Of(one.get('signature'), 'signature'), signature);
  const { algorithm, value } = hexDigest(membersOf(spec, 'payloadHash'));
  if (!isDigest(content.payload, algorithm, value)) throw invalid('its entry is about another content');
}

function matchInToto(spec: Members, { signer, signature, content }: LoggedArtifact): void {
  if (content.kind !== 'dsse') throw invalid('its entry is about an envelope');
  const logged = membersOf(spec, 'content');
  const envelope = membersOf(logged, 'envelope');
  if (stringOf(envelope.get('payloadType'), 'payloadType') !== content.payloadType) {
    throw invalid('its entry is about another type of payload');
  }
  const list = valueOf(envelope, 'signatures');
  const [first, ...others] = list.kind === 'array' ? list.items : [];
  if (first === undefined || others.length > 0) throw invalid('its entry has not exactly one signature');
  const one = onceMembers(first);
  matchPem(base64Of(one.get('publicKey'), 'publicKey'), signer);
  // base64 of the base64 of the signature, as Rekor made it
  const inner = textOf(base64Of(one.get('sig'), 'sig')) ?? '';
  matchSignature(base64Of({ kind: 'string', offset: 0, value: inner }, 'sig'), signature);
  const { algorithm, value } = hexDigest(membersOf(logged, 'payloadHash'));
  if (!isDigest(content.payload, algorithm, value)) throw invalid('its entry is about another content');
}

const hashNames: Readonly<Record<string, string>> = {
  SHA2_256: 'sha256',
  SHA2_384: 'sha384',
  SHA2_512: 'sha512',
};

function matchHashedRekord2(spec: Members, { signer, signature, content }: LoggedArtifact): void {
  const record = membersOf(spec, 'hashedRekordV002');
  const logged = membersOf(record, 'signature');
  const verifier = membersOf(logged, 'verifier');
  const [own, other] =
    signer.kind === 'key' ? ['publicKey', 'x509Certificate'] : ['x509Certificate', 'publicKey'];
  if (!verifier.has(own) || verifier.has(other)) throw invalid('its entry is about another signer');
  const bytes = base64Of(membersOf(verifier, own).get('rawBytes'), 'rawBytes');
  if (!bytesEqual(bytes, derOf(signer))) throw invalid('its entry is about another signer');
  matchSignature(base64Of(logged.get('content'), 'signature.content'), signature);
  const data = membersOf(record, 'data');
  const name = stringOf(data.get('algorithm'), 'algorithm');
  const algorithm = Object.hasOwn(hashNames, name) ? (hashNames[name] ?? '') : '';
  if (!isSignedDigest(content, algorithm, base64Of(data.get('digest'), 'digest'))) {
    throw invalid('its entry is about another content');
  }
}

function derOf(signer: LoggedSigner): Uint8Array {
  return signer.kind === 'key' ? signer.key.spki : signer.certificate.der;
}

/** One block and nothing else: of several nobody could say which one is the signer's. */
function matchPem(pem: Uint8Array, signer: LoggedSigner): void {
  const whole = wholePem(pem);
  const [block] = whole?.blocks ?? [];
  if (block === undefined || whole?.blocks.length !== 1 || !whole.ended) {
    throw invalid('its public key is not one PEM block and nothing else');
  }
  const type = signer.kind === 'key' ? 'PUBLIC KEY' : 'CERTIFICATE';
  if (block.type !== type || !bytesEqual(block.bytes, derOf(signer))) {
    throw invalid('its entry is about another signer');
  }
}

function matchSignature(logged: Uint8Array, signature: Uint8Array): void {
  if (!bytesEqual(logged, signature)) throw invalid('its entry is about another signature');
}

function hexDigest(hash: Members): { readonly algorithm: string; readonly value: Uint8Array } {
  const text = stringOf(hash.get('value'), 'hash.value');
  if (!/^(?:[0-9a-f]{2})+$/i.test(text)) throw invalid('its hash is no hexadecimal number');
  return { algorithm: stringOf(hash.get('algorithm'), 'hash.algorithm'), value: Buffer.from(text, 'hex') };
}
