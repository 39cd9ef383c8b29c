/** A key pair as its two files, `PREFIX.private` and `PREFIX.pub`, as skopeo names them. */
import { rm } from 'node:fs/promises';

import { BullaError } from '../../base/errors.ts';
import { createFile, exists } from '../../io/files.ts';
import { encryptPrivateKey } from './encrypted-key.ts';
import { encodePem } from './pem.ts';
import type { SigstoreKeyPair } from './private-key.ts';

export type KeyFiles = { readonly private: string; readonly public: string };

/** The paths for a prefix. @throws BullaError `key.exists` where one is taken already */
export async function freeKeyFiles(prefix: string): Promise<KeyFiles> {
  const files = { private: `${prefix}.private`, public: `${prefix}.pub` };
  for (const path of [files.private, files.public]) if (await exists(path)) throw taken(path);
  return files;
}

/**
 * Writes the private key encrypted (0600) and the public key as `PUBLIC KEY` PEM (0644): both or none, and over nothing.
 * @throws BullaError `key.exists`, `io.*`
 */
export async function writeKeyFiles(
  files: KeyFiles,
  pair: SigstoreKeyPair,
  passphrase: string,
): Promise<void> {
  const pkcs8 = pair.privateKey.export({ type: 'pkcs8', format: 'der' });
  const sealed = await encryptPrivateKey(pkcs8, passphrase);
  pkcs8.fill(0);
  if (!(await createFile(files.private, sealed, 0o600))) throw taken(files.private);
  try {
    if (!(await createFile(files.public, encodePem('PUBLIC KEY', pair.publicKey.spki))))
      throw taken(files.public);
  } catch (error) {
    await rm(files.private, { force: true });
    throw error;
  }
}

function taken(path: string): BullaError {
  return new BullaError('key.exists', `${path} is there already`, { hint: 'choose another --output-prefix' });
}
