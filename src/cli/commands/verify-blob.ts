/** `bulla verify-blob FILE|sha256:HEX|-`: is this file signed by somebody who is believed. */
import { Command } from 'commander';

import { textOrThrow } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { readBoundedFile } from '../../io/files.ts';
import { type Artifact, type BlobProof, verifyBlob } from '../../operations/verify-blob.ts';
import { readBlob } from '../blob-options.ts';
import type { CommandContext } from '../command.ts';
import { givenJudge, withSignerOptions } from '../judge-options.ts';
import { collect, flagOption, type Parsed, textOption } from '../options.ts';
import { readPredicateType } from '../predicate-type.ts';
import type { Terminal } from '../terminal.ts';
import { signatureJson, signatureLine } from '../verdict.ts';
import { openCommandWorld } from '../world.ts';

export function command(context: CommandContext): Command {
  const verify = new Command('verify-blob')
    .description(
      'Judge the signature of a file, or a statement about it. Exit 0 verified, 1 not verified, 2 wrong usage.',
    )
    .argument('<file>', 'a file, its digest (sha256:HEX), or - for standard input')
    .option('--bundle <file>', 'the bundle: sigstore’s, or the older one of cosign')
    .option('--signature <file>', 'a signature without a bundle, base64')
    .option('--certificate <file>', 'with --signature: the signer’s certificate, PEM')
    .option('--key <key>', 'public key (PEM), or a key’s URI; repeatable', collect)
    .option('--type <type>', 'demand a statement of this type (default: a signature, or any statement)')
    .option('--command-timeout <duration>', 'give up after this time')
    .option('--offline', 'open no socket')
    .option('--json', 'print the verdict as JSON');
  return withSignerOptions(verify)
    .addHelpText(
      'after',
      '\nExample:\n  $ bulla verify-blob --key release.pub --bundle app.tar.sigstore.json app.tar',
    )
    .action((file: string, parsed: Parsed) => run(file, parsed, context));
}

async function run(file: string, parsed: Parsed, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const type = textOption(parsed, 'type');
  const by = givenJudge(parsed, terminal, type === undefined ? undefined : readPredicateType(type));
  if (by === undefined || by.kind === 'policy' || by.kind === 'insecure-accept-anything') {
    throw new BullaError('usage.invalid', 'nothing says who is believed', {
      hint: 'name a key by --key, or a signer by --certificate-identity and --certificate-oidc-issuer',
    });
  }
  await using world = await openCommandWorld(parsed, terminal);
  const [artifact, proof] = await Promise.all([readArtifact(file, terminal), readProof(parsed)]);
  const verdict = await verifyBlob({ artifact, proof, by }, world);
  if (flagOption(parsed, 'json')) terminal.printJson({ file, ...signatureJson(verdict) });
  else {
    const word = verdict.accepted ? terminal.paint('accepted', 'green') : terminal.paint('refused', 'red');
    terminal.print(`${word} ${file}`);
    terminal.print(`  ${signatureLine(verdict)}`);
  }
  context.finish(verdict.accepted ? 0 : 1);
}

async function readArtifact(file: string, terminal: Terminal): Promise<Artifact> {
  const [, algorithm, hex = ''] = /^(sha256|sha384|sha512):([0-9a-f]*)$/.exec(file) ?? [];
  if (algorithm === undefined) return { kind: 'bytes', bytes: await readBlob(file, terminal) };
  const value = new Uint8Array(Buffer.from(hex, 'hex'));
  if (value.length * 8 !== Number(algorithm.slice(3)) || hex.length !== value.length * 2) {
    throw new BullaError('digest.malformed', `"${file}" is not a digest`, {
      hint: 'a digest reads sha256: and 64 lower-case hexadecimal digits',
    });
  }
  return { kind: 'digest', algorithm, value };
}

async function readProof(parsed: Parsed): Promise<BlobProof> {
  const bundle = textOption(parsed, 'bundle');
  const signature = textOption(parsed, 'signature');
  const certificate = textOption(parsed, 'certificate');
  if (
    (bundle === undefined) === (signature === undefined) ||
    (certificate !== undefined && signature === undefined)
  ) {
    throw new BullaError(
      'usage.invalid',
      'one of --bundle and --signature is needed; --certificate goes with --signature',
    );
  }
  if (bundle !== undefined) {
    return { kind: 'bundle', json: await readJudged(bundle, limits.bundleBytes), name: bundle };
  }
  const name = signature ?? '';
  const text = await readJudged(name, limits.signatureBytes);
  if (certificate === undefined) return { kind: 'signature', text, name };
  const pem = textOrThrow(await readBoundedFile(certificate, limits.signatureBytes), certificate);
  return { kind: 'signature', text, certificate: pem, name };
}

/** Too much of what is under judgement is a refusal, not a failure to decide. */
async function readJudged(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    return await readBoundedFile(path, maxBytes);
  } catch (error) {
    if (!isBullaError(error, 'io.too-large')) throw error;
    throw new BullaError('signature.too-large', error.message, { cause: error });
  }
}
