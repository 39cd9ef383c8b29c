/** Old signatures under a new name: the policy.json that accepts them there, found by trying it on them. */
import { resolve } from 'node:path';

import { BullaError } from '../../base/errors.ts';
import type { ImageName } from '../../base/image-name.ts';
import { type Reference, repositoryOf, tryParseReference } from '../../base/reference.ts';
import type { RequirementJson } from '../../trust/edit.ts';
import { parsePolicy, type Policy } from '../../trust/policy.ts';
import { renderRequirements } from '../../trust/render.ts';
import type { SignedIdentity } from '../../trust/requirement.ts';
import { selectRequirements } from '../../trust/scopes.ts';
import type { CopyPlan } from '../copy.ts';
import { type JudgedBy, openJudge } from '../judge.ts';
import { loadPolicy } from '../judge/policy-file.ts';
import { scopeSubjectOf, subjectOf } from '../subject.ts';
import { keyNames } from '../trust/render.ts';
import type { InstanceVerdict } from '../verify.ts';
import type { World } from '../world.ts';

/** A policy.json that accepts, under the destination's repository, what the source's policy accepts in the source. */
export type CarryPolicy = {
  /** As it stands in a file. */
  readonly text: string;
  readonly policy: Policy;
};

/**
 * Takes the source's requirements over to the destination. Each gets the narrowest rule of identity under which the image's signatures, which
 * name the source, satisfy it there: `remapIdentity` where the tag is the same, else `exactRepository`.
 * @throws BullaError `promote.not-carryable`, `policy.*`, and what judging can
 */
export async function carryPolicy(
  { source, verdict, judged }: Pick<CopyPlan, 'source' | 'verdict' | 'judged'>,
  { by, destination }: { readonly by: JudgedBy; readonly destination: Reference },
  world: World,
): Promise<CarryPolicy> {
  const policy = await policyOf(by, world);
  const { requirements, scope } = selectRequirements(policy, await scopeSubjectOf(source.name));
  const rendered = await renderRequirements(requirements, keyNames);
  if ('why' in rendered)
    throw notCarryable(`policy.json cannot say what the source’s policy asks: ${rendered.why}`);
  const rules = rulesFor(verdict.instances ?? [verdict], destination);
  const looks = policy.stores === 'everywhere' ? 'everywhere' : 'as-configured';
  const accepts = async (requirement: RequirementJson): Promise<boolean> => {
    const given = parsePolicy(JSON.stringify({ default: [requirement] }), 'the carried requirement');
    const { judge } = await openJudge({ kind: 'policy', given }, false, world);
    for (const { digest } of judged) {
      const subject = await subjectOf({ image: source, digest, as: destination, looks }, world);
      if (!(await judge(subject)).accepted) return false;
    }
    return true;
  };
  const carried: RequirementJson[] = [];
  for (const each of rendered.requirements) carried.push(await withRule(each, rules, accepts));
  return policyFor(scopeAt(destination, scope.name, source.name), carried);
}

/**
 * The scope there is no wider than here: what the source's policy says of one name is said of one name.
 * @param name the source policy's scope
 */
function scopeAt(destination: Reference, name: string, source: ImageName): string {
  const repository = repositoryOf(destination);
  if (source.transport !== 'docker') return repository;
  const { reference } = source;
  if (reference.digest !== undefined && name.endsWith(`@${reference.digest}`))
    throw notCarryable(
      `the source’s policy believes ${name} alone, and a tag may come to mean another image`,
    );
  const isOfTag = name === `${repositoryOf(reference)}:${reference.tag ?? 'latest'}`;
  return isOfTag ? `${repository}:${destination.tag ?? 'latest'}` : repository;
}

function policyOf(by: JudgedBy, world: World): Promise<Policy> | Policy {
  if (by.kind !== 'policy') throw new BullaError('internal.bug', 'a promotion is judged by a policy');
  return by.given ?? loadPolicy(by.file, world.environment);
}

/** The rules that could do, the narrowest first. */
function rulesFor(
  instances: readonly Pick<InstanceVerdict, 'requirements'>[],
  destination: Reference,
): readonly SignedIdentity[] {
  const signed = instances
    .flatMap(({ requirements }) => requirements.flatMap(({ signatures }) => signatures))
    .filter(({ accepted }) => accepted)
    .map(({ reference, identity }) => tryParseReference(reference ?? identity ?? ''))
    .filter((each) => each !== undefined);
  const repositories = [...new Set(signed.map(repositoryOf))];
  const prefix = repositoryOf(destination);
  return [
    ...repositories.map((signedPrefix) => ({ type: 'remapIdentity', prefix, signedPrefix }) as const),
    ...repositories.map((dockerRepository) => ({ type: 'exactRepository', dockerRepository }) as const),
  ];
}

async function withRule(
  requirement: RequirementJson,
  rules: readonly SignedIdentity[],
  accepts: (requirement: RequirementJson) => Promise<boolean>,
): Promise<RequirementJson> {
  const { type } = requirement;
  const absolute = withAbsolutePaths(requirement);
  if (type !== 'signedBy' && type !== 'sigstoreSigned') return absolute;
  // one reference is narrower than any rule
  for (const signedIdentity of isExactReference(requirement) ? [] : rules) {
    const changed = { ...absolute, signedIdentity };
    if (await accepts(changed)) return changed;
  }
  // exactReference and exactRepository look at no name of the image's
  if (await accepts(absolute)) return absolute;
  throw notCarryable('no rule of identity lets the policy accept these signatures under another name');
}

function isExactReference({ signedIdentity: rule }: RequirementJson): boolean {
  return typeof rule === 'object' && rule !== null && 'type' in rule && rule.type === 'exactReference';
}

/** A policy.json's paths are relative to wherever it is read; this one is to hold everywhere on this machine. */
function withAbsolutePaths(value: RequirementJson): RequirementJson {
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      if (key.endsWith('Path') && typeof each === 'string') return [key, resolve(each)];
      if (key.endsWith('Paths') && Array.isArray(each))
        return [key, each.map((path) => resolve(String(path)))];
      const isNested = (key === 'fulcio' || key === 'pki') && typeof each === 'object' && each !== null;
      return [key, isNested ? withAbsolutePaths(each as RequirementJson) : each];
    }),
  );
}

function policyFor(scope: string, requirements: readonly RequirementJson[]): CarryPolicy {
  const whole = {
    default: [{ type: 'reject' }],
    transports: { docker: { [scope]: requirements } },
  };
  const text = `${JSON.stringify(whole, null, 4)}\n`;
  return { text, policy: parsePolicy(text, 'the policy for the carried signatures') };
}

function notCarryable(why: string): BullaError {
  return new BullaError('promote.not-carryable', why, {
    hint: 'promote with a key, --mode re-sign; nothing was written',
  });
}
