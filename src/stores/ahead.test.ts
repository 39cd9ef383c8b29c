import { equal, deepEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { takeManifest } from '../base/manifest.ts';
import { parseReference } from '../base/reference.ts';
import type { Registry } from '../registry/registry.ts';
import { askAhead } from './ahead.ts';

const digest = digestOf(utf8('a'));
const sigTag = `${digest.replace(':', '-')}.sig`;
const manifest = takeManifest(utf8('{"schemaVersion":2,"config":{},"layers":[]}'), 'x/y');

/** Notes what it is asked. */
function fakeRegistry(fail = false): { registry: Registry; asked: string[] } {
  const asked: string[] = [];
  const answer = async <T>(what: string, value: T): Promise<T> => {
    asked.push(what);
    if (fail) throw new BullaError('registry.failed', 'it is out of order');
    return value;
  };
  const registry: Partial<Registry> = {
    manifest: (path, name) => answer(`manifest ${path} ${name}`, manifest),
    referrersByApi: (path, name) => answer(`referrers ${path} ${name}`, []),
    referrers: async (path, name, { byApi } = {}) => {
      await (byApi ?? answer(`referrers ${path} ${name}`, []));
      return { source: 'api', manifests: [] };
    },
  };
  return { registry: registry as Registry, asked };
}

const byTag = parseReference('r.example/ns/app:1');
const byDigest = parseReference(`r.example/ns/app@${digest}`);
const both = [`manifest ns/app ${sigTag}`, `referrers ns/app ${digest}`];

test('a digest in the reference is asked for at once, and each answer is handed out once', async () => {
  const { registry, asked } = fakeRegistry();
  const ahead = askAhead({ attachments: true });
  const through = ahead.through(registry, byDigest);
  ahead.ask(digest);
  deepEqual(asked, both);
  await Promise.all([through.manifest('ns/app', sigTag), through.referrers('ns/app', digest)]);
  deepEqual(asked, both);
  await Promise.all([through.manifest('ns/app', sigTag), through.referrers('ns/app', digest)]);
  deepEqual(asked, [...both, ...both]);
});

test('what was asked of one repository answers for no other', async () => {
  const { registry, asked } = fakeRegistry();
  const through = askAhead({ attachments: true }).through(registry, byDigest);
  await through.manifest('ns/other', sigTag);
  await through.referrers('ns/other', digest);
  deepEqual(asked.slice(2), [`manifest ns/other ${sigTag}`, `referrers ns/other ${digest}`]);
});

test('nothing is asked before a digest is known, and no .sig where none is wanted', () => {
  const { registry, asked } = fakeRegistry();
  const ahead = askAhead({ attachments: false });
  ahead.ask(digest);
  ahead.through(registry, byTag);
  equal(asked.length, 0);
  ahead.ask(digest);
  deepEqual(asked, both.slice(1));
});

test('a failure is for whoever wants the answer, and for nobody else', async () => {
  const { registry } = fakeRegistry(true);
  const through = askAhead({ attachments: true }).through(registry, byDigest);
  // long enough for an unhandled rejection to end the process
  await new Promise((resolve) => setImmediate(resolve));
  const failed = (error: unknown): boolean => isBullaError(error, 'registry.failed');
  await rejects(through.manifest('ns/app', sigTag), failed);
  await rejects(through.referrers('ns/app', digest), failed);
});
