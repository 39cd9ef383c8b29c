/** The keys that the signing flags name, opened, each with what it is to make. */
import { BullaError } from '../base/errors.ts';
import type { HttpClient } from '../io/http.ts';
import type { PassphraseSource } from '../keys/key-info.ts';
import type { Signer } from '../keys/signer.ts';
import type { SigstoreParams } from '../keys/sigstore-params.ts';
import { type KeyFileContext, openSigstoreKeyFile } from '../keys/open-key-file.ts';
import { openSigner } from '../keys/open-signer.ts';
import type { SigningFormat, SigningPlan, Witnesses } from '../operations/sign/plan.ts';
import type { KeylessContext, Services } from './keyless.ts';
import { type KeylessRequest, keylessOption, servicesOption } from './keyless-options.ts';
import { listOption, type Parsed, readPassphraseFile } from './options.ts';
import type { Terminal } from './terminal.ts';

export type Signers = AsyncDisposable & { readonly all: Promise<readonly SigningPlan[]> };

/**
 * Starts to open every key of the signing flags, GPG keys first; `all` rejects with `usage.invalid` where none
 * is named, or `key.*`, `oidc.token-*`, `signing-config.*`, `io.*`. podman's and skopeo's flags make what those make;
 * --key and --keyless make a `.sig` and a bundle, and ask the logs and timestamp authorities that the flags name.
 */
export function openSigners(parsed: Parsed, terminal: Terminal): Signers {
  const opened: Promise<Signer>[] = [];
  const connections: HttpClient[] = [];
  const all = openAll({ parsed, terminal, opened, connections });
  // whoever awaits `all` hears of its failure; until then nobody does, and that is no unhandled rejection
  all.catch(() => undefined);
  return {
    all,
    [Symbol.asyncDispose]: async () => {
      await all.catch(() => undefined);
      for (const signer of await Promise.allSettled(opened)) {
        if (signer.status === 'fulfilled') await signer.value[Symbol.asyncDispose]();
      }
      for (const each of connections) await each[Symbol.asyncDispose]();
    },
  };
}

const signingFlags = ['signBy', 'signBySigstorePrivateKey', 'signBySigstore', 'key', 'keyless'];

/** Whether a flag names a key, or whose certificate is to sign. */
export function namesKey(parsed: Parsed): boolean {
  return signingFlags.some((name) => parsed[name] !== undefined);
}

/** What says nothing without a key. skopeo takes a passphrase that nothing needs. */
const withKey: Readonly<Record<string, string>> = {
  signIdentity: '--sign-identity',
  signatureFormat: '--signature-format',
  rekorUrl: '--rekor-url',
  timestampServerUrl: '--timestamp-server-url',
};

/**
 * As openSigners, where a key need not be named; undefined where none is.
 * @throws BullaError `usage.invalid` for flags that go with a key
 */
export function openNamedSigners(parsed: Parsed, terminal: Terminal): Signers | undefined {
  if (namesKey(parsed)) return openSigners(parsed, terminal);
  const lone = Object.entries(withKey).find(([name]) => parsed[name] !== undefined);
  if (lone !== undefined) {
    throw new BullaError('usage.invalid', `${lone[1]} goes with a key`, {
      hint: 'name one by --sign-by, --sign-by-sigstore-private-key or --key',
    });
  }
  return undefined;
}

type Opening = {
  readonly parsed: Parsed;
  readonly terminal: Terminal;
  /** Everything that is to be disposed. */
  readonly opened: Promise<Signer>[];
  readonly connections: HttpClient[];
};

/** The values of the flags. */
type Named = {
  readonly ids: readonly string[];
  readonly paths: readonly string[];
  readonly params: readonly string[];
  readonly uris: readonly string[];
  readonly keyless: KeylessRequest | undefined;
};

/** A key on its way, who is to see what it signs, and the formats that its flag stands for. */
type Started = {
  readonly signer: Promise<Signer>;
  readonly witnesses: Promise<Witnesses>;
  readonly usual: readonly [SigningFormat, ...SigningFormat[]];
};

const nobody: Witnesses = { logs: [], timestamps: [] };
const sigstoreFormats = ['cosign', 'bundle'] as const;

async function openAll(opening: Opening): Promise<readonly SigningPlan[]> {
  const { parsed } = opening;
  const named: Named = {
    ids: listOption(parsed, 'signBy'),
    paths: listOption(parsed, 'signBySigstorePrivateKey'),
    params: listOption(parsed, 'signBySigstore'),
    uris: listOption(parsed, 'key'),
    keyless: keylessOption(parsed),
  };
  const formats = listOption(parsed, 'signatureFormat').map(parseFormat);
  checkNamed(named, parsed);
  const given = await readPassphrases(parsed, named, opening.terminal);
  const started = startAll(named, given, opening);
  opening.opened.push(...started.map(({ signer }) => signer));
  // each failure is heard of, the first one reported
  started.forEach(({ witnesses }) => void witnesses.catch(() => undefined));
  return Promise.all(started.map((each) => planOf(each, formats)));
}

async function planOf(started: Started, asked: readonly SigningFormat[]): Promise<SigningPlan> {
  const { usual } = started;
  const [signer, witnesses] = await Promise.all([started.signer, started.witnesses]);
  if (asked.length === 0) return { signer, witnesses, formats: usual, explicitFormat: false };
  const isGpg = usual[0] === 'simple';
  const formats = [...new Set(asked)].filter((format) => (format === 'simple') === isGpg);
  if (formats.length > 0) return { signer, witnesses, formats, explicitFormat: true };
  throw new BullaError(
    'usage.invalid',
    `the ${isGpg ? 'GPG' : 'sigstore'} key ${signer.keyId} makes no signature of the format ${asked.join(' or ')}`,
    { hint: isGpg ? 'GPG keys make simple' : 'sigstore keys make cosign and bundle' },
  );
}

function parseFormat(text: string): SigningFormat {
  if (text === 'simple' || text === 'cosign' || text === 'bundle') return text;
  throw new BullaError('usage.invalid', `--signature-format takes simple, cosign or bundle, not "${text}"`);
}

function checkNamed({ ids, paths, params, uris, keyless }: Named, parsed: Parsed): void {
  if (ids.length + paths.length + params.length + uris.length === 0 && keyless === undefined) {
    throw new BullaError('usage.invalid', 'no key is named', {
      hint: 'name one by --sign-by, --sign-by-sigstore-private-key or --key, or sign by --keyless',
    });
  }
  const isSeen = ['signingConfig', 'rekorUrl', 'timestampServerUrl'].some(
    (name) => parsed[name] !== undefined,
  );
  if (isSeen && uris.length === 0 && keyless === undefined) {
    throw new BullaError('usage.invalid', 'logs and timestamp authorities go with --key and --keyless', {
      hint: 'podman’s and skopeo’s way to a log is rekorURL in the file of --sign-by-sigstore',
    });
  }
}

/** In the order of the receipt. Keys start first: a third of a second of scrypt runs beside everything else. */
function startAll(
  named: Named,
  given: readonly (string | undefined)[],
  opening: Opening,
): readonly Started[] {
  const { env } = opening.terminal;
  const ask = askInTurn(opening.terminal);
  const contextOf = (index: number): KeyFileContext => ({ env, passphrase: sourceOf(given[index], ask) });
  const { ids, paths, params, uris, keyless } = named;
  const alone = Promise.resolve(nobody);
  const openings = [
    ...ids.map((id, index) => openSigner(id, contextOf(index))),
    ...paths.map((path, index) => openSigstoreKeyFile(path, contextOf(ids.length + index))),
  ];
  const keys = openings.map((signer, index): Started => {
    return { signer, witnesses: alone, usual: [index < ids.length ? 'simple' : 'cosign'] };
  });
  const byUri = uris.map((uri, index) => openByUri(uri, contextOf(ids.length + paths.length + index)));
  const context = keylessContext(opening);
  const byParams = params.map((path) => startByParams(path, opening, context, ask));
  if (byUri.length === 0 && keyless === undefined) return [...keys, ...byParams];
  const services = openServices(opening, keyless !== undefined);
  const witnesses = services.then((found) => found.witnesses);
  // a key that nobody wanted logged is not published because somebody else signs without one
  const ofKeys = services.then((found) => (found.isPublicDefault ? nobody : found.witnesses));
  // where there are no keys nobody waits for the one, where all have keys for the other
  for (const each of [witnesses, ofKeys]) each.catch(() => undefined);
  return [
    ...keys,
    ...byParams,
    ...byUri.map((signer): Started => ({ signer, witnesses: ofKeys, usual: sigstoreFormats })),
    ...(keyless === undefined
      ? []
      : [{ signer: openKeyless(keyless, services, context), witnesses, usual: sigstoreFormats }]),
  ];
}

async function openByUri(uri: string, context: KeyFileContext): Promise<Signer> {
  const { isKeyUri, openKeyUri } = await import('../keys/open-key-uri.ts');
  // the usual case waits for no more modules
  return isKeyUri(uri) ? openKeyUri(uri, context) : openSigstoreKeyFile(uri, context);
}

async function openServices({ parsed, terminal }: Opening, isKeyless: boolean): Promise<Services> {
  const context = { parsed, terminal, isKeyless };
  return (await import('./keyless.ts')).openServices(servicesOption(parsed), context);
}

/** Opens connections to Fulcio and issuers when the first is needed. */
function keylessContext({ parsed, terminal, connections }: Opening): () => Promise<KeylessContext> {
  let opened: Promise<KeylessContext> | undefined;
  const open = async (): Promise<KeylessContext> => {
    const http = (await import('./keyless.ts')).openKeylessHttp(parsed, terminal);
    connections.push(http);
    return { parsed, terminal, http };
  };
  return () => (opened ??= open());
}

async function openKeyless(
  request: KeylessRequest,
  services: Promise<Services>,
  context: () => Promise<KeylessContext>,
): Promise<Signer> {
  const { openKeylessSigner } = await import('./keyless.ts');
  return openKeylessSigner(request, await services, await context());
}

/** Its passphrase is what the parameter file says; --sign-passphrase-file is not for it. */
function startByParams(
  path: string,
  { parsed, terminal }: Opening,
  context: () => Promise<KeylessContext>,
  ask: Ask,
): Started {
  const params = import('../keys/sigstore-params.ts').then(({ readSigstoreParams }) =>
    readSigstoreParams(path),
  );
  const signer = params.then(async ({ key }) => {
    if (key.kind === 'file') return openParamsFile(key, terminal, ask);
    return (await import('./keyless.ts')).openParamsSigner(key, await context());
  });
  const witnesses = params.then(async ({ rekorUrl }): Promise<Witnesses> => {
    if (rekorUrl === undefined) return nobody;
    (await import('./keyless.ts')).refuseOffline(parsed, 'a log');
    return { logs: [{ url: rekorUrl, version: 1 }], timestamps: [] };
  });
  return { signer, witnesses, usual: ['cosign'] };
}

type KeyFile = Extract<SigstoreParams['key'], { readonly kind: 'file' }>;

async function openParamsFile(key: KeyFile, terminal: Terminal, ask: Ask): Promise<Signer> {
  const { privateKeyFile, privateKeyPassphraseFile: file } = key;
  const given = file === undefined ? undefined : await readPassphraseFile(file, terminal);
  return openSigstoreKeyFile(privateKeyFile, { env: terminal.env, passphrase: sourceOf(given, ask) });
}

/**
 * A passphrase for each key, undefined where none is given: GPG keys, then private keys, then --key, whose passphrases
 * may all be left to COSIGN_PASSWORD or the terminal. One file may serve all GPG keys; with a sigstore key it
 * serves the one key there is, as in skopeo: what would be tried on which key is not to be guessed.
 */
async function readPassphrases(
  parsed: Parsed,
  { ids, paths, uris }: Named,
  terminal: Terminal,
): Promise<readonly (string | undefined)[]> {
  const files = listOption(parsed, 'signPassphraseFile');
  const without = ids.length + paths.length;
  const keys = without + uris.length;
  const forAll = files.length === 1 && ids.length > 0 && paths.length === 0;
  const fits = files.length === keys || (files.length === without && without > 0);
  if (files.length > 0 && !fits && !forAll) {
    throw new BullaError(
      'usage.invalid',
      `${keys} keys and ${files.length} passphrase files do not go together`,
      {
        hint:
          keys === ids.length
            ? 'give one --sign-passphrase-file for all keys, or one for each --sign-by in their order'
            : 'give one --sign-passphrase-file for each key, those of --sign-by first, those of --key last',
      },
    );
  }
  const texts = await Promise.all(files.map((file) => readPassphraseFile(file, terminal)));
  return forAll && files.length !== keys ? ids.map(() => texts[0]) : texts;
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
