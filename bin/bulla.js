#!/usr/bin/env node
// The launcher. Plain old CommonJS (see package.json beside it), so that a Node far too old for
// Bulla still parses this file and can say so, or hand over to the Node that the checkout has
// of its own. On a Node that is new enough it loads main and leaves the rest to it:
//   checkout            src/cli/main.ts     (Node strips the types)
//   installed package   dist/cli/main.cjs   (one file, docs/decisions/0004-bundled-dist.md)
//   BULLA_DIST=1        dist/cli/main.cjs, also in a checkout (the bench)
'use strict';

var fs = require('fs');
var module_ = require('module');
var os = require('os');
var path = require('path');
var vm = require('vm');

var root = path.join(__dirname, '..');

/** Agrees with `engines` in package.json: ^24.15 || >=26 (test/launcher.test.ts holds the two together). */
function isSupported(version) {
  var parts = version.split('.').map(Number);
  return parts[0] >= 26 || (parts[0] === 24 && parts[1] >= 15);
}

function complain(what, code, hint) {
  process.stderr.write('bulla: ' + what + ' [' + code + ']\n' + (hint ? 'hint: ' + hint + '\n' : ''));
}

function realPath(file) {
  try {
    return fs.realpathSync(file);
  } catch {
    return undefined;
  }
}

/** Runs this very command line on the checkout's own Node, as if it were this process. */
function handOver(node) {
  var child;
  // listened to before there is a child, so that no signal ends this process and leaves the child alone
  ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGINT'].forEach(function (signal) {
    process.on(signal, function () {
      // Control-C reaches the whole foreground group: passing it on would deliver it twice
      var fromTerminal = process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT');
      if (!fromTerminal) child.kill(signal);
    });
  });
  child = require('child_process').spawn(node, [__filename].concat(process.argv.slice(2)), {
    stdio: 'inherit',
  });
  child.on('error', function (error) {
    complain('cannot run ' + node + ': ' + error.message, 'usage.unsupported', 'npm run setup');
    process.exitCode = 2;
  });
  child.on('exit', function (code, signal) {
    if (signal === null) {
      process.exitCode = code;
      return;
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function onOldNode() {
  var own = realPath(path.join(root, 'node_modules', 'node', 'bin', 'node'));
  // never to itself: a checkout whose own Node is too old must not start it for ever
  if (own !== undefined && own !== realPath(process.execPath)) {
    handOver(own);
    return;
  }
  var hint = fs.existsSync(path.join(root, 'src'))
    ? 'npm run setup (brings a Node.js of its own into the checkout)'
    : 'install Node.js 26 or newer';
  complain(
    'needs Node.js 26 or newer, or 24.15 or newer of 24; this is ' + process.version,
    'usage.unsupported',
    hint,
  );
  process.exitCode = 2;
}

/**
 * Where compiled code is kept, for dist only (sources change under it); undefined: nowhere. Whoever
 * can write there can make Bulla run anything, so every folder on the way from the cache home is
 * this user's (the cache home itself may be root's) and nobody else can write in it.
 */
function cacheFolder() {
  var home = process.env.XDG_CACHE_HOME;
  if (home === undefined || !path.isAbsolute(home)) home = path.join(os.homedir(), '.cache');
  var user = process.getuid === undefined ? undefined : process.getuid();
  if (user === undefined || process.env.NODE_DISABLE_COMPILE_CACHE) return undefined;
  // a home that is not there (a service's) is not made
  if (!fs.existsSync(path.dirname(home))) return undefined;
  var own = path.join(home, 'bulla');
  var folder = path.join(own, 'compile');
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 448 /* 0700 */ });
    var safe = [home, own, folder].every(function (each) {
      var status = fs.lstatSync(each);
      var mine = status.uid === user || (each === home && status.uid === 0);
      return status.isDirectory() && mine && (status.mode & 18) /* 0022 */ === 0;
    });
    return safe && (fs.lstatSync(folder).mode & 63) /* 0077 */ === 0 ? folder : undefined;
  } catch {
    // a home that cannot be written: Bulla starts a little slower
    return undefined;
  }
}

/** So many runs write the cache, which takes each of them 10 ms; after them one in a hundred. */
var learningRuns = 4;
var laterRuns = 0.01;

function digest(data) {
  return require('crypto').createHash('sha256').update(data).digest();
}

/**
 * V8 believes what it is given: bytes that a crash of the machine tore are found by the digest before them. The byte
 * after that counts how many runs have added to the rest (eight bytes, or V8 would copy what follows to align it).
 */
function readCache(file) {
  try {
    var bytes = fs.readFileSync(file);
    var rest = bytes.subarray(32);
    if (!digest(rest).equals(bytes.subarray(0, 32))) return undefined;
    return { runs: rest[0], data: rest.subarray(8) };
  } catch {
    return undefined;
  }
}

/** Whole or not at all, for another Bulla may be reading it; what is a month old goes. */
function writeCache(file, runs, data) {
  var rest = Buffer.concat([Buffer.from([runs, 0, 0, 0, 0, 0, 0, 0]), data]);
  var temporary = file + '.' + process.pid;
  var folder = path.dirname(file);
  var monthAgo = Date.now() - 2592e6;
  try {
    fs.readdirSync(folder).forEach(function (name) {
      var each = path.join(folder, name);
      if (fs.lstatSync(each).mtimeMs < monthAgo) fs.unlinkSync(each);
    });
    fs.writeFileSync(temporary, Buffer.concat([digest(rest), rest]), { mode: 384 /* 0600 */, flag: 'wx' });
    fs.renameSync(temporary, file);
  } catch {
    // no room, no right: Bulla starts a little slower
  }
}

/**
 * Runs the built main, with V8's compiled code of an earlier run. Node's own module.enableCompileCache
 * keeps what is compiled when a file loads; kept here is what a run has used at its end, which makes
 * `bulla verify` a quarter faster. One file for each command whose start counts, as each uses other
 * functions; and as one run judges an attachment and the next one a bundle, the first runs and a few of the later ones
 * each add what they have used to what was kept. V8 itself checks version, flags and the length of the source; the rest is in the name.
 */
function loadBuilt(main) {
  var source =
    '(function (exports, require, module, __filename, __dirname) {' +
    fs.readFileSync(main, 'latin1') +
    '\n})';
  var folder = cacheFolder();
  var status = fs.statSync(main);
  var command = ['verify', 'sign'].indexOf(process.argv[2]) < 0 ? 'other' : process.argv[2];
  var version = [process.version, process.arch, status.size, Math.trunc(status.mtimeMs), status.ino];
  var file = folder && path.join(folder, command + '-' + version.join('-'));
  var cached = file && readCache(file);
  var script = new vm.Script(source, {
    filename: main,
    cachedData: cached && cached.data,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  var runs = cached === undefined || script.cachedDataRejected ? 0 : cached.runs;
  if (file && (runs < learningRuns || Math.random() < laterRuns)) {
    process.on('exit', function (code) {
      // a run that ended early has not used much of it
      if (code > 1 || process.argv.indexOf('--help') >= 0) return;
      writeCache(file, Math.min(runs + 1, learningRuns), script.createCachedData());
    });
  }
  var loaded = { exports: {} };
  var require = module_.createRequire(main);
  script.runInThisContext().call(loaded.exports, loaded.exports, require, loaded, main, path.dirname(main));
  return loaded.exports;
}

function chooseMain() {
  var source = path.join(root, 'src', 'cli', 'main.ts');
  if (process.env.BULLA_DIST !== '1' && fs.existsSync(source)) return source;
  return path.join(root, 'dist', 'cli', 'main.cjs');
}

/** The built main is CommonJS and loads at once: Node's loader of ES modules would cost it a tenth more. */
function load(main) {
  if (!main.endsWith('.cjs')) return import(require('url').pathToFileURL(main).href);
  return Promise.resolve(main).then(loadBuilt);
}

function onCrash(error) {
  var inDetail = process.argv.indexOf('--debug') > 0;
  var text = error instanceof Error ? (inDetail ? error.stack : error.message) : String(error);
  complain(
    inDetail ? text : String(text).split('\n')[0],
    'internal.bug',
    'please report this; --debug shows where it happened',
  );
  process.exit(3);
}

function run() {
  var outputLost = false;
  process.on('uncaughtException', onCrash);
  process.stdout.on('error', function (error) {
    // The reader went away (`bulla … | head -1`): the work goes on and the exit code stays true.
    if (error.code === 'EPIPE') return;
    outputLost = true;
    process.exitCode = 3;
    complain('cannot write the result: ' + error.message, 'io.failed');
  });
  process.stderr.on('error', function () {
    // nobody is left to be told
  });
  var main = chooseMain();
  if (!fs.existsSync(main)) {
    complain('there is no ' + path.relative(root, main), 'usage.unsupported', 'npm run build');
    process.exitCode = 2;
    return;
  }
  // Node ends with 0 where nothing is left to wait for, also if main never came to its end: that must not read as "yes"
  var hasCode = false;
  process.exitCode = 3;
  process.on('beforeExit', function () {
    if (!hasCode) onCrash('it ended before it was done');
  });
  load(main)
    .then(function (loaded) {
      return loaded.main(process.argv.slice(2));
    })
    .then(function (code) {
      hasCode = true;
      // no process.exit(): what is still in a pipe's buffer would be lost
      process.exitCode = outputLost && code === 0 ? 3 : code;
    })
    .catch(onCrash);
}

if (isSupported(process.versions.node)) run();
else onOldNode();
