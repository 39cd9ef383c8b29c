import assert from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import type { ImageVerdict } from '../operations/verify.ts';
import type { SignatureVerdict } from '../trust/verdict.ts';
import { verdictLines } from './verdict.ts';

const accepted = {
  format: 'x',
  store: '/sigs/signature-1',
  accepted: true,
  code: 'accepted',
  message: 'm',
} as const;
const refused = {
  ...accepted,
  accepted: false,
  code: 'signature.unknown-key',
  message: 'nobody knows it',
} as const;

function linesOf(signatures: readonly SignatureVerdict[], explain = false): readonly string[] {
  const isAccepted = signatures.some((each) => each.accepted);
  const verdict: ImageVerdict = {
    image: 'docker://r/a:1',
    accepted: isAccepted,
    scope: { transport: '', name: '' },
    requirements: [
      {
        type: 'signedBy',
        accepted: isAccepted,
        signatures,
        ...(!isAccepted && { code: 'trust.not-accepted', message: 'none' }),
      },
    ],
  };
  return verdictLines(verdict, explain, (word) => word).slice(1);
}

test('who signed is named by key, or by what the certificate vouches for', () => {
  const name = 'r/a:1';
  assert.deepEqual(linesOf([{ ...accepted, key: 'F00', identity: name }]), [
    '  signedBy: by F00 for r/a:1 (/sigs/signature-1)',
  ]);
  assert.deepEqual(linesOf([{ ...accepted, identity: 'a@b.c (https://issuer)', reference: name }]), [
    '  signedBy: by a@b.c (https://issuer) for r/a:1 (/sigs/signature-1)',
  ]);
});

test('one refused signature gives its own reason, several are listed', () => {
  assert.deepEqual(linesOf([refused]), ['  signedBy: nobody knows it [signature.unknown-key]']);
  assert.deepEqual(linesOf([refused, refused]), [
    '  signedBy: none of 2 signatures is accepted [trust.not-accepted]',
    '    /sigs/signature-1: nobody knows it [signature.unknown-key]',
    '    /sigs/signature-1: nobody knows it [signature.unknown-key]',
  ]);
});

test('explained, the scope and every signature are shown', () => {
  assert.deepEqual(linesOf([refused, { ...accepted, key: 'F00', identity: 'r/a:1' }], true), [
    '  scope: the policy’s default',
    '  signedBy: holds',
    '    /sigs/signature-1: nobody knows it [signature.unknown-key]',
    '    by F00 for r/a:1 (/sigs/signature-1)',
  ]);
});

test('a list’s signature is named as that; explained, times, statement and witnesses follow', () => {
  const list = digestOf(utf8('the list'));
  const time = '2026-01-02T03:04:05.000Z';
  const type = 'https://sigstore.dev/cosign/sign/v1';
  const bundle: SignatureVerdict = {
    ...accepted,
    format: 'bundle',
    identity: 'a@b.c (https://issuer)',
    predicateType: type,
    times: [time],
    list,
    message: 'signed; in the log rekor.example.com',
  };
  const line = `by a@b.c (https://issuer) with the list ${list} (/sigs/signature-1)`;
  assert.deepEqual(linesOf([bundle]), [`  signedBy: ${line}`]);
  assert.deepEqual(linesOf([bundle], true).slice(1), [
    '  signedBy: holds',
    `    ${line}`,
    '      signed; in the log rekor.example.com',
    `      seen by witnesses at ${time}`,
  ]);
});

test('what a list says of platforms is made printable', () => {
  const digest = digestOf(utf8('x'));
  const platform = { os: 'linux\u001b[2K\r', architecture: 'accepted' };
  const scope = { transport: '', name: '' };
  const judged = { accepted: true, scope, requirements: [] } as const;
  const verdict: ImageVerdict = {
    ...judged,
    image: 'docker://r/a:1',
    digest,
    index: digest,
    instances: [{ ...judged, digest, platform }],
  };
  const text = verdictLines(verdict, false, (word) => word).join('\n');
  assert.match(text, /accepted linux/);
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(text, /[\u001b\r]/);
});
