/**
 * Which policy counts: the one that is named, a policy.json or a trust.yaml; else the policy.json of containers/image's search
 * path, and no fallback at its end.
 */
import { dirname, join, resolve } from 'node:path';

import { textOf } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { exists, readBoundedFile } from '../../io/files.ts';
import { configHome, type SystemEnvironment, variable } from '../../registry/environment.ts';
import { parsePolicy, type Policy } from '../../trust/policy.ts';

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

/**
 * Reads and parses the policy: `file`, else the one that `$BULLA_POLICY` names, else the one that findPolicy finds. Only what is
 * named may be a trust.yaml, told by its first line; what a search finds is a policy.json.
 * @throws BullaError `policy.not-found`, `policy.malformed`, `io.*`
 */
export async function loadPolicy(file: string | undefined, environment: SystemEnvironment): Promise<Policy> {
  const named = file ?? variable(environment, 'BULLA_POLICY');
  const path = named ?? (await findPolicy(environment));
  const text = await readPolicyText(path);
  if (!/^[^{]*apiVersion[ \t]*:/.test(text)) return parsePolicy(text, path);
  const { isTrustYaml, parseTrustYaml } = await import('../../trust/trust-yaml.ts');
  if (!isTrustYaml(text)) return parsePolicy(text, path);
  if (named !== undefined) return parseTrustYaml(text, path, (each) => resolve(dirname(path), each));
  throw new BullaError('policy.malformed', `${path} is a trust.yaml, where a policy.json is searched`, {
    hint: `name it: --policy ${path}, or BULLA_POLICY`,
  });
}
