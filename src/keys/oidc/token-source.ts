/** Where identity tokens come from: a file, a variable, standard input, or what the machine itself has. */
import { textOf } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { readBoundedFile } from '../../io/files.ts';
import { type IdentityToken, parseIdentityToken } from './identity-token.ts';

/** A place that gives identity tokens. */
export type TokenSource = {
  /** For people: `the file token.jwt`, `GitHub Actions`. */
  readonly description: string;
  /** Asked for when the first signature is made, and again where a certificate has run out. @throws BullaError `oidc.*` */
  token(): Promise<IdentityToken>;
};

export type TokenRules = {
  /** Default: `sigstore`. */
  readonly audiences?: readonly string[];
  /** Default: the clock. */
  readonly now?: () => Date;
};

/**
 * A token that is there already. It is checked now, so that an expired one fails before anything else is done.
 * @throws BullaError `oidc.token-*`
 */
export function givenToken(text: string, description: string, rules: TokenRules = {}): TokenSource {
  const token = readToken(text, description, rules);
  return { description, token: async () => token };
}

/**
 * A token in a file, read and checked now; read again for each certificate, for agents renew such files.
 * @throws BullaError `oidc.token-*`
 */
export async function fileToken(path: string, rules: TokenRules = {}): Promise<TokenSource> {
  const description = `the file ${path}`;
  const read = async (): Promise<IdentityToken> => readToken(await readText(path), description, rules);
  let first: IdentityToken | undefined = await read();
  const token = async (): Promise<IdentityToken> => {
    const known = first;
    first = undefined;
    return known ?? read();
  };
  return { description, token };
}

/** Reads a token by the rules. @throws BullaError `oidc.token-*` */
export function readToken(text: string, source: string, { audiences, now }: TokenRules): IdentityToken {
  if (text.trim() === '') throw new BullaError('oidc.token-missing', `${source} holds no identity token`);
  return parseIdentityToken(text, {
    source,
    now: now?.() ?? new Date(),
    ...(audiences !== undefined && { audiences }),
  });
}

async function readText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readBoundedFile(path, limits.identityTokenBytes);
  } catch (cause) {
    const why = cause instanceof BullaError ? cause.message : `cannot read ${path}`;
    throw new BullaError('oidc.token-missing', `no identity token: ${why}`, { cause });
  }
  const text = textOf(bytes);
  if (text === undefined) throw new BullaError('oidc.token-malformed', `${path} is not UTF-8 text`);
  return text;
}
