/** What the commands that sign files share. */
import type { Command } from 'commander';

import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';
import type { SigningPlan } from '../operations/sign/plan.ts';
import { collect, withCosignOptions } from './options.ts';
import type { Terminal } from './terminal.ts';

export const blobArgument = 'file to sign; - is standard input';

/** One sigstore key or a keyless identity, its witnesses, and bounds. */
export function withBlobSigningOptions(command: Command): Command {
  return withCosignOptions(command)
    .option('--sign-passphrase-file <file>', 'file whose first line is the passphrase of --key', collect)
    .option('--command-timeout <duration>', 'give up after this time')
    .option('--offline', 'open no socket');
}

/** @throws BullaError `io.*` */
export function readBlob(path: string, terminal: Terminal): Promise<Uint8Array> {
  return path === '-'
    ? terminal.readInput(limits.signedFileBytes)
    : readBoundedFile(path, limits.signedFileBytes);
}

/** A bundle has one signature. @throws BullaError `usage.invalid` for several keys, and what opening throws */
export async function onlySigner(all: Promise<readonly SigningPlan[]>): Promise<SigningPlan> {
  const [signer, ...others] = await all;
  if (signer !== undefined && others.length === 0) return signer;
  throw new BullaError('usage.invalid', 'a bundle has one signature: name one key');
}
