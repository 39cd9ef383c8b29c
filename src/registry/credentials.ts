/** What a client shows to one registry host. */

export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, exchanged at the token server (docker login's identity token). */
  | { readonly kind: 'identity-token'; readonly username: string; readonly token: string }
  /** A bearer token to be used as it is (`--registry-token`). */
  | { readonly kind: 'registry-token'; readonly token: string };

export const noCredentials: Credentials = { kind: 'none' };

/**
 * Reads `USER:PASSWORD` as `--creds` has it: the user's name ends at the first colon.
 * Undefined without a colon or a name: the password is then to be asked for.
 */
export function parseCredentials(text: string): Credentials | undefined {
  const colon = text.indexOf(':');
  if (colon <= 0) return undefined;
  return { kind: 'password', username: text.slice(0, colon), password: text.slice(colon + 1) };
}
