/** Whole bundles, damaged anywhere: a verdict or a BullaError comes out, and nothing else than what was signed is accepted. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { textOf, utf8 } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { forgeBundle } from '../../test/support/bundle-forge.ts';
import { byKey, instance, key, leaf, ruleOf, statement, subject } from '../../test/support/judge-bundle.ts';
import { parseBundle } from '../formats/bundle.ts';
import { judgeStored } from './bundle-judge.ts';
import type { BundleRule } from './bundle-rule.ts';
import type { SignatureVerdict } from './verdict.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

const cases = [
  { what: 'a certificate', rule: ruleOf(), plan: { signer: leaf, logs: ['v1'], timestamps: 1 } },
  {
    what: 'a certificate in a Rekor v2',
    rule: ruleOf(),
    plan: { signer: leaf, logs: ['v2'], timestamps: 1 },
  },
  { what: 'a key', rule: ruleOf({ signer: byKey }), plan: { signer: key, logs: ['v1'], timestamps: 0 } },
] as const;

function judge(json: Uint8Array, rule: BundleRule): SignatureVerdict | undefined {
  const mediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
  try {
    return judgeStored({ signature: { format: 'bundle', mediaType, json }, location: 'here' }, rule, subject);
  } catch (error) {
    ok(isBullaError(error), String(error));
    return undefined;
  }
}

/** What was signed, by whom, and what the log has of it: none of it may differ where the bundle is accepted. */
function substance(json: Uint8Array): unknown {
  const { content, material, logEntries } = parseBundle(json);
  const signer = material.kind === 'certificates' ? material.certificates[0] : 'key';
  return { content, signer, bodies: logEntries.map(({ body }) => body) };
}

/** Every value of the tree by its path. */
function paths(
  value: Json,
  at: readonly (string | number)[] = [],
): readonly (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [at];
  const inner = Array.isArray(value)
    ? value.flatMap((each: Json, index) => paths(each, [...at, index]))
    : Object.entries(value as object).flatMap(([name, each]) => paths(each as Json, [...at, name]));
  return at.length === 0 ? inner : [at, ...inner];
}

/** The tree with what stands at a path changed; undefined removes it. */
function changed(
  value: Json,
  [step, ...rest]: readonly (string | number)[],
  to: (old: Json) => Json | undefined,
): Json {
  if (step === undefined) return to(value) ?? null;
  const put = (old: Json): Json | undefined => (rest.length === 0 ? to(old) : changed(old, rest, to));
  if (Array.isArray(value)) {
    return value.flatMap((each: Json, index) => {
      const now = index === step ? put(each) : each;
      return now === undefined ? [] : [now];
    });
  }
  const members = Object.entries(value as Record<string, Json>).flatMap(([name, each]) => {
    const now = name === step ? put(each) : each;
    return now === undefined ? [] : [[name, now] as const];
  });
  return Object.fromEntries(members);
}

const oddities: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1e30,
  '',
  '0',
  '-1',
  'AA==',
  'AAB=',
  '9223372036854775808',
  [],
  {},
  [{}],
];

/** Removed, something odd, a value from elsewhere in the bundle, another character, twice. */
function damage(tree: Json, pick: readonly [number, number, number, number]): Json {
  const all = paths(tree);
  const [where, how, what, which] = pick;
  const path = all[where % all.length] ?? [];
  return changed(tree, path, (old) => {
    if (how === 0) return undefined;
    if (how === 1) return oddities[what % oddities.length];
    if (how === 2) return valueAt(tree, all[what % all.length] ?? []);
    if (how === 3 && typeof old === 'string' && old !== '') {
      const at = which % old.length;
      return old.slice(0, at) + String.fromCharCode(32 + (what % 95)) + old.slice(at + 1);
    }
    return [old, old];
  });
}

function valueAt(tree: Json, path: readonly (string | number)[]): Json {
  let value: Json = tree;
  for (const step of path) value = (value as Record<string | number, Json>)[step] ?? null;
  return value;
}

const number = fc.nat(1_000_000);
const pick = fc.tuple(number, fc.nat(4), number, number);

for (const { what, rule, plan } of cases) {
  const { json } = forgeBundle(instance, { content: statement(), ...plan });
  const whole = substance(json);
  const check = (damaged: Uint8Array): void => {
    if (judge(damaged, rule)?.accepted === true) deepEqual(substance(damaged), whole);
  };

  test(`a bundle by ${what}, with damaged members: only what was signed is accepted`, () => {
    equal(judge(json, rule)?.code, 'accepted');
    const tree = JSON.parse(textOf(json) ?? '') as Json;
    fc.assert(
      fc.property(fc.array(pick, { minLength: 1, maxLength: 3 }), (picks) =>
        check(utf8(JSON.stringify(picks.reduce(damage, tree)))),
      ),
      { numRuns: 400 },
    );
  });

  test(`a bundle by ${what}, with damaged bytes or cut off: only what was signed is accepted`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(number, fc.nat(255)), { maxLength: 3 }),
        fc.option(number),
        (bytes, cut) => {
          const damaged = Uint8Array.from(json);
          for (const [at, to] of bytes) damaged[at % damaged.length] = to;
          check(cut === null ? damaged : damaged.slice(0, cut % damaged.length));
        },
      ),
      { numRuns: 300 },
    );
  });
}
