// The latest runs, and how far one is while it goes on.

/** @param {any[]} runs @param {any} status */
function showRuns(runs, status) {
  if (runs.length === 0) {
    const database = status?.databases[0]?.databaseId ?? 'all';
    show(at('runs'), el('p', { class: 'soft' }, 'Nothing was run yet.'),
      fold('first run', 'How to run what is registered', ...runCommands(status?.environment ?? 'dev', database)));
    return;
  }
  show(at('runs'), el('ol', { class: 'runs' }, ...runs.map((run) => el('li', {}, runEntry(run)))));
}

/** @param {any} run @returns {HTMLElement} */
function runEntry(run) {
  const { done, all, now } = progressOf(run);
  const line = el('span', { class: 'run' },
    chip(run.status),
    el('span', { class: 'what' }, titleOf(run), run.cancelRequested && isGoingOn(run) ? ', ending on request' : ''),
    el('span', { class: 'soft' }, all > 0 ? counted(all, 'script') : ''),
    el('span', { class: 'soft who' }, run.executor),
    el('span', { class: 'soft' }, ago(run.startedAt)),
    el('span', { class: 'soft number' }, durationOf(run.durationMs)));
  const progress = isGoingOn(run)
    ? el('p', { class: 'progress' },
      el('progress', { max: Math.max(all, 1), value: done, 'aria-label': `Progress of the ${titleOf(run).toLowerCase()}` }),
      ` ${done} of ${all} done`, now ? `, now ${now}` : '')
    : null;
  return el('div', {},
    fold(`run ${run.runId}`, line, ...runParts(run)),
    progress);
}

/** @param {any} run @returns {Child[]} */
function runParts(run) {
  return [
    ...run.databases.flatMap((/** @type {any} */ database) => runOnDatabase(database, run.databases.length > 1)),
    el('p', { class: 'soft' }, 'Run ', el('span', { class: 'mono' }, run.runId), ', began ', clock(run.startedAt)),
  ];
}

/** @param {any} database @param {boolean} isOneOfMany @returns {Child[]} */
function runOnDatabase(database, isOneOfMany) {
  const { fromVersion, toVersion } = database;
  const versions = fromVersion === toVersion ? `stayed at version ${toVersion ?? 'none'}` : `version ${fromVersion ?? 'none'} → ${toVersion ?? 'none'}`;
  return [
    isOneOfMany ? el('h3', {}, database.databaseId, ' ', chip(database.status)) : null,
    isGoingOn(database) ? null : el('p', { class: 'soft' }, versions),
    database.problem ? el('p', { class: 'trouble' }, database.problem.detail) : null,
    database.lock ? el('p', { class: 'note' }, 'Held by ', database.lock.owner, ' since ', clock(database.lock.acquiredAt)) : null,
    database.driftBefore?.detected ? el('p', { class: 'note' }, `Before the run the database differed from what its scripts made: ${counted(database.driftBefore.changes.length, 'change')}.`) : null,
    database.migrations.length === 0
      ? el('p', { class: 'soft' }, 'No script.')
      : table(`Scripts of the run on ${database.databaseId}`, ['Script', 'Result', 'Duration', 'Batches', 'Told'],
        database.migrations.map((/** @type {any} */ one) => [
          migrationButton(database.databaseId, one.migrationId), chip(one.status), durationOf(one.durationMs), String(one.batches.length), told(one),
        ])),
  ];
}

/** Errors, notes and messages of one script. @param {any} migration @returns {HTMLElement | null} */
function told(migration) {
  const messages = migration.batches.flatMap((/** @type {any} */ batch) => batch.messages.map((/** @type {any} */ one) => one.text));
  const lines = [
    ...migration.errors.map((/** @type {any} */ error) => el('li', { class: 'error' }, errorWords(error))),
    ...[migration.note, ...messages].filter(Boolean).map((text) => el('li', {}, text)),
  ];
  return lines.length === 0 ? null : el('ul', { class: 'told' }, ...lines);
}

/** What a listener should hear: runs that began, went on or ended. @param {any[]} before @param {any[]} runs @returns {string} */
function newsOf(before, runs) {
  const known = new Map(before.map((run) => [run.runId, run]));
  return runs.map((run) => {
    const old = known.get(run.runId);
    const { done, all } = progressOf(run);
    if (isGoingOn(run)) {
      if (!old) return `${titleOf(run)} began.`;
      return progressOf(old).done !== done ? `${titleOf(run)}: ${done} of ${all} done.` : '';
    }
    return !old || isGoingOn(old) ? `${titleOf(run)}: ${run.status.replaceAll('-', ' ')}.` : '';
  }).filter(Boolean).join(' ');
}

