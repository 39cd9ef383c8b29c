/**
 * A signing configuration (application/vnd.dev.sigstore.signingconfig.v0.2+json, sigstore_trustroot.proto): the
 * services to sign with, and which of them to choose.
 */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, parseJson } from '../base/json.ts';
import { parseHttpUrl } from '../io/http-url.ts';
import { countMember, listMember, memberOf, neededText, objectOf, textMember } from './json-members.ts';
import type { ValidFor } from './trusted-root/trusted-root.ts';

export const signingConfigMediaType = 'application/vnd.dev.sigstore.signingconfig.v0.2+json';

/** One address of a service. The operator is whose it is: services of one operator do not vouch for each other. */
export type Service = {
  readonly url: string;
  readonly majorApiVersion: number;
  readonly validFor: ValidFor;
  readonly operator: string;
};

/** How many of the services are used: one, all, or just so many. */
export type Selector =
  | { readonly kind: 'any' }
  | { readonly kind: 'all' }
  | { readonly kind: 'exact'; readonly count: number };

export type SigningConfig = {
  /** What it was read from, for errors. */
  readonly name: string;
  readonly certificateAuthorities: readonly Service[];
  readonly openIdIssuers: readonly Service[];
  readonly logs: readonly Service[];
  readonly logSelector: Selector;
  readonly timestampAuthorities: readonly Service[];
  readonly timestampSelector: Selector;
};

/** What to sign with. URLs as the configuration has them: a timestamp authority's is complete, the others are bases. */
export type ChosenServices = {
  readonly fulcio?: { readonly url: string };
  readonly oidc?: { readonly url: string };
  readonly rekor: readonly { readonly url: string; readonly version: 1 | 2 }[];
  readonly timestamps: readonly { readonly url: string }[];
};

/** A configuration of more services is nobody's. */
const mostServices = 64;

/**
 * Reads a configuration; members that are unknown here are refused, for what they ask for could not be done.
 * @param name of the file, for errors
 * @throws BullaError `signing-config.malformed`
 */
export function parseSigningConfig(bytes: Uint8Array, name: string): SigningConfig {
  const fault = (why: string): BullaError => malformed(name, why);
  const config = objectOf(parseText(bytes, name), 'the whole', fault);
  const known = [
    'mediaType',
    'caUrls',
    'oidcUrls',
    'rekorTlogUrls',
    'rekorTlogConfig',
    'tsaUrls',
    'tsaConfig',
  ];
  onlyMembers(config, known, fault);
  const mediaType = neededText(config, 'mediaType', fault);
  if (mediaType !== signingConfigMediaType) {
    throw fault(`mediaType is "${printable(mediaType, 100)}", not ${signingConfigMediaType}`);
  }
  return {
    name,
    certificateAuthorities: servicesOf(config, 'caUrls', fault),
    openIdIssuers: servicesOf(config, 'oidcUrls', fault),
    logs: servicesOf(config, 'rekorTlogUrls', fault),
    logSelector: selectorOf(config, 'rekorTlogConfig', fault),
    timestampAuthorities: servicesOf(config, 'tsaUrls', fault),
    timestampSelector: selectorOf(config, 'tsaConfig', fault),
  };
}

/**
 * Chooses services as sigstore's clients do: of those that are valid now and of a version spoken here, each operator's
 * newest version, one address an operator; then as many as the selector says, in the file's order.
 * Fulcio, an issuer: the first, or none where the file lists none.
 * @throws BullaError `signing-config.unusable` where a list has nothing valid, or less than its selector wants
 */
export function chooseServices(config: SigningConfig, now: Date): ChosenServices {
  const at = now.getTime();
  const [fulcio] = choose(
    config,
    'certificate authorities',
    config.certificateAuthorities,
    [1],
    { kind: 'any' },
    at,
  );
  const [oidc] = choose(config, 'OpenID issuers', config.openIdIssuers, [1], { kind: 'any' }, at);
  const logs = choose(config, 'transparency logs', config.logs, [1, 2], config.logSelector, at);
  const authorities = config.timestampAuthorities;
  const timestamps = choose(config, 'timestamp authorities', authorities, [1], config.timestampSelector, at);
  return {
    ...(fulcio !== undefined && { fulcio: { url: fulcio.url } }),
    ...(oidc !== undefined && { oidc: { url: oidc.url } }),
    rekor: logs.map(({ url, majorApiVersion }) => ({ url, version: majorApiVersion === 2 ? 2 : 1 })),
    timestamps: timestamps.map(({ url }) => ({ url })),
  };
}

function choose(
  { name }: SigningConfig,
  what: string,
  services: readonly Service[],
  versions: readonly number[],
  selector: Selector,
  at: number,
): readonly Service[] {
  const valid = services.filter(({ validFor: { start, end = Infinity } }) => start <= at && at <= end);
  const usable = valid.filter(({ majorApiVersion }) => versions.includes(majorApiVersion));
  // one version for all: a signature has its entries in logs of one kind
  const newest = Math.max(...usable.map(({ majorApiVersion }) => majorApiVersion));
  const best = usable.filter(({ majorApiVersion }) => majorApiVersion === newest);
  const found = best.filter(
    ({ operator }, index) => best.findIndex((other) => other.operator === operator) === index,
  );
  const wanted = selector.kind === 'exact' ? selector.count : services.length === 0 ? 0 : 1;
  if (found.length < wanted) {
    throw new BullaError(
      'signing-config.unusable',
      `${name} wants ${wanted} ${what}, and ${found.length} can be used now`,
      {
        hint: 'entries count that are valid today, of an API version known here, one an operator',
      },
    );
  }
  return selector.kind === 'all' ? found : found.slice(0, wanted);
}

function parseText(bytes: Uint8Array, name: string): JsonValue {
  const text = textOf(bytes);
  if (text === undefined) throw malformed(name, 'it is not UTF-8 text');
  try {
    return parseJson(text, name);
  } catch (error) {
    if (isBullaError(error)) throw malformed(name, error.message);
    throw error;
  }
}

type Malformed = (why: string) => BullaError;

function onlyMembers(object: JsonObject, known: readonly string[], fault: Malformed): void {
  const unknown = object.members.find(({ key }) => !known.includes(key));
  if (unknown !== undefined) throw fault(`"${printable(unknown.key, 60)}" is no member that is known here`);
}

function servicesOf(config: JsonObject, name: string, fault: Malformed): readonly Service[] {
  const items = listMember(config, name, fault);
  if (items.length > mostServices) throw fault(`${name} lists more than ${mostServices}`);
  return items.map((item, index) => {
    const where = `${name}[${index}]`;
    return readService(item, (why) => fault(`${where}: ${why}`));
  });
}

function readService(item: JsonValue, fault: Malformed): Service {
  const service = objectOf(item, 'the service', fault);
  onlyMembers(service, ['url', 'majorApiVersion', 'validFor', 'operator'], fault);
  const url = neededText(service, 'url', fault);
  try {
    parseHttpUrl(url, 'url');
  } catch (error) {
    throw isBullaError(error) ? fault(error.message) : error;
  }
  const majorApiVersion = countMember(service, 'majorApiVersion', fault);
  if (majorApiVersion === undefined || majorApiVersion === 0) throw fault('majorApiVersion is missing');
  const period = objectOf(memberOf(service, 'validFor'), 'validFor', fault);
  onlyMembers(period, ['start', 'end'], fault);
  const start = timeOf(period, 'start', fault);
  const end = timeOf(period, 'end', fault);
  if (start === undefined) throw fault('validFor.start is missing');
  return {
    url,
    majorApiVersion,
    validFor: { start, ...(end !== undefined && { end }) },
    operator: textMember(service, 'operator', fault) ?? '',
  };
}

/** google.protobuf.Timestamp in JSON: RFC 3339. */
function timeOf(object: JsonObject, name: string, fault: Malformed): number | undefined {
  const text = textMember(object, name, fault);
  if (text === undefined) return undefined;
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(time)) throw fault(`${name} is no time like 2026-01-31T00:00:00Z`);
  return time;
}

/** A missing selector is ANY. A count belongs to EXACT alone. */
function selectorOf(config: JsonObject, name: string, fault: Malformed): Selector {
  const value = memberOf(config, name);
  if (value === undefined) return { kind: 'any' };
  const selection = objectOf(value, name, fault);
  onlyMembers(selection, ['selector', 'count'], fault);
  const selector = neededText(selection, 'selector', fault);
  const count = countMember(selection, 'count', fault) ?? 0;
  if (selector === 'EXACT' && count > 0) return { kind: 'exact', count };
  if (selector === 'EXACT') throw fault(`${name} wants EXACT and no count`);
  if (count > 0) throw fault(`${name} has a count, which is for EXACT`);
  if (selector === 'ANY' || selector === 'ALL') return { kind: selector === 'ANY' ? 'any' : 'all' };
  throw fault(`${name} has the selector "${printable(selector, 40)}"; ANY, ALL and EXACT are known`);
}

function malformed(name: string, why: string): BullaError {
  return new BullaError('signing-config.malformed', `${printable(name)} is no signing configuration: ${why}`);
}
