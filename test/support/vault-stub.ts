/**
 * A stub of the transit engine's HTTP API (HashiCorp Vault 1.x, OpenBao 2.x): GET /v1/MOUNT/keys/KEY and POST
 * /v1/MOUNT/sign/KEY[/HASH], with tokens, namespaces, key versions and the errors that the real one answers with. It is
 * written from the documentation and from what cosign sends and expects; it is no Vault.
 */
import { constants, createPublicKey, type KeyObject, privateEncrypt, sign as nodeSign } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { p256, p384, p521 } from '@noble/curves/nist.js';

export type StubKey = {
  readonly type: 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521' | 'ed25519' | 'rsa-2048' | 'aes256-gcm96';
  /** Version 1 first. */
  readonly versions: readonly KeyObject[];
};

export type VaultRequest = { readonly method: string; readonly path: string; readonly body: unknown };

export interface VaultStub extends AsyncDisposable {
  readonly address: string;
  /** By name; may be changed between requests. */
  readonly keys: Map<string, StubKey>;
  readonly requests: readonly VaultRequest[];
  /** Answers the next requests in its place: status and body, or never where undefined. */
  intercept:
    | ((request: VaultRequest) => { readonly status: number; readonly body: string } | undefined)
    | undefined;
}

export type StubOptions = { readonly token: string; readonly mount?: string; readonly namespace?: string };

export async function startVaultStub(options: StubOptions): Promise<VaultStub> {
  const keys = new Map<string, StubKey>();
  const requests: VaultRequest[] = [];
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => send(response, 500, { errors: [String(error)] }));
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const text = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString();
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    const seen = { method: request.method ?? '', path: request.url ?? '', body };
    requests.push(seen);
    const other = stub.intercept?.(seen);
    if (other !== undefined) {
      response.writeHead(other.status, { 'content-type': 'application/json', location: '/elsewhere' });
      response.end(other.body);
      return;
    }
    const { status, data, errors } = route(request, body, options, keys);
    send(response, status, errors === undefined ? { request_id: 'x', lease_id: '', data } : { errors });
  };
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const stub: VaultStub = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keys,
    requests,
    intercept: undefined,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return stub;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

type Answer = { readonly status: number; readonly data?: unknown; readonly errors?: readonly string[] };

function route(
  request: IncomingMessage,
  body: unknown,
  options: StubOptions,
  keys: ReadonlyMap<string, StubKey>,
): Answer {
  const { token, mount = 'transit', namespace } = options;
  if (request.headers['x-vault-token'] !== token || request.headers['x-vault-namespace'] !== namespace) {
    return { status: 403, errors: ['permission denied'] };
  }
  const rest = (request.url ?? '').startsWith(`/v1/${mount}/`)
    ? (request.url ?? '').slice(mount.length + 5)
    : '';
  const [verb, name = '', hash] = rest.split('/');
  const key = keys.get(name);
  if (verb === 'keys' && request.method === 'GET') {
    return key === undefined ? { status: 404, errors: [] } : { status: 200, data: describe(name, key) };
  }
  if (verb !== 'sign' || (request.method !== 'POST' && request.method !== 'PUT')) {
    return { status: 404, errors: [`no handler for route "${rest}". route entry not found.`] };
  }
  if (key === undefined) return { status: 400, errors: ['signing key not found'] };
  return signWith(key, hash, body as Readonly<Record<string, unknown>>);
}

function describe(name: string, { type, versions }: StubKey): unknown {
  const names: Readonly<Record<string, string>> = {
    'ecdsa-p256': 'P-256',
    'ecdsa-p384': 'P-384',
    'ecdsa-p521': 'P-521',
    'rsa-2048': 'rsa-2048',
    ed25519: 'ed25519',
  };
  const entries = versions.map((key, index) => {
    if (type === 'aes256-gcm96') return [index + 1, 1_795_343_289];
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
    const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' });
    const text = type === 'ed25519' ? spki.subarray(-32).toString('base64') : pem;
    const entry = { creation_time: '2026-11-22T10:00:00.0Z', name: names[type], public_key: text };
    return [index + 1, entry];
  });
  return {
    name,
    type,
    latest_version: versions.length,
    min_available_version: 0,
    min_decryption_version: 1,
    supports_signing: type !== 'aes256-gcm96',
    keys: Object.fromEntries(entries) as unknown,
  };
}

const hashes: Readonly<Record<string, string>> = {
  'sha2-256': 'sha256',
  'sha2-384': 'sha384',
  'sha2-512': 'sha512',
};
const digestInfos: Readonly<Record<string, string>> = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

function signWith(
  key: StubKey,
  hashName: string | undefined,
  body: Readonly<Record<string, unknown>>,
): Answer {
  const refuse = (why: string): Answer => ({ status: 400, errors: [why] });
  if (key.type === 'aes256-gcm96') return refuse('key type aes256-gcm96 does not support signing');
  const wanted = Number(body['key_version'] ?? 0);
  const version = wanted === 0 ? key.versions.length : wanted;
  const privateKey = key.versions[version - 1];
  if (privateKey === undefined) return refuse('cannot sign with a version that is not there');
  const input = Buffer.from(String(body['input']), 'base64');
  const prehashed = body['prehashed'] === true;
  const hash = hashes[hashName ?? 'sha2-256'];
  if (hash === undefined) return refuse(`invalid hash algorithm "${hashName ?? ''}"`);
  if (key.type === 'ed25519') return made(version, nodeSign(null, input, privateKey));
  if (key.type === 'rsa-2048') {
    if (body['signature_algorithm'] !== 'pkcs1v15') return refuse('the stub makes no PSS signatures');
    if (!prehashed) return made(version, nodeSign(hash, input, privateKey));
    const info = Buffer.concat([Buffer.from(digestInfos[hash] ?? '', 'hex'), input]);
    return made(version, rawRsa(privateKey, info));
  }
  if (!prehashed) return made(version, nodeSign(hash, input, privateKey));
  const curve = { 'ecdsa-p256': p256, 'ecdsa-p384': p384, 'ecdsa-p521': p521 }[key.type];
  const d = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  return made(version, curve.sign(input, d, { prehash: false, format: 'der', lowS: false }));
}

/** PKCS#1 v1.5 of a DigestInfo that somebody else made. */
function rawRsa(key: KeyObject, info: Buffer): Buffer {
  return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, info);
}

function made(version: number, signature: Uint8Array): Answer {
  return {
    status: 200,
    data: {
      signature: `vault:v${version}:${Buffer.from(signature).toString('base64')}`,
      key_version: version,
    },
  };
}
