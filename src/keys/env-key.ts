/** `env://VARIABLE`: the PEM text is in the environment, as CI systems hand out secrets. */
import { printable, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import type { KeyFileContext } from './open-key-file.ts';
import type { KeyAdapter } from './open-key-uri.ts';
import { withCosignPassword } from './sigstore/encrypted-key.ts';
import { openSigstoreKey } from './sigstore/private-key.ts';
import { parseSigstorePublicKey } from './sigstore/public-key.ts';

export const envKeys: KeyAdapter = {
  openSigner: async (uri, context) => {
    const passphrase = withCosignPassword(context.passphrase ?? {}, context.env);
    return openSigstoreKey(pemIn(uri, context), { passphrase, name: uri });
  },
  readPublicKey: async (uri, context) => parseSigstorePublicKey(pemIn(uri, context)),
};

function pemIn(uri: string, { env }: KeyFileContext): Uint8Array {
  const name = /^env:\/\/([A-Za-z_][A-Za-z0-9_]*)$/i.exec(uri)?.[1];
  if (name === undefined) {
    throw new BullaError('usage.invalid', `"${printable(uri, 80)}" names no variable`, {
      hint: 'env://VARIABLE, without a dollar sign',
    });
  }
  const text = env[name];
  if (text !== undefined && text !== '') return utf8(text);
  throw new BullaError('key.not-found', `no key: ${name} is not in the environment, or is empty`);
}
