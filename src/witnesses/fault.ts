/** What a witness that does not hold is answered with. */
import type { ErrorCode } from '../base/errors.ts';

export type Fault = { readonly ok: false; readonly code: ErrorCode; readonly message: string };
