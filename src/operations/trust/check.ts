/** `trust check`: does the policy parse, and does it mean what it says. */
import type { SystemEnvironment } from '../../registry/environment.ts';
import { keyPathsOf } from '../../trust/lint-keys.ts';
import { lintPolicy } from '../../trust/lint.ts';
import type { Warning } from '../../trust/warning.ts';
import { loadPolicy } from '../judge/policy-file.ts';
import { readKeyFiles } from './keys.ts';

export type CheckTrustRequest = {
  /** Default: the one that $BULLA_POLICY names, or that the search path finds. */
  readonly file?: string;
  readonly environment: SystemEnvironment;
  readonly now: Date;
};

export type CheckedTrust = { readonly file: string; readonly warnings: readonly Warning[] };

/**
 * Checks a policy and the key files that it names.
 * @throws BullaError `policy.malformed`, `policy.not-found`, `io.*`
 */
export async function checkTrust({ file, environment, now }: CheckTrustRequest): Promise<CheckedTrust> {
  const policy = await loadPolicy(file, environment);
  const keys = await readKeyFiles(keyPathsOf(policy));
  return { file: policy.file, warnings: lintPolicy(policy, keys, now) };
}
