import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { main } from '../main.ts';
import { errorLines, type Terminal } from '../terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulla-trust-cli-'));
after(() => rmSync(folder, { recursive: true }));

type Ended = { readonly exit: number; readonly out: string; readonly err: string };

function nobody(): Promise<never> {
  return Promise.reject(new Error('nobody can be asked'));
}

async function trust(...words: readonly string[]): Promise<Ended> {
  const out: string[] = [];
  const err: string[] = [];
  const terminal: Terminal = {
    env: { HOME: folder },
    cwd: folder,
    interactive: false,
    quiet: false,
    debug: false,
    paint: (word) => word,
    print: (line) => void out.push(`${line}\n`),
    write: (bytes) => void out.push(Buffer.from(bytes).toString('utf8')),
    printJson: (value) => void out.push(`${JSON.stringify(value)}\n`),
    note: (line) => void err.push(`${line}\n`),
    warn: (line) => void err.push(`warning: ${line}\n`),
    error: (error) => void err.push(errorLines(error, false)),
    readInput: () => Promise.resolve(new Uint8Array()),
    ask: nobody,
    askSecret: nobody,
    confirm: nobody,
  };
  const exit = await main(['trust', ...words], terminal);
  return { exit, out: out.join(''), err: err.join('') };
}

const policy = join(folder, 'policy.json');
const text = `{
  "default": [{"type": "reject"}],
  "transports": {
    "docker": {
      "r.example.com": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/nowhere/key.asc"}],
      "busybox": [{"type": "reject"}]
    }
  }
}
`;
writeFileSync(policy, text);

test('show prints the file as it is, rows, or JSON', async () => {
  const raw = await trust('show', '--raw', '--policy', policy);
  assert.deepEqual([raw.exit, raw.out], [0, text]);
  const rows = await trust('show', '--signature-policy', policy);
  assert.match(rows.out, /^TRANSPORT +NAME +TYPE +ID +STORE\nall +default +reject/);
  assert.match(rows.err, /warning: cannot read \/nowhere\/key\.asc/);
  assert.ok(!(await trust('show', '-n', '--policy', policy)).out.includes('TRANSPORT'));
  const json = await trust('show', '--json', '--policypath', policy);
  assert.deepEqual(JSON.parse(json.out), [
    { transport: 'all', name: '* (default)', repo_name: 'default', type: 'reject' },
    { transport: 'repository', name: 'busybox', repo_name: 'busybox', type: 'reject' },
    { transport: 'repository', name: 'r.example.com', repo_name: 'r.example.com', type: 'signed' },
  ]);
});

test('check: 0 with warnings, 2 with --strict, 2 where the grammar is broken', async () => {
  const warned = await trust('check', '--policy', policy);
  assert.equal(warned.exit, 0);
  assert.match(warned.out, /policy\.json:5:\d+: .*\[key-unavailable\]/);
  assert.match(warned.out, /policy\.json:6:7: .*\[scope-unreachable\]/);
  assert.equal((await trust('check', '--strict', '--policy', policy)).exit, 2);
  const json = JSON.parse((await trust('check', '--json', '--policy', policy)).out) as {
    warnings: { code: string }[];
  };
  assert.deepEqual(
    json.warnings.map(({ code }) => code),
    ['key-unavailable', 'scope-unreachable'],
  );
  const broken = join(folder, 'broken.json');
  writeFileSync(broken, '{"default": [{"type": "rejekt"}]}');
  const refused = await trust('check', '--policy', broken);
  assert.equal(refused.exit, 2);
  assert.match(refused.err, /broken\.json:1:23: \$\.default\[0\]\.type: .*\[policy\.malformed\]/);
  assert.equal(refused.out, '');
});

test('without any policy every command but a creating set ends with 2 and the paths searched', async () => {
  for (const words of [['show'], ['check'], ['explain', 'busybox'], ['set', '-t', 'reject', 'r.x/a']]) {
    const { exit, err } = await trust(...words);
    assert.equal(exit, 2, words.join(' '));
    assert.match(err, /\[policy\.not-found\]\nhint: .*\/containers\/policy\.json/);
  }
});

test('set says nothing and changes the file; what is no rule, type or scope is refused', async () => {
  const file = join(folder, 'set.json');
  const set = await trust('set', '--create', '--policy', file, '-t', 'accept', 'r.example.com/open');
  assert.deepEqual(set, { exit: 0, out: '', err: '' });
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), {
    default: [{ type: 'reject' }],
    transports: { docker: { 'r.example.com/open': [{ type: 'insecureAcceptAnything' }] } },
  });
  for (const words of [
    ['-t', 'trusted', 'r.x/a'],
    ['-t', 'reject', 'busybox'],
    ['-f', 'k', '--identity', 'exactReference', 'r.x/a'],
    ['-f', 'k', '--identity', 'remapIdentity=a.b', 'r.x/a'],
    ['-f', 'k', '--identity', 'matchExact=x', 'r.x/a'],
    ['r.x/a'],
  ]) {
    const { exit, err } = await trust('set', '--policy', file, ...words);
    assert.equal(exit, 2, words.join(' '));
    assert.match(err, /\[usage\.invalid\]/);
  }
});

test('explain tells file, scopes in order, requirements, keys and stores', async () => {
  const lookasides = join(folder, 'registries.d');
  mkdirSync(lookasides);
  writeFileSync(
    join(lookasides, 'a.yaml'),
    'docker:\n  r.example.com:\n    lookaside: https://sigs.example.com\n',
  );
  const flags = ['--policy', policy, '--registrypath', lookasides];
  const { exit, out } = await trust('explain', ...flags, 'r.example.com/ns/app:1');
  assert.equal(exit, 0);
  assert.match(out, /→ docker: r\.example\.com \(applies\)/);
  assert.match(out, /signedBy \(.*policy\.json:5:\d+: \$\.transports\.docker\["r\.example\.com"\]\[0\]\)/);
  assert.match(out, /key from \/nowhere\/key\.asc: cannot read/);
  assert.match(out, /https:\/\/sigs\.example\.com \(lookaside of r\.example\.com in .*a\.yaml\)/);
  const other = JSON.parse((await trust('explain', '--json', ...flags, 'quay.io/a:1')).out) as Record<
    string,
    unknown
  >;
  assert.deepEqual(other['scope'], { transport: '', name: '' });
  const candidates = other['candidates'] as { name: string; applies: boolean }[];
  assert.deepEqual(
    candidates.map(({ name, applies }) => [name, applies]),
    [
      ['quay.io/a:1', false],
      ['quay.io/a', false],
      ['quay.io', false],
      ['*.io', false],
      ['', false],
      ['', true],
    ],
  );
});
