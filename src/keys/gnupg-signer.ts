/** Signs with a key of the user's GnuPG: gpg and its agent do it, so keys on cards work too. */
import { BullaError } from '../base/errors.ts';
import { callGnupg, type Gnupg, gnupgError, type GnupgResult, statusOf } from './gnupg-process.ts';
import type { KeyInfo } from './key-info.ts';
import type { Signer } from './signer.ts';

/**
 * The first byte of what gpg may give: a one-pass signature packet in the old format with a length
 * of one or two octets, or in the new one. containers/image knows these; see formats/ for why 0x93 is not among them.
 */
const firstBytes: readonly number[] = [0x90, 0x91, 0xc4];

export type GnupgSigning = {
  /** From a file; without it gpg-agent asks. */
  readonly passphrase?: string;
  /** Fingerprint or key ID of the subkey that shall sign; without it gpg chooses. */
  readonly subkey?: string;
};

/**
 * A signer over one key of gpg. Nothing runs until it signs; then one process.
 * @param key from a listing of that home; names the primary key
 */
export function openGnupgSigner(
  gnupg: Gnupg,
  key: Pick<KeyInfo, 'fingerprint'>,
  signing: GnupgSigning = {},
): Signer {
  return {
    kind: 'gnupg',
    keyId: key.fingerprint,
    sign: (message) => signByGnupg(gnupg, key.fingerprint, message, signing),
    // the process ends with each signature: there is nothing to let go
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function signByGnupg(
  gnupg: Gnupg,
  fingerprint: string,
  message: Uint8Array,
  { passphrase, subkey }: GnupgSigning,
): Promise<Uint8Array> {
  const args = [
    '--batch',
    // what gpg.conf may say otherwise and simple signing does not bear
    '--no-armor',
    '--no-textmode',
    '--compress-algo',
    'none',
    '--set-filename',
    '',
    '--local-user',
    subkey === undefined ? fingerprint : `${subkey}!`,
    '--sign',
  ];
  const result = await callGnupg(gnupg, args, {
    input: message,
    ...(passphrase !== undefined && { passphrase }),
  });
  const what = `sign with ${fingerprint} by gpg`;
  const invalid = statusOf(result, 'INV_SGNR');
  if (invalid !== undefined) throw unusableSigner(what, invalid.words[0] ?? '');
  if (result.exitCode !== 0) throw gnupgError(result, what);
  checkOutput(result, what);
  return result.stdout;
}

/** gpg.conf can add a second signer or wrap the message; podman would refuse the result, so it is refused here. */
function checkOutput(result: GnupgResult, what: string): void {
  const created = result.statuses.filter((each) => each.keyword === 'SIG_CREATED');
  if (created.length !== 1 || created[0]?.words[0] !== 'S') {
    throw new BullaError(
      'key.unusable',
      `cannot ${what}: it made ${created.length} signatures where one is wanted`,
      {
        hint: 'look for local-user in gpg.conf',
      },
    );
  }
  if (!firstBytes.includes(result.stdout[0] ?? 0)) {
    throw new BullaError('key.unusable', `cannot ${what}: what it made is no plain signed message`);
  }
}

/** INV_SGNR's reasons (doc/DETAILS). */
const reasons: Readonly<Record<string, string>> = {
  1: 'gpg has no such key',
  2: 'the name is ambiguous',
  3: 'the key may not sign',
  4: 'the key is revoked',
  5: 'the key is expired',
  9: 'gpg has no secret key for it',
  12: 'the key is disabled',
};

function unusableSigner(what: string, reason: string): BullaError {
  return new BullaError('key.unusable', `cannot ${what}: ${reasons[reason] ?? 'gpg does not take the key'}`);
}
