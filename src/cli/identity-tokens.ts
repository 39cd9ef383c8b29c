/** Whose token it is that keyless signing shows: a file's, a CI service's, or a person's who logs in. */
import { BullaError } from '../base/errors.ts';
import { textOf } from '../base/bytes.ts';
import { limits } from '../base/limits.ts';
import { childProcess } from '../base/node.ts';
import { readBoundedFile } from '../io/files.ts';
import { describeProviders, findAmbientToken, openTokenProvider } from '../keys/oidc/ambient.ts';
import { sigstoreAudience } from '../keys/oidc/identity-token.ts';
import { fileToken, givenToken, type TokenRules, type TokenSource } from '../keys/oidc/token-source.ts';
import type { AuthFlow, KeylessRequest } from './keyless-options.ts';
import type { KeylessContext } from './keyless.ts';

/**
 * In this order: the flag's token; the provider named; the login named; a provider that is here; a login where there
 * is a person.
 * @throws BullaError `oidc.token-*`, `usage.invalid`, `io.*`
 */
export async function tokenSource(
  request: KeylessRequest,
  issuerOfConfig: string | undefined,
  context: KeylessContext,
): Promise<TokenSource> {
  const { identityToken, provider, flow, clientId } = request;
  const { http, terminal } = context;
  const rules: TokenRules = { audiences: [...(clientId === undefined ? [] : [clientId]), sigstoreAudience] };
  const ambient = { env: terminal.env, http };
  if (identityToken !== undefined) return flagToken(identityToken, rules, context);
  if (provider !== undefined) return openTokenProvider(provider, ambient, rules);
  if (flow === undefined || flow === 'token') {
    const found = request.ambient ? await findAmbientToken(ambient, rules) : undefined;
    if (found !== undefined) return found;
    if (flow === 'token' || !terminal.interactive) throw noToken(request);
  }
  const issuer = request.issuer ?? issuerOfConfig;
  if (issuer === undefined) {
    throw new BullaError('usage.invalid', 'nobody can log in: no OpenID issuer is named', {
      hint: 'name it by --oidc-issuer or --signing-config, or give a token by --identity-token',
    });
  }
  const clientSecret = await readSecret(request.clientSecretFile);
  return loginSource(flow === 'device' ? 'device' : 'normal', issuer, { clientId, clientSecret }, context);
}

/** What cosign takes too: the token itself. Every process of the machine can read it there. */
const literalToken = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/;

async function flagToken(
  value: string,
  rules: TokenRules,
  { terminal }: KeylessContext,
): Promise<TokenSource> {
  if (literalToken.test(value)) {
    terminal.warn(
      '--identity-token with the token itself is seen by every user of this machine; give a file with it',
    );
    return givenToken(value, '--identity-token', rules);
  }
  if (value !== '-') return fileToken(value, rules);
  const text = textOf(await terminal.readInput(limits.identityTokenBytes));
  if (text === undefined) throw new BullaError('oidc.token-malformed', 'standard input is not UTF-8 text');
  return givenToken(text, 'standard input', rules);
}

/** A login by a person, when the token is wanted. */
export async function loginSource(
  flow: Exclude<AuthFlow, 'token'>,
  issuer: string,
  client: { readonly clientId: string | undefined; readonly clientSecret: string | undefined },
  { http, terminal }: KeylessContext,
): Promise<TokenSource> {
  const { clientId, clientSecret } = client;
  const options = {
    issuer,
    http,
    // the one line that a person cannot do without, --quiet or not
    note: (line: string) => (terminal.quiet ? terminal.warn(line) : terminal.note(line)),
    ...(clientId !== undefined && { clientId }),
    ...(clientSecret !== undefined && { clientSecret }),
  };
  if (flow === 'device') return (await import('../keys/oidc/device.ts')).deviceToken(options);
  const { interactiveToken } = await import('../keys/oidc/interactive.ts');
  return interactiveToken(terminal.interactive ? { ...options, openBrowser } : options);
}

/** With the desktop's own opener; whether it worked shows itself. */
async function openBrowser(url: string): Promise<void> {
  const opener = process.platform === 'darwin' ? 'open' : 'xdg-open';
  const child = childProcess().spawn(opener, [url], { stdio: 'ignore', detached: true });
  child.on('error', () => undefined);
  child.unref();
}

async function readSecret(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const text = textOf(await readBoundedFile(path, limits.configFileBytes));
  const secret = text?.split(/\r?\n/, 1)[0]?.trim() ?? '';
  if (secret === '')
    throw new BullaError('usage.invalid', `${path} holds no client secret in its first line`);
  return secret;
}

function noToken({ ambient }: KeylessRequest): BullaError {
  return new BullaError('oidc.token-missing', 'there is no identity token to sign with', {
    hint: `give one by --identity-token FILE, or log in by --fulcio-auth-flow device${ambient ? `; looked for ${describeProviders()}` : ''}`,
  });
}
