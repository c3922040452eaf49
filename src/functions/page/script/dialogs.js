// What opens in front of the page: one migration, or a drift report.

/** The one place where text becomes markup: a report that dbvc wrote, in a frame in which nothing runs. */
const reportPolicy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('report', {
  createHTML: (/** @type {string} */ html) => html,
}) ?? { createHTML: (/** @type {string} */ html) => html };

/** Which dialog is meant: an answer that comes after the reader went on is dropped. */
let dialogNumber = 0;

/**
 * Opens a dialog and fills it when the data are there.
 * @param {string} title
 * @param {string} kind
 * @param {() => Promise<Child[]>} fill
 */
async function openDialog(title, kind, fill) {
  const mine = ++dialogNumber;
  const dialog = at('dialog');
  at('dialog-title').textContent = title;
  show(at('dialog-body'), el('p', { class: 'soft', role: 'status' }, 'Asking dbvc…'));
  dialog.className = kind;
  if (!dialog.open) dialog.showModal();
  let content;
  try {
    content = await fill();
  } catch (error) {
    content = [troubleBox(error)];
  }
  if (mine === dialogNumber) show(at('dialog-body'), ...content);
}

/** @param {any} error @returns {HTMLElement} */
function troubleBox(error) {
  return el('div', { class: 'trouble', role: 'alert' }, el('strong', {}, error.title ?? 'Something went wrong'), ` ${error.message}`);
}

/** A migration's id as what opens it. @param {string} databaseId @param {string} migrationId */
function migrationButton(databaseId, migrationId) {
  const onclick = () => openDialog(migrationId, 'migration', () => migrationParts(databaseId, migrationId));
  return el('button', { type: 'button', class: 'link mono', 'data-key': `open ${databaseId} ${migrationId}`, onclick }, migrationId);
}

/** @param {string} databaseId @param {string} migrationId @returns {Promise<Child[]>} */
async function migrationParts(databaseId, migrationId) {
  const one = await dataOf('migration', { databaseId, migrationId });
  return [
    facts([
      ['State', chip(one.status)],
      ['Database', one.databaseId],
      ['Author', one.author],
      ['Registered', clock(one.createdAt)],
      ['File', one.fileName],
      ['Description', one.description],
      ['Checksum', el('span', { class: 'mono' }, one.checksum)],
    ]),
    ...one.warnings.map((/** @type {any} */ finding) =>
      el('p', { class: 'note' }, `Line ${finding.line}: ${finding.message}${finding.suggestion ? `; ${finding.suggestion}` : ''}`)),
    el('h3', {}, 'Up script'),
    code('Up script', one.upScript),
    el('h3', {}, 'Down script'),
    one.downScript ? code('Down script', one.downScript) : el('p', { class: 'soft' }, 'There is none, so that it cannot be rolled back.'),
    el('h3', {}, 'Attempts'),
    one.executions.length === 0
      ? el('p', { class: 'soft' }, 'It was never run.')
      : table('Attempts, newest first', ['Began', 'Direction', 'Result', 'Duration', 'By', 'Told'],
        one.executions.map((/** @type {any} */ attempt) => [
          clock(attempt.startedAt), attempt.direction, chip(attempt.status), durationOf(attempt.durationMs), attempt.executor,
          [...attempt.errors.map(errorWords), attempt.note].filter(Boolean).join('; '),
        ])),
  ];
}

/** What compares a database with what its scripts made. @param {string} databaseId @param {string} words */
function reportButton(databaseId, words) {
  const onclick = () => openDialog(`Drift of ${databaseId}`, 'report', () => reportParts(databaseId));
  return el('button', { type: 'button', class: 'link', 'data-key': `drift ${databaseId}`, 'aria-label': `${words}: drift of ${databaseId}`, onclick }, words);
}

/** @param {string} databaseId @returns {Promise<Child[]>} */
async function reportParts(databaseId) {
  const html = await reportOf(databaseId);
  const frame = el('iframe', { sandbox: 'allow-scripts', title: `Drift report of ${databaseId}` });
  frame.srcdoc = reportPolicy.createHTML(html);
  const address = URL.createObjectURL(new Blob([html], { type: 'text/html' }));
  return [frame, el('p', {}, el('a', { href: address, download: `drift-${databaseId}.html` }, 'Save the report'))];
}

