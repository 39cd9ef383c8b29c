/** Opening a secret key file to sign with it. */
import { BullaError } from '../../base/errors.ts';
import type { Signer } from '../signer.ts';
import type { Certificate, KeyState } from './certificate.ts';
import { parseKeyring } from './keyring.ts';
import { signMessage } from './make-signature.ts';
import { type AskPassphrase, readSecrets, type Secret, unlock } from './secret-key.ts';

export type OpenOptions = {
  readonly passphrase?: AskPassphrase;
  /**
   * Which key of the file: fingerprint or 64-bit key ID of a primary key or subkey. With `!` behind
   * it exactly that key signs, as in gpg. Needed where the file holds several certificates.
   */
  readonly keyId?: string;
};

/**
 * Opens a transferable secret key, binary or armored. The newest usable signing subkey whose secret
 * part is there signs, else the primary key, as gpg chooses.
 * @throws BullaError `key.malformed`, `key.none`, `key.ambiguous`, `key.not-found`, `key.unusable`,
 *   `key.passphrase-missing`, `key.passphrase-wrong`
 */
export async function openSecretKey(bytes: Uint8Array, options: OpenOptions = {}): Promise<Signer> {
  const secrets = readSecrets(bytes);
  const wanted = options.keyId?.replace(/!$/u, '').replace(/^0x/iu, '').toUpperCase();
  const exactly = options.keyId?.endsWith('!') === true ? wanted : undefined;
  const certificate = chooseCertificate(parseKeyring(bytes).certificates, secrets, wanted);
  const secret = chooseKey(certificate, secrets, exactly);
  const key = await unlock(secret, options.passphrase);
  return {
    kind: 'openpgp',
    keyId: certificate.fingerprint,
    sign: (message) => Promise.resolve().then(() => signMessage(message, key, new Date())),
    // node:crypto frees the key with its object; there is nothing to close
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function chooseCertificate(
  all: readonly Certificate[],
  secrets: ReadonlyMap<string, Secret>,
  wanted: string | undefined,
): Certificate {
  const found = all
    .filter((one) => keysOf(one).some(({ fingerprint }) => secrets.has(fingerprint)))
    .filter(
      (one) =>
        wanted === undefined || keysOf(one).some((key) => key.fingerprint === wanted || key.keyId === wanted),
    );
  const [certificate, another] = found;
  if (certificate === undefined) {
    if (wanted !== undefined)
      throw new BullaError('key.not-found', `the key file holds no secret key ${wanted}`);
    throw new BullaError('key.unusable', 'the key file holds no secret key with a valid user ID');
  }
  if (another !== undefined) {
    throw new BullaError('key.ambiguous', 'the key file holds several secret keys', {
      hint: `name one of: ${found.map(({ fingerprint }) => fingerprint).join(', ')}`,
    });
  }
  return certificate;
}

/** gpg's choice; `exactly` (fingerprint or key ID) leaves none. */
function chooseKey(
  certificate: Certificate,
  secrets: ReadonlyMap<string, Secret>,
  exactly: string | undefined,
): Secret {
  const now = new Date();
  const newestFirst = [...certificate.subkeys].sort((a, b) => b.created.getTime() - a.created.getTime());
  const eligible = [...newestFirst, certificate].filter(
    (key) => exactly === undefined || key.fingerprint === exactly || key.keyId === exactly,
  );
  const able = eligible.filter((key) => whyNotSigning(key, certificate, now) === undefined);
  const there = able
    .map(({ fingerprint }) => secrets.get(fingerprint))
    .filter((secret) => secret !== undefined);
  const secret = there.find(({ protection }) => protection.kind !== 'absent') ?? there[0];
  if (secret !== undefined) return secret;
  const why =
    whyNotSigning(eligible.at(-1) ?? certificate, certificate, now) ?? 'its secret part is not in the file';
  throw new BullaError('key.unusable', `key ${certificate.fingerprint} cannot sign: ${why}`);
}

function whyNotSigning(key: KeyState, primary: KeyState, now: Date): string | undefined {
  if (primary.revoked || key.revoked) return 'it is revoked';
  if ([primary, key].some(({ expires }) => expires !== undefined && expires <= now)) return 'it is expired';
  if ([primary, key].some(({ created }) => created > now)) return 'it was made in the future';
  if (!key.bound) return 'it is not bound to its primary key';
  return key.usage.sign ? undefined : 'it is not for signing';
}

function keysOf(one: Certificate): readonly KeyState[] {
  return [one, ...one.subkeys];
}
