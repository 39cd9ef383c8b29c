/**
 * `NAME://…`: keys behind a program `sigstore-kms-NAME`, by the protocol that cosign runs such programs with
 * (sigstore/sigstore pkg/signature/kms/cliplugin, version 1). Each call is one run: argument 1 is the protocol's version,
 * argument 2 a JSON object, standard input the data to sign; the answer is a JSON object on standard output. The exit status
 * says nothing, errors come as `errorMessage`. The program's standard error is this process's own: it may ask for a touch there.
 */
import { decodeBase64, printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonValue, parseJson } from '../base/json.ts';
import { limits } from '../base/limits.ts';
import { runProcess } from '../io/process.ts';
import type { KeyFileContext } from './open-key-file.ts';
import type { KeyAdapter } from './open-key-uri.ts';
import { openRemoteSigner, type SigningHash } from './remote-signer.ts';
import { parseSigstorePublicKey, type SigstorePublicKey } from './sigstore/public-key.ts';

/** cosign's own default for a whole command. */
const timeoutMs = 180_000;

/** Go's numbers of crypto.Hash; 0: none. */
const hashNumbers: Readonly<Record<SigningHash, number>> = { sha256: 5, sha384: 6, sha512: 7 };

/** What people expect cosign to have built in. */
const hints: Readonly<Record<string, string>> = {
  awskms: 'AWS KMS',
  gcpkms: 'Google Cloud KMS',
  azurekms: 'Azure Key Vault',
  k8s: 'Kubernetes secrets',
  gitlab: 'GitLab variables',
};

export const pluginKeys: KeyAdapter = {
  openSigner: async (uri, context) => {
    const plugin = pluginOf(uri, context);
    const publicKey = await publicKeyOf(plugin);
    return openRemoteSigner({
      name: plugin.name,
      publicKey,
      sign: (message, hash) => signBy(plugin, message, hash),
    });
  },
  readPublicKey: async (uri, context) => publicKeyOf(pluginOf(uri, context)),
};

type Plugin = {
  readonly program: string;
  readonly scheme: string;
  readonly keyResourceID: string;
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
};

function pluginOf(uri: string, { env }: KeyFileContext): Plugin {
  const [, scheme = '', keyResourceID = ''] = /^([^:]*):\/\/(.*)$/s.exec(uri) ?? [];
  if (keyResourceID === '' || keyResourceID.includes('\0')) {
    throw new BullaError('usage.invalid', `"${printable(uri, 80)}" names no key of ${scheme}`);
  }
  const name = `the key of the plugin sigstore-kms-${scheme}`;
  return { program: `sigstore-kms-${scheme}`, scheme, keyResourceID, name, env };
}

async function publicKeyOf(plugin: Plugin): Promise<SigstorePublicKey> {
  const method = {
    methodName: 'publicKey',
    publicKey: { publicKeyOptions: { rpcOptions: { remoteVerification: false } } },
  };
  const pem = await call(plugin, method, hashNumbers.sha256, 'publicKeyPEM');
  return parseSigstorePublicKey(pem);
}

async function signBy(plugin: Plugin, message: Uint8Array, hash: SigningHash | null): Promise<Uint8Array> {
  const hashFunc = hash === null ? 0 : hashNumbers[hash];
  const signOptions = { rpcOptions: { remoteVerification: false }, messageOptions: { hashFunc } };
  const method = { methodName: 'signMessage', signMessage: { signOptions } };
  return call(plugin, method, hashFunc, 'signature', message);
}

/** One run of the program; the answer's bytes are those of `member` of the object named like the method. */
async function call(
  plugin: Plugin,
  method: { readonly methodName: string; readonly [option: string]: unknown },
  hashFunc: number,
  member: 'publicKeyPEM' | 'signature',
  input: Uint8Array = new Uint8Array(),
): Promise<Uint8Array> {
  const initOptions = {
    ctxDeadline: new Date(Date.now() + timeoutMs).toISOString(),
    protocolVersion: '1',
    keyResourceID: plugin.keyResourceID,
    hashFunc,
  };
  const stdout = await run(plugin, JSON.stringify({ initOptions, ...method }), input);
  const answer = parseAnswer(stdout, plugin);
  const error = memberOf(answer, 'errorMessage');
  if (error?.kind === 'string' && error.value !== '') {
    throw new BullaError('key.unusable', `${plugin.program}: ${printable(error.value)}`);
  }
  const found = memberOf(memberOf(answer, method.methodName), member);
  const bytes = found?.kind === 'string' ? decodeBase64(found.value) : undefined;
  if (bytes !== undefined && bytes.length > 0) return bytes;
  throw new BullaError('key.unusable', `${plugin.program} gave no ${member} as base64`);
}

async function run(plugin: Plugin, options: string, input: Uint8Array): Promise<Uint8Array> {
  try {
    const { stdout } = await runProcess(plugin.program, ['1', options], {
      input,
      env: plugin.env,
      timeoutMs,
      maxBytes: limits.keyAnswerBytes,
      ownStderr: true,
    });
    return stdout;
  } catch (error) {
    if (!isBullaError(error, 'process.not-found')) throw error;
    const vendor = hints[plugin.scheme];
    throw new BullaError('key.not-found', `no program ${plugin.program} is on PATH`, {
      cause: error,
      hint:
        vendor === undefined
          ? `${plugin.scheme}:// keys are behind a sigstore KMS plugin of that name; or name a file, env://, pkcs11:, hashivault:// or openbao://`
          : `${vendor} is reached through sigstore's KMS plugin: install a program ${plugin.program}`,
    });
  }
}

function parseAnswer(stdout: Uint8Array, { program }: Plugin): JsonValue {
  const text = textOf(stdout);
  try {
    const answer = parseJson(text ?? '', program);
    if (answer.kind === 'object') return answer;
  } catch (error) {
    if (!isBullaError(error, 'json.malformed')) throw error;
  }
  throw new BullaError('key.unusable', `${program} did not answer with a JSON object`);
}

/** Of a member that is there twice neither is taken. */
function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  const found = value?.kind === 'object' ? value.members.filter(({ key }) => key === name) : [];
  return found.length === 1 ? found[0]?.value : undefined;
}
