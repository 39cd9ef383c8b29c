/** The two keys of a rotation: the old one, whose signatures are looked for, and the new one, which signs. */
import { BullaError } from '../../base/errors.ts';
import { exists } from '../../io/files.ts';
import { type Keyring, parseKeyring } from '../../keys/openpgp/keyring.ts';
import type { GivenKeys } from '../../trust/given-keys.ts';
import type { KeyNames } from '../../trust/key-view.ts';
import type { WitnessFiles } from '../judge.ts';
import { keyScheme, looksFor, readGivenKeys, readWitnesses } from '../judge/keys.ts';
import { exportPublicKeys, findKey } from '../keys.ts';
import { isSigstore } from '../sign/places.ts';
import type { SigningPlan } from '../sign/plan.ts';
import type { SignaturesWanted } from '../subject.ts';
import type { World } from '../world.ts';

/** Public keys, and who they are. */
export type KnownKeys = {
  readonly keys: GivenKeys;
  readonly names: KeyNames;
  /** Where their signatures are. */
  readonly looks: SignaturesWanted;
};

/**
 * Public keys as a person names them: a file (OpenPGP keyring, sigstore PEM) or key URI, as `verify --key` takes it, or what names
 * a key of the keyrings.
 * @throws BullaError `key.*`, `io.*`, `usage.invalid`, `trusted-root.*`
 */
export async function openKnownKeys(text: string, witnesses: WitnessFiles, world: World): Promise<KnownKeys> {
  const [keys, others] = await Promise.all([
    readKeys(text, world),
    readWitnesses({ kind: 'keys', ...witnesses }, world),
  ]);
  return known({ ...keys, ...others });
}

async function readKeys(text: string, { environment: { env } }: World): Promise<GivenKeys> {
  if (keyScheme.test(text) || (await exists(text))) return readGivenKeys([text], env);
  const [{ fingerprint }] = await findKey({ env }, text);
  return { keyring: parseKeyring(await exportPublicKeys([fingerprint], env)) };
}

/** The public key of what signs. @throws BullaError `key.not-found`, `usage.invalid` for a key that is new each time (Fulcio's) */
export async function keysOfSigner({ signer }: SigningPlan, world: World): Promise<KnownKeys> {
  if (!isSigstore(signer)) {
    const { env } = world.environment;
    return known({ keyring: parseKeyring(await exportPublicKeys([signer.keyId], env)) });
  }
  if (!('certificates' in signer)) return known({ sigstore: [signer.publicKey] });
  throw new BullaError(
    'usage.invalid',
    'a rotation is to a key; a certificate of Fulcio has another key each time',
  );
}

function known(keys: GivenKeys): KnownKeys {
  return { keys, names: namesOf(keys), looks: looksFor(keys) };
}

/** Of a keyring all its certificates: whoever hands in several means any of them. */
export function namesOf({
  keyring,
  sigstore = [],
}: {
  readonly keyring?: Keyring;
  readonly sigstore?: GivenKeys['sigstore'];
}): KeyNames {
  return {
    openpgp: new Set((keyring?.certificates ?? []).map(({ fingerprint }) => fingerprint)),
    sigstore: new Set(sigstore.map(({ keyId }) => keyId)),
  };
}

/** All fingerprints and ids, for people. */
export function idsOf({ openpgp, sigstore }: KeyNames): readonly string[] {
  return [...openpgp, ...sigstore];
}

/**
 * What makes no sense as a rotation.
 * @throws BullaError `resign.same-key`, `usage.invalid` for keys of two kinds, `key.none` for a keyring without a certificate
 */
export function checkRotation(old: KeyNames, next: KeyNames): void {
  const same = idsOf(old).find((id) => idsOf(next).includes(id));
  if (same !== undefined) {
    throw new BullaError('resign.same-key', `the key ${same} is both the old and the new one`, {
      hint: 'a rotation is from one key to another; verifiers go by the primary key, whichever subkey signs',
    });
  }
  if (idsOf(old).length === 0)
    throw new BullaError('key.none', 'the old key has no valid user ID, so no signature by it counts');
  if (old.openpgp.size > 0 === next.openpgp.size > 0) return;
  throw new BullaError('usage.invalid', 'a GPG key and a sigstore key make different signatures', {
    hint: 'each signature is made anew in its own format: rotate to a key of the same kind, or use bulla sign',
  });
}
