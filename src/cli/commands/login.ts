/** `bulla login REGISTRY`, as podman's. */
import { Command, Option } from 'commander';

import { textOf } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import type { CommandContext } from '../command.ts';
import { booleanOption, flagOption, type Parsed, textOption } from '../options.ts';
import type { Terminal } from '../terminal.ts';

/** A password or token on standard input. */
const passwordBytes = 65_536;

export function command({ terminal }: CommandContext): Command {
  return new Command('login')
    .description('Check credentials for a registry and keep them where podman and skopeo look for them.')
    .argument('<registry>', 'host, host:port or host/namespace')
    .option('-u, --username <name>', 'user name; asked for without it')
    .option(
      '-p, --password <password>',
      'password (visible to others on this machine; better --password-stdin)',
    )
    .option('--password-stdin', 'take the password from standard input')
    .option('--get-login', 'print the user who is logged in')
    .option('--authfile <file>', 'credentials file (default: as podman searches it)')
    .option('--compat-auth-file <file>', 'write docker’s config.json instead')
    .option('--cert-dir <dir>', 'folder with *.crt, *.cert and *.key for the registry')
    .addOption(
      new Option('--tls-verify <bool>', 'require TLS with a valid certificate').default(undefined, 'true'),
    )
    .option('--registries-conf <file>', 'registries.conf to use')
    .option('-v, --verbose', 'say where the credentials were kept')
    .addHelpText(
      'after',
      '\nExample:\n  $ echo "$TOKEN" | bulla login -u me --password-stdin registry.example.com\n  Login Succeeded!',
    )
    .action((registry: string, parsed: Parsed) => runLogin(terminal, registry, parsed));
}

async function runLogin(terminal: Terminal, registry: string, parsed: Parsed): Promise<void> {
  const { currentLogin, login } = await import('../../operations/login.ts');
  const place = placeOf(registry, parsed);
  if (flagOption(parsed, 'getLogin')) {
    const before = await currentLogin(place);
    if (before === undefined) throw new BullaError('registry.not-logged-in', `not logged in to ${registry}`);
    terminal.print(before);
    return;
  }
  const { username, password } = await credentialsOf(terminal, parsed, () => currentLogin(place));
  const certDir = textOption(parsed, 'certDir');
  const tlsVerify = booleanOption(parsed, 'tlsVerify', '--tls-verify');
  const { keptIn } = await login({
    ...place,
    username,
    password,
    ...(certDir !== undefined && { certDir }),
    ...(tlsVerify !== undefined && { tlsVerify }),
  });
  if (flagOption(parsed, 'verbose')) terminal.print(`Used: ${keptIn}`);
  terminal.print('Login Succeeded!');
}

function placeOf(
  registry: string,
  parsed: Parsed,
): { registry: string; authFile?: string; compatAuthFile?: string; registriesConf?: string } {
  const authFile = textOption(parsed, 'authfile');
  const compatAuthFile = textOption(parsed, 'compatAuthFile');
  const registriesConf = textOption(parsed, 'registriesConf');
  return {
    registry,
    ...(authFile !== undefined && { authFile }),
    ...(compatAuthFile !== undefined && { compatAuthFile }),
    ...(registriesConf !== undefined && { registriesConf }),
  };
}

async function credentialsOf(
  terminal: Terminal,
  parsed: Parsed,
  before: () => Promise<string | undefined>,
): Promise<{ username: string; password: string }> {
  const given = textOption(parsed, 'username');
  const typed = textOption(parsed, 'password');
  if (flagOption(parsed, 'passwordStdin')) {
    if (typed !== undefined)
      throw new BullaError('usage.invalid', '--password and --password-stdin exclude each other');
    if (given === undefined) throw new BullaError('usage.invalid', '--password-stdin wants --username too');
    return { username: given, password: await passwordFromInput(terminal) };
  }
  if (typed !== undefined)
    terminal.warn('--password shows the password to every process on this machine; use --password-stdin');
  const username = given ?? (await terminal.ask('Username', await before()));
  if (username === '') throw new BullaError('usage.invalid', 'the user name is empty');
  if (typed !== undefined) return { username, password: typed };
  return { username, password: await terminal.askSecret('Password', 'give it by --password-stdin') };
}

async function passwordFromInput(terminal: Terminal): Promise<string> {
  const text = textOf(await terminal.readInput(passwordBytes));
  if (text === undefined) throw new BullaError('usage.invalid', 'the password is not UTF-8 text');
  // one line break at its end belongs to echo, not to the password
  return text.replace(/\r?\n$/, '');
}
