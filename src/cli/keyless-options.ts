/** The flags of cosign that say who signs without a key, and who sees what is signed. */
import { BullaError } from '../base/errors.ts';
import { flagOption, listOption, type Parsed, textOption } from './options.ts';

/** How a token is got: by a provider or from nobody (`token`), by a browser, by another device. */
export type AuthFlow = 'token' | 'normal' | 'device';

/** The keyless flags, not opened yet. */
export type KeylessRequest = {
  readonly identityToken?: string;
  readonly provider?: string;
  readonly ambient: boolean;
  readonly issuer?: string;
  readonly clientId?: string;
  readonly clientSecretFile?: string;
  readonly flow?: AuthFlow;
  readonly needSct: boolean;
};

/** Where the services are. */
export type ServicesRequest = {
  readonly signingConfig?: string;
  readonly fulcioUrl?: string;
  readonly rekorUrls: readonly string[];
  readonly timestampUrls: readonly string[];
  readonly trustedRoot?: string;
};

/** Any of them means that somebody signs without a key. */
const keylessNames = [
  'identityToken',
  'oidcProvider',
  'oidcIssuer',
  'oidcClientId',
  'oidcClientSecretFile',
  'fulcioUrl',
  'fulcioAuthFlow',
];

/**
 * Undefined where nobody signs without a key.
 * @throws BullaError `usage.invalid`
 */
export function keylessOption(parsed: Parsed): KeylessRequest | undefined {
  const named = keylessNames.some((name) => parsed[name] !== undefined);
  if (!named && !flagOption(parsed, 'keyless')) return undefined;
  const flow = textOption(parsed, 'fulcioAuthFlow');
  if (flow !== undefined && flow !== 'token' && flow !== 'normal' && flow !== 'device') {
    throw invalid(`--fulcio-auth-flow takes token, normal or device, not "${flow}"`);
  }
  const identityToken = textOption(parsed, 'identityToken');
  const provider = textOption(parsed, 'oidcProvider');
  const ways = [identityToken, provider, flow === 'token' ? undefined : flow].filter(
    (way) => way !== undefined,
  );
  if (ways.length > 1) throw invalid('--identity-token, --oidc-provider and a login exclude each other');
  const issuer = textOption(parsed, 'oidcIssuer');
  const clientId = textOption(parsed, 'oidcClientId');
  const clientSecretFile = textOption(parsed, 'oidcClientSecretFile');
  return {
    ambient: !flagOption(parsed, 'oidcDisableAmbientProviders'),
    needSct: !flagOption(parsed, 'insecureSkipVerify'),
    ...(identityToken !== undefined && { identityToken }),
    ...(provider !== undefined && { provider }),
    ...(issuer !== undefined && { issuer }),
    ...(clientId !== undefined && { clientId }),
    ...(clientSecretFile !== undefined && { clientSecretFile }),
    ...(flow !== undefined && { flow }),
  };
}

/**
 * A signing configuration names all services, so that it goes with none by itself.
 * @throws BullaError `usage.invalid`
 */
export function servicesOption(parsed: Parsed): ServicesRequest {
  const signingConfig = textOption(parsed, 'signingConfig');
  const fulcioUrl = textOption(parsed, 'fulcioUrl');
  const trustedRoot = textOption(parsed, 'trustedRoot');
  const rekorUrls = listOption(parsed, 'rekorUrl');
  const timestampUrls = listOption(parsed, 'timestampServerUrl');
  if (
    signingConfig !== undefined &&
    (fulcioUrl !== undefined || rekorUrls.length + timestampUrls.length > 0)
  ) {
    throw invalid(
      '--signing-config names all services; --fulcio-url, --rekor-url and --timestamp-server-url do not go with it',
    );
  }
  return {
    rekorUrls,
    timestampUrls,
    ...(signingConfig !== undefined && { signingConfig }),
    ...(fulcioUrl !== undefined && { fulcioUrl }),
    ...(trustedRoot !== undefined && { trustedRoot }),
  };
}

function invalid(message: string): BullaError {
  return new BullaError('usage.invalid', message);
}
