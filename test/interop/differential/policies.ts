/** Policies for an image: scopes around it, requirements that may let it pass. */
import { readFileSync } from 'node:fs';

import { type KeyFileName, keyFileNames, type Keys } from './keys.ts';
import type { Random } from './random.ts';

/** What the policy is about, as a policy names it. */
export type PolicySubject = {
  readonly transport: 'docker' | 'dir';
  /** docker: without tag and digest. dir: the absolute path. */
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
};

type Requirement = Readonly<Record<string, unknown>>;

/** Scopes that apply to the image, and some that nearly do. */
export function scopesAround(subject: PolicySubject): readonly string[] {
  const { repository, tag, digest } = subject;
  const parts = repository.split('/');
  const parents = parts.map((_, index) => parts.slice(0, parts.length - index).join('/'));
  if (subject.transport === 'dir') {
    const real = parents.filter((parent) => parent !== '');
    return [...real, '', `${repository}x`, `${repository}/inside`, '/tmp/elsewhere'];
  }
  const host = parts[0] ?? '';
  const name = host.replace(/:.*/, '');
  const labels = name.split('.');
  const wildcards = labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`);
  return [
    ...[`${repository}:${tag}`, `${repository}@${digest}`, ...parents, ...wildcards, ''],
    // not this image
    ...[name, `${repository}:other`, `${repository}x`, `${repository}/`, repository.slice(0, -1)],
    ...[`*.${name}`, '*', `*.${host}`, `${host}/*`, repository.toUpperCase(), `docker://${repository}`],
    ...['docker.io', `${repository}:${tag}@${digest}`, 'localhost', parts.slice(1).join('/')],
  ];
}

export const identityRules = [
  ...(['none', 'matchExact', 'matchRepoDigestOrExact', 'matchRepository'] as const),
  ...([
    'exactReference',
    'exactReference other',
    'exactReference release',
    'exactReference by digest',
  ] as const),
  ...([
    'exactRepository',
    'exactRepository other',
    'exactRepository release',
    'exactRepository with tag',
  ] as const),
  ...(['remap host', 'remap repository', 'remap parent', 'remap other', 'remap half a name'] as const),
  ...(['remap to a short name', 'remap to the same'] as const),
] as const;
export type IdentityRule = (typeof identityRules)[number];

function remap(prefix: string, signedPrefix: string): object {
  return { type: 'remapIdentity', prefix, signedPrefix };
}
function exactReference(dockerReference: string): object {
  return { type: 'exactReference', dockerReference };
}
function exactRepository(dockerRepository: string): object {
  return { type: 'exactRepository', dockerRepository };
}

/** The signedIdentity object, or undefined for `none`. */
export function identityOf(rule: IdentityRule, subject: PolicySubject): object | undefined {
  const { tag, digest } = subject;
  // a dir: image has no name of its own; its signatures speak of this one
  const repository = subject.transport === 'dir' ? 'registry.example.com/ns/app' : subject.repository;
  const slash = repository.indexOf('/');
  const [host, path] = [repository.slice(0, slash), repository.slice(slash + 1)];
  const parent = repository.slice(0, repository.lastIndexOf('/'));
  switch (rule) {
    case 'none':
      return undefined;
    case 'matchExact':
    case 'matchRepoDigestOrExact':
    case 'matchRepository':
      return { type: rule };
    case 'exactReference':
      return exactReference(`${repository}:${tag}`);
    case 'exactReference other':
      return exactReference(`${repository}:other`);
    case 'exactReference release':
      return exactReference(`release.example.com/${path}:${tag}`);
    case 'exactReference by digest':
      return exactReference(`${repository}@${digest}`);
    case 'exactRepository':
      return exactRepository(repository);
    case 'exactRepository other':
      return exactRepository(`${host}/else/where`);
    case 'exactRepository release':
      return exactRepository(`release.example.com/${path}`);
    case 'exactRepository with tag':
      return exactRepository(`${repository}:${tag}`);
    case 'remap host':
      return remap(host, 'release.example.com');
    case 'remap repository':
      return remap(repository, `release.example.com/${path}`);
    case 'remap parent':
      return remap(parent, parent.replace(host, 'release.example.com'));
    case 'remap other':
      return remap('other.example.com', 'release.example.com');
    case 'remap half a name':
      return remap(repository.slice(0, -1), `release.example.com/${path.slice(0, -1)}`);
    case 'remap to a short name':
      return remap(repository, 'busybox');
    case 'remap to the same':
      return remap(host, host);
  }
}

/** Key files of a requirement: mostly such that hold the first key. */
function drawKeys(random: Random, keys: Keys): Requirement {
  const draw = (): KeyFileName =>
    random.chance(0.6) ? random.pick(['first', 'first binary', 'all'] as const) : random.pick(keyFileNames);
  switch (random.weighted({ keyPath: 6, keyPaths: 3, keyData: 2 })) {
    case 'keyPath':
      return { keyPath: keys.path(draw()) };
    case 'keyPaths':
      return { keyPaths: Array.from({ length: random.whole(1, 3) }, () => keys.path(draw())) };
    case 'keyData': {
      const file = draw();
      const isFile = file !== 'missing' && file !== 'a folder';
      return { keyData: isFile ? readFileSync(keys.path(file)).toString('base64') : '' };
    }
  }
}

export function drawRequirement(random: Random, subject: PolicySubject, keys: Keys): Requirement {
  switch (random.weighted({ signedBy: 82, accept: 8, reject: 4, baseLayer: 2, sigstore: 4 })) {
    case 'signedBy': {
      // most rules for a dir: image can only refuse
      const rule = random.chance(subject.transport === 'dir' ? 0.1 : 0.4)
        ? 'none'
        : random.pick(identityRules);
      const signedIdentity = identityOf(rule, subject);
      return {
        type: 'signedBy',
        keyType: random.chance(0.97)
          ? 'GPGKeys'
          : random.pick(['X509Certificates', 'signedByGPGKeys', 'other', '']),
        ...drawKeys(random, keys),
        ...(signedIdentity !== undefined && { signedIdentity }),
      };
    }
    case 'accept':
      return { type: 'insecureAcceptAnything' };
    case 'reject':
      return { type: 'reject' };
    case 'baseLayer':
      return { type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchRepository' } };
    case 'sigstore':
      return { type: 'sigstoreSigned', keyPath: keys.path('first') };
  }
}

function drawRequirements(random: Random, subject: PolicySubject, keys: Keys): Requirement[] {
  const count = Number(random.weighted({ 1: 75, 2: 20, 3: 5 }));
  return Array.from({ length: count }, () => drawRequirement(random, subject, keys));
}

/** A policy as text; now and then one that is malformed. */
export function drawPolicy(random: Random, subject: PolicySubject, keys: Keys): string {
  const around = scopesAround(subject);
  const scopes: Record<string, Requirement[]> = {};
  for (let count = random.whole(0, 4); count > 0; count -= 1) {
    scopes[random.pick(around)] = drawRequirements(random, subject, keys);
  }
  const fallback = random.chance(0.4) ? [{ type: 'reject' }] : drawRequirements(random, subject, keys);
  const transport = random.chance(0.93)
    ? subject.transport
    : random.pick(['docker', 'dir', 'docker-daemon', 'unknown-transport']);
  const text = JSON.stringify({ default: fallback, transports: { [transport]: scopes } }, undefined, 1);
  return random.chance(0.06) ? spoil(random, text) : text;
}

/** One slip of the hand in a policy. Some of them leave it as it was. */
function spoil(random: Random, text: string): string {
  const slips: readonly ((policy: string) => string)[] = [
    (policy) => policy.replace('"default"', '"Default"'),
    (policy) => policy.replace('"default"', '"defaults"'),
    (policy) => policy.replace('"type": "reject"', '"type": "reject", "keyPath": "x"'),
    (policy) => policy.replace('"type": "reject"', '"type": "reject", "type": "reject"'),
    (policy) => policy.replace('"type": "reject"', '"Type": "reject"'),
    (policy) => policy.replace('"type": "reject"', '"type": "rejected"'),
    (policy) => policy.replace('"keyType": "GPGKeys",', ''),
    (policy) => policy.replace('"keyType": "GPGKeys"', '"keyType": "GPGKeys", "keyData": "AAAA"'),
    (policy) => policy.replace('"keyPath":', '"keyPaths":'),
    (policy) => policy.replace('"signedIdentity": {', '"signedIdentity": { "extra": 1,'),
    (policy) => policy.replace(/"signedIdentity": \{[^}]*\}/, '"signedIdentity": null'),
    (policy) => policy.replace('"type": "match', '"type": "Match'),
    (policy) => policy.replace('"exactReference"', '"exactRepository"'),
    (policy) => policy.replace(/("dockerReference": "[^"]*):[^":]*"/, '$1"'),
    (policy) => policy.replace(/\[\s*\{/, '[ [], {'),
    (policy) => policy.replace(/"default": \[[^\]]*\]/, '"default": []'),
    (policy) => policy.replace(/"default": \[[^\]]*\],/, ''),
    (policy) => policy.replace('"transports": {', '"transports": null, "more": {'),
    (policy) => policy.replace('"transports": {', '"transports": { "docker": {},'),
    (policy) => policy.replace(/\}\s*$/, ',}'),
    (policy) => `${policy}x`,
    (policy) => `${policy}\n \n`,
    (policy) => `// a comment\n${policy}`,
    (policy) => `\ufeff${policy}`,
    () => '',
    () => 'null',
    () => '[]',
    (policy) => policy.replace('"prefix"', '"Prefix"'),
    (policy) => policy.replace(/"prefix": "([^"]*)"/, '"prefix": "$1/"'),
    (policy) => policy.replace(/"keyData": "([^"]*)=+"/, '"keyData": "$1"'),
    (policy) => policy.replace(/"keyData": "(....)/, String.raw`"keyData": "$1\n`),
    (policy) => policy.replace(/"keyData": "(....)/, '"keyData": "$1 '),
  ];
  return random.pick(slips)(text);
}
