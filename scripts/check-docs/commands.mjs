// Runs the blocks of one page, one after the other, in a copy of the repository that is removed afterwards.
import { spawn } from 'node:child_process';
import { chmodSync, closeSync, cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';

const BLOCK_SECONDS = 30;
// A block that is nothing but this does not end; it is the server of the blocks below it.
const SERVES = /^\S.*\sserve$/;

// What is to be removed, also when somebody stops the check: the groups of processes do not hear of that themselves.
const stages = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    for (const remove of stages) remove();
    process.exit(1);
  });
}

/** Runs what is not marked, and gives the findings. The first block that fails is the last: the others build on it. */
export async function runPage(page, { root, files, binary, path }) {
  const blocks = page.blocks.filter((block) => block.isShell && block.notRun === undefined);
  if (blocks.length === 0) return { findings: [], ran: 0 };
  const stage = await prepare({ root, files, binary, path });
  let ran = 0;
  try {
    const text = blocks.flatMap((block) => block.lines).join('\n');
    // A page that speaks to a dbvc without saying how it is started means one that is in use.
    if (text.includes('localhost:7071') && !/\bserve\b/.test(text)) {
      await stage.mustEnd('dbvc migrate');
      await stage.serve('dbvc serve');
    }
    for (const block of blocks) {
      const commands = block.lines.join('\n');
      try {
        if (SERVES.test(commands.trim())) await stage.serve(commands);
        else await stage.mustEnd(commands);
      } catch (error) {
        return { findings: [{ path: page.path, line: block.line, message: error.message }], ran };
      }
      ran += 1;
    }
  } catch (error) {
    return { findings: [{ path: page.path, line: 1, message: `what the page needs did not start: ${error.message}` }], ran };
  } finally {
    stage.remove();
  }
  return { findings: [], ran };
}

async function prepare({ root, files, binary, path }) {
  const folder = mkdtempSync(join(tmpdir(), 'dbvc-docs-'));
  const tree = join(folder, 'dbvc');
  const tools = join(folder, 'tools');
  for (const file of files) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    cpSync(join(root, file), join(tree, file));
  }
  mkdirSync(join(tree, 'target', 'release'), { recursive: true });
  symlinkSync(binary, join(tree, 'target', 'release', 'dbvc'));
  mkdirSync(tools);
  mkdirSync(join(folder, 'home'));
  symlinkSync(binary, join(tools, 'dbvc'));
  const port = await freePort();
  const tool = (name, text) => {
    writeFileSync(join(tools, name), `#!/usr/bin/env bash\n${text}\n`);
    chmodSync(join(tools, name), 0o755);
  };
  // A release build takes minutes; the binary is there, and it is what would be built.
  tool('cargo', `case "$*" in
  'run --release -- '*) shift 3; exec '${binary}' "$@" ;;
  'build --release') ;;
  *) echo "cargo $*: not here" >&2; exit 1 ;;
esac`);
  // The port of the pages may be somebody else's on this machine.
  tool('curl', `PATH=\${PATH#*:}\nexec curl "$@" --connect-to "localhost:7071:127.0.0.1:${port}" --connect-to "127.0.0.1:7071:127.0.0.1:${port}"`);
  const env = { PATH: `${tools}:${path}`, HOME: join(folder, 'home'), USER: 'docs', LANG: 'C.UTF-8', FUNCTIONS_CUSTOMHANDLER_PORT: String(port) };
  const groups = [];
  let count = 0;

  const start = (commands) => {
    // Only what the page itself asks must succeed; the scripts that it calls look at the status themselves.
    const preamble = "set -euo pipefail\ncurl() { command curl --silent --show-error --fail-with-body --max-time 20 \"$@\"; }\n";
    const log = join(folder, `log-${(count += 1)}`);
    const output = openSync(log, 'w');
    // A group of its own, so that what it leaves in the background can be ended; a file, because that outlives the shell.
    const child = spawn('bash', ['-c', preamble + commands], { cwd: tree, env, detached: true, stdio: ['ignore', output, output] });
    closeSync(output);
    groups.push(child.pid);
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
    const said = () => readFileSync(log, 'utf8').trim().split('\n').slice(-12).map((line) => `\n    ${line}`).join('');
    return { ended, said };
  };

  const remove = () => {
    stages.delete(remove);
    for (const group of groups) {
      try {
        process.kill(-group, 'SIGKILL');
      } catch {
        // It has ended already, with all that it started.
      }
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  stages.add(remove);

  return {
    async mustEnd(commands) {
      const { ended, said } = start(commands);
      const code = await within(ended, BLOCK_SECONDS);
      if (code === undefined) throw new Error(`does not end within ${BLOCK_SECONDS} s; it said:${said()}`);
      if (code !== 0) throw new Error(`ends with ${code}; it said:${said()}`);
    },
    async serve(commands) {
      const { ended, said } = start(commands);
      let code;
      ended.then((value) => (code = value));
      for (const deadline = Date.now() + BLOCK_SECONDS * 1000; Date.now() < deadline; ) {
        if (code !== undefined) throw new Error(`ends with ${code} instead of serving; it said:${said()}`);
        const answer = await fetch(`http://127.0.0.1:${port}/api/dbvc/health`).catch(() => undefined);
        if (answer?.ok) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error(`does not serve within ${BLOCK_SECONDS} s; it said:${said()}`);
    },
    remove,
  };
}

function within(promise, seconds) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, seconds * 1000)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
