/** A sigstore private key by the path of its file. */
import { limits } from '../base/limits.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { readBoundedFile } from '../io/files.ts';
import type { PassphraseSource } from './key-info.ts';
import type { SigstoreSigner } from './signer.ts';

export type KeyFileContext = {
  /** COSIGN_PASSWORD, where `passphrase.given` is not there. */
  readonly env: NodeJS.ProcessEnv;
  readonly passphrase?: PassphraseSource;
};

/**
 * Opens an encrypted private key file of cosign, skopeo, podman or Bulla. Start it before other work: a third
 * of a second of scrypt runs beside it.
 * @throws BullaError `key.not-found` (the file cannot be read), `key.malformed`, `key.none`, `key.unusable`,
 *   `key.passphrase-missing`, `key.passphrase-wrong`
 */
export async function openSigstoreKeyFile(path: string, context: KeyFileContext): Promise<SigstoreSigner> {
  const [pem, { openSigstoreKey }, { withCosignPassword }] = await Promise.all([
    readKey(path),
    import('./sigstore/private-key.ts'),
    import('./sigstore/encrypted-key.ts'),
  ]);
  const passphrase = withCosignPassword(context.passphrase ?? {}, context.env);
  return openSigstoreKey(pem, { passphrase, name: path });
}

async function readKey(path: string): Promise<Uint8Array> {
  try {
    return await readBoundedFile(path, limits.keyringBytes);
  } catch (error) {
    if (!isBullaError(error)) throw error;
    throw new BullaError('key.not-found', `no private key: ${error.message}`, { cause: error });
  }
}
