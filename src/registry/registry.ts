/** A registry as the rest of Bulla sees it (OCI distribution specification 1.1). */
import type { Descriptor } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import type { Manifest } from '../base/manifest.ts';
import type { HttpClient, TlsOptions } from '../io/http.ts';
import { openHttp } from '../io/http.ts';
import { getBlob, getWholeBlob, hasBlob } from './blobs.ts';
import { type BlobFeed, feedBlob } from './feed-blob.ts';
import { type Sent, sendBlob } from './send-blob.ts';
import { checkLogin } from './check-login.ts';
import type { Client } from './client.ts';
import type { Credentials } from './credentials.ts';
import { deleteManifest, getManifest, getTaggedManifest, headManifest, putManifest } from './manifests.ts';
import { listReferrers, listReferrersByApi, type Referrers, type ReferrersOptions } from './referrers.ts';
import { endingClock, type RetryClock, systemClock } from './retry.ts';
import { openSession, type Ping } from './session.ts';
import { getSignatureList, putSignature } from './signature-extension.ts';
import { listRepositories } from './catalog.ts';
import { listTags } from './tags.ts';
import { beginUpload, mountBlob, putBlob, type PutBlobOptions } from './upload.ts';

export type { Referrers } from './referrers.ts';
export type { Ping } from './session.ts';

export type RegistryOptions = {
  /** For this host alone; see `findCredentials`. */
  readonly credentials: Credentials;
  /** Certificates for this host; see `readHostCertificates`. */
  readonly tls: TlsOptions;
  /** `--tls-verify=false` or `insecure` in registries.conf. */
  readonly insecure: boolean;
  readonly userAgent: string;
  /** Default: 3. */
  readonly retryTimes?: number;
  /** A fixed wait between tries, in milliseconds. Default: growing from 500. */
  readonly retryDelayMs?: number;
  /** For one request with all its bytes, blobs excepted. Default: 60,000. */
  readonly deadlineMs?: number;
  /** For one blob. Default: one day; a stalled one ends by `idleMs`. */
  readonly blobDeadlineMs?: number;
  /** The longest silence. Default: 30,000. */
  readonly idleMs?: number;
  readonly signal?: AbortSignal;
  readonly guard?: (url: URL) => void;
  /** Time and chance of retries and tokens. Default: the real ones. */
  readonly clock?: RetryClock;
  /** Proxy variables. Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
};

/**
 * A client for one registry host. Paths are repository paths without host (`library/busybox`).
 * Every method throws BullaError `registry.unauthorized`, `registry.denied`, `registry.failed`,
 * `registry.rate-limited`, `registry.not-a-registry`, `registry.challenge-refused` and `http.*`
 * beside what it names itself. Disposing closes all connections.
 */
export interface Registry extends AsyncDisposable {
  /** The host as references name it: `docker.io`, not the host of its API. */
  readonly domain: string;
  /** The bare client with this host's TLS settings and no credentials: for its lookaside. */
  readonly http: HttpClient;
  ping(): Promise<Ping>;
  /** Resolves if the registry accepts the credentials. @throws BullaError `registry.unauthorized` */
  checkLogin(): Promise<void>;
  /** @throws BullaError `image.not-found`, `manifest.too-large`, `manifest.malformed`, `manifest.digest-mismatch` */
  manifest(path: string, tagOrDigest: string): Promise<Manifest>;
  /** With its entity tag, where the registry gives a strong one. @throws as `manifest` */
  taggedManifest(
    path: string,
    tagOrDigest: string,
  ): Promise<{ readonly manifest: Manifest; readonly etag?: string }>;
  /** Undefined: there is none. A digest is missing where the registry does not tell it. */
  headManifest(path: string, tagOrDigest: string): Promise<{ readonly digest?: Digest } | undefined>;
  /** @param options.ifMatch writes only where this is still the entity tag. @throws BullaError `registry.changed` */
  putManifest(
    path: string,
    tagOrDigest: string,
    manifest: Pick<Manifest, 'bytes' | 'mediaType'>,
    options?: { readonly ifMatch?: string },
  ): Promise<void>;
  deleteManifest(path: string, digest: Digest): Promise<void>;
  hasBlob(path: string, digest: Digest): Promise<boolean>;
  /** Fails at its end with `blob.digest-mismatch` unless size and digest held. @throws BullaError `image.not-found` */
  blob(path: string, descriptor: Descriptor): Promise<ReadableStream<Uint8Array>>;
  /** A blob that fits into memory; the caller bounds `descriptor.size`. @throws BullaError `image.not-found`, `blob.digest-mismatch` */
  wholeBlob(path: string, descriptor: Descriptor): Promise<Uint8Array>;
  /** Asks for a place for one blob, for `putBlob`; nothing is sent yet. */
  beginUpload(path: string): Promise<URL>;
  /**
   * Gives a blob's bytes to `consume` as they come, size and digest checked as they pass; where the connection breaks it goes
   * on from there. @throws BullaError `image.not-found`, `blob.digest-mismatch`, and what `consume` throws
   */
  feedBlob(path: string, descriptor: Descriptor, consume: Parameters<BlobFeed>[0]): Promise<void>;
  /**
   * Takes a blob from `from` (a repository of this registry) or else from `feed`, which is called again for each try and
   * checks what it gives. @throws BullaError `blob.digest-mismatch` (the registry says it has another), and what `feed` throws
   */
  sendBlob(
    path: string,
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    feed: BlobFeed,
    options?: { readonly from?: string },
  ): Promise<Sent>;
  /** @param chunkBytes sends it in pieces of this size, or of the registry's least if that is larger */
  putBlob(
    path: string,
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | ReadableStream<Uint8Array>,
    options?: PutBlobOptions,
  ): Promise<void>;
  /** True: the blob is in `path` now, taken from `from`. False: it has to be uploaded. */
  mountBlob(path: string, digest: Digest, from: string): Promise<boolean>;
  tags(path: string): Promise<readonly string[]>;
  /** The paths of all repositories, as far as one may see them. @throws BullaError `registry.no-catalog` */
  repositories(): Promise<readonly string[]>;
  /** By the API or the fallback tag; with `both`, by both. @throws BullaError `registry.too-many-referrers`, `manifest.*` */
  referrers(path: string, digest: Digest, options?: ReferrersOptions): Promise<Referrers>;
  /** Undefined: the registry has no referrers API. @throws as `referrers` */
  referrersByApi(path: string, digest: Digest): Promise<readonly Descriptor[] | undefined>;
  /** The X-R-S-S answer's bytes. @throws BullaError `image.not-found` */
  getSignatureList(path: string, digest: Digest): Promise<Uint8Array>;
  /** Puts one X-R-S-S signature object (JSON) and gives the status; 201 is success. */
  putSignature(path: string, digest: Digest, body: Uint8Array): Promise<number>;
}

/** Docker Hub's API is not at the host that references name. */
function apiHost(domain: string): string {
  return domain === 'docker.io' ? 'registry-1.docker.io' : domain;
}

export function openRegistry(domain: string, options: RegistryOptions): Registry {
  const http = openHttp({
    tls: { ...options.tls, insecure: options.insecure },
    userAgent: options.userAgent,
    ...(options.guard !== undefined && { guard: options.guard }),
    ...(options.env !== undefined && { env: options.env }),
  });
  const { clock, end } = endingClock(options.clock ?? systemClock);
  const session = openSession({
    host: apiHost(domain),
    insecure: options.insecure,
    http,
    credentials: options.credentials,
    retry: {
      times: options.retryTimes ?? 3,
      ...(options.retryDelayMs !== undefined && { delayMs: options.retryDelayMs }),
      clock,
      ...(options.signal !== undefined && { signal: options.signal }),
    },
    deadlineMs: options.deadlineMs ?? 60_000,
    idleMs: options.idleMs ?? 30_000,
  });
  const client: Client = { session, blobDeadlineMs: options.blobDeadlineMs ?? 86_400_000 };
  const close = async (): Promise<void> => {
    end();
    await http[Symbol.asyncDispose]();
  };
  return { domain, http, ...methodsOf(client), [Symbol.asyncDispose]: close };
}

function methodsOf(client: Client): Omit<Registry, 'domain' | 'http' | typeof Symbol.asyncDispose> {
  return {
    ping: () => client.session.ping(),
    checkLogin: () => checkLogin(client),
    manifest: (path, tagOrDigest) => getManifest(client, path, tagOrDigest),
    headManifest: (path, tagOrDigest) => headManifest(client, path, tagOrDigest),
    taggedManifest: (path, tagOrDigest) => getTaggedManifest(client, path, tagOrDigest),
    putManifest: (path, tagOrDigest, manifest, more) =>
      putManifest(client, path, tagOrDigest, manifest, more),
    deleteManifest: (path, digest) => deleteManifest(client, path, digest),
    hasBlob: (path, digest) => hasBlob(client, path, digest),
    blob: (path, descriptor) => getBlob(client, path, descriptor),
    wholeBlob: (path, descriptor) => getWholeBlob(client, path, descriptor),
    beginUpload: (path) => beginUpload(client, path),
    putBlob: (path, descriptor, content, options) => putBlob(client, path, descriptor, content, options),
    feedBlob: (path, descriptor, consume) => feedBlob(client, path, descriptor, consume),
    sendBlob: (path, descriptor, feed, more) => sendBlob(client, path, descriptor, feed, more),
    mountBlob: (path, digest, from) => mountBlob(client, path, digest, from),
    tags: (path) => listTags(client, path),
    repositories: () => listRepositories(client),
    referrers: (path, digest, more) => listReferrers(client, path, digest, more),
    referrersByApi: (path, digest) => listReferrersByApi(client, path, digest),
    getSignatureList: (path, digest) => getSignatureList(client, path, digest),
    putSignature: (path, digest, body) => putSignature(client, path, digest, body),
  };
}
