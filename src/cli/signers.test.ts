import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { type ErrorCode, isBullaError } from '../base/errors.ts';
import { freeKeyFiles, writeKeyFiles } from '../keys/sigstore/key-files.ts';
import { makeKeyPair } from '../keys/sigstore/private-key.ts';
import { openNamedSigners, openSigners } from './signers.ts';
import type { Terminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-signers-'));
const [first, second] = [makeKeyPair('ecdsa-p256'), makeKeyPair('ed25519')];
const path = (name: string): string => join(folder, name);

before(async () => {
  await writeKeyFiles(await freeKeyFiles(path('first')), first, 'one');
  await writeKeyFiles(await freeKeyFiles(path('second')), second, 'two');
  writeFileSync(path('one'), 'one\n');
  writeFileSync(path('two'), 'two\n');
  writeFileSync(path('params'), `privateKeyFile: ${path('first.private')}\n`);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A terminal with a person who knows these answers, or with nobody. */
function terminal(env: NodeJS.ProcessEnv, answers?: readonly string[]): Terminal & { asked: string[] } {
  const asked: string[] = [];
  let asking = 0;
  const fake: Partial<Terminal> = {
    env,
    interactive: answers !== undefined,
    warn: () => undefined,
    askSecret: async (question) => {
      equal((asking += 1), 1, 'two questions at once');
      await new Promise((resolve) => setImmediate(resolve));
      asking -= 1;
      asked.push(question);
      return answers?.[asked.length - 1] ?? '';
    },
  };
  return { ...(fake as Terminal), asked };
}

async function keyIds(parsed: object, at = terminal({})): Promise<readonly string[]> {
  await using signers = openSigners({ ...parsed }, at);
  return (await signers.all).map(({ signer }) => signer.keyId);
}

const files = [path('first.private'), path('second.private')];
const code = (wanted: ErrorCode) => (error: unknown) => isBullaError(error, wanted);

test('each key has its passphrase file, in the order of the keys', async () => {
  const both = { signBySigstorePrivateKey: files, signPassphraseFile: [path('one'), path('two')] };
  deepEqual(await keyIds(both), [first.publicKey.keyId, second.publicKey.keyId]);
  const swapped = { ...both, signPassphraseFile: [path('two'), path('one')] };
  await rejects(keyIds(swapped), code('key.passphrase-wrong'));
});

test('one passphrase file for several keys, or for none, is refused', async () => {
  const one = { signPassphraseFile: [path('one')] };
  await rejects(keyIds({ ...one, signBySigstorePrivateKey: files }), code('usage.invalid'));
  await rejects(
    keyIds({ ...one, signBySigstorePrivateKey: files.slice(1), signBy: ['A'] }),
    code('usage.invalid'),
  );
  await rejects(keyIds({ ...one, signBySigstore: [path('params')] }), code('usage.invalid'));
  await rejects(keyIds(one), code('usage.invalid'));
});

test('COSIGN_PASSWORD stands in for a file; a file comes before it', async () => {
  const key = { signBySigstorePrivateKey: [path('first.private')] };
  deepEqual(await keyIds(key, terminal({ COSIGN_PASSWORD: 'one' })), [first.publicKey.keyId]);
  const params = { signBySigstore: [path('params')] };
  deepEqual(await keyIds(params, terminal({ COSIGN_PASSWORD: 'one' })), [first.publicKey.keyId]);
  const withFile = { ...key, signPassphraseFile: [path('one')] };
  deepEqual(await keyIds(withFile, terminal({ COSIGN_PASSWORD: 'wrong' })), [first.publicKey.keyId]);
});

test('a person is asked for one passphrase after the other; nobody can be asked elsewhere', async () => {
  const at = terminal({}, ['one', 'two']);
  const both = { signBySigstorePrivateKey: files };
  deepEqual(await keyIds(both, at), [first.publicKey.keyId, second.publicKey.keyId]);
  deepEqual(
    at.asked,
    files.map((file) => `Passphrase of ${file}`),
  );
  await rejects(keyIds(both), code('key.passphrase-missing'));
});

test('a key file that is not there is a key that is not found', async () => {
  await rejects(keyIds({ signBySigstorePrivateKey: [path('none')] }), code('key.not-found'));
});

test('who names no key is told of the flags that go with one, and nothing is left out silently', () => {
  equal(openNamedSigners({}, terminal({})), undefined);
  for (const name of ['signIdentity', 'signatureFormat', 'rekorUrl', 'timestampServerUrl']) {
    throws(
      () => openNamedSigners({ [name]: ['x'] }, terminal({})),
      (error: unknown) => isBullaError(error, 'usage.invalid'),
      name,
    );
  }
});
