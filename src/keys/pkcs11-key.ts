/** `pkcs11:` keys: on a smart card, a USB key, an HSM or SoftHSM; ECDSA on the NIST curves and RSA. */
import { fileURLToPath } from 'node:url';

import { textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { crypto } from '../base/node.ts';
import { readBoundedFile } from '../io/files.ts';
import type { KeyFileContext } from './open-key-file.ts';
import type { KeyAdapter } from './open-key-uri.ts';
import {
  deviceError,
  openPkcs11Module,
  type Pkcs11,
  type Pkcs11Module,
  pkcs11Error,
} from './pkcs11-module.ts';
import { asksEachTime, findPrivateKey, findToken, readPublicKey, type Token } from './pkcs11-token.ts';
import { parsePkcs11Uri, type Pkcs11Uri } from './pkcs11-uri.ts';
import { openRemoteSigner, type SigningHash } from './remote-signer.ts';
import type { SigstorePublicKey } from './sigstore/public-key.ts';
import type { SigstoreSigner } from './signer.ts';

/** PKCS#11 v2.40, pkcs11t.h. */
const serialSession = 0x4;
const user = { normal: 1, contextSpecific: 2 } as const;
const mechanism = { rsaPkcs: 0x1, ecdsa: 0x1041 } as const;

/** A person may have to touch the device. */
const timeoutMs = 180_000;

export const pkcs11Keys: KeyAdapter = {
  openSigner: async (text, context) => {
    const uri = parsePkcs11Uri(text);
    const module = openPkcs11Module(modulePath(uri, context));
    try {
      return await openOn(module, uri, context);
    } catch (error) {
      module[Symbol.dispose]();
      throw deviceError(error, uri.name);
    }
  },
  readPublicKey: async (text, context) => {
    const uri = parsePkcs11Uri(text);
    using module = openPkcs11Module(modulePath(uri, context));
    try {
      const session = module.api.C_OpenSession(findToken(module.api, uri).slot, serialSession);
      return readPublicKey(module.api, session, uri);
    } catch (error) {
      throw deviceError(error, uri.name);
    }
  },
};

function modulePath({ modulePath: given }: Pkcs11Uri, { env }: KeyFileContext): string {
  const path = given ?? env['COSIGN_PKCS11_MODULE_PATH'] ?? '';
  if (path !== '') return path;
  throw new BullaError('usage.invalid', 'no PKCS#11 module is named', {
    hint: 'add ?module-path=/path/to/module.so to the URI, or set COSIGN_PKCS11_MODULE_PATH',
  });
}

async function openOn(
  module: Pkcs11Module,
  uri: Pkcs11Uri,
  context: KeyFileContext,
): Promise<SigstoreSigner> {
  const { api } = module;
  const token = findToken(api, uri);
  const session = api.C_OpenSession(token.slot, serialSession);
  const pin = await logIn(api, session, token, uri, context);
  const key = findPrivateKey(api, session, uri);
  const publicKey = readPublicKey(api, session, uri, key);
  const eachTime = asksEachTime(api, session, key) ? pin : undefined;
  const signOne = signing(api, { session, key, publicKey, pin: eachTime, name: uri.name });
  // one session signs one thing at a time
  let last: Promise<unknown> = Promise.resolve();
  return openRemoteSigner({
    name: uri.name,
    publicKey,
    sign: (message, hash) => {
      const signature = last.then(() => signOne(message, hash));
      last = signature.catch(() => undefined);
      return signature;
    },
    dispose: async () => {
      await last;
      api.C_CloseSession(session);
      module[Symbol.dispose]();
    },
  });
}

/** @returns the PIN, where the token wants one */
async function logIn(
  api: Pkcs11,
  session: Buffer,
  { loginRequired }: Token,
  uri: Pkcs11Uri,
  context: KeyFileContext,
): Promise<string | undefined> {
  if (!loginRequired) return undefined;
  const pin = await pinOf(uri, context);
  try {
    // once only: each attempt with a wrong PIN is counted
    api.C_Login(session, user.normal, pin);
  } catch (error) {
    if (pkcs11Error(error) !== 'CKR_USER_ALREADY_LOGGED_IN') throw error;
  }
  return pin;
}

async function pinOf(uri: Pkcs11Uri, { env, passphrase }: KeyFileContext): Promise<string> {
  if (uri.pinValue !== undefined) return uri.pinValue;
  if (uri.pinSource !== undefined) return pinIn(uri.pinSource);
  const given = env['COSIGN_PKCS11_PIN'] ?? passphrase?.given;
  if (given !== undefined && given !== '') return given;
  if (passphrase?.ask !== undefined) return passphrase.ask(`PIN of ${uri.name}`);
  throw new BullaError(
    'key.passphrase-missing',
    `${uri.name} wants a PIN and there is no terminal to ask on`,
    {
      hint: 'COSIGN_PKCS11_PIN, or pin-source=/path/of/a/file in the URI',
    },
  );
}

/** RFC 7512 section 2.4 also has `|program`, which is not run. */
async function pinIn(source: string): Promise<string> {
  if (source.startsWith('|')) {
    throw new BullaError('usage.unsupported', 'a pin-source that is a program is not run', {
      hint: 'name a file',
    });
  }
  const path = source.startsWith('file:')
    ? fileURLToPath(source.replace(/^file:(?!\/\/)/, 'file://'))
    : source;
  const text = textOf(await readBoundedFile(path, limits.tokenBytes));
  const pin = text?.split(/\r?\n/)[0];
  if (pin !== undefined && pin !== '') return pin;
  throw new BullaError('key.passphrase-missing', 'the file that pin-source names holds no PIN');
}

type Key = {
  readonly session: Buffer;
  readonly key: Buffer;
  readonly publicKey: SigstorePublicKey;
  /** Asked for again before each signature. */
  readonly pin: string | undefined;
  readonly name: string;
};

function signing(
  api: Pkcs11,
  { session, key, publicKey, pin, name }: Key,
): (message: Uint8Array, hash: SigningHash | null) => Promise<Uint8Array> {
  const isRsa = publicKey.algorithm === 'rsa';
  return async (message, hash) => {
    if (hash === null) throw new BullaError('key.unusable', `${name} is of a kind that does not sign here`);
    const digest = crypto.createHash(hash).update(message).digest();
    const data = isRsa ? Buffer.concat([digestInfos[hash], digest]) : digest;
    try {
      api.C_SignInit(session, { mechanism: isRsa ? mechanism.rsaPkcs : mechanism.ecdsa }, key);
      if (pin !== undefined) api.C_Login(session, user.contextSpecific, pin);
      const signature = await withinTime(api.C_SignAsync(session, data, Buffer.alloc(1024)), name);
      return isRsa ? new Uint8Array(signature) : ecdsaDer(signature);
    } catch (error) {
      throw deviceError(error, name);
    }
  };
}

/** DigestInfo up to the digest (RFC 8017 section 9.2, note 1). */
const digestInfos: Readonly<Record<SigningHash, Buffer>> = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
};

async function withinTime<T>(work: Promise<T>, name: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      reject(new BullaError('process.timeout', `${name}: the device did not sign within ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A device gives r and s side by side, each as long as the curve's order; everybody else wants Ecdsa-Sig-Value (RFC 3279 section 2.2.3). */
export function ecdsaDer(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  const body = Buffer.concat([integer(raw.subarray(0, half)), integer(raw.subarray(half))]);
  const length = body.length < 128 ? [body.length] : [0x81, body.length];
  return new Uint8Array(Buffer.concat([Buffer.from([0x30, ...length]), body]));
}

function integer(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? [0] : [...bytes.subarray(start)];
  // the highest bit is the sign
  const value = (digits[0] ?? 0) > 127 ? [0, ...digits] : digits;
  return Buffer.from([0x02, value.length, ...value]);
}
