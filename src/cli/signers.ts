/** The keys that the signing flags name, opened. */
import { BullaError } from '../base/errors.ts';
import type { Signer } from '../keys/signer.ts';
import { openSigner } from '../keys/open-signer.ts';
import { listOption, type Parsed, readPassphraseFile } from './options.ts';
import type { Terminal } from './terminal.ts';

export type Signers = AsyncDisposable & { readonly all: Promise<readonly Signer[]> };

/** Starts to open every key of --sign-by; `all` rejects with `usage.invalid` where no key is named, or `key.*`. */
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
  const ids = listOption(parsed, 'signBy');
  const files = listOption(parsed, 'signPassphraseFile');
  if (ids.length === 0)
    throw new BullaError('usage.invalid', 'no key is named', { hint: 'name one by --sign-by' });
  if (files.length > 1 && files.length !== ids.length) {
    throw new BullaError(
      'usage.invalid',
      `${ids.length} keys and ${files.length} passphrase files do not go together`,
      { hint: 'give one --sign-passphrase-file for all keys, or one for each --sign-by in their order' },
    );
  }
  const passphrases = await Promise.all(files.map((file) => readPassphraseFile(file, terminal)));
  return Promise.all(
    ids.map((id, index) => {
      const given = passphrases.length === 1 ? passphrases[0] : passphrases[index];
      const passphrase = {
        ...(given !== undefined && { given }),
        ...(terminal.interactive && { ask: (question: string) => terminal.askSecret(question) }),
      };
      return openSigner(id, { env: terminal.env, passphrase });
    }),
  );
}
