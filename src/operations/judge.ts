/** Who judges: a policy, keys named on the command line, or nobody. */
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';
import { evaluate, evaluateKeys } from '../trust/evaluate.ts';
import type { Subject, Verdict } from '../trust/verdict.ts';
import { type Policy, parsePolicy } from '../trust/policy.ts';
import { findPolicy, readPolicyText } from './policy-file.ts';
import type { World } from './world.ts';

export type JudgedBy =
  /** policy.json; without `file` the one that containers/image's search path finds. */
  | { readonly kind: 'policy'; readonly file?: string }
  /** OpenPGP keyrings, any of whose keys may have signed for the image's own name. */
  | { readonly kind: 'keys'; readonly files: readonly string[] }
  /** `--insecure-policy`: everything is accepted. */
  | { readonly kind: 'insecure-accept-anything' };

export type Judge = (subject: Subject) => Promise<Verdict>;

/** What --insecure-policy says of everything. */
const anything: Verdict = {
  accepted: true,
  scope: null,
  requirements: [{ type: 'insecureAcceptAnything', accepted: true, signatures: [] }],
};

/**
 * Opens the judge once for all images of a command.
 * @throws BullaError `policy.not-found`, `policy.malformed`, `key.malformed`, `key.none`, `io.*`, `usage.invalid`
 */
export async function openJudge(by: JudgedBy, requireSigned: boolean, world: World): Promise<Judge> {
  switch (by.kind) {
    case 'insecure-accept-anything':
      if (requireSigned)
        throw new BullaError('usage.invalid', '--insecure-policy and --require-signed contradict each other');
      return async () => anything;
    case 'keys': {
      const { parseKeyring } = await import('../keys/openpgp/keyring.ts');
      const keyring = parseKeyring(...(await Promise.all(by.files.map(readKeyFile))));
      return (subject) => evaluateKeys(keyring, subject, world.now());
    }
    case 'policy': {
      const policy = await readPolicy(by.file, world);
      return (subject) =>
        evaluate(policy, subject, { now: world.now(), keyring: readKeyFile, requireSigned });
    }
  }
}

/** Reads and parses the policy, the named one or the one that the search path finds. */
async function readPolicy(file: string | undefined, world: World): Promise<Policy> {
  const path = file ?? (await findPolicy(world.environment));
  return parsePolicy(await readPolicyText(path), path);
}

async function readKeyFile(path: string): Promise<Uint8Array> {
  return readBoundedFile(path, limits.keyringBytes);
}
