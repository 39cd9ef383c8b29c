/** Sigstore key files made by either work in the other: Bulla, cosign 3.1 and 2.5, skopeo, OpenSSL. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { test } from 'node:test';

import { BullaError } from '../../src/base/errors.ts';
import {
  openSigstoreKey,
  type SigstoreKeyType,
  sigstoreKeyTypes,
} from '../../src/keys/sigstore/private-key.ts';
import { parseSigstorePublicKey, verifySigstoreSignature } from '../../src/keys/sigstore/public-key.ts';
import type { Signer } from '../../src/keys/signer.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, needs, openBench, type PeerName } from '../support/peers.ts';

const password = 'correct horse';
const env = { COSIGN_PASSWORD: password };
const identity = 'example.com/ns/app:1';

/** Makes PREFIX.private and PREFIX.pub by this checkout's Bulla. */
async function bullaMakes(bench: Bench, prefix: string, ...more: readonly string[]): Promise<void> {
  const args = ['key', 'generate', 'sigstore', '--output-prefix', bench.path(prefix), ...more];
  const { exitCode, stderr } = await bench.bulla(args, { env });
  assert.equal(exitCode, 0, stderr);
}

async function opened(bench: Bench, path: string): Promise<Signer> {
  return openSigstoreKey(await readFile(bench.path(path)), { passphrase: { given: password } });
}

async function verifies(
  bench: Bench,
  pub: string,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const key = parseSigstorePublicKey(await readFile(bench.path(pub)));
  return verifySigstoreSignature(key, message, signature);
}

const toSign = {
  cosign: [
    'sign-blob',
    '-y',
    '--new-bundle-format=false',
    '--use-signing-config=false',
    '--tlog-upload=false',
  ],
  cosign2: ['sign-blob', '-y', '--tlog-upload=false'],
} as const;
type Cosign = keyof typeof toSign;

async function cosignSigns(bench: Bench, cosign: Cosign, key: string, file: string): Promise<Uint8Array> {
  const output = ['--output-signature', bench.path('sig')];
  await bench.ok(cosign, [...toSign[cosign], '--key', bench.path(key), ...output, bench.path(file)], { env });
  return Buffer.from(await readFile(bench.path('sig'), 'latin1'), 'base64');
}

async function cosignVerifies(
  bench: Bench,
  cosign: Cosign,
  pub: string,
  file: string,
  signature: Uint8Array,
): Promise<boolean> {
  await writeFile(bench.path('sig'), Buffer.from(signature).toString('base64'));
  const what = ['--key', bench.path(pub), '--signature', bench.path('sig'), bench.path(file)];
  const { exitCode } = await bench.run(cosign, ['verify-blob', '--insecure-ignore-tlog=true', ...what]);
  return exitCode === 0;
}

type Signed = { readonly folder: string; readonly payload: Uint8Array; readonly signature: Uint8Array };
const magic = '\0sigstore-json\n';
const annotation = 'dev.cosignproject.cosign/signature';

/** skopeo signs a small image while it copies it to a dir: folder. */
async function skopeoSigns(bench: Bench, key: string, folder: string): Promise<Signed> {
  await writeFile(bench.path('pass'), password);
  const by = [
    '--sign-by-sigstore-private-key',
    bench.path(key),
    '--sign-passphrase-file',
    bench.path('pass'),
  ];
  const names = [`oci:${bench.path('image')}`, `dir:${bench.path(folder)}`];
  await bench.ok('skopeo', ['--insecure-policy', 'copy', ...by, '--sign-identity', identity, ...names]);
  const text = await readFile(bench.path(folder, 'signature-1'), 'utf8');
  const { payload, annotations } = JSON.parse(text.slice(magic.length)) as {
    payload: string;
    annotations: Readonly<Record<string, string>>;
  };
  return {
    folder,
    payload: Buffer.from(payload, 'base64'),
    signature: Buffer.from(annotations[annotation] ?? '', 'base64'),
  };
}

/** The same image with another signature of the same payload. */
async function putSignature(bench: Bench, { folder, payload }: Signed, signature: Uint8Array): Promise<void> {
  const json = JSON.stringify({
    mimeType: 'application/vnd.dev.cosign.simplesigning.v1+json',
    payload: Buffer.from(payload).toString('base64'),
    annotations: { [annotation]: Buffer.from(signature).toString('base64') },
  });
  await writeFile(bench.path(folder, 'signature-1'), `${magic}${json}`);
}

async function skopeoAccepts(bench: Bench, folder: string, ...pubs: readonly string[]): Promise<boolean> {
  const signedIdentity = { type: 'exactReference', dockerReference: identity };
  const keyPaths = pubs.map((pub) => bench.path(pub));
  const policy = { default: [{ type: 'sigstoreSigned', keyPaths, signedIdentity }] };
  await writeFile(bench.path('policy.json'), JSON.stringify(policy));
  await rm(bench.path('out'), { recursive: true, force: true });
  const names = [`dir:${bench.path(folder)}`, `dir:${bench.path('out')}`];
  const copy = ['--policy', bench.path('policy.json'), 'copy', ...names];
  const { exitCode, stderr } = await bench.run('skopeo', copy);
  assert.equal(exitCode === 0, stderr === '' || !stderr.includes('Source image rejected'), stderr);
  return exitCode === 0;
}

/** cosign 3.1 signs these over SHA-384 and SHA-512 where no bundle says so, and refuses its own signatures. */
const ofOtherHash: readonly SigstoreKeyType[] = ['ecdsa-p384', 'ecdsa-p521'];

for (const type of sigstoreKeyTypes) {
  test(
    `${type}: our key signs in cosign and skopeo, and they verify ours`,
    needs('cosign', 'cosign2', 'skopeo'),
    async () => {
      await using bench = await openBench();
      await writeOciImage(bench.path('image'));
      await bullaMakes(bench, 'k', '--type', type);
      await using signer = await opened(bench, 'k.private');
      const signed = await skopeoSigns(bench, 'k.private', 'signed');
      assert.ok(await verifies(bench, 'k.pub', signed.payload, signed.signature), 'skopeo’s signature');
      await putSignature(bench, signed, await signer.sign(signed.payload));
      assert.ok(await skopeoAccepts(bench, 'signed', 'k.pub'), 'our signature at skopeo');
      await putSignature(bench, signed, await signer.sign(Buffer.from('another payload')));
      assert.equal(await skopeoAccepts(bench, 'signed', 'k.pub'), false);

      await writeFile(bench.path('blob'), signed.payload);
      const ours = await signer.sign(signed.payload);
      for (const cosign of ['cosign', 'cosign2'] as const) {
        const pub = await bench.ok(cosign, ['public-key', '--key', bench.path('k.private')], { env });
        assert.equal(pub, await readFile(bench.path('k.pub'), 'utf8'));
        assert.ok(await cosignVerifies(bench, cosign, 'k.pub', 'blob', ours), `our signature at ${cosign}`);
        const theirs = await cosignSigns(bench, cosign, 'k.private', 'blob');
        const good = !(cosign === 'cosign' && ofOtherHash.includes(type));
        assert.equal(await verifies(bench, 'k.pub', signed.payload, theirs), good, `${cosign}’s signature`);
        assert.equal(await cosignVerifies(bench, cosign, 'k.pub', 'blob', theirs), good, `${cosign}’s own`);
      }
    },
  );
}

test('keys that cosign and skopeo make open here', needs('cosign', 'cosign2', 'skopeo'), async () => {
  await using bench = await openBench();
  await writeFile(bench.path('pass'), password);
  const skopeo = ['generate-sigstore-key', '--output-prefix', bench.path('skopeo')];
  await bench.ok('skopeo', [...skopeo, '--passphrase-file', bench.path('pass')]);
  const message = Buffer.from('message');
  for (const cosign of ['cosign', 'cosign2'] as const) {
    await bench.ok(cosign, ['generate-key-pair', '--output-key-prefix', cosign], { env, cwd: bench.folder });
  }
  for (const [key, pub] of [
    ['skopeo.private', 'skopeo.pub'],
    ['cosign.key', 'cosign.pub'],
    ['cosign2.key', 'cosign2.pub'],
  ] as const) {
    await using signer = await opened(bench, key);
    assert.equal(signer.keyId, parseSigstorePublicKey(await readFile(bench.path(pub))).keyId);
    assert.ok(await verifies(bench, pub, message, await signer.sign(message)), key);
  }
});

test('an empty passphrase is the same for all', needs('cosign', 'skopeo'), async () => {
  await using bench = await openBench();
  const empty = { env: { COSIGN_PASSWORD: '' } };
  await bench.ok('cosign', ['generate-key-pair'], { ...empty, cwd: bench.folder });
  const key = await readFile(bench.path('cosign.key'));
  await using signer = await openSigstoreKey(key, { passphrase: { given: '' } });
  assert.equal(signer.keyId, parseSigstorePublicKey(await readFile(bench.path('cosign.pub'))).keyId);
  const made = await bench.bulla(['key', 'generate', 'sigstore', '--output-prefix', bench.path('k')], empty);
  assert.equal(made.exitCode, 0, made.stderr);
  const pub = await bench.ok('cosign', ['public-key', '--key', bench.path('k.private')], empty);
  assert.equal(pub, await readFile(bench.path('k.pub'), 'utf8'));
});

/** OpenSSL's private keys, by the arguments that make them; whether cosign's import reads them too. */
const plainKeys: readonly (readonly [name: string, cosignToo: boolean, ...args: readonly string[]])[] = [
  ['p256-sec1', true, 'ecparam', '-name', 'prime256v1', '-genkey', '-noout'],
  ['p384-parameters', false, 'ecparam', '-name', 'secp384r1', '-genkey'],
  ['p521-pkcs8', true, 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  ['rsa-pkcs1', true, 'genrsa', '-traditional', '2048'],
  ['rsa-pkcs8', true, 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
  ['ed25519', true, 'genpkey', '-algorithm', 'ed25519'],
];

test('OpenSSL’s keys are taken over as cosign does', needs('openssl', 'cosign'), async () => {
  await using bench = await openBench();
  const message = Buffer.from('message');
  for (const [name, cosignToo, ...args] of plainKeys) {
    const pem = await bench.ok('openssl', args);
    await writeFile(bench.path(`${name}.pem`), pem);
    const made = await bench.bulla(
      ['key', 'generate', 'sigstore', '--output-prefix', bench.path(name), '--import', '-'],
      { env, input: pem },
    );
    assert.equal(made.exitCode, 0, made.stderr);
    const pub = await bench.ok('openssl', ['pkey', '-in', bench.path(`${name}.pem`), '-pubout']);
    assert.equal(await readFile(bench.path(`${name}.pub`), 'utf8'), pub);
    assert.equal(
      await bench.ok('cosign', ['public-key', '--key', bench.path(`${name}.private`)], { env }),
      pub,
    );
    const taken = [
      'import-key-pair',
      '--key',
      bench.path(`${name}.pem`),
      '--output-key-prefix',
      `${name}-cosign`,
    ];
    const imported = await bench.run('cosign', taken, { env, cwd: bench.folder });
    assert.equal(imported.exitCode === 0, cosignToo, imported.stderr);
    const keys = [`${name}.private`, ...(cosignToo ? [`${name}-cosign.key`] : [])];
    for (const key of keys) {
      await using signer = await opened(bench, key);
      assert.ok(await verifies(bench, `${name}.pub`, message, await signer.sign(message)), key);
    }
  }
});

test(
  'a plain key that cosign refuses is refused, and protected ones come through a pipe',
  needs('openssl', 'cosign'),
  async () => {
    await using bench = await openBench();
    const refused = [
      ['ecparam', '-name', 'secp224r1', '-genkey', '-noout'],
      ['ecparam', '-name', 'secp256k1', '-genkey', '-noout'],
      ['genrsa', '1024'],
      ['genpkey', '-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
      ['genpkey', '-algorithm', 'x25519'],
      ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-aes128', '-pass', 'pass:x'],
    ];
    for (const args of refused) {
      await writeFile(bench.path('plain.pem'), await bench.ok('openssl', args));
      const cosign = ['import-key-pair', '--key', bench.path('plain.pem')];
      assert.notEqual(
        (await bench.run('cosign', cosign, { env, cwd: bench.folder })).exitCode,
        0,
        args.join(' '),
      );
      const import_ = ['key', 'generate', 'sigstore', '--output-prefix', bench.path('k'), '--import'];
      const ours = await bench.bulla([...import_, bench.path('plain.pem')], { env });
      assert.equal(ours.exitCode, 4, ours.stderr);
      await assert.rejects(stat(bench.path('k.private')));
    }
    const plain = await bench.ok('openssl', ['pkey', '-in', bench.path('plain.pem'), '-passin', 'pass:x']);
    await writeFile(bench.path('plain.pem'), plain);
    await bullaMakes(bench, 'k', '--import', bench.path('plain.pem'));
  },
);

/** Public keys by the OpenSSL commands that make them, `|` between those that read the one before. */
const publicKeys: readonly string[] = [
  'ecparam -name prime256v1 -genkey -noout|ec -pubout',
  'ecparam -name prime256v1 -genkey -noout|ec -pubout -conv_form compressed',
  'ecparam -name prime256v1 -genkey -noout|ec -pubout -conv_form hybrid',
  'ecparam -name prime256v1 -genkey -noout|ec -pubout -param_enc explicit',
  'ecparam -name secp224r1 -genkey -noout|ec -pubout',
  'ecparam -name secp521r1 -genkey -noout|ec -pubout',
  'ecparam -name secp256k1 -genkey -noout|ec -pubout',
  'ecparam -name prime192v1 -genkey -noout|ec -pubout',
  'ecparam -name prime256v1 -genkey -noout',
  'genrsa 1024|rsa -pubout',
  'genrsa 512|rsa -pubout',
  'genrsa 2048|rsa -RSAPublicKey_out',
  'genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048|pkey -pubout',
  'genpkey -algorithm ed25519|pkey -pubout',
  'genpkey -algorithm ed448|pkey -pubout',
  'genpkey -algorithm x25519|pkey -pubout',
  'req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=a -days 9',
];

async function madeBy(bench: Bench, commands: string): Promise<string> {
  let output = '';
  for (const command of commands.split('|'))
    output = await bench.ok('openssl', command.split(' '), { input: output });
  return output;
}

/** The same key file as other programs, careless editors and attackers write it. */
function variants(pem: string, other: string): readonly string[] {
  const [begin = '', ...lines] = pem.trimEnd().split('\n');
  const end = lines.pop() ?? '';
  const body = lines.join('');
  return [
    `text before\n${pem}text after`,
    pem.replaceAll('\n', '\r\n'),
    pem.trimEnd(),
    `${begin}\nComment: x\n\n${body}\n${end}\n`,
    `${begin}\n${body.replaceAll('A', ' A\t')}\n${end}\n`,
    `${begin}  \n${body}\n${end}\t\n`,
    ` ${pem}`,
    `x ${begin}\n${body}\n${end}\n`,
    `${begin}\n${body.slice(0, -1)}\n${end}\n`,
    `${begin}\n${body}====\n${end}\n`,
    `${begin}\n${body}\n${end} x\n`,
    `${begin}\n${body}\n${end}\r`,
    `${begin}\n${begin}\n${body}\n${end}\n`,
    `${begin}\nx${begin}\n${body}\n${end}\n`,
    `${begin}\n${end}\n${pem}`,
    `${other}${pem}`,
    `${pem}${other}`,
    pem.replaceAll('PUBLIC', 'EC PUBLIC'),
    pem.replaceAll('PUBLIC', 'public'),
    pem.replace('END PUBLIC', 'END RSA PUBLIC'),
    `\u{feff}${pem}`,
    '',
    'no key',
  ];
}

test('a public key loads here exactly where skopeo loads it', needs('skopeo', 'openssl'), async () => {
  await using bench = await openBench();
  await writeOciImage(bench.path('image'));
  await bullaMakes(bench, 'k');
  await skopeoSigns(bench, 'k.private', 'signed');
  await mkdir(bench.path('pub'));
  const made: string[] = [];
  for (const commands of publicKeys) made.push(await madeBy(bench, commands));
  const verdicts: boolean[] = [];
  const texts = [...made, ...variants(made[0] ?? '', made.at(-1) ?? '')];
  for (const [index, text] of texts.entries()) {
    const name = `pub/${index}.pub`;
    await writeFile(bench.path(name), text);
    // one key that does not load makes skopeo refuse, though the other key signed
    const loads = await skopeoAccepts(bench, 'signed', name, 'k.pub');
    assert.equal(loadsHere(text), loads, `${publicKeys[index] ?? ''} ${JSON.stringify(text)}`);
    verdicts.push(loads);
  }
  assert.ok(verdicts.includes(true) && verdicts.includes(false));
});

function loadsHere(text: string): boolean {
  try {
    parseSigstorePublicKey(Buffer.from(text));
    return true;
  } catch (error) {
    if (error instanceof BullaError) return false;
    throw error;
  }
}

test('a key that skopeo loads verifies here what it verifies there', needs('skopeo', 'openssl'), async () => {
  await using bench = await openBench();
  await writeOciImage(bench.path('image'));
  await bullaMakes(bench, 'k');
  const signed = await skopeoSigns(bench, 'k.private', 'signed');
  await writeFile(bench.path('payload'), signed.payload);
  for (const make of [
    'ecparam -name secp224r1 -genkey -noout',
    'genrsa 512',
    'genrsa 1024',
    'genrsa -3 2048',
  ]) {
    await writeFile(bench.path('plain.pem'), await bench.ok('openssl', make.split(' ')));
    const pub = await bench.ok('openssl', ['pkey', '-in', bench.path('plain.pem'), '-pubout']);
    await writeFile(bench.path('plain.pub'), pub);
    await bench.ok('openssl', [
      'dgst',
      '-sha256',
      '-sign',
      bench.path('plain.pem'),
      '-out',
      bench.path('sig'),
      bench.path('payload'),
    ]);
    const signature = await readFile(bench.path('sig'));
    await putSignature(bench, signed, signature);
    const theirs = await skopeoAccepts(bench, 'signed', 'plain.pub');
    const ours = await verifies(bench, 'plain.pub', signed.payload, signature);
    // on purpose: 512 bits are factored in an afternoon, and newer builds of Go refuse them too
    assert.equal(ours, make !== 'genrsa 512' && theirs, make);
  }
});

test(
  'every peer refuses what we refuse of an encrypted key',
  needs('cosign', 'cosign2', 'skopeo'),
  async () => {
    await using bench = await openBench();
    await writeOciImage(bench.path('image'));
    await bullaMakes(bench, 'k');
    const pem = await readFile(bench.path('k.private'), 'utf8');
    const [begin = '', ...lines] = pem.trimEnd().split('\n');
    const end = lines.pop() ?? '';
    const json = Buffer.from(lines.join(''), 'base64').toString();
    for (const edited of [
      json.replace('65536', '16384'),
      json.replace('65536', '1048576'),
      json.replace('"r":8', '"r":16'),
      json.replace('"p":1', '"p":2'),
    ]) {
      assert.notEqual(edited, json);
      await writeFile(
        bench.path('e.private'),
        `${begin}\n${Buffer.from(edited).toString('base64')}\n${end}\n`,
      );
      await assert.rejects(opened(bench, 'e.private'), { code: 'key.unusable' });
      for (const cosign of ['cosign', 'cosign2'] satisfies PeerName[]) {
        const { exitCode } = await bench.run(cosign, ['public-key', '--key', bench.path('e.private')], {
          env,
        });
        assert.notEqual(exitCode, 0);
      }
      await assert.rejects(skopeoSigns(bench, 'e.private', 'refused'));
    }
    const renamed = pem.replaceAll('COSIGN', 'SIGSTORE');
    await writeFile(bench.path('r.private'), renamed);
    await using signer = await opened(bench, 'r.private');
    const signed = await skopeoSigns(bench, 'r.private', 'signed');
    assert.ok(await verifies(bench, 'k.pub', signed.payload, await signer.sign(signed.payload)));
  },
);
