// Loaded by --import before a program: every socket and name lookup is noted in $GUARD_LOG, and whatever is not
// the one address of $GUARD_ALLOW is refused.
import { appendFileSync } from 'node:fs';
import dgram from 'node:dgram';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

const { GUARD_ALLOW: allowed = '', GUARD_LOG: log = '' } = process.env;

function note(what) {
  appendFileSync(log, `${what}\n`);
  return what === allowed;
}

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  // net.connect hands its arguments on in an array
  const [first, second] = Array.isArray(args[0]) ? args[0] : args;
  const options = typeof first === 'object' ? first : { port: first, host: second };
  if (note(options.path ?? `${options.host ?? 'localhost'}:${options.port}`))
    return connect.apply(this, args);
  process.nextTick(() => this.destroy(Object.assign(new Error('guarded'), { code: 'ECONNREFUSED' })));
  return this;
};

function refuse(name) {
  note(`dns ${name}`);
  throw Object.assign(new Error('guarded'), { code: 'ENOTFOUND' });
}
for (const target of [dns, dns.promises]) {
  for (const name of ['lookup', 'resolve', 'resolve4', 'resolve6', 'resolveAny']) target[name] = refuse;
}
dgram.createSocket = () => refuse('udp');
syncBuiltinESMExports();
