import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { isBullaError } from '../base/errors.ts';
import { editPolicy, type PolicyEdit, rejectingPolicy } from './edit.ts';

const accept = [{ type: 'insecureAcceptAnything' }];
const reject = [{ type: 'reject' }];

function edited(text: string, edit: PolicyEdit): string {
  return editPolicy(text, 'p.json', edit).text;
}

const written = `{
  "default": [{"type": "reject"}],

  "transports": {
    "docker": {
      "b.example.com":   [ {"type":"reject"} ],
      "a.example.com": [
        {
          "type": "insecureAcceptAnything"
        }
      ]
    },
    "dir": {}
  }
}
`;

test('a value is replaced in place and in its own layout', () => {
  assert.equal(
    edited(written, { target: { name: 'b.example.com' }, requirements: accept }),
    written.replace('[ {"type":"reject"} ]', '[{"type": "insecureAcceptAnything"}]'),
  );
  assert.equal(
    edited(written, { target: { name: 'a.example.com' }, requirements: reject }),
    written.replace('insecureAcceptAnything', 'reject'),
  );
  assert.equal(
    edited(written, { target: 'default', requirements: accept }),
    written.replace('"reject"', '"insecureAcceptAnything"'),
  );
});

test('a new scope comes last, indented like its neighbours', () => {
  assert.equal(
    edited(written, { target: { name: 'c.example.com/ns' }, requirements: reject }),
    written.replace(
      '      ]\n    },',
      '      ],\n      "c.example.com/ns": [\n        {\n          "type": "reject"\n        }\n      ]\n    },',
    ),
  );
  assert.equal(
    edited(written, { target: { name: '/srv', transport: 'dir' }, requirements: reject }),
    written.replace(
      '"dir": {}',
      '"dir": {\n      "/srv": [\n        {\n          "type": "reject"\n        }\n      ]\n    }',
    ),
  );
});

test('transports and transport are made where they are missing', () => {
  assert.equal(
    edited(rejectingPolicy, { target: { name: 'a.example.com' }, requirements: accept }),
    JSON.stringify(
      { default: reject, transports: { docker: { 'a.example.com': accept } } },
      undefined,
      '    ',
    ).concat('\n'),
  );
  assert.equal(
    edited('{"default":[{"type":"reject"}]}', { target: { name: 'a.b' }, requirements: accept }),
    '{"default":[{"type":"reject"}], "transports": {"docker": {"a.b": [{"type": "insecureAcceptAnything"}]}}}',
  );
  assert.equal(
    edited('{"default":[{"type":"reject"}],"transports":{"docker":{}}}', {
      target: { name: 'a.b' },
      requirements: reject,
    }),
    '{"default":[{"type":"reject"}],"transports":{"docker":{"a.b": [{"type": "reject"}]}}}',
  );
});

test('line ends and tabs are kept', () => {
  const text = '{\r\n\t"default": [\r\n\t\t{ "type": "reject" }\r\n\t]\r\n}\r\n';
  const result = edited(text, { target: { name: 'a.b' }, requirements: reject });
  assert.ok(result.startsWith(text.slice(0, -'\r\n}\r\n'.length)));
  assert.ok(!/[^\r]\n/.test(result));
  assert.match(result, /\r\n\t"transports": \{\r\n\t\t"docker": \{\r\n\t\t\t"a\.b": \[/);
});

test('the transport that has the scope is edited; two of them are refused', () => {
  const text =
    '{"default":[{"type":"reject"}],"transports":{"atomic":{"x":[{"type":"reject"}]},"docker":{}}}';
  const edit = { target: { name: 'x' }, requirements: accept };
  assert.equal(editPolicy(text, 'p', edit).transport, 'atomic');
  const both = text.replace('"docker":{}', '"docker":{"x":[{"type":"reject"}]}');
  assert.throws(
    () => editPolicy(both, 'p', edit),
    (error) => isBullaError(error, 'usage.invalid'),
  );
  const named = { target: { name: 'x', transport: 'docker' }, requirements: accept };
  assert.deepEqual(JSON.parse(edited(both, named)), {
    default: reject,
    transports: { atomic: { x: reject }, docker: { x: accept } },
  });
});

function refuses(text: string, edit: PolicyEdit, code: 'usage.invalid' | 'policy.malformed'): void {
  assert.throws(
    () => editPolicy(text, 'p', edit),
    (error) => isBullaError(error, code),
  );
}

test('what cannot stand in a policy is refused before anything is edited', () => {
  const target = { name: 'a.b' };
  refuses(written, { target, requirements: [] }, 'usage.invalid');
  refuses(written, { target, requirements: [{ type: 'signedBy' }] }, 'usage.invalid');
  refuses(written, { target: { name: 'a', transport: 'oci' }, requirements: reject }, 'usage.invalid');
  refuses('{"transports":{}}', { target: 'default', requirements: reject }, 'policy.malformed');
  refuses('{"default":[{"type":"reject"}],"x":1}', { target, requirements: reject }, 'policy.malformed');
});

const scopes = fc.dictionary(fc.constantFrom('', 'a', 'b.c/d', '__proto__', 'é"\\'), fc.constant(reject));
const policies = fc.record({
  default: fc.constant(reject),
  transports: fc.dictionary(fc.constantFrom('docker', 'x', 'constructor'), scopes),
});
const layouts = fc.constantFrom<string | number | undefined>(undefined, 1, 2, 4, '\t');

test('an edit changes the one scope and nothing else, in any layout', () => {
  fc.assert(
    fc.property(policies, layouts, fc.constantFrom('a', 'new/scope'), (policy, layout, name) => {
      const text = JSON.stringify(policy, undefined, layout);
      const result = editPolicy(text, 'p', { target: { name, transport: 'docker' }, requirements: accept });
      const expected = JSON.parse(text) as { transports: Record<string, Record<string, unknown>> };
      const before = expected.transports['docker'];
      assert.equal(result.replaced, before !== undefined && Object.hasOwn(before, name));
      expected.transports['docker'] = { ...before, [name]: accept };
      assert.deepEqual(JSON.parse(result.text), expected);
      // the order of what was there is the order of what is there
      assert.deepEqual(Object.keys(JSON.parse(result.text) as object), Object.keys(expected));
      if (layout !== undefined && layout !== 1) assert.ok(!result.text.includes('}, {'));
    }),
  );
});
