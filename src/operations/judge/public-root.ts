/** Whom sigstore's public instance is believed by: its trusted root, by TUF. */
import { BullaError } from '../../base/errors.ts';
import { parseTrustedRoots } from '../../keys/trusted-root/parse.ts';
import type { TrustedRoot } from '../../keys/trusted-root/trusted-root.ts';
import {
  fetchTarget,
  publicMirror,
  readCachedTarget,
  readEmbeddedTarget,
  type TufRepository,
  type TufTarget,
} from './tuf.ts';
import type { World } from '../world.ts';

export type PublicRootOptions = {
  /** No connection: what was fetched last counts, however old, else what came with Bulla. */
  readonly offline: boolean;
};

const publicInstance: TufRepository = { mirror: publicMirror };
export const trustedRootTarget = 'trusted_root.json';
/** The services to sign with. */
export const signingConfigTarget = 'signing_config.v0.2.json';

/**
 * The public instance's trusted root: from the cache while it is fresh, else over the network. Under `offline` an old one is
 * used with a warning that says how old.
 * @throws BullaError `tuf.unreachable`, `tuf.refused`, `trusted-root.*`, `io.*`
 */
export async function publicTrustedRoots(
  world: Pick<World, 'environment' | 'now' | 'warn'>,
  options: PublicRootOptions,
): Promise<readonly TrustedRoot[]> {
  const { bytes } = await publicTarget(world, trustedRootTarget, options);
  return parseTrustedRoots(bytes, "sigstore's public root");
}

/** Where a target is from, for those who ask. */
export type PublicTarget = TufTarget & { readonly from: 'cache' | 'network' | 'embedded' };

/**
 * A target of the public instance (`trusted_root.json`, `signing_config.v0.2.json`), by the same rules.
 * @throws BullaError `tuf.unreachable`, `tuf.refused`, `io.*`
 */
export async function publicTarget(
  { environment, now, warn }: Pick<World, 'environment' | 'now' | 'warn'>,
  name: string,
  { offline }: PublicRootOptions,
): Promise<PublicTarget> {
  const cached = await readCachedTarget(environment, publicInstance, name);
  const isFresh = cached !== undefined && cached.freshUntil > now().getTime();
  if (cached !== undefined && isFresh) return { ...cached, from: 'cache' };
  if (!offline) return { ...(await fetchTarget(environment, publicInstance, name)), from: 'network' };
  if (cached !== undefined) {
    warn(`sigstore's ${name} was to be refreshed by ${dayOf(cached.freshUntil)}: bulla trust update`);
    return { ...cached, from: 'cache' };
  }
  const embedded = readEmbeddedTarget(name);
  if (embedded === undefined) {
    throw new BullaError('io.offline', `--offline: sigstore's ${name} was never fetched`, {
      hint: 'run bulla trust update where there is a network',
    });
  }
  const state = embedded.freshUntil > now().getTime() ? 'good until' : 'expired on';
  warn(
    `sigstore's ${name} is the one that came with Bulla (${state} ${dayOf(embedded.freshUntil)}): bulla trust update`,
  );
  return { ...embedded, from: 'embedded' };
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
