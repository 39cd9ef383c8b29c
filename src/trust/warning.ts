/** What `trust check` tells of a well-formed policy. */
import type { Source } from './requirement.ts';

/** Stable names of the warnings. */
export type WarningCode =
  | 'default-accepts'
  | 'identity-cosign'
  | 'identity-impossible'
  | 'identity-wider-than-scope'
  | 'key-empty'
  | 'key-expired'
  | 'key-expires-soon'
  | 'key-malformed'
  | 'key-path-relative'
  | 'key-revoked'
  | 'key-type-unsupported'
  | 'key-unavailable'
  | 'remap-pointless'
  | 'remap-refuses'
  | 'requirement-pointless'
  | 'requirement-refuses'
  | 'scope-short'
  | 'scope-unreachable'
  | 'signer-unused'
  | 'transport-deprecated'
  | 'transport-unknown';

export type Warning = {
  readonly code: WarningCode;
  /** `file:line:column`. */
  readonly place: string;
  /** JSON path. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
};

/** A warning before it knows its place. */
export type Finding = Omit<Warning, 'place' | 'path'> & { readonly source: Source };
