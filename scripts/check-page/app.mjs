// A dbvc of the check's own: the real program on a folder that goes when it ends.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const program = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug', 'dbvc');

export const HOME = 'lpa-bloom-sql-dev';
export const ME = 'developer@lpa.com';

function freePort() {
  return new Promise((found) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}

export async function startApp() {
  const folder = mkdtempSync(join(tmpdir(), 'dbvc-page-'));
  const port = await freePort();
  const child = spawn(program, ['serve'], {
    cwd: folder,
    env: { PATH: process.env.PATH, FUNCTIONS_CUSTOMHANDLER_PORT: String(port), DBVC_DATA_DIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((serves, fails) => {
    child.stdout.on('data', (text) => String(text).includes('dbvc serves') && serves());
    child.on('exit', (status) => fails(new Error(`dbvc ended with ${status}`)));
  });
  const origin = `http://127.0.0.1:${port}`;

  async function call(method, path, body, headers = {}) {
    const answer = await fetch(`${origin}/api/dbvc/${path}`, {
      method, headers: { 'content-type': 'application/json', ...headers }, body: body && JSON.stringify(body),
    });
    return { status: answer.status, body: await answer.json() };
  }

  const app = {
    origin,
    address: `${origin}/api/dbvc`,
    call,
    async addDatabase(id) {
      await call('PUT', `databases/${id}`, { type: 'sql', engine: 'sqlite', environment: 'dev', folder: id });
    },
    async register(databaseId, stem, upScript, more = {}) {
      const answer = await call('POST', 'migrations', { fileName: `${stem}.sqlite.sql`, databaseId, author: ME, upScript, ...more });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer));
    },
    async run(databaseId, more = {}, headers = {}) {
      return call('POST', 'migrations/run', { databaseId, environment: 'dev', executor: ME, ...more }, headers);
    },
    async snapshot(databaseId) {
      await call('POST', 'snapshots', { databaseId, environment: 'dev', type: 'manual', executor: ME });
    },
    /** Changes a database past dbvc. */
    byHand(databaseId, sql) {
      // dbvc may be delivering events at this moment.
      execFileSync('sqlite3', ['-cmd', '.timeout 10000', join(folder, `${databaseId}.sqlite`), sql]);
    },
    async stop() {
      child.removeAllListeners('exit');
      const ended = new Promise((done) => child.on('exit', done));
      child.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return app;
}
