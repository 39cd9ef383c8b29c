/**
 * `hashivault://KEY` and `openbao://KEY`: keys in the transit engine of HashiCorp Vault or OpenBao, with the variables that
 * cosign reads. `?version=N` takes another version of the key than the latest.
 */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readFileIfThere } from '../io/files.ts';
import { parseHttpUrl } from '../io/http.ts';
import type { KeyFileContext } from './open-key-file.ts';
import type { KeyAdapter } from './open-key-uri.ts';
import { openRemoteSigner } from './remote-signer.ts';
import { openTransit, type Transit } from './vault-transit.ts';

export const vaultKeys: KeyAdapter = {
  openSigner: async (uri, context) => {
    const transit = await openKey(uri, context);
    try {
      // the version is pinned here: a rotation between two requests would give another key's signature
      const { publicKey, version } = await transit.publicKey();
      return openRemoteSigner({
        name: transit.name,
        publicKey,
        sign: (message, hash) => transit.sign(message, hash, version),
        dispose: async () => transit[Symbol.asyncDispose](),
      });
    } catch (error) {
      await transit[Symbol.asyncDispose]();
      throw error;
    }
  },
  readPublicKey: async (uri, context) => {
    await using transit = await openKey(uri, context);
    return (await transit.publicKey()).publicKey;
  },
};

async function openKey(uri: string, { env }: KeyFileContext): Promise<Transit> {
  const { scheme, key, version } = parseReference(uri);
  const read = variables(scheme, env);
  const address = read('ADDR');
  if (address === undefined) {
    const name = scheme === 'openbao' ? 'BAO_ADDR' : 'VAULT_ADDR';
    throw new BullaError('key.not-found', `${scheme}://${key}: no server is named`, { hint: `set ${name}` });
  }
  const caFile = read('CACERT');
  const ca = caFile === undefined ? undefined : await readFileIfThere(caFile, limits.keyringBytes);
  if (caFile !== undefined && ca === undefined) {
    throw new BullaError('usage.invalid', `no CA certificates: there is no ${printable(caFile)}`);
  }
  const namespace = read('NAMESPACE');
  return openTransit({
    scheme,
    key,
    address: baseUrl(address),
    mount: mountOf(env['TRANSIT_SECRET_ENGINE_PATH'] ?? ''),
    token: await tokenOf(read('TOKEN'), env),
    env,
    ...(version !== undefined && { version }),
    ...(namespace !== undefined && { namespace }),
    ...(ca !== undefined && { ca: textOf(ca) ?? '' }),
  });
}

type Reference = {
  readonly scheme: 'hashivault' | 'openbao';
  readonly key: string;
  readonly version?: number;
};

/** cosign's grammar of the name. */
function parseReference(uri: string): Reference {
  const [, scheme, key, version] =
    /^(hashivault|openbao):\/\/(\w(?:[\w.-]*\w)?)(?:\?version=([1-9]\d{0,8}))?$/i.exec(uri) ?? [];
  if (scheme === undefined || key === undefined) {
    throw new BullaError('usage.invalid', `"${printable(uri, 80)}" names no key of the transit engine`, {
      hint: 'hashivault://KEY or openbao://KEY, with ?version=N for another version than the latest',
    });
  }
  return {
    scheme: scheme.toLowerCase() === 'openbao' ? 'openbao' : 'hashivault',
    key,
    ...(version !== undefined && { version: Number(version) }),
  };
}

/** Reads VAULT_X and BAO_X, the scheme's own first; empty is not there. */
function variables(
  scheme: Reference['scheme'],
  env: NodeJS.ProcessEnv,
): (name: string) => string | undefined {
  const prefixes = scheme === 'openbao' ? ['BAO_', 'VAULT_'] : ['VAULT_', 'BAO_'];
  return (name) =>
    prefixes.map((prefix) => env[`${prefix}${name}`]).find((value) => value !== undefined && value !== '');
}

function baseUrl(address: string): URL {
  const url = parseHttpUrl(address, 'the address of the key server (VAULT_ADDR, BAO_ADDR)');
  if (url.username === '' && url.password === '' && url.search === '') return url;
  throw new BullaError(
    'usage.invalid',
    'the address of the key server has more in it than scheme, host and path',
  );
}

function mountOf(path: string): string {
  const mount = path === '' ? 'transit' : path.replace(/^\/+|\/+$/g, '');
  if (/^[\w.-]+(?:\/[\w.-]+)*$/.test(mount) && !/(?:^|\/)\.\.?(?:\/|$)/.test(mount)) return mount;
  throw new BullaError('usage.invalid', 'TRANSIT_SECRET_ENGINE_PATH is no path of an engine');
}

/** The variable, else what `vault login` left in the home folder. */
async function tokenOf(given: string | undefined, env: NodeJS.ProcessEnv): Promise<string> {
  const home = env['HOME'];
  const file =
    given === undefined && home !== undefined
      ? await readFileIfThere(`${home}/.vault-token`, limits.tokenBytes)
      : undefined;
  const token = given ?? (file === undefined ? '' : (textOf(file) ?? '').trim());
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new BullaError('key.unusable', 'there is no token for the key server', {
    hint: 'set VAULT_TOKEN (BAO_TOKEN), or `vault login`, which leaves one in ~/.vault-token',
  });
}
