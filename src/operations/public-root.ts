/** The trusted root of sigstore's public instance. */
import { BullaError } from '../base/errors.ts';
import type { TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import type { World } from './world.ts';

/** @throws BullaError `usage.unsupported` */
export async function publicTrustedRoots(
  _world: World,
  _options: { readonly offline: boolean },
): Promise<readonly TrustedRoot[]> {
  throw new BullaError('usage.unsupported', 'the public instance’s root cannot be fetched yet', {
    hint: 'name a trusted_root.json by --trusted-root',
  });
}
