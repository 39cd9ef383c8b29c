/** Identity tokens that the machine has of itself: CI services and agents. */
import { BullaError } from '../../base/errors.ts';
import { type HttpClient, parseHttpUrl } from '../../io/http.ts';
import { exists } from '../../io/files.ts';
import { runProcess } from '../../io/process.ts';
import { neededText } from '../json-members.ts';
import { askJson, errorOf, failed } from './ask.ts';
import { sigstoreAudience } from './identity-token.ts';
import { fileToken, givenToken, readToken, type TokenRules, type TokenSource } from './token-source.ts';

export type AmbientContext = {
  readonly env: NodeJS.ProcessEnv;
  readonly http: HttpClient;
  /** Default: where cosign's agents put it. */
  readonly agentFile?: string;
};

/** Their names as cosign has them, in the order in which they are looked for. */
export const tokenProviders = ['envvar', 'filesystem', 'github-actions', 'buildkite-agent'] as const;
export type TokenProvider = (typeof tokenProviders)[number];

type Provider = {
  /** What shows that it is there, for hints. */
  readonly sign: string;
  isHere(context: AmbientContext): Promise<boolean> | boolean;
  open(context: AmbientContext, rules: TokenRules): Promise<TokenSource> | TokenSource;
};

const agentTokenFile = '/var/run/sigstore/cosign/oidc-token';

const providers: Readonly<Record<TokenProvider, Provider>> = {
  // GitLab's id_tokens keyword and whoever else fetched one
  envvar: {
    sign: 'the variable SIGSTORE_ID_TOKEN',
    isHere: ({ env }) => isSet(env['SIGSTORE_ID_TOKEN']),
    open: ({ env }, rules) => givenToken(env['SIGSTORE_ID_TOKEN'] ?? '', 'SIGSTORE_ID_TOKEN', rules),
  },
  filesystem: {
    sign: `the file ${agentTokenFile}`,
    isHere: ({ agentFile }) => exists(agentFile ?? agentTokenFile),
    open: ({ agentFile }, rules) => fileToken(agentFile ?? agentTokenFile, rules),
  },
  'github-actions': {
    sign: 'a GitHub job with `permissions: id-token: write`',
    isHere: ({ env }) =>
      isSet(env['ACTIONS_ID_TOKEN_REQUEST_URL']) && isSet(env['ACTIONS_ID_TOKEN_REQUEST_TOKEN']),
    open: githubToken,
  },
  'buildkite-agent': {
    sign: 'a Buildkite job',
    isHere: ({ env }) => isSet(env['BUILDKITE_AGENT_ACCESS_TOKEN']),
    open: buildkiteToken,
  },
};

/**
 * The first provider that is here, or undefined. Which one is known without asking anybody; those with a service
 * behind them are asked when the token is wanted.
 * @throws BullaError `oidc.token-*` where a token is there and bad: another provider's would be somebody else's
 */
export async function findAmbientToken(
  context: AmbientContext,
  rules: TokenRules = {},
): Promise<TokenSource | undefined> {
  for (const name of tokenProviders) {
    const provider = providers[name];
    if (await provider.isHere(context)) return provider.open(context, rules);
  }
  return undefined;
}

/**
 * The provider of that name.
 * @throws BullaError `usage.invalid` (no such name), `oidc.token-missing` (it is not here), `oidc.token-*`
 */
export async function openTokenProvider(
  name: string,
  context: AmbientContext,
  rules: TokenRules = {},
): Promise<TokenSource> {
  const known = tokenProviders.find((each) => each === name);
  if (known === undefined) {
    throw new BullaError('usage.invalid', `"${name}" is no provider of identity tokens that is known here`, {
      hint: `known are ${tokenProviders.join(', ')}; a token of any other goes into a file for --identity-token`,
    });
  }
  const provider = providers[known];
  if (await provider.isHere(context)) return provider.open(context, rules);
  throw new BullaError('oidc.token-missing', `${known} gives no identity token here`, {
    hint: `it takes ${provider.sign}`,
  });
}

/** What is looked for, for hints. */
export function describeProviders(): string {
  return tokenProviders.map((name) => providers[name].sign).join(', ');
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}

/** GitHub's token service: a GET with the job's own bearer token and the audience wanted. */
function githubToken({ env, http }: AmbientContext, rules: TokenRules): TokenSource {
  const description = 'GitHub Actions';
  const url = parseHttpUrl(env['ACTIONS_ID_TOKEN_REQUEST_URL'] ?? '', 'ACTIONS_ID_TOKEN_REQUEST_URL');
  url.searchParams.set('audience', rules.audiences?.[0] ?? sigstoreAudience);
  const headers = { authorization: `Bearer ${env['ACTIONS_ID_TOKEN_REQUEST_TOKEN'] ?? ''}` };
  const token: TokenSource['token'] = async () => {
    const answer = await askJson(http, 'GitHub’s token service', { url, headers });
    if (answer.status !== 200) throw failed(`GitHub’s token service gives no token: ${errorOf(answer).said}`);
    return readToken(neededText(answer.body, 'value', failed), description, rules);
  };
  return { description, token };
}

/** Buildkite's agent asks its service with the job's own access. */
function buildkiteToken({ env }: AmbientContext, rules: TokenRules): TokenSource {
  const description = 'the Buildkite agent';
  const audience = rules.audiences?.[0] ?? sigstoreAudience;
  const token: TokenSource['token'] = async () => {
    const options = { env, timeoutMs: 60_000, maxBytes: 65_536 };
    const made = await runProcess(
      'buildkite-agent',
      ['oidc', 'request-token', '--audience', audience],
      options,
    );
    if (made.exitCode !== 0) throw failed(`buildkite-agent gives no token: it ended with ${made.exitCode}`);
    return readToken(Buffer.from(made.stdout).toString('utf8'), description, rules);
  };
  return { description, token };
}
