/** What `verify-blob` exits with (the page exit-codes.md), whatever is wrong. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import {
  type BundleJson,
  forgeBundle,
  forgeInstance,
  issueLeaf,
  trustedRootBytes,
} from '../../../test/support/bundle-forge.ts';
import { type Ended, runBulla } from '../../../test/support/fake-terminal.ts';
import * as forge from '../../../test/support/sigstore-forge.ts';
import { utf8 } from '../../base/bytes.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-verify-blob-cli-'));
after(() => rmSync(folder, { recursive: true }));

const instance = forgeInstance();
const key = forge.ecKey();
const message = utf8('the file');
const files = new Set<string>();
function file(name: string, content: Uint8Array | string): void {
  files.add(name);
  writeFileSync(join(folder, name), content);
}
const bundle = (name: string, change?: (json: BundleJson) => unknown): void =>
  file(name, forgeBundle(instance, { signer: key, content: { message }, ...(change && { change }) }).json);

file('app', message);
file('key.pub', forge.pemOf(key));
bundle('good');
file('cut', forgeBundle(instance, { signer: key, content: { message } }).json.subarray(0, 500));
file('keyless', forgeBundle(instance, { signer: issueLeaf(instance), content: { message } }).json);
file('root', trustedRootBytes(instance));
file('other-root', trustedRootBytes(forgeInstance()));
file(
  'empty-root',
  trustedRootBytes(
    instance,
    (root) =>
      void Object.assign(root, {
        tlogs: [],
        ctlogs: [],
        certificateAuthorities: [],
        timestampAuthorities: [],
      }),
  ),
);
const roots = ['empty-root', 'other-root', 'root'] as const;
const line = (name: (typeof roots)[number]): string =>
  Buffer.from(
    name === 'root'
      ? trustedRootBytes(instance)
      : trustedRootBytes(forgeInstance(), (root) =>
          name === 'empty-root' ? void Object.assign(root, { tlogs: [] }) : undefined,
        ),
  ).toString();
file('roots.jsonl', `${roots.map(line).join('\n')}\n`);

async function verify(...argv: readonly string[]): Promise<Ended> {
  const words = argv.map((word) => (files.has(word) ? join(folder, word) : word));
  const ended = await runBulla(folder, ['verify-blob', ...words]);
  // never a stack, and nothing on stdout but verdicts
  equal(/\n\s+at /.test(ended.err + ended.out), false, ended.err);
  match(ended.out, /^(?:(?:accepted|refused) |$)/);
  return ended;
}

const byKey = ['--key', 'key.pub'];
const byName = [
  ...['--certificate-identity', 'alice@example.com'],
  ...['--certificate-oidc-issuer', 'https://issuer.example.com'],
];

async function ends(exit: number, code: string, ...argv: readonly string[]): Promise<void> {
  const { exit: given, out, err } = await verify(...argv, 'app');
  deepEqual([given, `${out}${err}`.match(/\[([a-z.-]+)\]/)?.[1] ?? ''], [exit, code], argv.join(' '));
}

test('0: by key, with and without a root; by a name, and by several roots, a line each', async () => {
  await ends(0, '', ...byKey, '--bundle', 'good');
  await ends(0, '', ...byKey, '--bundle', 'good', '--trusted-root', 'root');
  await ends(0, '', ...byKey, '--bundle', 'good', '--trusted-root', 'roots.jsonl');
  await ends(0, '', ...byName, '--bundle', 'keyless', '--trusted-root', 'root');
  await ends(0, '', ...byName, '--bundle', 'keyless', '--trusted-root', 'roots.jsonl');
});

test('1: what is under judgement is malformed, or about something else, or by another', async () => {
  bundle('snake', (json) => ({ ...json, mediaType: undefined, media_type: json.mediaType }));
  bundle('version', (json) => ({ ...json, mediaType: json.mediaType.replace('v0.3', 'v0.3.1') }));
  bundle('unpadded', ({ messageSignature = {} }) => {
    const padded = Buffer.concat([
      Buffer.from(String(messageSignature['signature']), 'base64'),
      Buffer.of(0, 0),
    ]);
    messageSignature['signature'] = padded.toString('base64').replace(/=+$/, '').slice(0, -1);
  });
  await ends(1, 'signature.malformed', ...byKey, '--bundle', 'cut');
  await ends(1, 'signature.malformed', ...byKey, '--bundle', 'app');
  await ends(1, 'signature.malformed', ...byKey, '--bundle', 'key.pub');
  await ends(1, 'signature.malformed', ...byKey, '--bundle', 'snake');
  await ends(1, 'signature.unsupported', ...byKey, '--bundle', 'version');
  await ends(1, 'signature.malformed', ...byKey, '--bundle', 'unpadded');
  await ends(1, 'signature.wrong-signer', ...byKey, '--bundle', 'keyless');
  await ends(1, 'signature.certificate-missing', ...byName, '--bundle', 'good', '--trusted-root', 'root');
  const other = await verify(...byKey, '--bundle', 'good', 'key.pub');
  equal(other.exit, 1);
  match(other.out, /\[signature\.wrong-digest\]/);
});

test('1: a root that is one, and vouches for nothing, or for others', async () => {
  for (const root of ['empty-root', 'other-root']) {
    await ends(1, 'signature.log-entry-invalid', ...byKey, '--bundle', 'good', '--trusted-root', root);
    await ends(1, 'signature.log-entry-invalid', ...byName, '--bundle', 'keyless', '--trusted-root', root);
  }
});

test('2: wrong usage, a key that is none, a root that is none', async () => {
  await ends(2, 'usage.invalid', ...byKey, '--bundle', 'good', '--nonsense');
  await ends(2, 'usage.invalid', '--bundle', 'good');
  await ends(2, 'usage.invalid', ...byKey);
  await ends(2, 'usage.invalid', ...byName.slice(0, 2), '--bundle', 'keyless');
  await ends(2, 'key.none', '--key', 'app', '--bundle', 'good');
  for (const none of ['app', 'good', 'key.pub']) {
    await ends(2, 'trusted-root.malformed', ...byKey, '--bundle', 'good', '--trusted-root', none);
  }
  const digest = await verify(...byKey, '--bundle', 'good', 'sha256:12');
  equal(digest.exit, 2);
});

test('3: a file that is not there', async () => {
  await ends(3, 'io.not-found', ...byKey, '--bundle', 'nothing');
  await ends(3, 'io.not-found', '--key', 'nothing', '--bundle', 'good');
  await ends(3, 'io.not-found', ...byKey, '--bundle', 'good', '--trusted-root', 'nothing');
  const missing = await verify(...byKey, '--bundle', 'good', 'nothing');
  equal(missing.exit, 3);
});

test('1: a bundle or a signature of more than is ever read', async () => {
  file('large', Buffer.alloc(17_000_000, ' '));
  await ends(1, 'signature.too-large', ...byKey, '--bundle', 'large');
  await ends(1, 'signature.too-large', ...byKey, '--signature', 'large');
});
