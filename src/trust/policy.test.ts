import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { isBullaError } from '../base/errors.ts';
import { parsePolicy, type Policy, whereIs } from './policy.ts';

const reject = { type: 'reject' };
const signedBy = { type: 'signedBy', keyType: 'GPGKeys', keyPath: '/k.gpg' };

function parse(value: unknown): Policy {
  return parsePolicy(typeof value === 'string' ? value : JSON.stringify(value), 'policy.json');
}

function refusal(value: unknown): { message: string; hint: string | undefined } {
  try {
    parse(value);
  } catch (error) {
    assert.ok(isBullaError(error, 'policy.malformed'), String(error));
    assert.equal(error.exitCode, 2);
    return { message: error.message, hint: error.hint };
  }
  return assert.fail(`accepted: ${JSON.stringify(value)}`);
}

test('a whole policy becomes plain data', () => {
  const policy = parse({
    default: [reject],
    transports: {
      docker: {
        'r.example.com': [
          { ...signedBy, signedIdentity: { type: 'remapIdentity', prefix: 'a.b', signedPrefix: 'c.d' } },
          { type: 'signedBy', keyType: 'GPGKeys', keyPaths: ['/a', '/b'] },
        ],
        '': [{ type: 'insecureAcceptAnything' }],
      },
      'a transport of tomorrow': { 'any scope': [{ type: 'signedBy', keyType: 'GPGKeys', keyData: 'YWI=' }] },
    },
  });
  const docker = policy.transports.get('docker');
  const [first, second] = docker?.get('r.example.com')?.requirements ?? [];
  assert.ok(first?.type === 'signedBy' && second?.type === 'signedBy');
  assert.deepEqual(first.keys, { kind: 'paths', paths: ['/k.gpg'] });
  assert.deepEqual(first.signedIdentity, { type: 'remapIdentity', prefix: 'a.b', signedPrefix: 'c.d' });
  assert.deepEqual(second.keys, { kind: 'paths', paths: ['/a', '/b'] });
  assert.deepEqual(second.signedIdentity, { type: 'matchRepoDigestOrExact' });
  assert.equal(docker?.get('')?.requirements[0]?.type, 'insecureAcceptAnything');
  const [tomorrow] = policy.transports.get('a transport of tomorrow')?.get('any scope')?.requirements ?? [];
  assert.ok(tomorrow?.type === 'signedBy');
  assert.deepEqual(tomorrow.keys, { kind: 'data', data: [new Uint8Array([0x61, 0x62])] });
});

function sigstore(fields: object): unknown {
  const [requirement] = parse({ default: [{ type: 'sigstoreSigned', ...fields }] }).default;
  assert.ok(requirement?.type === 'sigstoreSigned');
  const { signer, rekorKeys } = requirement;
  return { signer, rekorKeys };
}

test('sigstoreSigned is parsed in full', () => {
  assert.deepEqual(sigstore({ keyDatas: ['YQ==', 'Yg=='], rekorPublicKeyPaths: ['r', 's'] }), {
    signer: { kind: 'keys', keys: { kind: 'data', data: [new Uint8Array([97]), new Uint8Array([98])] } },
    rekorKeys: { kind: 'paths', paths: ['r', 's'] },
  });
  const fulcio = { caPath: 'ca', oidcIssuer: 'https://i', subjectEmail: 'a@b' };
  assert.deepEqual(sigstore({ fulcio, rekorPublicKeyData: 'YQ==' }), {
    signer: {
      kind: 'fulcio',
      fulcio: { ca: { kind: 'paths', paths: ['ca'] }, oidcIssuer: 'https://i', subjectEmail: 'a@b' },
    },
    rekorKeys: { kind: 'data', data: [new Uint8Array([97])] },
  });
  const pki = { caRootsData: 'YQ==', caIntermediatesPath: 'i', subjectHostname: 'h' };
  assert.deepEqual(sigstore({ pki }), {
    signer: {
      kind: 'pki',
      pki: {
        caRoots: { kind: 'data', data: [new Uint8Array([97])] },
        caIntermediates: { kind: 'paths', paths: ['i'] },
        subjectHostname: 'h',
      },
    },
    rekorKeys: undefined,
  });
});

test('an error names file, line, column and JSON path', () => {
  const text = `{
  "default": [{"type": "reject"}],
  "transports": {
    "docker": {
      "r.example.com": [
        {"type": "signedBy", "keyType": "GPGKeys", "keyPath": 7}
      ]
    }
  }
}`;
  const { message } = refusal(text);
  assert.match(message, /^policy\.json:6:63: \$\.transports\.docker\["r\.example\.com"\]\[0\]\.keyPath: /);
  assert.match(message, /expected a string, found the number 7/);
  assert.match(refusal('{\n "default": [,]}').message, /^policy\.json:2:14: /);
  assert.equal(refusal('{} // c').hint, 'JSON knows no comments');
  assert.equal(refusal({ default: [{ ...signedBy, KeyPath: 'x' }] }).hint, 'write keyPath: case counts');
});

test('what was parsed can be found again in the text', () => {
  const policy = parse('{"default":[\n {"type":"reject"}], "transports":{"oci":{"/a":[{"type":"reject"}]}}}');
  const [requirement] = policy.default;
  const scope = policy.transports.get('oci')?.get('/a');
  assert.ok(requirement !== undefined && scope !== undefined);
  assert.equal(whereIs(policy, requirement.source), 'policy.json:2:2: $.default[0]');
  assert.equal(whereIs(policy, scope.source), 'policy.json:2:43: $.transports.oci["/a"]');
});

test('control characters of a policy do not reach the terminal', () => {
  const { message } = refusal({ default: [reject], transports: { dir: { '\u001b[31m': [reject] } } });
  assert.ok(!message.includes('\u001b'));
});

/** Any policy that must be accepted. */
const identities = fc.oneof(
  fc.constantFrom('matchExact', 'matchRepoDigestOrExact', 'matchRepository').map((type) => ({ type })),
  fc.constantFrom('a:1', 'h.x/a/b:c').map((dockerReference) => ({ type: 'exactReference', dockerReference })),
  fc
    .constantFrom('a', 'h.x/a/b:c')
    .map((dockerRepository) => ({ type: 'exactRepository', dockerRepository })),
  fc.constantFrom('a', 'h.x:5/a').map((prefix) => ({ type: 'remapIdentity', prefix, signedPrefix: 'a.b' })),
);
const base64 = fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString('base64'));
const path = fc.constantFrom('/a', 'b', 'ü');
const keys = fc.oneof(
  fc.record({ keyPath: path }),
  fc.record({ keyPaths: fc.array(path, { minLength: 1, maxLength: 3 }) }),
  fc.record({ keyData: base64 }),
);
const requirement = fc.oneof(
  fc.constantFrom<object>(reject, { type: 'insecureAcceptAnything' }),
  fc.tuple(keys, identities).map(([key, signedIdentity]) => ({
    type: 'signedBy',
    keyType: 'GPGKeys',
    ...key,
    signedIdentity,
  })),
  fc
    .tuple(keys, identities)
    .map(([key, signedIdentity]) => ({ type: 'sigstoreSigned', ...key, signedIdentity })),
  identities.map((baseLayerIdentity) => ({ type: 'signedBaseLayer', baseLayerIdentity })),
  fc.constant({
    type: 'sigstoreSigned',
    fulcio: { caPath: 'c', oidcIssuer: 'i', subjectEmail: 'e' },
    rekorPublicKeyPath: 'r',
  }),
  fc.constant({ type: 'sigstoreSigned', pki: { caRootsPath: 'c', subjectEmail: 'e' } }),
);
const requirements = fc.array(requirement, { minLength: 1, maxLength: 3 });
const valid = fc.record({
  default: requirements,
  transports: fc.dictionary(
    fc.constantFrom('docker', 'x', 'atomic'),
    fc.dictionary(fc.constantFrom('', 'a', 'h.x/a'), requirements, { maxKeys: 3 }),
    { maxKeys: 3 },
  ),
});

test('every well-formed policy is accepted', () => {
  fc.assert(fc.property(valid, (policy) => void parse(policy)));
});

test('a damaged policy is accepted or refused with policy.malformed, never anything else', () => {
  const damage = fc.tuple(
    fc.nat(),
    fc.nat(20),
    fc.constantFrom('', 'null', '"', '{', ']', ',', '0', '\u0000', '"x":1,'),
  );
  fc.assert(
    fc.property(valid, damage, (policy, [at, length, insert]) => {
      const text = JSON.stringify(policy);
      const from = at % text.length;
      try {
        parse(text.slice(0, from) + insert + text.slice(from + length));
      } catch (error) {
        assert.ok(isBullaError(error, 'policy.malformed'), String(error));
      }
    }),
    { numRuns: 400 },
  );
});

/** Every object in a value, where a key could be added; scopes and transports take any key and are left out. */
function closedObjects(value: unknown, depthOfOpen: number): Record<string, unknown>[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown) => closedObjects(item, 0));
  if (typeof value !== 'object' || value === null) return [];
  const object = value as Record<string, unknown>;
  const inner = Object.entries(object).flatMap(([key, member]) =>
    closedObjects(member, depthOfOpen > 0 ? depthOfOpen - 1 : key === 'transports' ? 2 : 0),
  );
  return depthOfOpen > 0 ? inner : [object, ...inner];
}

test('an unknown key anywhere, and any key twice, refuse the whole file', () => {
  fc.assert(
    fc.property(valid, fc.nat(), (policy, choice) => {
      const text = JSON.stringify(policy);
      const copy = JSON.parse(text) as unknown;
      const objects = closedObjects(copy, 0);
      const chosen = objects[choice % objects.length];
      assert.ok(chosen !== undefined);
      chosen['unknown'] = 1;
      assert.match(refusal(copy).message, /unknown key "unknown"|is no/);
      const [key] = Object.keys(policy.default[0] ?? {});
      assert.match(refusal(text.replace(`"${key}":`, `"${key}":"x","${key}":`)).message, /twice|is no/);
    }),
  );
});
