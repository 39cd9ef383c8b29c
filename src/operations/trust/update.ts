/** `trust update`: sigstore's trusted root anew, or that of a TUF repository of one's own. */
import { resolve } from 'node:path';

import { BullaError } from '../../base/errors.ts';
import { replaceFile } from '../../io/files.ts';
import { parseTrustedRoots } from '../../keys/trusted-root/parse.ts';
import type { SystemEnvironment } from '../../registry/environment.ts';
import { trustedRootTarget } from '../judge/public-root.ts';
import { fetchTarget, publicMirror } from '../judge/tuf.ts';

export type UpdateTrustRequest = {
  /** The repository's URL. Default: sigstore's public instance. */
  readonly mirror?: string;
  /** Its first root.json, by which everything else is believed. */
  readonly rootFile?: string;
  /** Default: trusted_root.json. */
  readonly target?: string;
  /** Where to write the target, for `file:` of a trust.yaml or `--trusted-root`. */
  readonly output?: string;
  readonly environment: SystemEnvironment;
};

export type UpdatedTrust = {
  readonly mirror: string;
  readonly target: string;
  readonly output?: string;
  /** RFC 3339; from then on the network is asked again. */
  readonly freshUntil: string;
};

/**
 * Fetches a target.
 * @throws BullaError `tuf.unreachable`, `tuf.refused`, `trusted-root.*`, `usage.invalid`, `io.*`
 */
export async function updateTrust(request: UpdateTrustRequest): Promise<UpdatedTrust> {
  const { mirror = publicMirror, rootFile, target = trustedRootTarget, output, environment } = request;
  if (mirror !== publicMirror && output === undefined) {
    throw new BullaError(
      'usage.invalid',
      'a TUF repository of your own is fetched into a file: name it by -o',
      {
        hint: 'and name that file in a trust.yaml, or by --trusted-root',
      },
    );
  }
  const repository = {
    mirror: mirror.replace(/\/$/, ''),
    ...(rootFile !== undefined && { rootFile: resolve(rootFile) }),
  };
  const { bytes, freshUntil } = await fetchTarget(environment, repository, target);
  // what cannot be read later is no good now
  if (target === trustedRootTarget) parseTrustedRoots(bytes, target);
  if (output !== undefined) await replaceFile(output, bytes);
  return {
    mirror,
    target,
    freshUntil: new Date(freshUntil).toISOString(),
    ...(output !== undefined && { output }),
  };
}
