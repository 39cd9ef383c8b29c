/** Credential helper programs: `docker-credential-NAME`, spoken to over standard input and output. */
import { printable, textOf, utf8 } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { runProcess } from '../io/process.ts';
import type { Credentials } from './credentials.ts';
import type { SystemEnvironment } from './environment.ts';

const helperTimeoutMs = 60_000;
const helperBytes = 1_048_576;
/** What helpers print, with exit 1, when they hold nothing for a host. */
const notFound = /credentials not found|no credentials server URL/i;

type Action = 'get' | 'store' | 'erase';

async function runHelper(
  environment: SystemEnvironment,
  helper: string,
  action: Action,
  input: string,
): Promise<string | undefined> {
  const program = `docker-credential-${helper}`;
  let result: Awaited<ReturnType<typeof runProcess>>;
  try {
    result = await runProcess(program, [action], {
      input: utf8(input),
      env: { ...environment.env },
      timeoutMs: helperTimeoutMs,
      maxBytes: helperBytes,
    });
  } catch (cause) {
    throw failed(program, action, cause instanceof Error ? cause.message : '', cause);
  }
  const output = textOf(result.stdout) ?? '';
  if (result.exitCode === 0) return output;
  if (action !== 'store' && notFound.test(output)) return undefined;
  // what a helper says goes to standard output; it is an error text, as the exit code says
  throw failed(program, action, printable(output.trim(), 120));
}

/**
 * What a helper holds for a server name; undefined for nothing.
 * @throws BullaError `credential-helper.failed`
 */
export async function askHelper(
  environment: SystemEnvironment,
  helper: string,
  server: string,
): Promise<Credentials | undefined> {
  const output = await runHelper(environment, helper, 'get', server);
  if (output === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    // the output is a secret: it is not repeated
    throw failed(`docker-credential-${helper}`, 'get', 'its answer is not JSON');
  }
  const fields = (typeof value === 'object' ? value : null) as Readonly<Record<string, unknown>> | null;
  const username = fields?.['Username'];
  const secret = fields?.['Secret'];
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw failed(`docker-credential-${helper}`, 'get', 'its answer holds no Username and Secret');
  }
  if (username === '' && secret === '') return undefined;
  if (username === '<token>') return { kind: 'identity-token', username: '', token: secret };
  return { kind: 'password', username, password: secret };
}

/** Hands credentials to a helper to keep. @throws BullaError `credential-helper.failed` */
export async function storeInHelper(
  environment: SystemEnvironment,
  helper: string,
  server: string,
  credentials: { readonly username: string; readonly password: string },
): Promise<void> {
  const { username, password } = credentials;
  const input = JSON.stringify({ ServerURL: server, Username: username, Secret: password });
  await runHelper(environment, helper, 'store', input);
}

/** Makes a helper forget; false where it held nothing. @throws BullaError `credential-helper.failed` */
export async function eraseInHelper(
  environment: SystemEnvironment,
  helper: string,
  server: string,
): Promise<boolean> {
  return (await runHelper(environment, helper, 'erase', server)) !== undefined;
}

function failed(program: string, action: Action, why: string, cause?: unknown): BullaError {
  const detail = why === '' ? '' : `: ${why}`;
  return new BullaError('credential-helper.failed', `${program} ${action} failed${detail}`, {
    hint: 'run the helper by hand, or give --creds or another --authfile',
    ...(cause !== undefined && { cause }),
  });
}
