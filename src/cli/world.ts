/** The world as the flags of a command describe it. */
import type { Platform } from '../base/descriptor.ts';
import { BullaError } from '../base/errors.ts';
import type { ImageName } from '../base/image-name.ts';
import { keepHeapSmall } from '../base/node.ts';
import { hostPlatform } from '../images/choose-instance.ts';
import { openWorld, type World, type WorldOptions } from '../operations/world.ts';
import { type Credentials, noCredentials, parseCredentials } from '../registry/credentials.ts';
import { type SystemEnvironment, systemEnvironment } from '../registry/environment.ts';
import {
  booleanOption,
  countOption,
  durationOption,
  flagOption,
  type Parsed,
  textOption,
} from './options.ts';
import type { Terminal } from './terminal.ts';

/** So many images that memory counts more than the start. */
const aBatch = 50;

/**
 * @param images those named on the command line: under --offline their registries alone are reached
 * @param more stands in place of what the flags say
 * @throws BullaError `usage.invalid`, `key.passphrase-missing` (a password nobody can be asked for)
 */
export async function openCommandWorld(
  parsed: Parsed,
  terminal: Terminal,
  images: readonly ImageName[] = [],
  more: Pick<WorldOptions, 'credentials' | 'tlsVerify' | 'certDir'> = {},
): Promise<World> {
  if (images.length >= aBatch) keepHeapSmall();
  return openWorld({ ...(await worldOptions(parsed, terminal, images)), ...more });
}

async function worldOptions(
  parsed: Parsed,
  terminal: Terminal,
  images: readonly ImageName[],
): Promise<WorldOptions> {
  const authFile = textOption(parsed, 'authfile');
  const certDir = textOption(parsed, 'certDir');
  const registriesConf = textOption(parsed, 'registriesConf');
  const registriesDFolder = textOption(parsed, 'registries.d');
  const daemonHost = textOption(parsed, 'daemonHost');
  const tlsVerify = booleanOption(parsed, 'tlsVerify', '--tls-verify');
  const retryTimes =
    countOption(parsed, 'retryTimes', '--retry-times') ?? countOption(parsed, 'retry', '--retry');
  const retryDelayMs = durationOption(parsed, 'retryDelay', '--retry-delay');
  const timeoutMs = durationOption(parsed, 'commandTimeout', '--command-timeout');
  const credentials = await credentialsOf(parsed, terminal);
  return {
    environment: terminalEnvironment(terminal),
    warn: (message) => terminal.warn(message),
    ...(authFile !== undefined && { authFile }),
    ...(certDir !== undefined && { certDir }),
    ...(registriesConf !== undefined && { registriesConf }),
    ...(registriesDFolder !== undefined && { registriesDFolder }),
    ...(tlsVerify !== undefined && { tlsVerify }),
    ...(daemonHost !== undefined && { daemonHost }),
    ...(retryTimes !== undefined && { retryTimes }),
    ...(retryDelayMs !== undefined && { retryDelayMs }),
    ...(timeoutMs !== undefined && { signal: AbortSignal.timeout(timeoutMs) }),
    ...(credentials !== undefined && { credentials }),
    ...(flagOption(parsed, 'offline') && { guard: offlineGuard(images) }),
  };
}

/** The system as the command's own environment variables describe it. */
export function terminalEnvironment({ env }: Terminal): SystemEnvironment {
  const system = systemEnvironment();
  return { ...system, env, home: env['HOME'] ?? system.home };
}

/** `--offline`: no socket but to the registries that the command line names. */
function offlineGuard(images: readonly ImageName[]): (url: URL) => void {
  const domains = images.flatMap((image) => (image.transport === 'docker' ? [image.reference.domain] : []));
  const hosts = new Set(
    domains.flatMap((domain) => [new URL(`https://${domain}`).host, new URL(`http://${domain}`).host]),
  );
  if (domains.includes('docker.io')) hosts.add('registry-1.docker.io');
  return (url) => {
    if (hosts.has(url.host)) return;
    throw new BullaError('io.offline', `--offline: no connection to ${url.host} is made`, {
      hint: 'only the registries named on the command line are reached',
    });
  };
}

/** One of --creds, --registry-token and --no-creds. */
async function credentialsOf(parsed: Parsed, terminal: Terminal): Promise<Credentials | undefined> {
  const creds = textOption(parsed, 'creds');
  const token = textOption(parsed, 'registryToken');
  const none = parsed['creds'] === false;
  if ([creds !== undefined, token !== undefined, none].filter(Boolean).length > 1) {
    throw new BullaError('usage.invalid', '--creds, --registry-token and --no-creds exclude each other');
  }
  if (none) return noCredentials;
  if (token !== undefined) return { kind: 'registry-token', token };
  if (creds === undefined) return undefined;
  const given = parseCredentials(creds);
  if (creds === '' || creds.startsWith(':')) throw new BullaError('usage.invalid', '--creds names no user');
  if (given === undefined) {
    const password = await terminal.askSecret(
      `Password of ${creds}`,
      'log in first: bulla login --password-stdin',
    );
    return { kind: 'password', username: creds, password };
  }
  terminal.warn(
    '--creds with a password is seen by every user of this machine; use --creds USER or `bulla login`',
  );
  return given;
}

/**
 * The platform that --override-*, or podman's flags, describe; undefined where none is given.
 * @throws BullaError `usage.invalid`
 */
export function platformOption(parsed: Parsed): Platform | undefined {
  const architecture = textOption(parsed, 'overrideArch') ?? textOption(parsed, 'arch');
  const os = textOption(parsed, 'overrideOs') ?? textOption(parsed, 'os');
  const variant = textOption(parsed, 'overrideVariant') ?? textOption(parsed, 'variant');
  const whole = textOption(parsed, 'platform');
  if (architecture === undefined && os === undefined && variant === undefined)
    return whole === undefined ? undefined : parsePlatform(whole, '--platform');
  if (whole !== undefined)
    throw new BullaError(
      'usage.invalid',
      '--platform stands alone: it says the system, the architecture and the variant',
    );
  const host = hostPlatform();
  return {
    os: os ?? host.os,
    architecture: architecture ?? host.architecture,
    ...(variant !== undefined && { variant }),
  };
}

/** `linux/arm/v7` */
export function tryParsePlatform(text: string): Platform | undefined {
  const match = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9.]+))?$/.exec(text);
  const [, os, architecture, variant] = match ?? [];
  if (os === undefined || architecture === undefined) return undefined;
  return { os, architecture, ...(variant !== undefined && { variant }) };
}

function parsePlatform(text: string, flag: string): Platform {
  const platform = tryParsePlatform(text);
  if (platform !== undefined) return platform;
  throw new BullaError('usage.invalid', `${flag} takes a platform like linux/arm64, not "${text}"`);
}
