/** Who judges: a policy, keys named on the command line, or nobody. */
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';
import { evaluate, evaluateKeys } from '../trust/evaluate.ts';
import type { Subject, Verdict } from '../trust/verdict.ts';
import { type Policy, parsePolicy } from '../trust/policy.ts';
import { findPolicy, readPolicyText } from './policy-file.ts';
import type { SignaturesWanted } from './subject.ts';
import type { World } from './world.ts';

export type JudgedBy =
  /** policy.json; without `file` the one that containers/image's search path finds. */
  | { readonly kind: 'policy'; readonly file?: string }
  /** OpenPGP keyrings and sigstore public keys (PEM), any of which may have signed for the image's own name. */
  | { readonly kind: 'keys'; readonly files: readonly string[] }
  /** `--insecure-policy`: everything is accepted. */
  | { readonly kind: 'insecure-accept-anything' };

export type Judge = {
  readonly judge: (subject: Subject) => Promise<Verdict>;
  /** What it looks at. A policy's verdict is podman's, so it goes by the same stores. */
  readonly looks: SignaturesWanted;
};

/** What --insecure-policy says of everything. */
const anything: Verdict = {
  accepted: true,
  scope: null,
  requirements: [{ type: 'insecureAcceptAnything', accepted: true, signatures: [] }],
};

/**
 * Opens the judge once for all images of a command.
 * @throws BullaError `policy.not-found`, `policy.malformed`, `key.malformed`, `key.none`, `key.unusable`, `io.*`, `usage.invalid`
 */
export async function openJudge(by: JudgedBy, requireSigned: boolean, world: World): Promise<Judge> {
  switch (by.kind) {
    case 'insecure-accept-anything':
      if (requireSigned)
        throw new BullaError('usage.invalid', '--insecure-policy and --require-signed contradict each other');
      return { judge: async () => anything, looks: 'as-configured' };
    case 'keys': {
      const { readGivenKeys } = await import('./judge-keys.ts');
      const keys = await readGivenKeys(by.files);
      return {
        judge: (subject) => evaluateKeys(keys, subject, world.now()),
        looks: keys.sigstore === undefined ? 'for-simple' : 'everywhere',
      };
    }
    case 'policy': {
      const policy = await readPolicy(by.file, world);
      const context = { keyring: readKeyFile, requireSigned };
      return {
        judge: (subject) => evaluate(policy, subject, { ...context, now: world.now() }),
        looks: 'as-configured',
      };
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
