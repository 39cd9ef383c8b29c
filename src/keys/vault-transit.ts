/** The transit engine's HTTP API, as much of it as signing needs: reading a key, signing a digest. */
import { decodeBase64, encodeBase64, printable, textOf, utf8 } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import { limits } from '../base/limits.ts';
import { crypto } from '../base/node.ts';
import { type HttpClient, openHttp } from '../io/http.ts';
import type { SigningHash } from './remote-signer.ts';
import { parseSigstorePublicKey, publicKeyOf, type SigstorePublicKey } from './sigstore/public-key.ts';

export type TransitOptions = {
  readonly scheme: 'hashivault' | 'openbao';
  readonly key: string;
  /** Default: the latest. */
  readonly version?: number;
  readonly address: URL;
  readonly mount: string;
  readonly namespace?: string;
  readonly token: string;
  /** PEM certificates to trust besides the system's. */
  readonly ca?: string;
  readonly env: NodeJS.ProcessEnv;
};

/** One key in the engine. Its errors name neither token nor address. */
export interface Transit extends AsyncDisposable {
  readonly name: string;
  publicKey(): Promise<{ readonly publicKey: SigstorePublicKey; readonly version: number }>;
  /** RSA PKCS#1 v1.5, ECDSA as DER, Ed25519. */
  sign(message: Uint8Array, hash: SigningHash | null, version: number): Promise<Uint8Array>;
}

/** Vault answers at once; a sealed or far one is not waited for longer. */
const deadlineMs = 60_000;

const hashNames: Readonly<Record<SigningHash, string>> = {
  sha256: 'sha2-256',
  sha384: 'sha2-384',
  sha512: 'sha2-512',
};

export function openTransit(options: TransitOptions): Transit {
  const { key, mount, scheme } = options;
  const http = openHttp({
    env: options.env,
    ...(options.ca !== undefined && { tls: { ca: [options.ca] } }),
  });
  const name = `${scheme}://${key}`;
  return {
    name,
    publicKey: async () => {
      const data = await call(http, options, `${mount}/keys/${key}`);
      return publicKeyIn(data, options.version, name);
    },
    sign: async (message, hash, version) => {
      const path = `${mount}/sign/${key}${hash === null ? '' : `/${hashNames[hash]}`}`;
      const digest = hash === null ? message : crypto.createHash(hash).update(message).digest();
      const data = await call(http, options, path, {
        input: encodeBase64(digest),
        prehashed: hash !== null,
        key_version: version,
        signature_algorithm: 'pkcs1v15',
        marshaling_algorithm: 'asn1',
      });
      return signatureIn(data, version, name);
    },
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
}

/** One request; gives the answer's `data`. */
async function call(
  http: HttpClient,
  options: TransitOptions,
  path: string,
  body?: Readonly<Record<string, unknown>>,
): Promise<JsonValue> {
  const { address, namespace, token, key, scheme } = options;
  const url = new URL(address);
  url.pathname = `${address.pathname.replace(/\/+$/, '')}/v1/${path}`;
  const response = await http.request({
    url,
    // a redirect would take the token to whoever is named there
    redirects: 'none',
    deadlineMs,
    maxBytes: limits.keyAnswerBytes,
    headers: {
      'x-vault-token': token,
      'x-vault-request': 'true',
      ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { method: 'POST', body: utf8(JSON.stringify(body)) }),
  });
  const bytes = await response.bytes();
  const name = `${scheme}://${key}`;
  if (response.status !== 200) throw refusal(response.status, bytes, name);
  const data = memberOf(parseAnswer(bytes), 'data');
  if (data?.kind === 'object') return data;
  throw new BullaError('key.unusable', `${name}: the server did not answer as a transit engine does`);
}

/** `{"errors":["…"]}`: the server's own words, without what was sent to it. */
function refusal(status: number, body: Uint8Array, name: string): BullaError {
  const errors = memberOf(parseAnswer(body), 'errors');
  const words = errors?.kind === 'array' ? errors.items.map((each) => textIn(each) ?? '') : [];
  const why = words.length === 0 ? '' : `: ${printable(words.join('; '))}`;
  if (status === 404) return new BullaError('key.not-found', `${name}: there is no such key${why}`);
  if (status === 403) {
    return new BullaError('key.unusable', `${name}: the server says permission denied${why}`, {
      hint: 'the token needs read on transit/keys/KEY and update on transit/sign/KEY, and may have expired',
    });
  }
  if (status >= 300 && status < 400) {
    return new BullaError('key.unusable', `${name}: the server sends elsewhere (${status})`, {
      hint: 'name the active node, or one that forwards requests',
    });
  }
  if (status < 500) return new BullaError('key.unusable', `${name}: the server refuses (${status})${why}`);
  return new BullaError('http.failed', `${name}: the server cannot (${status})${why}`);
}

function publicKeyIn(
  data: JsonValue,
  wanted: number | undefined,
  name: string,
): { readonly publicKey: SigstorePublicKey; readonly version: number } {
  const latest = memberOf(data, 'latest_version');
  const version = wanted ?? (latest?.kind === 'number' ? Number(latest.text) : 0);
  const entry = memberOf(memberOf(data, 'keys'), `${version}`);
  if (wanted !== undefined && entry === undefined) {
    throw new BullaError('key.not-found', `${name}: there is no version ${wanted}`);
  }
  const text = textIn(memberOf(entry, 'public_key'));
  if (!Number.isSafeInteger(version) || version < 1 || text === undefined || text === '') {
    throw new BullaError('key.unusable', `${name} has no public key`, {
      hint: 'of the transit engine’s types, ecdsa-p256, -p384, -p521, ed25519 and rsa-2048 to -4096 sign images',
    });
  }
  const isEd25519 = textIn(memberOf(entry, 'name')) === 'ed25519';
  return { publicKey: isEd25519 ? rawEd25519(text, name) : parseSigstorePublicKey(utf8(text)), version };
}

/** Of Ed25519 the engine gives the 32 bytes alone, in base64. */
function rawEd25519(base64: string, name: string): SigstorePublicKey {
  const raw = decodeBase64(base64);
  if (raw?.length !== 32) throw new BullaError('key.malformed', `${name}: its Ed25519 public key is none`);
  const x = Buffer.from(raw).toString('base64url');
  return publicKeyOf(crypto.createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }));
}

/** `vault:v3:BASE64`; the prefix is the same in OpenBao. */
function signatureIn(data: JsonValue, version: number, name: string): Uint8Array {
  const [, used, base64] =
    /^vault:v(\d{1,9}):([A-Za-z0-9+/=]+)$/.exec(textIn(memberOf(data, 'signature')) ?? '') ?? [];
  const signature = base64 === undefined ? undefined : decodeBase64(base64);
  if (signature !== undefined && Number(used) === version) return signature;
  throw new BullaError('key.unusable', `${name}: the server gave no signature by version ${version}`);
}

function parseAnswer(bytes: Uint8Array): JsonValue | undefined {
  try {
    return parseJson(textOf(bytes) ?? '', 'the answer');
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) return undefined;
    throw error;
  }
}

/** Of a member that is there twice neither is taken. */
function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  const found = value?.kind === 'object' ? value.members.filter(({ key }) => key === name) : [];
  return found.length === 1 ? found[0]?.value : undefined;
}

function textIn(value: JsonValue | undefined): string | undefined {
  return value?.kind === 'string' ? value.value : undefined;
}
