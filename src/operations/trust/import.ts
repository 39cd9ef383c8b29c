/** `trust import`: a policy.json as a trust.yaml that gives the same verdicts. */
import { resolve } from 'node:path';

import { utf8 } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { createFile } from '../../io/files.ts';
import type { SystemEnvironment } from '../../registry/environment.ts';
import type { RequirementJson } from '../../trust/edit.ts';
import { encodeRequirement } from '../../trust/encode.ts';
import { parsePolicy, type Policy, whereIs } from '../../trust/policy.ts';
import type { Requirement } from '../../trust/requirement.ts';
import { apiVersion, isTrustYaml, parseTrustYaml } from '../../trust/trust-yaml.ts';
import { findPolicy, readPolicyText } from '../judge/policy-file.ts';

export type ImportTrustRequest = {
  /** The policy.json. Default: the one that the search path finds. */
  readonly file?: string;
  /** The trust.yaml to make. Default: none is written. */
  readonly output?: string;
  readonly environment: SystemEnvironment;
  /** What key paths of the policy.json are relative to. */
  readonly cwd: string;
};

export type ImportedTrust = {
  readonly file: string;
  readonly text: string;
  /** `file:line:column: path` of requirements that name no key, and became `reject`. */
  readonly rejected: readonly string[];
};

/**
 * Imports a policy.json.
 * @throws BullaError `policy.malformed`, `policy.not-found`, `usage.invalid` (the output is there already), `io.*`
 */
export async function importTrust(request: ImportTrustRequest): Promise<ImportedTrust> {
  const { output, environment, cwd } = request;
  const file = request.file ?? (await findPolicy(environment));
  const source = await readPolicyText(file);
  if (isTrustYaml(source)) throw new BullaError('usage.invalid', `${file} is a trust.yaml already`);
  const imported = await importPolicy(parsePolicy(source, file), cwd);
  if (output !== undefined && !(await createFile(output, utf8(imported.text)))) {
    throw new BullaError('usage.invalid', `${output} is there already`, { hint: 'name a new file' });
  }
  return { file, ...imported };
}

/** The text of a trust.yaml that says what a policy.json says. @param cwd what its key paths are relative to */
export async function importPolicy(policy: Policy, cwd: string): Promise<Omit<ImportedTrust, 'file'>> {
  const rejected: string[] = [];
  const encode = (requirement: Requirement): RequirementJson => {
    const encoded =
      requirement.type === 'signed'
        ? undefined
        : encodeRequirement(requirement, (path) => resolve(cwd, path));
    if (encoded !== undefined) return encoded;
    rejected.push(whereIs(policy, requirement.source));
    return { type: 'reject' };
  };
  const transports = new Map(
    [...policy.transports]
      .filter(([, scopes]) => scopes.size > 0)
      .map(([transport, scopes]) => [
        transport,
        new Map([...scopes].map(([scope, { requirements }]) => [scope, requirements.map(encode)])),
      ]),
  );
  const document = {
    apiVersion,
    stores: 'configured',
    default: policy.default.map(encode),
    ...(transports.size > 0 && { transports }),
  };
  const { Document, visit } = await import('yaml');
  const yaml = new Document(document, { version: '1.2', aliasDuplicateObjects: false });
  visit(yaml, {
    Scalar: (_, node) => {
      // a scope of that name, not a merge key
      if (node.value === '<<') node.type = 'QUOTE_DOUBLE';
    },
  });
  const text = yaml.toString({ lineWidth: 0 });
  // what we wrote ourselves: if it cannot be read, nothing may be written
  await parseTrustYaml(text, 'the imported policy', (path) => resolve(cwd, path));
  return { text, rejected };
}
