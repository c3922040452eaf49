// The trail: filtered by the API, and searched within what is loaded.

const EVENTS_A_PAGE = 50;

/** What is loaded, newest first. @type {{events: any[], continuation: string | null, source: string}} */
let trail = { events: [], continuation: null, source: '' };
/** Which question the newest one is: the answer to an older one is dropped. */
let trailNumber = 0;

/** What the API filters by. @returns {Record<string, string>} */
function trailQuery() {
  return {
    databaseId: at('history-database').value,
    type: at('history-type').value,
    migrationId: at('history-migration').value.trim(),
  };
}

/** Begins anew, after a filter was changed. */
async function loadHistory() {
  await loadTrail((page) => page, null);
}

/** Adds what came since. @returns {Promise<void>} */
async function refreshHistory() {
  await loadTrail((page) => {
    const ids = new Set(page.events.map((/** @type {any} */ event) => event.id));
    const older = trail.events.filter((event) => !ids.has(event.id));
    // Without an event in common there may be others in between: then the list begins anew.
    if (older.length === trail.events.length || older.length === 0) return page;
    return { ...page, events: [...page.events, ...older], continuation: trail.continuation };
  }, null);
}

/** Adds the next page. */
async function loadOlder() {
  await loadTrail((page) => ({ ...page, events: [...trail.events, ...page.events] }), trail.continuation);
}

/** @param {(page: any) => any} merge @param {string | null} continuation */
async function loadTrail(merge, continuation) {
  const query = trailQuery();
  if (query.databaseId === '') return;
  const mine = ++trailNumber;
  try {
    const page = await dataOf('history', { ...query, limit: EVENTS_A_PAGE, continuation });
    if (mine !== trailNumber) return;
    const before = JSON.stringify(trail);
    trail = merge(page);
    if (JSON.stringify(trail) !== before || at('history').childElementCount === 0) showHistory();
  } catch (error) {
    if (mine !== trailNumber) return;
    trail = { events: [], continuation: null, source: '' };
    at('history-count').textContent = '';
    at('older').hidden = true;
    show(at('history'), troubleBox(error));
  }
}

function showHistory() {
  const words = at('history-search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = trail.events.filter((event) => {
    const text = `${JSON.stringify(event)} ${storyOf(event)} ${localOf(event.at)}`.toLowerCase();
    return words.every((/** @type {string} */ word) => text.includes(word));
  });
  const loaded = `${counted(trail.events.length, 'event')} loaded${trail.continuation ? ', older ones can be' : ''}`;
  const waits = trail.source === 'registry' ? '. The archive does not answer at the moment, the registry does' : '';
  at('history-count').textContent = (words.length > 0 ? `${found.length} of ${loaded}` : loaded) + waits;
  at('older').hidden = !trail.continuation;
  if (found.length === 0) {
    show(at('history'), el('p', { class: 'soft' }, emptyWords()));
    return;
  }
  show(at('history'), table('Events, newest first', ['Time', 'Type', 'What', 'By'],
    found.map((event) => [
      clock(event.at), chip(event.type),
      fold(`event ${event.id}`, storyOf(event) || `event ${event.sequence}`, code(`Event ${event.sequence}`, JSON.stringify(event, null, 2))),
      event.executor,
    ])));
}

/** Why nothing is shown, and what to do. @returns {string} */
function emptyWords() {
  const { type, migrationId } = trailQuery();
  if (trail.events.length > 0) return 'No loaded event has these words. Load older events, or search for less.';
  if (type !== '' || migrationId !== '') return 'No event is of this type and migration. Take another filter, or none.';
  return 'Nothing happened on this database yet. Its first event comes with the first script that is registered.';
}

/**
 * Lets the reader choose among the databases and their migrations; at first the one of the newest run.
 * @param {any} status
 * @param {any[]} runs
 */
function offerFilters(status, runs) {
  const choice = at('history-database');
  const ids = status.databases.map((/** @type {any} */ one) => one.databaseId);
  const known = [...choice.options].map((option) => option.value);
  if (JSON.stringify(ids) !== JSON.stringify(known)) {
    const chosen = choice.value || runs.flatMap((run) => run.databases)[0]?.databaseId;
    choice.replaceChildren(...ids.map((/** @type {string} */ id) => el('option', {}, id)));
    if (ids.includes(chosen)) choice.value = chosen;
  }
  const database = status.databases.find((/** @type {any} */ one) => one.databaseId === choice.value);
  const migrations = database?.migrations ?? [];
  at('migration-ids').replaceChildren(...migrations.map((/** @type {any} */ one) => el('option', { value: one.migrationId })));
}

