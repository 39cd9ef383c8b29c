import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isForHost } from './hostname.ts';

function forHost(pattern: string, host: string): boolean {
  return isForHost({ emails: [], uris: [], dnsNames: [pattern], addresses: [] }, host);
}

test('hosts and wildcards', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['a.example.com', 'a.example.com', true],
    ['A.Example.com', 'a.eXample.com', true],
    ['a.example.com', 'a.example.com.', true],
    ['a.example.com.', 'a.example.com', false],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'a.b.example.com', false],
    ['*.example.com', 'example.com', false],
    ['*.example.com', '.example.com', false],
    // what is no host name matches itself, as in Go
    ['*.example.com', '*.example.com', true],
    ['a*.example.com', 'ab.example.com', false],
    ['a.*.com', 'a.b.com', false],
    ['*', 'a', false],
    ['under_score.example.com', 'under_score.example.com', true],
    ['-a.example.com', 'b.example.com', false],
    ['no host!', 'no host!', true],
    ['no host!', 'NO HOST!', true],
    ['', '', false],
    ['.', '.', false],
    ['a.example.com', '', false],
    // letters that fold into ASCII elsewhere
    ['\u212aelvin.example.com', 'kelvin.example.com', false],
  ];
  for (const [pattern, host, expected] of rows)
    assert.equal(forHost(pattern, host), expected, `${pattern} ${host}`);
});

test('an address is compared with addresses only', () => {
  const names = {
    emails: [],
    uris: [],
    dnsNames: ['192.0.2.1', '::1'],
    addresses: [Uint8Array.of(10, 0, 0, 1)],
  };
  assert.equal(isForHost(names, '10.0.0.1'), true);
  assert.equal(isForHost(names, '[10.0.0.1]'), true);
  assert.equal(isForHost(names, '::ffff:10.0.0.1'), true);
  assert.equal(isForHost(names, '192.0.2.1'), false);
  assert.equal(isForHost(names, '::1'), false);
  // not an address, so a name like any other
  assert.equal(isForHost({ ...names, dnsNames: ['10.0.0.01'] }, '10.0.0.01'), true);
});

test('spellings of IPv6', () => {
  const address = Uint8Array.from(Buffer.from('20010db8000000000000000000000001', 'hex'));
  const names = { emails: [], uris: [], dnsNames: [], addresses: [address] };
  for (const host of ['2001:db8::1', '[2001:DB8:0:0::1]', '2001:db8:0:0:0:0:0:1', '2001:db8::0.0.0.1']) {
    assert.equal(isForHost(names, host), true, host);
  }
  for (const host of [
    '2001:db8:::1',
    '2001:db8::1::',
    '2001:db8:0:0:0:0:0::1:1',
    '2001:db8::1%eth0',
    '2001:db8::00001',
    '2001:db8::2',
  ]) {
    assert.equal(isForHost(names, host), false, host);
  }
});
