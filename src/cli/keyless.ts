/** Keyless signers and witnesses, opened as the flags say. Loaded only where a flag asks for them. */
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { version } from '../base/version.ts';
import { readBoundedFile } from '../io/files.ts';
import { displayUrl, type HttpClient, openHttp, parseHttpUrl } from '../io/http.ts';
import { type FulcioOptions, openFulcioSigner } from '../keys/fulcio/open-fulcio-signer.ts';
import type { FulcioParams } from '../keys/sigstore-params.ts';
import type { ChosenServices } from '../keys/signing-config.ts';
import type { SigstoreSigner } from '../keys/signer.ts';
import type { TokenSource } from '../keys/oidc/token-source.ts';
import type { TrustedRoot } from '../keys/trusted-root/trusted-root.ts';
import type { Witnesses } from '../operations/sign/plan.ts';
import type { KeylessRequest, ServicesRequest } from './keyless-options.ts';
import { loginSource, tokenSource } from './identity-tokens.ts';
import { durationOption, flagOption, type Parsed } from './options.ts';
import type { Terminal } from './terminal.ts';
import { terminalEnvironment } from './world.ts';

/** The services of a command: those of the signing configuration, or of the flags. */
export type Services = {
  readonly fulcioUrl?: string;
  readonly issuerUrl?: string;
  readonly witnesses: Witnesses;
  /** Nobody named them: sigstore's public instance, for whoever signs without a key and for nobody else. */
  readonly isPublicDefault: boolean;
};

/** Whether somebody signs without a key, and the terminal they do it at. */
export type ServicesContext = {
  readonly parsed: Parsed;
  readonly terminal: Terminal;
  readonly isKeyless: boolean;
};

/**
 * @throws BullaError `signing-config.*`, `trust.*` and `io.*` (a file), `tuf.*` (the public instance), `http.url-refused`, `io.offline`
 */
export async function openServices(request: ServicesRequest, context: ServicesContext): Promise<Services> {
  const { signingConfig, trustedRoot } = request;
  const { parsed, isKeyless } = context;
  const isPublicDefault = isKeyless && namesNone(request);
  if (isPublicDefault) refuseOffline(parsed, 'Fulcio');
  const ofPublic = isPublicDefault ? await openPublicInstance(context.terminal, trustedRoot) : undefined;
  const [chosen, roots] = await Promise.all([
    ofPublic?.chosen ??
      (signingConfig === undefined ? servicesOfFlags(request) : servicesOfFile(signingConfig)),
    ofPublic?.roots ?? (trustedRoot === undefined ? undefined : readRoots(trustedRoot)),
  ]);
  const { fulcio, oidc, rekor: logs, timestamps } = chosen;
  if (logs.length + timestamps.length > 0) refuseOffline(parsed, 'a log or timestamp authority');
  return {
    isPublicDefault,
    witnesses: { logs, timestamps, ...(roots !== undefined && { roots }) },
    ...(fulcio !== undefined && { fulcioUrl: fulcio.url }),
    ...(oidc !== undefined && { issuerUrl: oidc.url }),
  };
}

/** One service named and another not is a mistake, which the public instance must not hide: it publishes what it sees. */
function namesNone({ signingConfig, fulcioUrl, rekorUrls, timestampUrls }: ServicesRequest): boolean {
  return (
    signingConfig === undefined && fulcioUrl === undefined && rekorUrls.length + timestampUrls.length === 0
  );
}

/** sigstore's public instance: its services, and whom their answers are checked by, as its TUF repository has them today. */
async function openPublicInstance(
  terminal: Terminal,
  trustedRoot: string | undefined,
): Promise<{ readonly chosen: ChosenServices; readonly roots: readonly TrustedRoot[] }> {
  const [{ publicTarget, publicTrustedRoots, signingConfigTarget }, { chooseServices, parseSigningConfig }] =
    await Promise.all([import('../operations/judge/public-root.ts'), import('../keys/signing-config.ts')]);
  const world = {
    environment: terminalEnvironment(terminal),
    now: () => new Date(),
    warn: (message: string) => terminal.warn(message),
  };
  terminal.warn(
    'no service is named, so sigstore’s public instance signs: the identity and the digest are published for good',
  );
  // one after the other: both are in one repository, and the second is then in the cache
  const { bytes } = await publicTarget(world, signingConfigTarget, { offline: false }).catch(unreachable);
  const chosen = chooseServices(
    parseSigningConfig(bytes, "sigstore's public signing configuration"),
    world.now(),
  );
  const roots =
    trustedRoot === undefined
      ? await publicTrustedRoots(world, { offline: false })
      : await readRoots(trustedRoot);
  return { chosen, roots };
}

/** What verifiers can do without the network does not help who signs. */
function unreachable(error: unknown): never {
  if (!isBullaError(error, 'tuf.unreachable')) throw error;
  throw new BullaError('tuf.unreachable', error.message, {
    cause: error,
    hint: 'for services of your own name them by --signing-config, or by --fulcio-url and --rekor-url',
  });
}

function servicesOfFlags({ fulcioUrl, rekorUrls, timestampUrls }: ServicesRequest): ChosenServices {
  for (const url of rekorUrls) checkUrl(url, '--rekor-url');
  for (const url of timestampUrls) checkUrl(url, '--timestamp-server-url');
  if (fulcioUrl !== undefined) checkUrl(fulcioUrl, '--fulcio-url');
  return {
    rekor: rekorUrls.map((url) => ({ url, version: 1 })),
    timestamps: timestampUrls.map((url) => ({ url })),
    ...(fulcioUrl !== undefined && { fulcio: { url: fulcioUrl } }),
  };
}

/** A flag's value that is no URL is a wrong command line, not a service that fails. */
function checkUrl(text: string, flag: string): void {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return;
  throw new BullaError('usage.invalid', `${flag} takes an http or https URL without user name and password`);
}

async function servicesOfFile(path: string): Promise<ChosenServices> {
  const [bytes, { chooseServices, parseSigningConfig }] = await Promise.all([
    readBoundedFile(path, limits.configFileBytes),
    import('../keys/signing-config.ts'),
  ]);
  return chooseServices(parseSigningConfig(bytes, path), new Date());
}

async function readRoots(path: string): Promise<readonly TrustedRoot[]> {
  const [bytes, { parseTrustedRoots }] = await Promise.all([
    readBoundedFile(path, limits.trustedRootBytes),
    import('../keys/trusted-root/parse.ts'),
  ]);
  return parseTrustedRoots(bytes, path);
}

/** Of one command: its flags, its person, and connections to Fulcio and issuers. */
export type KeylessContext = {
  readonly parsed: Parsed;
  readonly terminal: Terminal;
  readonly http: HttpClient;
};

export function openKeylessHttp(parsed: Parsed, terminal: Terminal): HttpClient {
  const guard = flagOption(parsed, 'offline') ? { guard: forbidden } : {};
  return openHttp({ userAgent: `bulla/${version}`, env: terminal.env, ...guard });
}

function forbidden(url: URL): void {
  throw new BullaError('io.offline', `--offline: no connection to ${url.host} is made`);
}

/**
 * The signer of --keyless and its kin. What can be checked without asking anybody is checked now; Fulcio is asked
 * with the first signature.
 * @throws BullaError `usage.invalid`, `oidc.token-*`, `io.offline`, `io.*`
 */
export async function openKeylessSigner(
  request: KeylessRequest,
  services: Services,
  context: KeylessContext,
): Promise<SigstoreSigner> {
  const { parsed, terminal } = context;
  const { fulcioUrl, witnesses } = services;
  refuseOffline(parsed, 'Fulcio');
  if (fulcioUrl === undefined) {
    throw new BullaError('usage.invalid', 'signing without a key needs a Fulcio, and none is named', {
      hint: 'name the services by --signing-config, or by --fulcio-url and --rekor-url',
    });
  }
  if (witnesses.logs.length + witnesses.timestamps.length === 0) {
    throw new BullaError(
      'usage.invalid',
      'signing without a key needs a log or a timestamp authority: the certificate lasts ten minutes, and they tell when it was used',
      { hint: 'name one by --signing-config, --rekor-url or --timestamp-server-url' },
    );
  }
  if (!request.needSct)
    terminal.warn('--insecure-skip-verify: a certificate that is in no certificate log is taken');
  const token = await tokenSource(request, services.issuerUrl, context);
  return openFulcioSigner({
    ...fulcioOptions(fulcioUrl, token, context),
    needSct: request.needSct,
    ...(await checksOf(witnesses.roots)),
  });
}

/** The signer of a parameter file, as skopeo has it: Fulcio's first API, and no say about certificate logs. */
export async function openParamsSigner(
  params: FulcioParams,
  context: KeylessContext,
): Promise<SigstoreSigner> {
  refuseOffline(context.parsed, 'Fulcio');
  const token = await paramsToken(params, context);
  return openFulcioSigner({
    ...fulcioOptions(params.fulcioUrl, token, context),
    apiVersion: 1,
    needSct: false,
  });
}

async function paramsToken(params: FulcioParams, context: KeylessContext): Promise<TokenSource> {
  if (params.mode === 'staticToken') {
    const { givenToken } = await import('../keys/oidc/token-source.ts');
    return givenToken(params.idToken, 'oidcIDToken of the parameter file');
  }
  const { mode, issuerUrl, clientId, clientSecret } = params;
  return loginSource(
    mode === 'interactive' ? 'normal' : 'device',
    issuerUrl,
    { clientId, clientSecret },
    context,
  );
}

function fulcioOptions(
  url: string,
  token: TokenSource,
  { parsed, terminal, http }: KeylessContext,
): FulcioOptions {
  warnOfPlainHttp(url, terminal);
  const timeoutMs = durationOption(parsed, 'commandTimeout', '--command-timeout');
  return { url, token, http, ...(timeoutMs !== undefined && { signal: AbortSignal.timeout(timeoutMs) }) };
}

/** A token is as good as a password for as long as it lasts. */
function warnOfPlainHttp(text: string, terminal: Terminal): void {
  const url = parseHttpUrl(text, 'Fulcio’s address');
  const isHere = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol === 'http:' && !isHere) {
    terminal.warn(`${displayUrl(url)} is plain http: whoever is on the way can read the identity token`);
  }
}

async function checksOf(
  roots: readonly TrustedRoot[] | undefined,
): Promise<Pick<FulcioOptions, 'authorities' | 'verifySct'>> {
  if (roots === undefined) return {};
  const { verifySct } = await import('../witnesses/sct.ts');
  const logs = roots.flatMap(({ certificateLogs }) => certificateLogs);
  return {
    authorities: roots.flatMap(({ certificateAuthorities }) => certificateAuthorities),
    verifySct: (leaf, issuer) => verifySct(leaf, issuer, logs),
  };
}

/** @throws BullaError `io.offline` */
export function refuseOffline(parsed: Parsed, what: string): void {
  if (!flagOption(parsed, 'offline')) return;
  throw new BullaError('io.offline', `--offline: ${what} cannot be asked`, {
    hint: 'sign with a key and without a log, or leave --offline away',
  });
}
