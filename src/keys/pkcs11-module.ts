/**
 * A PKCS#11 module (a device's driver), through the package pkcs11js, which is not brought along: it is a native addon
 * (docs/decisions/0005-pkcs11.md).
 */
import { isAbsolute } from 'node:path';

import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { requireOptional } from '../base/node.ts';

type Handle = Buffer;
export type Pkcs11Template = readonly {
  readonly type: number;
  readonly value?: number | boolean | string | Buffer;
}[];

/** What of pkcs11js is used. */
export type Pkcs11 = {
  load(path: string): void;
  close(): void;
  C_Initialize(): void;
  C_Finalize(): void;
  C_GetSlotList(tokenPresent: boolean): Handle[];
  C_GetTokenInfo(slot: Handle): {
    readonly label: string;
    readonly manufacturerID: string;
    readonly model: string;
    readonly serialNumber: string;
    readonly flags: number;
  };
  C_OpenSession(slot: Handle, flags: number): Handle;
  C_CloseSession(session: Handle): void;
  C_Login(session: Handle, user: number, pin: string): void;
  C_FindObjectsInit(session: Handle, template: Pkcs11Template): void;
  C_FindObjects(session: Handle, most: number): Handle[];
  C_FindObjectsFinal(session: Handle): void;
  C_GetAttributeValue(
    session: Handle,
    object: Handle,
    template: Pkcs11Template,
  ): { readonly value: Buffer }[];
  C_SignInit(session: Handle, mechanism: { readonly mechanism: number }, key: Handle): void;
  C_SignAsync(session: Handle, data: Buffer, signature: Buffer): Promise<Buffer>;
};

/** A module initialised for this process; dispose it once for each time it was opened. */
export interface Pkcs11Module extends Disposable {
  readonly api: Pkcs11;
}

/** A module may be initialised once in a process, whoever uses it: the last user ends it. */
const open = new Map<string, Started & { users: number }>();

/** `ours`: nobody else in this process had started it, so it is ended here. */
type Started = { readonly api: Pkcs11; readonly ours: boolean };

/**
 * Loads a module.
 * @param path absolute: the system's search path would let a name mean another driver
 * @throws BullaError `usage.unsupported` (no pkcs11js), `usage.invalid`, `key.unusable` (no module, or it does not start)
 */
export function openPkcs11Module(path: string): Pkcs11Module {
  if (!isAbsolute(path)) {
    throw new BullaError('usage.invalid', `the PKCS#11 module's path is not absolute: ${printable(path)}`);
  }
  const entry = open.get(path) ?? { ...start(path), users: 0 };
  open.set(path, entry);
  entry.users += 1;
  return {
    api: entry.api,
    [Symbol.dispose]: () => {
      entry.users -= 1;
      if (entry.users > 0) return;
      open.delete(path);
      if (entry.ours) entry.api.C_Finalize();
      entry.api.close();
    },
  };
}

function start(path: string): Started {
  const api = newPkcs11();
  try {
    api.load(path);
  } catch (cause) {
    throw new BullaError('key.unusable', `the PKCS#11 module cannot be loaded: ${printable(path)}`, {
      cause,
      hint: 'its path is in module-path of the URI or in COSIGN_PKCS11_MODULE_PATH',
    });
  }
  try {
    api.C_Initialize();
  } catch (cause) {
    if (pkcs11Error(cause) === 'CKR_CRYPTOKI_ALREADY_INITIALIZED') return { api, ours: false };
    api.close();
    throw deviceError(cause, 'the PKCS#11 module');
  }
  return { api, ours: true };
}

function newPkcs11(): Pkcs11 {
  try {
    const { PKCS11 } = requireOptional('pkcs11js') as { readonly PKCS11: new () => Pkcs11 };
    return new PKCS11();
  } catch (cause) {
    throw new BullaError('usage.unsupported', 'keys on PKCS#11 devices need the npm package pkcs11js', {
      cause,
      hint: 'install it where Bulla is (npm install pkcs11js), or name its folder by NODE_PATH',
    });
  }
}

/** The name of the error that a device gave (`CKR_PIN_INCORRECT`). */
export function pkcs11Error(error: unknown): string | undefined {
  return error instanceof Error ? /\bCKR_[A-Z0-9_]+/.exec(error.message)?.[0] : undefined;
}

/** What a device refused, as an error for people. */
export function deviceError(error: unknown, name: string): BullaError {
  if (error instanceof BullaError) return error;
  const code = pkcs11Error(error);
  if (code === 'CKR_PIN_INCORRECT' || code === 'CKR_PIN_LEN_RANGE' || code === 'CKR_PIN_INVALID') {
    return new BullaError('key.passphrase-wrong', `the PIN of ${name} is wrong`, {
      cause: error,
      hint: 'most devices lock themselves after a few attempts',
    });
  }
  return new BullaError('key.unusable', `${name}: the device says ${code ?? 'nothing that PKCS#11 knows'}`, {
    cause: error,
    ...(code === 'CKR_PIN_LOCKED' && { hint: 'the PIN is locked; the security officer’s PIN resets it' }),
  });
}
