/** Sigstore keys by reference: a file, a variable, a device, a service, a plugin. One row for each scheme. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { KeyFileContext } from './open-key-file.ts';
import type { SigstoreSigner } from './signer.ts';
import type { SigstorePublicKey } from './sigstore/public-key.ts';

/** Where keys of one scheme are. Both throw `key.*`, `usage.invalid`, and what reaching the key can (`http.*`, `process.*`, `io.*`). */
export type KeyAdapter = {
  openSigner(uri: string, context: KeyFileContext): Promise<SigstoreSigner>;
  /** The public key alone, for whoever verifies; asks for no passphrase. */
  readPublicKey(uri: string, context: KeyFileContext): Promise<SigstorePublicKey>;
};

const adapters: Readonly<Record<string, () => Promise<KeyAdapter>>> = {
  file: async () => (await import('./file-key.ts')).fileKeys,
  env: async () => (await import('./env-key.ts')).envKeys,
  pkcs11: async () => (await import('./pkcs11-key.ts')).pkcs11Keys,
  hashivault: async () => (await import('./vault-key.ts')).vaultKeys,
  openbao: async () => (await import('./vault-key.ts')).vaultKeys,
};

/** Any other NAME:// is a program's, `sigstore-kms-NAME`. */
const plugins = async (): Promise<KeyAdapter> => (await import('./plugin-key.ts')).pluginKeys;

/**
 * Opens the private key that a reference names: a path or `file:` (an encrypted PEM file), `env://VARIABLE` (its text),
 * `pkcs11:…` (RFC 7512), `hashivault://KEY`, `openbao://KEY`, or `NAME://…` of a plugin `sigstore-kms-NAME`. Start it before other work.
 * @returns a signer each of whose signatures has been verified by its public key, where the key is kept by somebody else
 * @throws BullaError `key.not-found`, `key.unusable`, `key.malformed`, `key.none`, `key.passphrase-missing`, `key.passphrase-wrong`, `usage.invalid`, `http.*`, `process.*`
 */
export async function openKeyUri(uri: string, context: KeyFileContext): Promise<SigstoreSigner> {
  return (await adapterOf(uri)).openSigner(uri, context);
}

/**
 * The public key that a reference names: of a path or `file:` and of `env://` it is the PEM that is there, of all others the
 * key kept there.
 * @throws as openKeyUri, without passphrases
 */
export async function readPublicKeyUri(uri: string, context: KeyFileContext): Promise<SigstorePublicKey> {
  return (await adapterOf(uri)).readPublicKey(uri, context);
}

/** Whether a text names a key by a scheme: all that is no plain path. */
export function isKeyUri(text: string): boolean {
  return schemeOf(text) !== undefined;
}

/** As RFC 3986 writes schemes; only two are followed by anything but `://`. */
function schemeOf(text: string): string | undefined {
  const found = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/|^(file|pkcs11):/i.exec(text);
  return (found?.[1] ?? found?.[2])?.toLowerCase();
}

function adapterOf(uri: string): Promise<KeyAdapter> {
  const scheme = schemeOf(uri) ?? 'file';
  if (scheme === 'http' || scheme === 'https') {
    throw new BullaError(
      'usage.invalid',
      `${printable(withoutQuery(uri))}: keys are not fetched from the web`,
      {
        hint: 'whoever answers would be believed; download the key, compare it with its owner’s word, and name the file',
      },
    );
  }
  return (Object.hasOwn(adapters, scheme) ? adapters[scheme] : undefined)?.() ?? plugins();
}

function withoutQuery(uri: string): string {
  return uri.replace(/[?#].*$/s, '').replace(/\/\/[^/@]*@/, '//');
}
