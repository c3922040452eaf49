// The databases of the environment, and what is to be done on them.

/** Where the API is, as a command on this reader's machine has to name it. */
function apiAddress() {
  return location.origin + location.pathname.replace(/\/$/, '');
}

/** @param {string} path @param {Record<string, any>} body @returns {string} */
function curlCommand(path, body) {
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  const keyLine = isHere ? '' : `  -H "x-functions-key: $DBVC_KEY" \\\n`;
  return `curl -X POST ${apiAddress()}/${path} \\\n  -H "Content-Type: application/json" \\\n${keyLine}  -d '${JSON.stringify(body)}'`;
}

/** The two ways to do something. @param {string} curl @param {string} powershell @returns {Child[]} */
function commands(curl, powershell) {
  return [
    el('h3', {}, 'With curl'), code('Command for curl', curl),
    el('h3', {}, 'With PowerShell'), code('Command for PowerShell', powershell),
  ];
}

/** @param {string} environment @param {string} databaseId @returns {Child[]} */
function runCommands(environment, databaseId) {
  return commands(
    curlCommand('migrations/run', { databaseId, environment, executor: 'you@example.com' }),
    `.\\scripts\\db-version-control\\Invoke-Migrations.ps1 -Environment ${environment} -Database "${databaseId}"`,
  );
}

/** A first script and what undoes it, for tables and for containers. @param {string} engine */
function exampleScripts(engine) {
  if (engine !== 'cosmos') return { upScript: 'CREATE TABLE colour_themes (id INTEGER PRIMARY KEY);', downScript: 'DROP TABLE colour_themes;' };
  const script = (/** @type {any} */ operation) => JSON.stringify({ operations: [{ ...operation, container: 'colour_themes' }] });
  return { upScript: script({ operation: 'createContainer', partitionKey: '/userId' }), downScript: script({ operation: 'deleteContainer' }) };
}

/** @param {string} environment @param {any} database @returns {Child[]} */
function registerCommands(environment, { databaseId, engine }) {
  return commands(
    curlCommand('migrations', { name: 'add_colour_themes', databaseId, author: 'you@example.com', ...exampleScripts(engine) }),
    `.\\scripts\\db-version-control\\New-Migration.ps1 -Name "add_colour_themes" -Database "${databaseId}" -Environment ${environment} -Author "Your Name"`,
  );
}

/** Everything that is not applied, most urgent first. @param {any} status */
function showToDo(status) {
  const open = status.databases.flatMap((/** @type {any} */ database) =>
    database.migrations
      .filter((/** @type {any} */ one) => one.status in URGENCY && one.status !== 'rolled-back')
      .map((/** @type {any} */ one) => ({ ...one, databaseId: database.databaseId })));
  const registered = status.databases.some((/** @type {any} */ one) => one.migrations.length > 0);
  if (open.length === 0) {
    show(at('to-do'), el('p', { class: 'soft' }, registered
      ? 'Every registered script is applied.'
      : 'No script is registered yet. What a database needs next is told below it.'));
    return;
  }
  const where = [...new Set(open.map((/** @type {any} */ one) => one.databaseId))];
  show(at('to-do'),
    table('Scripts that are not applied', ['Script', 'State', 'Database', 'Author'],
      byUrgency(open).map((one) => [migrationButton(one.databaseId, one.migrationId), chip(one.status), one.databaseId, one.author])),
    fold('how to run', 'How to run them', ...runCommands(status.environment, where.length === 1 ? where[0] : 'all')));
}

/** @param {any} status @param {Map<string, string>} reasons Why drift is not judged, by database. */
function showDatabases(status, reasons) {
  if (status.databases.length === 0) {
    show(at('databases'), el('p', { class: 'soft' }, 'The inventory is empty. PUT databases/{databaseId} adds a database.'));
    return;
  }
  show(at('databases'), ...status.databases.map((/** @type {any} */ one) => databaseCard(one, status.environment, reasons.get(one.databaseId))));
}

/** @param {any} database @param {string} environment @param {string | undefined} reason */
function databaseCard(database, environment, reason) {
  const id = database.databaseId;
  const heading = el('h3', {}, id, el('span', { class: 'soft' }, ` ${ENGINES[database.engine] ?? database.engine}`));
  if (database.error) {
    return el('article', {}, heading, el('p', { class: 'trouble' }, el('strong', {}, 'Cannot be looked at. '), database.error.detail));
  }
  const own = database.migrations.filter((/** @type {any} */ one) => !isOwn(one));
  return el('article', {}, heading,
    facts([
      ['Version', el('span', { class: 'version' }, database.currentVersion ?? 'none')],
      ['Scripts', scriptCounts(database.counts)],
      ['Drift', driftFact(database, reason)],
      ['Lock', database.lock ? chip('locked', 'held') : el('span', { class: 'soft' }, 'free')],
      ['Last run', lastRunFact(database.lastRun)],
    ]),
    database.lock ? lockNote(database.lock) : null,
    own.length === 0
      ? fold(`begin ${id}`, 'No script is registered yet: how to register one', ...registerCommands(environment, database))
      : fold(`migrations ${id}`, counted(own.length, 'script'), migrationTable(id, byUrgency(own))));
}

/** Whether a migration is one of dbvc's own, version 100 or 100.x. @param {any} migration */
function isOwn(migration) {
  return /^100(\.|$)/.test(migration.version ?? '');
}

/** @param {Record<string, number>} counts @returns {HTMLElement} */
function scriptCounts(counts) {
  /** @type {[string, number][]} */
  const states = [['failed', counts.failed], ['pending', counts.pending], ['rolled-back', counts.rolledBack], ['applied', counts.applied]];
  const shown = states.filter(([, count]) => count > 0);
  if (shown.length === 0) return el('span', { class: 'soft' }, 'none');
  return group(...shown.map(([state, count]) => chip(state, `${count} ${state.replace('-', ' ')}`)));
}

/** @param {any} database @param {string | undefined} reason @returns {HTMLElement} */
function driftFact(database, reason) {
  const { detected, checkedAt } = database.drift;
  const id = database.databaseId;
  const seen = checkedAt ? el('span', { class: 'soft' }, 'seen ', ago(checkedAt)) : null;
  if (detected === true) return group(chip('drift-detected', 'found'), reportButton(id, 'Report'), seen);
  if (detected === false) return group(chip('applied', 'none'), reportButton(id, 'Compare now'), seen);
  return group(chip('unknown', 'not judged'), el('span', { class: 'soft' }, reason ?? ''));
}

/** @param {any} lock @returns {HTMLElement} */
function lockNote(lock) {
  return el('p', { class: 'note' }, 'Held since ', clock(lock.acquiredAt), ' by ', el('span', { class: 'mono' }, lock.owner),
    '. Should that process be dead, the lock is free at ', clock(lock.expiresAt), '.');
}

/** @param {any} run @returns {HTMLElement} */
function lastRunFact(run) {
  if (!run) return el('span', { class: 'soft' }, 'none');
  return group(chip(run.status), run.finishedAt ? el('span', { class: 'soft' }, ago(run.finishedAt)) : null);
}

/** @param {string} databaseId @param {any[]} migrations @returns {HTMLElement} */
function migrationTable(databaseId, migrations) {
  return table(`Scripts of ${databaseId}`, ['Script', 'State', 'Version', 'Applied', 'Duration', 'By', 'Down script'],
    migrations.map((one) => [
      migrationButton(databaseId, one.migrationId), chip(one.status), one.version ?? 'repeatable', one.appliedAt ? clock(one.appliedAt) : '',
      durationOf(one.durationMs), one.executor ?? '', one.hasDownScript ? 'yes' : 'no',
    ]));
}

