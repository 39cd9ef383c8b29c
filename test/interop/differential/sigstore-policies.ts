/** sigstoreSigned requirements: mostly such that some signature meets them. */
import { email, issuer } from '../../support/sigstore-issue.ts';
import { drawRequirement, identityOf, identityRules, type PolicySubject, scopesAround } from './policies.ts';
import type { Keys } from './keys.ts';
import type { Random } from './random.ts';
import { type KeyKind, keyKinds, type SigstoreKeys } from './sigstore-keys.ts';

type Requirement = Readonly<Record<string, unknown>>;

export const requirementKinds = ['keys', 'keys and log', 'fulcio', 'pki'] as const;
export type RequirementKind = (typeof requirementKinds)[number];

/** A file or its content, in one of the forms that policies have for it; `name` is the member for a path, less `Path`. */
export function material(
  random: Random,
  name: string,
  forms: readonly string[],
  keys: SigstoreKeys,
): Requirement {
  const several = forms.length > 1 || random.chance(0.15);
  const data = forms.map((form) => keys.forms.get(form)).filter((each) => each !== undefined);
  if (random.chance(0.5) && data.length === forms.length) {
    const texts = data.map((each) => Buffer.from(each).toString('base64'));
    return several ? { [`${name}Datas`]: texts } : { [`${name}Data`]: texts[0] };
  }
  const paths = forms.map((form) => keys.path(form));
  return several ? { [`${name}Paths`]: paths } : { [`${name}Path`]: paths[0] };
}

function one(name: string, form: string, random: Random, keys: SigstoreKeys): Requirement {
  const data = keys.forms.get(form);
  return data !== undefined && random.chance(0.5)
    ? { [`${name}Data`]: Buffer.from(data).toString('base64') }
    : { [`${name}Path`]: keys.path(form) };
}

function drawLog(random: Random, keys: SigstoreKeys): Requirement {
  const forms = random.weighted({ log: 8, 'P-256': 1, both: 2, odd: 0.6 });
  if (forms === 'both') return material(random, 'rekorPublicKey', ['stranger', 'log'], keys);
  const form = forms === 'odd' ? random.pick([...keys.forms.keys()]) : forms;
  return material(random, 'rekorPublicKey', [form], keys);
}

function drawKeyForms(random: Random, signer: KeyKind, keys: SigstoreKeys): readonly string[] {
  const draw = (): string =>
    random.weighted({ right: 8, any: 1.5, odd: 1 }) === 'odd'
      ? random.pick([...keys.forms.keys()])
      : random.chance(0.85)
        ? signer
        : random.pick(keyKinds);
  return Array.from({ length: Number(random.weighted({ 1: 7, 2: 3, 3: 1 })) }, draw);
}

/** The members that say who may have signed. */
export function drawSigner(
  random: Random,
  kind: RequirementKind,
  signer: KeyKind,
  keys: SigstoreKeys,
): Requirement {
  const usually = <T>(right: T, others: readonly T[]): T =>
    random.chance(0.85) ? right : random.pick(others);
  const ca = usually('root', [
    'root and more',
    'another root',
    'intermediate',
    'empty',
    'missing',
    'garbage',
  ]);
  switch (kind) {
    case 'keys':
      return material(random, 'key', drawKeyForms(random, signer, keys), keys);
    case 'keys and log':
      return {
        ...material(random, 'key', drawKeyForms(random, signer, keys), keys),
        ...drawLog(random, keys),
      };
    case 'fulcio': {
      const fulcio = {
        ...one('ca', ca, random, keys),
        oidcIssuer: usually(issuer, [`${issuer}/`, issuer.toUpperCase(), 'https://other.example.com', '']),
        subjectEmail: usually(email, ['eve@example.com', 'Alice@example.com', '@example.com', '']),
      };
      return random.chance(0.97) ? { fulcio, ...drawLog(random, keys) } : { fulcio };
    }
    case 'pki': {
      const pki = {
        ...one('caRoots', ca, random, keys),
        ...(random.chance(0.25) &&
          one('caIntermediates', usually('intermediate', ['root', 'empty']), random, keys)),
        ...(random.chance(0.9) && { subjectEmail: usually(email, ['eve@example.com', '']) }),
        ...(random.chance(0.12) && { subjectHostname: random.pick(['example.com', 'alice', '']) }),
      };
      return random.chance(0.97) ? { pki } : { pki, ...drawLog(random, keys) };
    }
  }
}

export type Wanted = { readonly kind: RequirementKind; readonly signer: KeyKind };

function drawSigstoreRequirement(
  random: Random,
  subject: PolicySubject,
  { kind, signer }: Wanted,
  keys: SigstoreKeys,
): Requirement {
  const dir = subject.transport === 'dir';
  const rule = random.chance(0.45)
    ? dir
      ? random.pick(['exactReference', 'exactRepository'] as const)
      : random.pick(['none', 'matchRepository'] as const)
    : random.pick(identityRules);
  const signedIdentity = identityOf(rule, subject);
  const requirement = {
    type: 'sigstoreSigned',
    ...drawSigner(random, kind, signer, keys),
    ...(signedIdentity !== undefined && { signedIdentity }),
  };
  // two ways to name signers at once
  return random.chance(0.02)
    ? { ...requirement, ...drawSigner(random, random.pick(requirementKinds), signer, keys) }
    : requirement;
}

/** A policy as text, with what its signatures should mostly be like. */
export function drawSigstorePolicy(
  random: Random,
  subject: PolicySubject,
  wanted: Wanted,
  keys: { readonly sigstore: SigstoreKeys; readonly gpg: Keys },
): string {
  const requirement = (): Requirement =>
    random.chance(0.87)
      ? drawSigstoreRequirement(random, subject, wanted, keys.sigstore)
      : drawRequirement(random, subject, keys.gpg);
  const list = (): Requirement[] =>
    Array.from({ length: Number(random.weighted({ 1: 80, 2: 18, 3: 2 })) }, requirement);
  const around = scopesAround(subject);
  const scopes: Record<string, Requirement[]> = {};
  for (let count = Number(random.weighted({ 0: 6, 1: 3, 2: 1 })); count > 0; count -= 1) {
    scopes[random.pick(around)] = list();
  }
  const fallback = random.chance(0.08) ? [{ type: 'reject' }] : list();
  const text = JSON.stringify(
    { default: fallback, transports: { [subject.transport]: scopes } },
    undefined,
    1,
  );
  return random.chance(0.06) ? random.pick(slips)(text) : text;
}

/** One slip of the hand in a policy. Some of them leave it as it was. */
export const slips: readonly ((policy: string) => string)[] = [
  (policy) => policy.replace('"keyPath"', '"keyPaths"'),
  (policy) => policy.replace('"keyPaths"', '"keyPath"'),
  (policy) => policy.replace('"keyData"', '"keyDatas"'),
  (policy) => policy.replace('"keyDatas"', '"keyData"'),
  (policy) => policy.replace('"keyPath"', '"KeyPath"'),
  (policy) => policy.replace('"keyPath":', '"keyData": "AAAA", "keyPath":'),
  (policy) => policy.replace('"keyData":', '"keyDatas": [], "keyData":'),
  (policy) => policy.replace(/"key(Path|Data)s": \[[^\]]*\]/, '"key$1s": []'),
  (policy) => policy.replace(/"rekorPublicKey(Path|Data)s": \[[^\]]*\]/, '"rekorPublicKey$1s": []'),
  (policy) => policy.replace('"rekorPublicKeyPath":', '"rekorPublicKeyData": "AAAA", "rekorPublicKeyPath":'),
  (policy) => policy.replace('"rekorPublicKey', '"rekorKey'),
  (policy) => policy.replace('"sigstoreSigned"', '"sigstoresigned"'),
  (policy) => policy.replace('"sigstoreSigned"', '"sigstoreSigned", "keyType": "GPGKeys"'),
  (policy) => policy.replace('"sigstoreSigned"', '"sigstoreSigned", "unknown": 1'),
  (policy) => policy.replace('"fulcio": {', '"fulcio": { "unknown": 1,'),
  (policy) => policy.replace('"fulcio": {', '"fulcio": { "oidcIssuer": "x",'),
  (policy) => policy.replace('"oidcIssuer"', '"oidcIssuers"'),
  (policy) => policy.replace('"subjectEmail"', '"subjectMail"'),
  (policy) => policy.replace(/"fulcio": \{[^}]*\}/, '"fulcio": {}'),
  (policy) => policy.replace(/"fulcio": \{[^}]*\}/, '"fulcio": null'),
  (policy) => policy.replace(/"pki": \{[^}]*\}/, '"pki": {}'),
  (policy) => policy.replace('"caRootsPath":', '"caRootsData": "AAAA", "caRootsPath":'),
  (policy) => policy.replace(/"ca(Path|Data)": "[^"]*",/, ''),
  (policy) => policy.replace(/(Data": ")([^"]{8})/, '$1$2 '),
  (policy) => policy.replace(/(Data": ")([^"]{8})/, String.raw`$1$2\n`),
  (policy) => policy.replace(/(Data": ")([^"]*?)=+"/, '$1$2"'),
  (policy) => policy.replace(/(Data": ")([^"]*)"/, '$1-$2"'),
  (policy) => policy.replace(/"signedIdentity": \{[^}]*\}/, '"signedIdentity": null'),
  (policy) => policy.replace(/"signedIdentity": \{[^}]*\}/, '"signedIdentity": {}'),
  (policy) => policy.replace('"type": "match', '"type": "Match'),
];
