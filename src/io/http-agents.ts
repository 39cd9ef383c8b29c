/** Connections: kept alive, bounded in number, through a proxy where the environment names one. */
import type { Agent } from 'node:http';
import type { AgentOptions } from 'node:https';
import type { OnReadOpts, Socket } from 'node:net';

import { BullaError } from '../base/errors.ts';
import { http, https } from '../base/node.ts';
import { proxyFor } from './http-proxy.ts';
import type { Watch } from './http-watch.ts';

export type TlsOptions = {
  /** PEM certificates to trust besides Node's and the system's. */
  readonly ca?: readonly string[];
  /** Client certificates (PEM) with their keys. */
  readonly clientCertificates?: readonly { readonly cert: string; readonly key: string }[];
  /** Accepts any server certificate (`--tls-verify=false`). */
  readonly insecure?: boolean;
};

export type Agents = {
  agentFor(url: URL, withCertificate: boolean): Agent;
  /**
   * A connection of its own, made just as the pool makes its own: the same certificates, checked in the same way.
   * There must be no proxy. @param onread takes what comes
   */
  connect(url: URL, withCertificate: boolean, onread: OnReadOpts): Socket;
  /** The system's certificates are in use. */
  readonly trustsSystem: boolean;
  /** From now on they are. */
  trustSystem(): void;
  /** The proxy that a URL goes through, where there is one. @throws BullaError `usage.unsupported` */
  readonly proxyOf: (url: URL) => string | undefined;
  /** The exchanges that have not ended. */
  readonly underWay: Set<Watch>;
  /** Origins that answer in a way that wants Node's parser. */
  readonly indirect: Set<string>;
  destroy(): void;
};

/** Sockets to one origin; the peers use six for blobs, a batch of verifications wants more. */
const mostSockets = 32;

export function openAgents(tls: TlsOptions, env: Readonly<Record<string, string | undefined>>): Agents {
  const open = new Map<string, Opened>();
  const underWay = new Set<Watch>();
  let withSystem = false;
  // of the origin asked last: each look into the environment is a call into the system's library
  let last: { readonly origin: string; readonly proxy: string | undefined } | undefined;
  const openFor = (url: URL, withCertificate: boolean): Opened => {
    const { origin } = url;
    if (last?.origin !== origin) last = { origin, proxy: proxyFor(url, env) };
    const { proxy } = last;
    const kind = `${url.protocol} ${withCertificate} ${withSystem} ${proxy ?? ''}`;
    const found = open.get(kind);
    if (found !== undefined) return found;
    const made = openAgent(url.protocol === 'https:', tls, { withCertificate, withSystem, proxy });
    open.set(kind, made);
    return made;
  };
  return {
    agentFor: (url, withCertificate) => openFor(url, withCertificate).agent,
    connect: (url, withCertificate, onread) => connectBy(openFor(url, withCertificate), url, onread),
    get trustsSystem() {
      return withSystem;
    },
    trustSystem() {
      withSystem = true;
    },
    proxyOf: (url) => proxyFor(url, env),
    underWay,
    indirect: new Set(),
    destroy() {
      // one whose answer nobody read would hold the process until its deadline
      for (const watch of underWay) watch.cancel();
      for (const { agent } of open.values()) agent.destroy();
    },
  };
}

/** The agent's own way to connect, with what `http.request` tells it of a URL. */
function connectBy({ agent, options }: Opened, url: URL, onread: OnReadOpts): Socket {
  const net = process.getBuiltinModule('node:net');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  // an address is no server name; the certificate is checked against the host then
  const own = { host, port, servername: net.isIP(host) === 0 ? host : '', onread };
  const socket = agent.createConnection({ ...options, ...own });
  if (socket instanceof net.Socket) return socket;
  throw new BullaError('internal.bug', 'an agent gave no socket');
}

type Choices = {
  readonly withCertificate: boolean;
  readonly withSystem: boolean;
  readonly proxy: string | undefined;
};

/** An agent and what it was made with. */
type Opened = { readonly agent: Agent; readonly options: AgentOptions };

function openAgent(secure: boolean, tls: TlsOptions, choices: Choices): Opened {
  const shared = {
    keepAlive: true,
    noDelay: true,
    maxSockets: mostSockets,
    maxFreeSockets: mostSockets,
    scheduling: 'lifo' as const,
    // exactly the proxy decided for this URL: which hosts bypass it was decided as Go does it
    ...(choices.proxy !== undefined && {
      proxyEnv: { HTTP_PROXY: choices.proxy, HTTPS_PROXY: choices.proxy },
    }),
  };
  if (!secure) return { agent: new (http().Agent)(shared), options: shared };
  const certificates = choices.withCertificate ? (tls.clientCertificates ?? []) : [];
  const trusted = trustedCertificates(tls, choices.withSystem);
  const options = {
    ...shared,
    ...(trusted !== undefined && { ca: trusted }),
    ...(certificates.length > 0 && {
      cert: certificates.map((each) => each.cert),
      key: certificates.map((each) => each.key),
    }),
    rejectUnauthorized: tls.insecure !== true,
  };
  return { agent: new (https().Agent)(options), options };
}

/** Undefined: Node's own default, which costs nothing to name. */
function trustedCertificates(tls: TlsOptions, withSystem: boolean): string[] | undefined {
  const own = tls.ca ?? [];
  if (!withSystem && own.length === 0) return undefined;
  const nodeTls = process.getBuiltinModule('node:tls');
  const system = withSystem ? nodeTls.getCACertificates('system') : [];
  return [...nodeTls.getCACertificates('default'), ...system, ...own];
}
