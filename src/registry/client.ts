/** What the parts of the registry client share. */
import type { Session } from './session.ts';

export type Client = {
  readonly session: Session;
  readonly blobDeadlineMs: number;
};

/** The token scope for reading a repository. */
export function pullScope(path: string): string {
  return `repository:${path}:pull`;
}

/** The token scope for reading and writing a repository. */
export function pushScope(path: string): string {
  return `repository:${path}:pull,push`;
}
