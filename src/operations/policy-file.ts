/** Which policy.json counts: containers/image's search path, and no fallback at its end. */
import { join } from 'node:path';

import { textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { exists, readBoundedFile } from '../io/files.ts';
import { configHome, type SystemEnvironment, variable } from '../registry/environment.ts';

/**
 * Finds the policy file: `$CONTAINERS_POLICY_JSON`, then the first that exists of
 * `$XDG_CONFIG_HOME/containers/policy.json` (or `~/.config/…`), `/etc/containers/policy.json`,
 * `/usr/share/containers/policy.json`. One file counts, nothing is merged. The file that the
 * variable names counts even where it is missing: a typing mistake must not widen trust.
 * @throws BullaError `policy.not-found`, its hint with the paths searched
 */
export async function findPolicy(environment: SystemEnvironment): Promise<string> {
  const named = variable(environment, 'CONTAINERS_POLICY_JSON');
  if (named !== undefined) return named;
  const paths = [configHome(environment), environment.etc, environment.share].map((folder) =>
    join(folder, 'containers/policy.json'),
  );
  for (const path of paths) if (await exists(path)) return path;
  throw new BullaError('policy.not-found', 'there is no policy.json, so nothing says whom to believe', {
    hint: `name one with --policy, or write one of ${paths.join(', ')}`,
  });
}

/**
 * The text of a policy file.
 * @throws BullaError `policy.not-found`, `policy.malformed` (not UTF-8), `io.*`
 */
export async function readPolicyText(path: string): Promise<string> {
  try {
    const text = textOf(await readBoundedFile(path, limits.configFileBytes));
    if (text !== undefined) return text;
  } catch (error) {
    if (!isBullaError(error, 'io.not-found')) throw error;
    throw new BullaError('policy.not-found', error.message, { cause: error });
  }
  throw new BullaError('policy.malformed', `${path} is not UTF-8 text`);
}
