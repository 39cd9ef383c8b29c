/** DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md): what an envelope's signature is of. */
import { concatBytes, utf8 } from './bytes.ts';

/** The lengths are of bytes, in decimal; the type is UTF-8. */
export function paeOf(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = utf8(payloadType);
  return concatBytes(utf8(`DSSEv1 ${type.length} `), type, utf8(` ${payload.length} `), payload);
}
