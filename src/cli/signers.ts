/** The keys that the signing flags name, opened. */
import { BullaError } from '../base/errors.ts';
import type { PassphraseSource } from '../keys/key-info.ts';
import type { Signer } from '../keys/signer.ts';
import { openSigstoreKeyFile } from '../keys/open-key-file.ts';
import { openSigner } from '../keys/open-signer.ts';
import { listOption, type Parsed, readPassphraseFile } from './options.ts';
import type { Terminal } from './terminal.ts';

export type Signers = AsyncDisposable & { readonly all: Promise<readonly Signer[]> };

/**
 * Starts to open every key of the signing flags, GPG keys first; `all` rejects with `usage.invalid` where none
 * is named, or `key.*`.
 */
export function openSigners(parsed: Parsed, terminal: Terminal): Signers {
  const all = openAll(parsed, terminal);
  // whoever awaits `all` hears of its failure; until then nobody does, and that is no unhandled rejection
  all.catch(() => undefined);
  return {
    all,
    [Symbol.asyncDispose]: async () => {
      for (const signer of await all.catch(() => [])) await signer[Symbol.asyncDispose]();
    },
  };
}

type Open = (passphrase: PassphraseSource) => Promise<Signer>;

async function openAll(parsed: Parsed, terminal: Terminal): Promise<readonly Signer[]> {
  const { env } = terminal;
  const ids = listOption(parsed, 'signBy');
  const paths = listOption(parsed, 'signBySigstorePrivateKey');
  const keys: readonly Open[] = [
    ...ids.map(
      (id): Open =>
        (passphrase) =>
          openSigner(id, { env, passphrase }),
    ),
    ...paths.map(
      (path): Open =>
        (passphrase) =>
          openSigstoreKeyFile(path, { env, passphrase }),
    ),
  ];
  if (keys.length === 0) {
    throw new BullaError('usage.invalid', 'no key is named', {
      hint: 'name one by --sign-by or --sign-by-sigstore-private-key',
    });
  }
  const passphrases = await readPassphrases(parsed, { keys: keys.length, files: paths.length }, terminal);
  return Promise.all(keys.map((open, index) => open(sourceOf(passphrases[index], terminal))));
}

/**
 * A passphrase for each key, undefined where none is given. One file may serve all GPG keys; with a sigstore key it
 * serves the one key there is, as in skopeo: what would be tried on which key is not to be guessed.
 */
async function readPassphrases(
  parsed: Parsed,
  count: { readonly keys: number; readonly files: number },
  terminal: Terminal,
): Promise<readonly (string | undefined)[]> {
  const files = listOption(parsed, 'signPassphraseFile');
  const forAll = files.length === 1 && count.files === 0;
  if (files.length > 0 && files.length !== count.keys && !forAll) {
    throw new BullaError(
      'usage.invalid',
      `${count.keys} keys and ${files.length} passphrase files do not go together`,
      {
        hint:
          count.files === 0
            ? 'give one --sign-passphrase-file for all keys, or one for each --sign-by in their order'
            : 'give one --sign-passphrase-file for each key, those of --sign-by first',
      },
    );
  }
  const texts = await Promise.all(files.map((file) => readPassphraseFile(file, terminal)));
  return forAll ? Array.from({ length: count.keys }, () => texts[0]) : texts;
}

function sourceOf(given: string | undefined, terminal: Terminal): PassphraseSource {
  return {
    ...(given !== undefined && { given }),
    ...(terminal.interactive && { ask: (question: string) => terminal.askSecret(question) }),
  };
}
