/** stages.yaml: what it may say, and everything that is refused, each where it stands. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { isBullaError } from '../../base/errors.ts';
import { parseReference } from '../../base/reference.ts';
import { dockerScopes, selectRequirements } from '../../trust/scopes.ts';
import { identityIn, parseStagedName, stepTo } from '../stages.ts';
import { parseStages } from './stages-file.ts';

const resolve = (path: string): string => join('/etc/bulla', path);

const good = `apiVersion: bulla/v1
kind: Stages
signers:
  dev: { type: gpg, keyPath: dev.asc }
stages:
  - name: dev
    registry: dev.example.com:5000/team
    require: [{ type: signed, by: dev }]
  - name: prod
    registry: prod.example.com
    policy: prod.json
    sign:
      key: keys/prod.private
      sign-passphrase-file: secret
      sign-identity: ["prod.example.com/{path}:{tag}", "mirror.example.com/{path}:{tag}"]
    store:
      lookaside: https://signatures.example.com
      lookaside-staging: staging
      use-sigstore-attachments: true
`;

test('what it says becomes stages, paths absolute', async () => {
  const { file, stages } = await parseStages(good, 'stages.yaml', resolve);
  assert.equal(file, 'stages.yaml');
  const [dev, prod] = stages;
  assert.equal(dev.registry, 'dev.example.com:5000/team');
  assert.ok(dev.by.given !== undefined);
  const subject = (name: string): Parameters<typeof selectRequirements>[1] => ({
    transport: 'docker',
    ...dockerScopes(parseReference(name)),
  });
  const here = selectRequirements(dev.by.given, subject('dev.example.com:5000/team/app:1'));
  assert.deepEqual(here.scope, { transport: 'docker', name: 'dev.example.com:5000/team' });
  const [requirement] = here.requirements;
  assert.ok(requirement?.type === 'signed');
  assert.deepEqual(requirement.signers[0]?.by, {
    kind: 'gpg',
    keys: { kind: 'paths', paths: ['/etc/bulla/dev.asc'] },
  });
  const elsewhere = selectRequirements(dev.by.given, subject('dev.example.com:5000/teams/app:1'));
  assert.deepEqual(
    elsewhere.requirements.map(({ type }) => type),
    ['reject'],
  );
  assert.ok(prod !== undefined);
  assert.deepEqual(prod.by, { kind: 'policy', file: '/etc/bulla/prod.json' });
  assert.deepEqual(
    [...(prod.sign ?? [])],
    [
      ['key', ['/etc/bulla/keys/prod.private']],
      ['sign-passphrase-file', ['/etc/bulla/secret']],
      ['sign-identity', ['prod.example.com/{path}:{tag}', 'mirror.example.com/{path}:{tag}']],
    ],
  );
  assert.deepEqual(prod.store, {
    section: {
      file: 'stages.yaml',
      scope: 'prod.example.com',
      read: { key: 'lookaside', url: 'https://signatures.example.com' },
      write: { key: 'lookaside-staging', url: 'file:///etc/bulla/staging' },
      useSigstoreAttachments: true,
    },
  });
});

test('a key by URI is no path', async () => {
  const text = good.replace('keys/prod.private', 'hashivault://prod');
  const { stages } = await parseStages(text, 'stages.yaml', resolve);
  assert.deepEqual(stages[1]?.sign?.get('key'), ['hashivault://prod']);
});

/** One replacement in the good file, and what is said of it. */
const bad: readonly (readonly [string, string, string, RegExp])[] = [
  ['no YAML', 'stages:\n', 'stages: [\n', /stages\.yaml:\d+:\d+: /],
  ['two documents', 'kind: Stages\n', 'kind: Stages\n---\n', /more than one document|stages/],
  [
    'an anchor',
    'registry: prod.example.com',
    'registry: &a prod.example.com',
    /:10:\d+: anchors are not allowed/,
  ],
  ['a tag', 'policy: prod.json', 'policy: !!str prod.json', /tags are not allowed/],
  ['a key twice', '    policy: prod.json', '    policy: prod.json\n    policy: other.json', /unique|twice/],
  ['no kind', 'kind: Stages\n', '', /must begin with apiVersion: bulla\/v1 and kind: Stages/],
  [
    'the kind first',
    'apiVersion: bulla/v1\nkind: Stages\n',
    'kind: Stages\napiVersion: bulla/v1\n',
    /must begin/,
  ],
  ['another kind', 'kind: Stages', 'kind: Stage', /:2:\d+: \$\.kind: this kind is not known/],
  ['another version', 'bulla/v1', 'bulla/v2', /\$\.apiVersion: this apiVersion is not known/],
  ['an unknown member', 'signers:', 'signer:', /unknown key "signer"/],
  ['an unknown member of a stage', '    policy:', '    polcy:', /unknown key "polcy"/],
  ['no name', '- name: prod\n    registry', '- registry', /the key "name" is missing/],
  ['a name that is none', 'name: prod', 'name: Prod!', /expected a name of a-z/],
  ['a number for a name', 'name: prod', 'name: 7', /expected a text/],
  ['a name twice', 'name: prod', 'name: dev', /there are two stages called dev/],
  [
    'one registry inside another',
    'registry: prod.example.com\n',
    'registry: dev.example.com:5000\n',
    /one inside the other/,
  ],
  [
    'the same registry',
    'registry: prod.example.com\n',
    'registry: dev.example.com:5000/team\n',
    /one inside the other/,
  ],
  [
    'a registry with a tag',
    'registry: prod.example.com\n',
    'registry: prod.example.com/a:1\n',
    /no prefix of image names/,
  ],
  ['a short name', 'registry: prod.example.com\n', 'registry: team/prod\n', /no prefix of image names/],
  ['neither require nor policy', '    policy: prod.json\n', '', /expected one of require, policy/],
  [
    'both',
    '    policy: prod.json\n',
    '    policy: a\n    require: [{ type: reject }]\n',
    /expected one of require, policy/,
  ],
  ['nothing required', 'require: [{ type: signed, by: dev }]', 'require: []', /the list is empty/],
  ['an unknown signer', 'by: dev', 'by: deb', /no signer is called "deb"/],
  ['an unknown requirement', 'type: signed,', 'type: sighed,', /"sighed" is no requirement type/],
  ['sign without a key', '      key: keys/prod.private\n', '', /no key is named/],
  ['sign with an unknown member', '      key:', '      keyfile:', /unknown key "keyfile"/],
  ['an empty text', 'sign-passphrase-file: secret', 'sign-passphrase-file: ""', /expected a text/],
  ['a passphrase that is null', 'sign-passphrase-file: secret', 'sign-passphrase-file:', /expected a text/],
  [
    'a word for a truth',
    'use-sigstore-attachments: true',
    'use-sigstore-attachments: "yes"',
    /expected true or false/,
  ],
  ['a folder beside others', 'lookaside-staging: staging', 'registries.d: x', /nothing stands beside it/],
  ['no stages', good.slice(good.indexOf('stages:')), 'stages: []\n', /there is no stage/],
];

for (const [what, from, to, message] of bad) {
  test(`refused: ${what}`, async () => {
    assert.ok(good.includes(from));
    const text = good.replace(from, to);
    await assert.rejects(parseStages(text, 'stages.yaml', resolve), (error: unknown) => {
      assert.ok(isBullaError(error, 'stages.malformed'), String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

test('a name in a stage has no registry and no digest', () => {
  assert.deepEqual(parseStagedName('ns/app:1.4'), { path: 'ns/app', tag: '1.4' });
  assert.deepEqual(parseStagedName('app'), { path: 'app' });
  const digest = `sha256:${'0'.repeat(64)}`;
  for (const text of [
    '',
    'App',
    'app:',
    `app@${digest}`,
    'dev.example.com/app',
    'localhost/app',
    'host:5000/app',
    'docker://app',
    '../app',
    'a b',
  ])
    assert.throws(() => parseStagedName(text), { code: 'usage.invalid' }, text);
});

test('a step goes forward, from the stage just before unless another is named', async () => {
  const middle = `  - name: qa\n    registry: qa.example.com\n    policy: qa.json\n  - name: prod`;
  const stages = await parseStages(good.replace('  - name: prod', middle), 'stages.yaml', resolve);
  const names = ({ from, to, skipped }: ReturnType<typeof stepTo>): readonly string[] =>
    [from, to, ...skipped].map(({ name }) => name);
  assert.deepEqual(names(stepTo(stages, { to: 'prod' })), ['qa', 'prod']);
  assert.deepEqual(names(stepTo(stages, { to: 'prod', from: 'dev' })), ['dev', 'prod', 'qa']);
  for (const [to, from] of [
    ['dev', undefined],
    ['dev', 'prod'],
    ['qa', 'qa'],
  ] as const)
    assert.throws(() => stepTo(stages, { to, ...(from !== undefined && { from }) }), {
      code: 'usage.invalid',
    });
  assert.throws(() => stepTo(stages, { to: 'live' }), { code: 'stages.unknown' });
});

test('an identity is the pattern with the image’s path and tag, and written in full', () => {
  const name = { path: 'ns/app', tag: '1.4' };
  const { domain, path, tag } = identityIn('prod.example.com/x/{path}:{tag}', name);
  assert.deepEqual([domain, path, tag], ['prod.example.com', 'x/ns/app', '1.4']);
  for (const pattern of [
    'x/{path}:{tag}',
    'prod.example.com/{name}:{tag}',
    'prod.example.com/{path}:{tag}:{tag}',
  ])
    assert.throws(() => identityIn(pattern, name), { code: 'stages.malformed' }, pattern);
});
