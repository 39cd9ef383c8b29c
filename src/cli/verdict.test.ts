/** docs/reference/verdict.md names every field that `verify --json` gives, and no other. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { forgeBundle, forgeInstance, trustedRootBytes } from '../../test/support/bundle-forge.ts';
import { runBulla } from '../../test/support/fake-terminal.ts';
import { writeOciImage } from '../../test/support/oci-image.ts';
import {
  altNames,
  attach,
  certificate,
  certificatePem,
  ecKey,
  issuerText,
  pemOf,
} from '../../test/support/sigstore-forge.ts';
import { parseImageName } from '../base/image-name.ts';
import { bundleMediaType } from '../formats/bundle.ts';
import { encodeCosignPayload } from '../formats/cosign.ts';
import { inTotoPayloadType } from '../formats/dsse.ts';
import { encodeStatement } from '../formats/statement.ts';
import { openImage } from '../images/open.ts';
import { openWorld } from '../operations/world.ts';
import { serveRegistry } from '../servers/registry/serve.ts';

const page = readFileSync(new URL('../../docs/reference/verdict.md', import.meta.url), 'utf8');

type Field = { readonly name: string; readonly optional: boolean; readonly types: readonly string[] };

/** The fields of one section's table. */
function documented(section: string): readonly Field[] {
  const text = page.split(/^## /m).find((each) => each.startsWith(`${section}\n`)) ?? '';
  return [...text.matchAll(/^\| `([A-Za-z]+)`(\?)? \| ([a-z ]+) \|/gm)].map(
    ([, name = '', optional, types = '']) => ({
      name,
      optional: optional !== undefined,
      types: types.split(' or '),
    }),
  );
}

/** Which section a field's own fields are in. */
const sections: Readonly<Record<string, string>> = {
  scope: 'A scope',
  requirements: 'A requirement',
  signatures: 'A signature',
  untrusted: 'Untrusted',
  claim: 'A claim',
  instances: 'An instance',
  error: 'An error',
};

const seen = new Set<string>();

function check(value: unknown, section: string): void {
  const fields = documented(section);
  assert.ok(fields.length > 0, section);
  assert.ok(typeof value === 'object' && value !== null, section);
  const entries = Object.entries(value);
  for (const { name, optional } of fields)
    assert.ok(optional || entries.some(([key]) => key === name), `${section}: ${name} is missing`);
  for (const [key, inner] of entries) {
    const field = fields.find(({ name }) => name === key);
    assert.ok(field !== undefined, `${section}: ${key} is not documented`);
    const type = inner === null ? 'null' : Array.isArray(inner) ? 'array' : typeof inner;
    assert.ok(field.types.includes(type), `${section}: ${key} is ${type}`);
    seen.add(`${section}: ${key}`);
    const below = sections[key];
    if (below === undefined) continue;
    if (Array.isArray(inner)) for (const each of inner) check(each, below);
    else if (inner !== null) check(inner, below);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'bulla-verdict-'));
const registry = await serveRegistry();
const host = new URL(registry.url).host;
const image = `${host}/ns/app:1`;

async function bulla(...words: readonly string[]): Promise<{ exit: number; out: string; err: string }> {
  return runBulla(folder, words, { XDG_CONFIG_HOME: folder, GNUPGHOME: join(folder, 'gnupg') });
}

async function verdicts(...words: readonly string[]): Promise<readonly Record<string, unknown>[]> {
  const { out } = await bulla('verify', '--tls-verify=false', '--json', ...words);
  const list: unknown = JSON.parse(out);
  assert.ok(Array.isArray(list));
  for (const each of list) check(each, 'An image');
  return list;
}

/** A list of the image at `image`, beside it. */
async function pushList(digest: string, size: number): Promise<void> {
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest,
        size,
        platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
      },
    ],
  });
  const answer = await fetch(`${registry.url}/v2/ns/app/manifests/list`, {
    method: 'PUT',
    headers: { 'content-type': 'application/vnd.oci.image.index.v1+json' },
    body,
  });
  assert.equal(answer.status, 201);
}

before(async () => {
  const { digest, manifest } = await writeOciImage(join(folder, 'layout'));
  await mkdir(join(folder, 'containers', 'registries.d'), { recursive: true });
  writeFileSync(
    join(folder, 'containers', 'registries.d', 'x.yaml'),
    `default-docker:\n  lookaside: file://${folder}/sigstore\n`,
  );
  writeFileSync(join(folder, 'pw'), 'pw\n');
  writeFileSync(
    join(folder, 'policy.json'),
    JSON.stringify({
      default: [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: join(folder, 'b.pub.asc') }],
    }),
  );
  for (const name of ['a', 'b']) {
    const id = `${name} <${name}@example.com>`;
    const prefix = ['--output-prefix', join(folder, name), '--passphrase-file', join(folder, 'pw')];
    const made = await bulla('key', 'generate', 'gpg', '--user-id', id, '--type', 'ed25519', ...prefix);
    assert.equal(made.exit, 0, made.err);
  }
  const steps = [
    ['key', 'import', join(folder, 'a.private.asc')],
    ['push', '--tls-verify=false', `oci:${join(folder, 'layout')}`, image],
    [
      'sign',
      '--tls-verify=false',
      '--sign-by',
      'a@example.com',
      '--sign-passphrase-file',
      join(folder, 'pw'),
      image,
    ],
  ];
  for (const step of steps) {
    const { exit, err } = await bulla(...step);
    assert.equal(exit, 0, err);
  }
  await pushList(digest, manifest.length);
});
after(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

test('accepted, refused, a list, undecided: each has the documented fields and no other', async () => {
  const [accepted] = await verdicts('--key', join(folder, 'a.pub.asc'), image);
  assert.equal(accepted?.['accepted'], true);
  const [refused] = await verdicts('--policy', join(folder, 'policy.json'), image);
  assert.equal(refused?.['accepted'], false);
  const [list] = await verdicts('--all', '--policy', join(folder, 'policy.json'), `${host}/ns/app:list`);
  assert.equal(list?.['accepted'], false);
  const [missing, unreachable] = await verdicts(
    '--retry-times',
    '0',
    '--key',
    join(folder, 'a.pub.asc'),
    `${host}/ns/none:1`,
    `dir:${join(folder, 'none')}`,
  );
  assert.equal(missing?.['scope'], null);
  assert.equal(unreachable?.['accepted'], false);
});

test('sigstore signatures: refused with what they say of themselves, and accepted', async () => {
  const registriesDFolder = join(folder, 'containers', 'registries.d');
  await using world = openWorld({ tlsVerify: false, registriesDFolder });
  await using signed = await openImage(parseImageName(image), world);
  const { digest } = await signed.manifest();
  const { attachments } = await world.stores(signed);
  assert.ok(attachments !== undefined);
  const payload = encodeCosignPayload({ manifestDigest: digest, dockerReference: image, timestamp: 1 });
  const [mine, other] = [ecKey(), ecKey()];
  writeFileSync(join(folder, 'mine.pub'), pemOf(mine));
  const names = [altNames([[1, 'alice@example.com']]), issuerText('https://issuer.example.com')];
  const leaf = certificate({ key: other, from: 1_700_000_000, to: 1_900_000_000, extensions: names });
  const id = world.imageId(signed, digest);
  await attachments.add(id, attach(payload, other, { certificate: certificatePem(leaf) }));
  const [refused] = await verdicts('--key', join(folder, 'mine.pub'), image);
  assert.equal(refused?.['accepted'], false);
  await attachments.add(id, attach(payload, mine));
  const [accepted] = await verdicts('--key', join(folder, 'mine.pub'), image);
  assert.equal(accepted?.['accepted'], true);
});

test('by a trust.yaml: whose it is, and for whom it counts', async () => {
  const policy = join(folder, 'trust.yaml');
  const signers = `signers: { alice: { type: gpg, keyPath: a.pub.asc }, bob: { type: gpg, keyPath: b.pub.asc } }`;
  const both = 'default: [{ type: signed, threshold: 2, of: [alice, bob] }]';
  writeFileSync(policy, `apiVersion: bulla/v1\n${signers}\n${both}\n`);
  const [refused] = await verdicts('--policy', policy, image);
  assert.equal(refused?.['accepted'], false);
  const { out } = await bulla('verify', '--tls-verify=false', '--policy', policy, image);
  assert.match(out, /1 of the 2 signers that are needed: alice/);
});

test('bundles: what they state, and when they were seen', async () => {
  const instance = forgeInstance();
  writeFileSync(join(folder, 'root.json'), trustedRootBytes(instance));
  const key = ecKey();
  writeFileSync(join(folder, 'stating.pub'), pemOf(key));
  await using world = openWorld({ tlsVerify: false });
  await using signed = await openImage(parseImageName(image), world);
  const { digest } = await signed.manifest();
  const { referrers } = await world.stores(signed);
  assert.ok(referrers !== undefined);
  const predicateType = 'https://example.com/predicate';
  const subjects = [{ digests: new Map([['sha256', digest.slice('sha256:'.length)]]) }];
  const payload = encodeStatement({ subjects, predicateType });
  const content = { payloadType: inTotoPayloadType, payload };
  const { json } = forgeBundle(instance, { signer: key, content });
  await referrers.add(world.imageId(signed, digest), {
    format: 'bundle',
    mediaType: bundleMediaType,
    json,
  });
  const words = ['--key', join(folder, 'stating.pub'), '--trusted-root', join(folder, 'root.json')];
  const [accepted] = await verdicts(...words, '--type', predicateType, image);
  assert.equal(accepted?.['accepted'], true);
  const [refused] = await verdicts(...words, image);
  assert.equal(refused?.['accepted'], false);
  // without a root nobody can check the log's entry, and that is said
  const { exit, out } = await bulla(
    ...['verify', '--tls-verify=false', '--type', predicateType, '--key', join(folder, 'stating.pub'), image],
  );
  assert.equal(exit, 0);
  assert.match(out, /; its log entry is not checked\n$/);
});

test('every documented field was there', () => {
  const all = ['An image', ...Object.values(sections)].flatMap((section) =>
    documented(section).map(({ name }) => `${section}: ${name}`),
  );
  // not every error has a hint
  const rare = ['An error: hint'];
  assert.deepEqual(
    all.filter((each) => !seen.has(each) && !rare.includes(each)),
    [],
  );
});

test('before any image: an empty list, and the error on stderr', async () => {
  const none = await bulla('verify', '--json', '--policy', join(folder, 'none.json'), image);
  assert.deepEqual([none.exit, none.out], [2, '[]\n']);
  assert.match(none.err, /\[policy\.not-found\]/);
});
