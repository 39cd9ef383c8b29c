import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../../base/bytes.ts';
import { type ErrorCode, isBullaError } from '../../base/errors.ts';
import { forgeInstance, type RootJson, trustedRootBytes } from '../../../test/support/bundle-forge.ts';
import { parseTrustedRoots } from './parse.ts';

const instance = forgeInstance();
const good = trustedRootBytes(instance);
const text = Buffer.from(good).toString();

function refuses(wanted: ErrorCode, bytes: Uint8Array | string): void {
  throws(
    () => parseTrustedRoots(Buffer.from(bytes as Uint8Array), 'root'),
    (error) => isBullaError(error, wanted),
  );
}

const changed = (change: (root: RootJson) => unknown): Uint8Array =>
  trustedRootBytes(instance, (root) => void change(root));
type LogJson = {
  publicKey: Record<string, unknown>;
  logId: Record<string, unknown>;
  [name: string]: unknown;
};
const changedLog = (change: (log: LogJson) => unknown): Uint8Array =>
  changed((root) => change(root.tlogs[0] as LogJson));

test('one root, pretty or in a line; several, a line each', () => {
  const [root, ...others] = parseTrustedRoots(good, 'root');
  equal(others.length, 0);
  equal(root?.transparencyLogs.length, 2);
  deepEqual(root?.transparencyLogs[0]?.logId, instance.rekor1.logId);
  // Rekor v2's key is in the name of its host, as its checkpoints have it
  deepEqual(
    Buffer.from(root?.transparencyLogs[1]?.checkpointKeyId ?? []),
    Buffer.from(instance.rekor2.logId),
  );
  equal(root?.certificateAuthorities[0]?.chain.length, 2);
  equal(root?.certificateAuthorities[0]?.validFor.start, (instance.time - 2000) * 1000);
  const pretty = JSON.stringify(JSON.parse(text), null, 2);
  equal(parseTrustedRoots(utf8(pretty), 'root').length, 1);
  equal(parseTrustedRoots(utf8(`${text}\n${text}\n`), 'root').length, 2);
});

test('what is no trusted root', () => {
  for (const bytes of ['', '{', '[]', '"x"', '{}', 'x'.repeat(100), Uint8Array.of(0xff), `${text}\n{`]) {
    refuses('trusted-root.malformed', bytes);
  }
  refuses(
    'trusted-root.malformed',
    changed((root) => (root.mediaType = 'application/json')),
  );
  refuses(
    'trusted-root.malformed',
    changed((root) => (root.mediaType = root.mediaType.replace('0.1', '0.9'))),
  );
  refuses('trusted-root.malformed', ' '.repeat(4_194_305));
  refuses('trusted-root.malformed', `${text}\n`.repeat(65));
});

test('a log without the start of its validity, or with another id than its key’s, makes the root unusable', () => {
  refuses(
    'trusted-root.unusable',
    changedLog((log) => delete log.publicKey['validFor']),
  );
  refuses(
    'trusted-root.unusable',
    changedLog((log) => (log.publicKey['validFor'] = {})),
  );
  refuses(
    'trusted-root.unusable',
    changedLog((log) => (log.publicKey['validFor'] = { start: null })),
  );
  refuses(
    'trusted-root.unusable',
    changedLog((log) => (log.publicKey['validFor'] = { end: '2026-01-01T00:00:00Z' })),
  );
  for (const start of ['2026-01-01', '2026-02-31T00:00:00Z', '2026-01-01T00:00:00', 'x', 0]) {
    refuses(
      'trusted-root.unusable',
      changedLog((log) => (log.publicKey['validFor'] = { start })),
    );
  }
  refuses(
    'trusted-root.unusable',
    changedLog((log) => (log.logId['keyId'] = Buffer.alloc(32).toString('base64'))),
  );
  refuses(
    'trusted-root.unusable',
    changedLog((log) => (log.publicKey['rawBytes'] = 'AAAA')),
  );
  refuses(
    'trusted-root.unusable',
    changedLog((log) => (log.publicKey['rawBytes'] = '*')),
  );
  refuses(
    'trusted-root.unusable',
    changedLog((log) => (log.publicKey['keyDetails'] = 'PKIX_ECDSA_P384_SHA_384')),
  );
  // a second key under the id of Rekor v2
  const same = changed((root) => {
    const [, log] = root.tlogs as LogJson[];
    const other = { ...log, publicKey: { ...log?.publicKey, rawBytes: otherEd25519 } };
    root.tlogs.push(other);
  });
  refuses('trusted-root.unusable', same);
});

/** RFC 8410 section 10.1 */
const otherEd25519 = 'MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=';

test('authorities', () => {
  const chain = (certificates: unknown): Uint8Array =>
    changed((root) => Object.assign(root.certificateAuthorities[0] ?? {}, { certChain: { certificates } }));
  refuses('trusted-root.unusable', chain([]));
  refuses('trusted-root.unusable', chain([{ rawBytes: 'MAA=' }]));
  refuses('trusted-root.unusable', chain(Array.from({ length: 17 }, () => ({ rawBytes: 'MAA=' }))));
  refuses(
    'trusted-root.unusable',
    changed((root) => delete (root.timestampAuthorities[0] as LogJson)['validFor']),
  );
});

test('what is not known cannot make anybody more trusted, and is passed over; members that are there twice are not', () => {
  const [more] = parseTrustedRoots(
    changed((root) => Object.assign(root, { witnesses: [1] })),
    'root',
  );
  equal(more?.transparencyLogs.length, 2);
  const [less] = parseTrustedRoots(
    changedLog((log) => (log.publicKey['keyDetails'] = 'ML_DSA_65')),
    'root',
  );
  equal(less?.transparencyLogs.length, 1);
  refuses('trusted-root.unusable', text.replace('"tlogs":', '"tlogs":[],"tlogs":'));
  refuses('trusted-root.unusable', text.replace('"start":', '"start":"2020-01-01T00:00:00Z","start":'));
});

test('the same log twice, for two spans of time', () => {
  const bytes = changed((root) => root.tlogs.push({ ...root.tlogs[0] }));
  equal(parseTrustedRoots(bytes, 'root')[0]?.transparencyLogs.length, 3);
});

test('a damaged root is read or refused, and nothing else', () => {
  const run = (at: number, put: string): void => {
    try {
      parseTrustedRoots(utf8(text.slice(0, at) + put + text.slice(at + put.length)), 'root');
    } catch (error) {
      equal(isBullaError(error) && error.code.startsWith('trusted-root.'), true, String(error));
    }
  };
  fc.assert(fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 4 }), run), {
    numRuns: 300,
  });
});
