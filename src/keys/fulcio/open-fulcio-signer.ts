/** Keyless signing: a key made for the occasion, and Fulcio's certificate of whose it is. */
import { crypto } from '../../base/node.ts';
import { type HttpClient, parseHttpUrl } from '../../io/http.ts';
import type { Certificate } from '../certificates/certificate.ts';
import type { ChainResult } from '../certificates/chain.ts';
import { checkNotExpired } from '../oidc/identity-token.ts';
import type { TokenSource } from '../oidc/token-source.ts';
import type { SigstoreSigner } from '../signer.ts';
import { makeKeyPair } from '../sigstore/private-key.ts';
import type { Authority } from '../trusted-root/trusted-root.ts';
import { type Chain, checkAnswer } from './answer.ts';
import { askFulcio, type FulcioApi } from './request.ts';

export type FulcioOptions = {
  /** Without the API's path. */
  readonly url: string;
  /** Default: 2. skopeo uses 1. */
  readonly apiVersion?: FulcioApi;
  readonly token: TokenSource;
  readonly http: HttpClient;
  /** False takes a certificate without a signed certificate timestamp. Default: true. */
  readonly needSct?: boolean;
  /** Whom the certificate must come from, where the user has a trusted root. */
  readonly authorities?: readonly Authority[];
  /** Checks the certificate's timestamps by the user's trusted root. */
  readonly verifySct?: (leaf: Certificate, issuer: Certificate) => ChainResult;
  /** Default: the clock. */
  readonly now?: () => Date;
  /** Waits between tries. Default: a timer. */
  readonly sleep?: (milliseconds: number) => Promise<void>;
  readonly signal?: AbortSignal;
};

/** A certificate with less than this left may have run out before a log has seen the signature. */
const leastLeftMs = 60_000;

/**
 * Opens a signer with a new ECDSA P-256 key. Nothing is asked of anybody before the first signature: the certificate
 * lives ten minutes. It is then fetched once, for all signatures at once, and again, for the same key, only where it
 * has nearly run out. `certificates` is undefined before the first signature.
 * @throws BullaError `http.url-refused`; signing throws `oidc.*`, `fulcio.*`, `io.offline`
 */
export async function openFulcioSigner(options: FulcioOptions): Promise<SigstoreSigner> {
  const url = parseHttpUrl(options.url, 'Fulcio’s address');
  const { privateKey, publicKey } = makeKeyPair('ecdsa-p256');
  const signWith = (message: Uint8Array): Uint8Array =>
    new Uint8Array(crypto.sign('sha256', message, privateKey));
  const certificate = keepFresh(options, () => requestChain({ ...options, url }, publicKey.spki, signWith));
  const sign = async (message: Uint8Array): Promise<Uint8Array> => {
    await certificate.fetch();
    return signWith(message);
  };
  return {
    kind: 'sigstore',
    keyId: publicKey.keyId,
    publicKey,
    get certificates(): SigstoreSigner['certificates'] {
      const chain = certificate.current();
      if (chain === undefined) return undefined;
      const [leaf, ...above] = chain;
      return [leaf.der, ...above.map(({ der }) => der)];
    },
    sign,
    signForBundle: sign,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

type Kept = { current(): Chain | undefined; fetch(): Promise<Chain> };

/** One request at a time, whose failure stands: what Fulcio refused once is not asked for with every image. */
function keepFresh({ now = () => new Date() }: FulcioOptions, request: () => Promise<Chain>): Kept {
  let current: Chain | undefined;
  let latest: Promise<Chain> | undefined;
  /** Under way, or failed for good. */
  let isOpen = true;
  const begin = async (): Promise<Chain> => {
    isOpen = false;
    // the former one stays until then: a signature made by it is still to get its certificate
    current = await request();
    isOpen = true;
    return current;
  };
  return {
    current: () => current,
    fetch: () => {
      const isOld = current !== undefined && current[0].notAfter - leastLeftMs <= now().getTime();
      if (latest === undefined || (isOld && isOpen)) latest = begin();
      return latest;
    },
  };
}

async function requestChain(
  options: Omit<FulcioOptions, 'url'> & { readonly url: URL },
  spki: Uint8Array,
  signWith: (message: Uint8Array) => Uint8Array,
): Promise<Chain> {
  const { url, apiVersion: api = 2, now = () => new Date() } = options;
  const token = await options.token.token();
  checkNotExpired(token, now(), options.token.description);
  const proof = signWith(Buffer.from(token.principal));
  const body = await askFulcio({ url, api, token, spki, proof }, options);
  return checkAnswer(body, api, {
    spki,
    token,
    now: now(),
    needSct: options.needSct ?? true,
    ...(options.authorities !== undefined && { authorities: options.authorities }),
    ...(options.verifySct !== undefined && { verifySct: options.verifySct }),
  });
}
