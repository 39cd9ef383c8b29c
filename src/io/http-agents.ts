/** Connections: kept alive, bounded in number, through a proxy where the environment names one. */
import type { Agent } from 'node:http';

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
  /** True if the system's certificates were not in use yet and now are. */
  addSystemCertificates(): boolean;
  /** The proxy that a URL goes through, where there is one. @throws BullaError `usage.unsupported` */
  readonly proxyOf: (url: URL) => string | undefined;
  /** The exchanges that have not ended. */
  readonly underWay: Set<Watch>;
  destroy(): void;
};

/** Sockets to one origin; the peers use six for blobs, a batch of verifications wants more. */
const mostSockets = 32;

export function openAgents(tls: TlsOptions, env: Readonly<Record<string, string | undefined>>): Agents {
  const open = new Map<string, Agent>();
  const underWay = new Set<Watch>();
  let withSystem = false;
  // of the origin asked last: each look into the environment is a call into the system's library
  let last: { readonly origin: string; readonly proxy: string | undefined } | undefined;
  return {
    agentFor(url, withCertificate) {
      const { origin } = url;
      if (last?.origin !== origin) last = { origin, proxy: proxyFor(url, env) };
      const { proxy } = last;
      const kind = `${url.protocol} ${withCertificate} ${withSystem} ${proxy ?? ''}`;
      const found = open.get(kind);
      if (found !== undefined) return found;
      const made = makeAgent(url.protocol === 'https:', tls, { withCertificate, withSystem, proxy });
      open.set(kind, made);
      return made;
    },
    addSystemCertificates() {
      if (withSystem || tls.insecure === true) return false;
      withSystem = true;
      return true;
    },
    proxyOf: (url) => proxyFor(url, env),
    underWay,
    destroy() {
      // one whose answer nobody read would hold the process until its deadline
      for (const watch of underWay) watch.cancel();
      for (const agent of open.values()) agent.destroy();
    },
  };
}

type Choices = {
  readonly withCertificate: boolean;
  readonly withSystem: boolean;
  readonly proxy: string | undefined;
};

function makeAgent(secure: boolean, tls: TlsOptions, choices: Choices): Agent {
  const shared = {
    keepAlive: true,
    maxSockets: mostSockets,
    maxFreeSockets: mostSockets,
    scheduling: 'lifo' as const,
    // exactly the proxy decided for this URL: which hosts bypass it was decided as Go does it
    ...(choices.proxy !== undefined && {
      proxyEnv: { HTTP_PROXY: choices.proxy, HTTPS_PROXY: choices.proxy },
    }),
  };
  if (!secure) return new (http().Agent)(shared);
  const certificates = choices.withCertificate ? (tls.clientCertificates ?? []) : [];
  const trusted = trustedCertificates(tls, choices.withSystem);
  return new (https().Agent)({
    ...shared,
    ...(trusted !== undefined && { ca: trusted }),
    ...(certificates.length > 0 && {
      cert: certificates.map((each) => each.cert),
      key: certificates.map((each) => each.key),
    }),
    rejectUnauthorized: tls.insecure !== true,
  });
}

/** Undefined: Node's own default, which costs nothing to name. */
function trustedCertificates(tls: TlsOptions, withSystem: boolean): string[] | undefined {
  const own = tls.ca ?? [];
  if (!withSystem && own.length === 0) return undefined;
  const nodeTls = process.getBuiltinModule('node:tls');
  const system = withSystem ? nodeTls.getCACertificates('system') : [];
  return [...nodeTls.getCACertificates('default'), ...system, ...own];
}
