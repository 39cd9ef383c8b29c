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

async function openAll(parsed: Parsed, terminal: Terminal): Promise<readonly Signer[]> {
  const { env } = terminal;
  const ids = listOption(parsed, 'signBy');
  const paths = listOption(parsed, 'signBySigstorePrivateKey');
  const params = listOption(parsed, 'signBySigstore');
  if (ids.length + paths.length + params.length === 0) {
    throw new BullaError('usage.invalid', 'no key is named', {
      hint: 'name one by --sign-by or --sign-by-sigstore-private-key',
    });
  }
  const given = await readPassphrases(parsed, { ids: ids.length, paths: paths.length }, terminal);
  const ask = askInTurn(terminal);
  const passphraseOf = (index: number): PassphraseSource => sourceOf(given[index], ask);
  return Promise.all([
    ...ids.map((id, index) => openSigner(id, { env, passphrase: passphraseOf(index) })),
    ...paths.map((path, index) =>
      openSigstoreKeyFile(path, { env, passphrase: passphraseOf(ids.length + index) }),
    ),
    ...params.map((path) => openByParams(path, terminal, ask)),
  ]);
}

/** Its passphrase is what the parameter file says; --sign-passphrase-file is not for it. */
async function openByParams(path: string, terminal: Terminal, ask: Ask): Promise<Signer> {
  const { readSigstoreParams } = await import('../keys/sigstore-params.ts');
  const { privateKeyFile, privateKeyPassphraseFile: file } = await readSigstoreParams(path);
  const given = file === undefined ? undefined : await readPassphraseFile(file, terminal);
  return openSigstoreKeyFile(privateKeyFile, { env: terminal.env, passphrase: sourceOf(given, ask) });
}

/**
 * A passphrase for each key, undefined where none is given. One file may serve all GPG keys; with a sigstore key it
 * serves the one key there is, as in skopeo: what would be tried on which key is not to be guessed.
 */
async function readPassphrases(
  parsed: Parsed,
  count: { readonly ids: number; readonly paths: number },
  terminal: Terminal,
): Promise<readonly (string | undefined)[]> {
  const files = listOption(parsed, 'signPassphraseFile');
  const keys = count.ids + count.paths;
  const forAll = files.length === 1 && count.ids > 0 && count.paths === 0;
  if (files.length > 0 && files.length !== keys && !forAll) {
    throw new BullaError(
      'usage.invalid',
      `${keys} keys and ${files.length} passphrase files do not go together`,
      {
        hint:
          count.paths === 0
            ? 'give one --sign-passphrase-file for all keys, or one for each --sign-by in their order'
            : 'give one --sign-passphrase-file for each key, those of --sign-by first',
      },
    );
  }
  const texts = await Promise.all(files.map((file) => readPassphraseFile(file, terminal)));
  return forAll ? Array.from({ length: keys }, () => texts[0]) : texts;
}

type Ask = PassphraseSource['ask'];

/** Two questions at once on one terminal are none. */
function askInTurn(terminal: Terminal): Ask {
  if (!terminal.interactive) return undefined;
  let last: Promise<unknown> = Promise.resolve();
  return (question) => {
    const answer = last.then(() => terminal.askSecret(question));
    last = answer.catch(() => undefined);
    return answer;
  };
}

function sourceOf(given: string | undefined, ask: Ask): PassphraseSource {
  return { ...(given !== undefined && { given }), ...(ask !== undefined && { ask }) };
}
