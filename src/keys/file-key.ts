/** `file:` and plain paths. */
import { fileURLToPath } from 'node:url';

import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';
import { openSigstoreKeyFile } from './open-key-file.ts';
import type { KeyAdapter } from './open-key-uri.ts';
import { parseSigstorePublicKey } from './sigstore/public-key.ts';

export const fileKeys: KeyAdapter = {
  openSigner: (uri, context) => openSigstoreKeyFile(pathOf(uri), context),
  readPublicKey: async (uri) =>
    parseSigstorePublicKey(await readBoundedFile(pathOf(uri), limits.keyringBytes)),
};

/** `file:///a%20b` is a URL (RFC 8089), `file:a` is a path with a word before it, as is anything without it. */
function pathOf(uri: string): string {
  if (!/^file:/i.test(uri)) return uri;
  if (!/^file:\/\//i.test(uri)) return uri.slice('file:'.length);
  try {
    return fileURLToPath(uri);
  } catch (cause) {
    throw new BullaError('usage.invalid', 'the file: URL of the key is none', {
      cause,
      hint: 'file:///absolute/path, or the path alone',
    });
  }
}
