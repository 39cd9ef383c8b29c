/**
 * The encrypted private key file of cosign, skopeo and podman: PEM around a JSON object around a NaCl
 * secretbox (XSalsa20-Poly1305) of the PKCS#8 DER, its key from the passphrase by scrypt.
 *
 *     {"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1},"salt":base64 of 32 bytes},
 *      "cipher":{"name":"nacl/secretbox","nonce":base64 of 24 bytes},"ciphertext":base64}
 */
import { decodeBase64, encodeBase64, printable, textOf, utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { type JsonValue, parseJson } from '../../base/json.ts';
import { crypto } from '../../base/node.ts';
import type { PassphraseSource } from '../key-info.ts';
import { decodePem, encodePem } from './pem.ts';

/** Both names stand for the same. cosign writes the first one; skopeo and podman write the second. */
const readTypes: readonly string[] = ['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY'];
/** The one that every version of every tool reads. */
const writtenType = 'ENCRYPTED COSIGN PRIVATE KEY';

/** What every tool writes; 2^15 is of old keys, 2^17 a wish of some. Anything else might ask for gigabytes. */
const writtenN = 65_536;
const acceptedN: readonly number[] = [32_768, writtenN, 131_072];

type Sealed = {
  readonly n: number;
  readonly salt: Uint8Array;
  readonly nonce: Uint8Array;
  readonly ciphertext: Uint8Array;
};

/**
 * Seals a private key under a passphrase, the empty one included.
 * @param pkcs8 PrivateKeyInfo, DER
 * @returns the PEM file
 */
export async function encryptPrivateKey(pkcs8: Uint8Array, passphrase: string): Promise<Uint8Array> {
  const salt = crypto.randomBytes(32);
  const nonce = crypto.randomBytes(24);
  const [key, box] = await Promise.all([stretch(passphrase, salt, writtenN), loadBox()]);
  const ciphertext = box(key, nonce).encrypt(pkcs8);
  key.fill(0);
  const sealed = {
    kdf: { name: 'scrypt', params: { N: writtenN, r: 8, p: 1 }, salt: encodeBase64(salt) },
    cipher: { name: 'nacl/secretbox', nonce: encodeBase64(nonce) },
    ciphertext: encodeBase64(ciphertext),
  };
  return encodePem(writtenType, utf8(JSON.stringify(sealed)));
}

/**
 * Opens an encrypted private key file. The passphrase is asked for once the file is known to be well-formed.
 * scrypt, a third of a second, runs beside what else the process does; it takes N KiB of memory.
 * @param name of the key for people, in the question and in errors
 * @returns PKCS#8 DER: the caller wipes it after use
 * @throws BullaError `key.malformed`, `key.none` (no PEM block), `key.unusable` (another kind of key, other scrypt parameters),
 *   `key.passphrase-missing`, `key.passphrase-wrong`
 */
export async function decryptPrivateKey(
  pem: Uint8Array,
  passphrase: PassphraseSource,
  name: string,
): Promise<Uint8Array> {
  const { n, salt, nonce, ciphertext } = parseSealed(pem, name);
  const [key, box] = await Promise.all([stretch(await ask(passphrase, name), salt, n), loadBox()]);
  try {
    return box(key, nonce).decrypt(ciphertext);
  } catch {
    throw new BullaError(
      'key.passphrase-wrong',
      `the passphrase of ${name} is wrong, or the file is damaged`,
    );
  } finally {
    key.fill(0);
  }
}

/**
 * Where the passphrase of a sigstore key comes from: a file, then COSIGN_PASSWORD as cosign reads it (set and
 * empty means the empty passphrase), then a person.
 */
export function withCosignPassword(source: PassphraseSource, env: NodeJS.ProcessEnv): PassphraseSource {
  const given = source.given ?? env['COSIGN_PASSWORD'];
  return given === undefined ? source : { ...source, given };
}

async function ask({ given, ask }: PassphraseSource, name: string): Promise<string> {
  if (given !== undefined) return given;
  if (ask !== undefined) return ask(`Passphrase of ${name}`);
  throw new BullaError('key.passphrase-missing', `${name} is encrypted and there is no terminal to ask on`, {
    hint: 'give the passphrase in a file or in COSIGN_PASSWORD; an empty one has to be given too',
  });
}

function parseSealed(pem: Uint8Array, name: string): Sealed {
  const [block] = decodePem(pem);
  if (block === undefined) throw new BullaError('key.none', `${name} holds no PEM block, so no private key`);
  if (!readTypes.includes(block.type)) throw wrongType(block.type, name);
  try {
    const [kdf, cipher, ciphertext] = fields(parseJson(textOf(block.bytes) ?? '', 'key'), [
      'kdf',
      'cipher',
      'ciphertext',
    ]);
    const [kdfName, params, salt] = fields(kdf, ['name', 'params', 'salt']);
    const [cipherName, nonce] = fields(cipher, ['name', 'nonce']);
    requireWord(kdfName, 'scrypt');
    requireWord(cipherName, 'nacl/secretbox');
    return {
      n: acceptedParameters(params),
      salt: binary(salt, 32),
      nonce: binary(nonce, 24),
      ciphertext: binary(ciphertext),
    };
  } catch (error) {
    if (error instanceof BullaError && error.code === 'key.unusable') throw error;
    const why = error instanceof Error ? error.message : '';
    throw new BullaError(
      'key.malformed',
      `${name} is not an encrypted private key as cosign and skopeo write it: ${why}`,
    );
  }
}

function wrongType(type: string, name: string): BullaError {
  const isPlain = ['PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PARAMETERS'].includes(type);
  return new BullaError('key.unusable', `${name} is "${printable(type, 60)}", no encrypted sigstore key`, {
    hint: isPlain
      ? '`bulla key generate sigstore --import FILE --output-prefix P` encrypts a plain private key'
      : '`bulla key generate sigstore` makes one; so do `cosign generate-key-pair` and `skopeo generate-sigstore-key`',
  });
}

/** The values of an object that has exactly these members, in this order of names. */
function fields<const Names extends readonly string[]>(
  value: JsonValue | undefined,
  names: Names,
): { readonly [Index in keyof Names]: JsonValue | undefined } {
  const members = value?.kind === 'object' ? value.members : [];
  const found = names.map((name) => members.find(({ key }) => key === name)?.value);
  if (members.length !== names.length || found.includes(undefined)) {
    throw new BullaError('key.malformed', `an object with exactly ${names.join(', ')} is missing`);
  }
  return found as { readonly [Index in keyof Names]: JsonValue | undefined };
}

function requireWord(value: JsonValue | undefined, word: string): void {
  if (value?.kind === 'string' && value.value === word) return;
  throw new BullaError('key.unusable', `an encryption other than ${word}`);
}

function acceptedParameters(value: JsonValue | undefined): number {
  const texts = fields(value, ['N', 'r', 'p']).map((each) => (each?.kind === 'number' ? each.text : ''));
  const n = acceptedN.find((each) => texts.join(',') === `${each},8,1`);
  if (n !== undefined) return n;
  throw new BullaError(
    'key.unusable',
    'the key’s scrypt parameters are none of those that sigstore tools accept',
    {
      hint: `N is ${acceptedN.join(', ')}, r is 8, p is 1`,
    },
  );
}

function binary(value: JsonValue | undefined, length?: number): Uint8Array {
  const bytes = value?.kind === 'string' ? decodeBase64(value.value) : undefined;
  const isCanonical = bytes !== undefined && value?.kind === 'string' && encodeBase64(bytes) === value.value;
  if (isCanonical && (length === undefined || bytes.length === length)) return bytes;
  throw new BullaError('key.malformed', 'canonical base64 of the right length is missing');
}

function stretch(passphrase: string, salt: Uint8Array, n: number): Promise<Uint8Array> {
  // the vectors take 128 N r bytes; OpenSSL counts a little more
  const options = { N: n, r: 8, p: 1, maxmem: 128 * n * 8 + 1_048_576 };
  return new Promise((resolve, reject) => {
    crypto.scrypt(utf8(passphrase), salt, 32, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(new BullaError('key.unusable', `scrypt failed: ${error.message}`, { cause: error }));
    });
  });
}

async function loadBox(): Promise<typeof import('@noble/ciphers/salsa.js').xsalsa20poly1305> {
  return (await import('@noble/ciphers/salsa.js')).xsalsa20poly1305;
}
