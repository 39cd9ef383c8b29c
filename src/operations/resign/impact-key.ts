/** Which key is meant by `key impact KEY`, and where a policy believes it. */
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { exists, readBoundedFile } from '../../io/files.ts';
import { chooseKey } from '../../keys/key-id.ts';
import type { KeyInfo } from '../../keys/key-info.ts';
import type { Certificate } from '../../keys/openpgp/certificate.ts';
import { parseSigstorePublicKey } from '../../keys/sigstore/public-key.ts';
import type { KeyNames } from '../../trust/key-view.ts';
import { loadKeyring } from '../../trust/keyrings.ts';
import { readMaterial } from '../../trust/material.ts';
import type { Policy } from '../../trust/policy.ts';
import type { Material, Requirement } from '../../trust/requirement.ts';
import { keyScheme, readGivenKeys } from '../judge/keys.ts';
import { listKeys } from '../keys.ts';
import { namesOf } from './keys.ts';
import type { World } from '../world.ts';

/** The keys of a requirement. */
export type BelievedKeys = KeyNames & { readonly certificates: readonly Certificate[] };

/** The requirements of a policy, by where they stand. */
export type PolicyScope = {
  readonly transport: string;
  /** "" for a transport's own default, and for the global one, whose transport is "" too. */
  readonly name: string;
  readonly keys: BelievedKeys;
};

/**
 * Every scope of a policy with the keys that it believes; certificates' identities are no keys.
 * @throws BullaError `trust.key-unavailable` where a key cannot be read: who is believed is not known then
 */
export async function scopesWithKeys(policy: Policy): Promise<readonly PolicyScope[]> {
  const scopes = [
    { transport: '', name: '', requirements: policy.default },
    ...[...policy.transports].flatMap(([transport, all]) =>
      [...all].map(([name, { requirements }]) => ({ transport, name, requirements })),
    ),
  ];
  return Promise.all(
    scopes.map(async ({ transport, name, requirements }) => ({
      transport,
      name,
      keys: await keysOfAll(requirements),
    })),
  );
}

async function keysOfAll(requirements: readonly Requirement[]): Promise<BelievedKeys> {
  const materials = requirements.flatMap(materialsOf);
  const [certificates, keyIds] = [new Map<string, Certificate>(), new Set<string>()];
  for (const { kind, keys } of materials) {
    try {
      if (kind === 'gpg') {
        for (const each of (await loadKeyring(keys, readKeyFile)).certificates)
          certificates.set(each.fingerprint, each);
      } else {
        for (const bytes of await readMaterial(keys, readKeyFile))
          keyIds.add(parseSigstorePublicKey(bytes).keyId);
      }
    } catch (error) {
      if (!(error instanceof BullaError)) throw error;
      throw new BullaError('trust.key-unavailable', error.message, {
        cause: error,
        ...(error.hint !== undefined && { hint: error.hint }),
      });
    }
  }
  return {
    openpgp: new Set(certificates.keys()),
    sigstore: keyIds,
    certificates: [...certificates.values()],
  };
}

type KeyMaterial = { readonly kind: 'gpg' | 'sigstore'; readonly keys: Material };

function materialsOf(requirement: Requirement): readonly KeyMaterial[] {
  switch (requirement.type) {
    case 'signedBy':
      return [{ kind: 'gpg', keys: requirement.keys }];
    case 'sigstoreSigned':
      return requirement.signer.kind === 'keys' ? [{ kind: 'sigstore', keys: requirement.signer.keys }] : [];
    case 'signed':
      return requirement.signers.flatMap(({ by }): readonly KeyMaterial[] => {
        if (by.kind === 'certificate') return [];
        return [{ kind: by.kind === 'gpg' ? 'gpg' : 'sigstore', keys: by.keys }];
      });
    case 'insecureAcceptAnything':
    case 'reject':
    case 'signedBaseLayer':
      return [];
  }
}

async function readKeyFile(path: string): Promise<Uint8Array> {
  return readBoundedFile(path, limits.keyringBytes);
}

/**
 * The key that a person means: a file or key URI, the SHA-256 of a sigstore key as verdicts have it, or what names an OpenPGP key of
 * the policy or of the keyrings.
 * @throws BullaError `key.not-found`, `key.ambiguous`, `key.*`, `usage.invalid`, `io.*`
 */
export async function findImpactKey(
  text: string,
  scopes: readonly PolicyScope[],
  world: World,
): Promise<KeyNames> {
  const { env } = world.environment;
  if (keyScheme.test(text) || (await exists(text))) return namesOf(await readGivenKeys([text], env));
  if (/^[0-9a-f]{64}$/i.test(text)) return { openpgp: new Set(), sigstore: new Set([text.toLowerCase()]) };
  const believed = scopes.flatMap(({ keys }) => keys.certificates).map(infoOf);
  const { fingerprint } = chooseKey(text, [...believed, ...(await listKeys({ env }))]);
  return { openpgp: new Set([fingerprint]), sigstore: new Set() };
}

/** As far as a name is looked for in it. */
function infoOf({ fingerprint, userIds, algorithm, created, revoked, usage, subkeys }: Certificate): KeyInfo {
  return {
    fingerprint,
    userIds,
    algorithm,
    created,
    revoked,
    canSign: usage.sign,
    hasSecret: false,
    source: 'own',
    subkeys: subkeys.map(({ expires, usage: { sign }, ...subkey }) => ({
      fingerprint: subkey.fingerprint,
      algorithm: subkey.algorithm,
      created: subkey.created,
      revoked: subkey.revoked,
      canSign: sign,
      ...(expires !== undefined && { expires }),
    })),
  };
}

/** Whether one of the keys is among those. */
export function believes({ openpgp, sigstore }: KeyNames, names: KeyNames): boolean {
  return (
    [...names.openpgp].some((each) => openpgp.has(each)) ||
    [...names.sigstore].some((each) => sigstore.has(each))
  );
}
