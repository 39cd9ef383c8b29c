import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../base/errors.ts';
import {
  type ChosenServices,
  chooseServices,
  parseSigningConfig,
  signingConfigMediaType,
} from './signing-config.ts';

const now = new Date('2026-06-01T12:00:00Z');
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

type Part = Readonly<Record<string, unknown>>;

function service(url: string, changes: Part = {}): Part {
  return {
    url: `https://${url}`,
    majorApiVersion: 1,
    validFor: { start: '2025-01-01T00:00:00Z' },
    operator: 'one',
    ...changes,
  };
}

const parse = (config: Part): ReturnType<typeof parseSigningConfig> =>
  parseSigningConfig(utf8(JSON.stringify({ mediaType: signingConfigMediaType, ...config })), 'config.json');
const choose = (config: Part): ChosenServices => chooseServices(parse(config), now);
const logsOf = (rekorTlogUrls: readonly Part[], rekorTlogConfig?: Part): readonly string[] =>
  choose({ rekorTlogUrls, ...(rekorTlogConfig !== undefined && { rekorTlogConfig }) }).rekor.map(
    ({ url, version }) => `${url} v${version}`,
  );

test('a configuration as cosign signing-config create makes it', () => {
  const found = choose({
    caUrls: [service('fulcio')],
    oidcUrls: [service('oidc')],
    rekorTlogUrls: [service('rekor')],
    rekorTlogConfig: { selector: 'ANY' },
    tsaUrls: [service('tsa/api/v1/timestamp')],
    tsaConfig: { selector: 'EXACT', count: 1 },
  });
  assert.deepEqual(found, {
    fulcio: { url: 'https://fulcio' },
    oidc: { url: 'https://oidc' },
    rekor: [{ url: 'https://rekor', version: 1 }],
    timestamps: [{ url: 'https://tsa/api/v1/timestamp' }],
  });
  assert.deepEqual(choose({}), { rekor: [], timestamps: [] });
});

test('validity has a start and an end, both inclusive', () => {
  const future = { validFor: { start: '2026-06-01T12:00:00.001Z' } };
  const past = { validFor: { start: '2025-01-01T00:00:00Z', end: '2026-06-01T11:59:59.999Z' } };
  const edge = { validFor: { start: '2026-06-01T12:00:00Z', end: '2026-06-01T14:00:00+02:00' } };
  assert.deepEqual(logsOf([service('a', future), service('b', past), service('c', edge)]), ['https://c v1']);
  assert.throws(() => logsOf([service('a', future)]), code('signing-config.unusable'));
  assert.throws(() => choose({ caUrls: [service('a', past)] }), code('signing-config.unusable'));
});

test('the highest version that is spoken here; unknown ones do not count', () => {
  const [v2, v3] = [{ majorApiVersion: 2 }, { majorApiVersion: 3 }];
  assert.deepEqual(logsOf([service('a'), service('b', v2), service('c', v3)]), ['https://b v2']);
  assert.deepEqual(logsOf([service('a'), service('c', v3)]), ['https://a v1']);
  assert.throws(() => logsOf([service('c', v3)]), code('signing-config.unusable'));
  assert.throws(() => choose({ caUrls: [service('a', v2)] }), code('signing-config.unusable'));
});

test('one of each operator, as many as the selector says', () => {
  const two = { operator: 'two' };
  const list = [service('a'), service('b'), service('c', two)];
  assert.deepEqual(logsOf(list), ['https://a v1']);
  assert.deepEqual(logsOf(list, { selector: 'ANY' }), ['https://a v1']);
  assert.deepEqual(logsOf(list, { selector: 'ALL' }), ['https://a v1', 'https://c v1']);
  assert.deepEqual(logsOf(list, { selector: 'EXACT', count: 1 }), ['https://a v1']);
  assert.deepEqual(logsOf(list, { selector: 'EXACT', count: 2 }), ['https://a v1', 'https://c v1']);
  assert.throws(() => logsOf(list, { selector: 'EXACT', count: 3 }), code('signing-config.unusable'));
  assert.throws(() => logsOf([], { selector: 'EXACT', count: 1 }), code('signing-config.unusable'));
});

test('what is no signing configuration', () => {
  const bad: readonly Part[] = [
    { mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.1+json' },
    { mediaType: undefined },
    { other: 1 },
    { caUrls: {} },
    { caUrls: [5] },
    { caUrls: [service('a', { url: 'ftp://a' })] },
    { caUrls: [service('a', { url: '' })] },
    { caUrls: [service('a', { majorApiVersion: 0 })] },
    { caUrls: [service('a', { majorApiVersion: 'x' })] },
    { caUrls: [service('a', { majorApiVersion: 1.5 })] },
    { caUrls: [service('a', { validFor: undefined })] },
    { caUrls: [service('a', { validFor: {} })] },
    { caUrls: [service('a', { validFor: { start: 'yesterday' } })] },
    { caUrls: [service('a', { validFor: { start: '2026-13-01T00:00:00Z' } })] },
    { caUrls: [service('a', { more: 1 })] },
    { caUrls: Array.from({ length: 65 }, () => service('a')) },
    { rekorTlogConfig: { selector: 'SOME' } },
    { rekorTlogConfig: { count: 1 } },
    { rekorTlogConfig: { selector: 'EXACT' } },
    { rekorTlogConfig: { selector: 'EXACT', count: 0 } },
    { rekorTlogConfig: { selector: 'ANY', count: 2 } },
    { tsaConfig: 'ANY' },
  ];
  for (const each of bad)
    assert.throws(() => parse(each), code('signing-config.malformed'), JSON.stringify(each));
  const texts = ['', '[]', 'null', `{"mediaType":"${signingConfigMediaType}","caUrls":[],"caUrls":[]}`];
  for (const text of texts) {
    assert.throws(() => parseSigningConfig(utf8(text), 'x'), code('signing-config.malformed'), text);
  }
  assert.throws(() => parseSigningConfig(Uint8Array.of(0xff), 'x'), code('signing-config.malformed'));
});

test('whatever is read, it is a configuration or malformed', () => {
  const names = [
    'mediaType',
    'caUrls',
    'rekorTlogUrls',
    'rekorTlogConfig',
    'tsaConfig',
    'url',
    'selector',
    'validFor',
  ];
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(
        null,
        true,
        1,
        '',
        'ANY',
        'EXACT',
        signingConfigMediaType,
        '2026-01-01T00:00:00Z',
      ),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...names), tie('any')),
    ),
  })).any;
  fc.assert(
    fc.property(value, (any) => {
      const whole =
        typeof any === 'object' && any !== null ? { mediaType: signingConfigMediaType, ...any } : any;
      try {
        parseSigningConfig(utf8(JSON.stringify(whole)), 'x');
      } catch (error) {
        assert.ok(isBullaError(error, 'signing-config.malformed'));
      }
    }),
  );
});
