import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { utf8 } from '../../base/bytes.ts';
import { isBullaError } from '../../base/errors.ts';
import { openSigstoreKey } from '../../keys/sigstore/private-key.ts';
import { main } from '../main.ts';
import { errorLines, type Terminal } from '../terminal.ts';

const root = await mkdtemp(join(tmpdir(), 'bulla-sigstore-'));
after(() => rm(root, { recursive: true, force: true }));

type Session = {
  readonly folder: string;
  readonly out: string[];
  readonly err: string[];
  run(...words: readonly string[]): Promise<number>;
};

type Surroundings = {
  readonly env?: NodeJS.ProcessEnv;
  /** What a person types at one question after another; not there: no terminal. */
  readonly secrets?: readonly string[];
  readonly input?: Uint8Array;
};

const nobody = (): Promise<never> => Promise.reject(new Error('nobody expected a question'));

async function session({ env = {}, secrets, input = new Uint8Array() }: Surroundings = {}): Promise<Session> {
  const folder = await mkdtemp(join(root, 'at-'));
  const out: string[] = [];
  const err: string[] = [];
  const typed = [...(secrets ?? [])];
  const terminal: Terminal = {
    env: { HOME: folder, ...env },
    cwd: folder,
    interactive: secrets !== undefined,
    quiet: false,
    debug: false,
    paint: (word) => word,
    print: (line) => void out.push(line),
    write: (bytes) => void out.push(Buffer.from(bytes).toString('latin1')),
    printJson: (value) => void out.push(JSON.stringify(value)),
    note: (line) => void err.push(line),
    warn: (line) => void err.push(`warning: ${line}`),
    error: (error) => void err.push(errorLines(error, false)),
    readInput: () => Promise.resolve(input),
    ask: nobody,
    askSecret: () => {
      const secret = typed.shift();
      return secret === undefined ? nobody() : Promise.resolve(secret);
    },
    confirm: nobody,
  };
  await writeFile(join(folder, 'pass'), 'open sesame\nmore\n');
  return {
    folder,
    out,
    err,
    run: (...words) => main(['key', 'generate', 'sigstore', '--output-prefix', 'k', ...words], terminal),
  };
}

async function opens(at: Session, passphrase: string): Promise<string> {
  const pem = await readFile(join(at.folder, 'k.private'));
  await using signer = await openSigstoreKey(pem, { passphrase: { given: passphrase } });
  return signer.keyId;
}

async function nothingMade(at: Session): Promise<void> {
  assert.deepEqual(await readdir(at.folder), ['pass']);
}

test('two files are written, and the key’s ID alone is on stdout', async () => {
  const at = await session();
  assert.equal(await at.run('--passphrase-file', 'pass'), 0);
  const publicPem = await readFile(join(at.folder, 'k.pub'), 'utf8');
  const publicKey = createPublicKey(publicPem);
  const keyId = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
  assert.equal(publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(publicPem, publicKey.export({ type: 'spki', format: 'pem' }));
  assert.deepEqual(at.out, [keyId]);
  assert.equal(await opens(at, 'open sesame'), keyId);
  const modes = ['k.private', 'k.pub'].map(async (name) => (await stat(join(at.folder, name))).mode & 0o777);
  assert.deepEqual(await Promise.all(modes), [0o600, 0o644]);
  assert.doesNotMatch(at.err.join(), /warning/);
});

test('nothing is overwritten, and a half is not left behind', async () => {
  for (const taken of ['k.private', 'k.pub']) {
    const at = await session();
    await writeFile(join(at.folder, taken), 'mine');
    assert.equal(await at.run('--passphrase-file', 'pass'), 2);
    assert.match(at.err.join('\n'), /\[key\.exists\]/);
    assert.deepEqual((await readdir(at.folder)).sort(), [taken, 'pass'].sort());
    assert.equal(await readFile(join(at.folder, taken), 'utf8'), 'mine');
  }
});

test('the passphrase comes from the file, then COSIGN_PASSWORD, then a person who types it twice', async () => {
  const both = await session({ env: { COSIGN_PASSWORD: 'from env' }, secrets: [] });
  assert.equal(await both.run('--passphrase-file', 'pass'), 0);
  await opens(both, 'open sesame');
  const env = await session({ env: { COSIGN_PASSWORD: 'from env' }, secrets: [] });
  assert.equal(await env.run(), 0);
  await opens(env, 'from env');
  const person = await session({ secrets: ['typed', 'typed'] });
  assert.equal(await person.run('--type', 'ed25519'), 0);
  await opens(person, 'typed');
  const mistyped = await session({ secrets: ['typed', 'type'] });
  assert.equal(await mistyped.run(), 4);
  await nothingMade(mistyped);
});

test('no passphrase is an error, an empty one that is given only a warning', async () => {
  const none = await session();
  assert.equal(await none.run(), 4);
  assert.match(none.err.join('\n'), /\[key\.passphrase-missing\]/);
  await nothingMade(none);
  const empty = await session({ env: { COSIGN_PASSWORD: '' } });
  assert.equal(await empty.run(), 0);
  assert.match(empty.err.join('\n'), /warning: COSIGN_PASSWORD is empty/);
  await opens(empty, '');
  const file = await session();
  await writeFile(join(file.folder, 'pass'), '');
  assert.equal(await file.run('--passphrase-file', 'pass'), 0);
  assert.match(file.err.join('\n'), /warning: .*pass is empty/);
});

test('a plain key is taken over from a file or from standard input', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-521' });
  const pem = privateKey.export({ type: 'sec1', format: 'pem' });
  const at = await session({ input: utf8(pem) });
  assert.equal(await at.run('--import', '-', '--passphrase-file', 'pass'), 0, at.err.join());
  assert.ok(createPublicKey(await readFile(join(at.folder, 'k.pub'))).equals(publicKey));
  assert.equal(await opens(at, 'open sesame'), at.out[0]);
  await writeFile(join(at.folder, 'plain.pem'), pem);
  assert.equal(await at.run('--output-prefix', 'l', '--import', 'plain.pem', '--passphrase-file', 'pass'), 0);
  assert.equal(at.out[1], at.out[0]);
  assert.equal(await readFile(join(at.folder, 'plain.pem'), 'utf8'), pem);
});

test('wrong words and files are refused before anything is written', async () => {
  const at = await session();
  const file = ['--passphrase-file', 'pass'];
  assert.equal(await at.run('--type', 'dsa', ...file), 2);
  assert.equal(await at.run('--type', 'ed25519', '--import', 'pass', ...file), 2);
  assert.equal(await at.run('--import', 'pass', ...file), 2);
  assert.equal(await at.run('--import', 'none', ...file), 3);
  assert.equal(await at.run('--output-prefix', '', ...file), 2);
  assert.equal(await at.run('--output-prefix', 'no/such/folder', ...file), 3);
  await nothingMade(at);
  await assert.rejects(opens(at, ''), (error) => !isBullaError(error));
});
