// The page as a whole: what it asks for and when, and what it says of itself.

/** Milliseconds from one look at the runs to the next while one goes on, and while none does. */
const SOON = 2000;
const LATER = 30000;
const RUNS_SHOWN = 10;

/** What the page knows. @type {{health: any, status: any, runs: any[] | null, seen: number}} */
const known = { health: null, status: null, runs: null, seen: 0 };
/** Why drift is not judged, with the state of the database for which that was the answer. @type {Map<string, {of: string, reason: string}>} */
const unjudged = new Map();
/** @type {number | undefined} */
let timer;
/** Whether a look is under way, and whether another is wanted after it. */
let isLooking = false;
let isWanted = false;

/** Runs only when what is shown would change. @param {string} part @param {any} data @param {() => void} render */
function whenNew(part, data, render) {
  const text = JSON.stringify(data);
  if (whenNew.shown.get(part) === text) return;
  whenNew.shown.set(part, text);
  render();
}
/** @type {Map<string, string>} */
whenNew.shown = new Map();

/** Looks at everything, or at the runs alone while one goes on. @param {boolean} all */
async function look(all) {
  if (isLooking) {
    isWanted = isWanted || all;
    return;
  }
  clearTimeout(timer);
  isLooking = true;
  at('refresh').setAttribute('aria-busy', 'true');
  try {
    const before = known.runs;
    const { runs } = await dataOf('runs', { limit: RUNS_SHOWN });
    known.runs = runs;
    const hasEnded = before?.some((run) => isGoingOn(run) && !runs.some((/** @type {any} */ one) => one.runId === run.runId && isGoingOn(one)));
    const hasBegun = before !== null && runs.some((/** @type {any} */ run) => !before.some((one) => one.runId === run.runId));
    showAll();
    if (before !== null) tell(newsOf(before, runs));
    if (all || hasEnded || hasBegun) await lookAround();
    showAll();
    hideTrouble();
  } catch (error) {
    showTrouble(error);
  } finally {
    isLooking = false;
    at('refresh').removeAttribute('aria-busy');
    const again = isWanted;
    isWanted = false;
    if (again) look(true);
    else plan();
  }
}

async function lookAround() {
  const [health, status] = await Promise.all([dataOf('health'), dataOf('status', { detailed: true })]);
  Object.assign(known, { health, status, seen: Date.now() });
  offerFilters(status, known.runs ?? []);
  await Promise.all([refreshHistory(), ...status.databases.map(findReason)]);
}

/** Asks why the drift of a database is not judged, once for each of its states. @param {any} database */
async function findReason(database) {
  const id = database.databaseId;
  if (database.drift.detected !== null || database.error) return;
  const of = JSON.stringify([database.drift, database.lastRun, database.lock?.owner]);
  if (unjudged.get(id)?.of === of) return;
  try {
    const drift = await dataOf('drift', { databaseId: id });
    unjudged.set(id, { of, reason: drift.reason ?? 'the next snapshot will tell' });
  } catch (error) {
    unjudged.set(id, { of: '', reason: /** @type {Trouble} */ (error).message });
  }
}

function showAll() {
  const { health, status, runs } = known;
  const reasons = new Map([...unjudged].map(([id, { reason }]) => [id, reason]));
  if (health) whenNew('app', health, () => showApp(health));
  if (status) {
    at('content').hidden = false;
    whenNew('summary', status, () => {
      at('summary').textContent = summaryOf(status.databases);
      document.title = `${status.environment}: ${summaryOf(status.databases)} – dbvc`;
      showToDo(status);
    });
    whenNew('databases', [status, [...reasons]], () => showDatabases(status, reasons));
  }
  if (runs) whenNew('runs', [runs, status?.databases[0]?.databaseId], () => showRuns(runs, status));
  showFreshness();
}

/** @param {any} health */
function showApp(health) {
  const { trail: archive } = health.checks;
  // While all is well some events are always on their way.
  const waiting = health.status !== 'healthy' && archive.undelivered > 0 ? `, ${counted(archive.undelivered, 'event')} not delivered yet` : '';
  show(at('app'),
    el('span', { class: `environment${health.environment === 'prod' ? ' prod' : ''}` }, health.environment),
    el('span', { class: 'soft' }, `${health.mode}, version ${health.version}`),
    chip(health.status, health.status + waiting));
}

function showFreshness() {
  if (known.seen > 0) at('freshness').textContent = `Seen ${agoOf(new Date(known.seen).toISOString(), Date.now())}`;
}

/** @param {any} error */
function showTrouble(error) {
  const needsKey = error.status === 401 || error.status === 403;
  whenNew('trouble', [error.title, error.message], () => show(at('trouble'), ...troubleBox(error).childNodes));
  at('trouble').hidden = false;
  at('key-form').hidden = !needsKey;
  if (known.status === null) at('summary').textContent = 'The databases could not be looked at';
  if (!(error instanceof Trouble)) throw error;
}

function hideTrouble() {
  whenNew.shown.delete('trouble');
  at('trouble').hidden = true;
  at('key-form').hidden = true;
}

/** For those who listen to the page. @param {string} text */
function tell(text) {
  if (text !== '') at('news').textContent = text;
}

/** A page that nobody sees asks for nothing. */
function plan() {
  clearTimeout(timer);
  if (document.hidden) return;
  const isBusy = known.runs?.some(isGoingOn) ?? false;
  const isStale = Date.now() - known.seen >= LATER - SOON;
  timer = setTimeout(() => look(!isBusy || isStale), isBusy ? SOON : LATER);
}

at('refresh').addEventListener('click', () => look(true));
at('dialog-close').addEventListener('click', () => at('dialog').close());
at('dialog').addEventListener('close', () => {
  dialogNumber += 1;
  at('dialog-body').replaceChildren();
});
at('key-form').addEventListener('submit', (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  useKey(at('key').value);
  at('key').value = '';
  look(true);
});
at('filters').addEventListener('submit', (/** @type {SubmitEvent} */ event) => event.preventDefault());
for (const id of ['history-database', 'history-type', 'history-migration']) {
  at(id).addEventListener('change', () => {
    if (known.status) offerFilters(known.status, known.runs ?? []);
    loadHistory();
  });
}
at('history-search').addEventListener('input', showHistory);
at('older').addEventListener('click', loadOlder);
document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : look(true)));
setInterval(() => {
  if (document.hidden) return;
  tick();
  showFreshness();
}, 10000);
look(true);
