// How the page words what the API tells. Nothing here touches the document.

/**
 * A state, a type of event or a finding as a chip shows it: by a sign and a word as well as by a colour.
 * @typedef {{sign: string, tone: 'good' | 'bad' | 'warn' | 'busy' | 'quiet'}} Look
 */

/** @type {Record<string, Look>} */
const LOOKS = {
  // Migrations.
  applied: { sign: '✓', tone: 'good' },
  pending: { sign: '○', tone: 'busy' },
  planned: { sign: '○', tone: 'busy' },
  failed: { sign: '✕', tone: 'bad' },
  'half-applied': { sign: '◐', tone: 'bad' },
  'rolled-back': { sign: '↺', tone: 'warn' },
  skipped: { sign: '–', tone: 'quiet' },
  interrupted: { sign: '!', tone: 'warn' },
  // Runs.
  queued: { sign: '○', tone: 'busy' },
  running: { sign: '…', tone: 'busy' },
  succeeded: { sign: '✓', tone: 'good' },
  locked: { sign: '!', tone: 'warn' },
  cancelled: { sign: '–', tone: 'warn' },
  'nothing-to-do': { sign: '–', tone: 'quiet' },
  // Events.
  completed: { sign: '✓', tone: 'good' },
  refused: { sign: '!', tone: 'warn' },
  withdrawn: { sign: '–', tone: 'warn' },
  'lock-taken-over': { sign: '!', tone: 'warn' },
  'drift-detected': { sign: '≠', tone: 'bad' },
  // The app.
  healthy: { sign: '✓', tone: 'good' },
  degraded: { sign: '!', tone: 'warn' },
  unhealthy: { sign: '✕', tone: 'bad' },
};

/** @param {string} state @returns {Look} */
function lookOf(state) {
  return LOOKS[state] ?? { sign: '·', tone: 'quiet' };
}

/** @type {Record<string, string>} */
const ENGINES = { 'sql-server': 'SQL Server', sqlite: 'SQLite', cosmos: 'Cosmos DB' };

/** What a person has to look at comes first. @type {Record<string, number>} */
const URGENCY = { 'half-applied': 0, failed: 1, pending: 2, 'rolled-back': 3 };

/** Those that want something done first; otherwise the order stays. @param {any[]} migrations @returns {any[]} */
function byUrgency(migrations) {
  const urgency = (/** @type {any} */ migration) => URGENCY[migration.status] ?? 9;
  return [...migrations].sort((one, other) => urgency(one) - urgency(other));
}

/** @param {number} count @param {string} noun @returns {string} */
function counted(count, noun) {
  const plural = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${count} ${count === 1 ? noun : plural}`;
}

/** All databases in one sentence. @param {any[]} databases @returns {string} */
function summaryOf(databases) {
  const sum = (/** @type {string} */ state) => databases.reduce((total, one) => total + one.counts[state], 0);
  const where = (/** @type {(one: any) => boolean} */ holds) => databases.filter(holds).length;
  const unreachable = where((one) => one.error);
  const held = where((one) => one.lock);
  const parts = [
    counted(databases.length, 'database'),
    sum('pending') > 0 ? counted(sum('pending'), 'pending script') : 'nothing pending',
  ];
  if (sum('failed') > 0) parts.push(`${sum('failed')} failed`);
  const drifted = where((one) => one.drift.detected === true);
  const unjudged = where((one) => one.drift.detected === null && !one.error);
  if (drifted > 0) parts.push(`drift in ${drifted}`);
  else if (unjudged === 0 && unreachable === 0) parts.push('no drift');
  if (unjudged > 0) parts.push(`drift not judged in ${unjudged}`);
  if (held > 0) parts.push(`${held} locked by a run`);
  if (unreachable > 0) parts.push(`${unreachable} cannot be reached`);
  return parts.join(', ');
}

/** How far a run is. @param {any} run @returns {{done: number, all: number, now: string}} */
function progressOf(run) {
  const migrations = run.databases.flatMap((/** @type {any} */ one) => one.migrations);
  const waiting = migrations.filter((/** @type {any} */ one) => one.status === 'planned');
  const current = waiting[0];
  const batches = current?.batches.length ?? 0;
  return {
    done: migrations.length - waiting.length,
    all: migrations.length,
    now: current ? `${current.migrationId}${batches > 0 ? `, ${batches} of its batches done` : ''}` : '',
  };
}

/** @param {any} run @returns {boolean} */
function isGoingOn(run) {
  return run.status === 'running' || run.status === 'queued';
}

/** @param {string} database @returns {string} */
function databaseWords(database) {
  return database === 'all' ? 'all databases' : database;
}

/** What a run did, in a few words. @param {any} run @returns {string} */
function titleOf(run) {
  return `${run.kind === 'rollback' ? 'Rollback' : 'Run'} on ${databaseWords(run.databaseId)}`;
}

/** An error that a server sent. @param {any} error @returns {string} */
function errorWords(error) {
  const place = error.line ? ` (line ${error.line}${error.procedure ? ` of ${error.procedure}` : ''})` : '';
  return `${error.message}${place}`;
}

/** What an event tells, in a line. @param {any} event @returns {string} */
function storyOf(event) {
  const data = event.data ?? {};
  const about = event.migrationId ? `${event.migrationId}` : '';
  switch (event.type) {
    case 'failed':
      return data.errors?.length > 0 ? `${about}: ${errorWords(data.errors[0])}` : about;
    case 'snapshot-captured':
      return `${data.type} snapshot`;
    case 'drift-detected':
      return `${data.added} added, ${data.removed} removed, ${data.changed} changed: ${data.reason ?? data.names.join(', ')}`;
    case 'refused':
      return [about, data.detail ?? data.code].filter(Boolean).join(': ');
    case 'resolved':
      return `${about} as ${data.as}`;
    case 'lock-taken-over':
      return `from ${data.owner}`;
    case 'integrity-fixed':
      return (data.mended ?? []).join('; ');
    case 'database-changed':
      return `${data.databaseId}`;
    default:
      return about;
  }
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const AGO = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** How long ago a moment was. @param {string} moment @param {number} now @returns {string} */
function agoOf(moment, now) {
  const seconds = Math.round((Date.parse(moment) - now) / 1000);
  const size = Math.abs(seconds);
  if (size < 10) return 'just now';
  if (size < MINUTE) return AGO.format(seconds, 'second');
  if (size < HOUR) return AGO.format(Math.round(seconds / MINUTE), 'minute');
  if (size < DAY) return AGO.format(Math.round(seconds / HOUR), 'hour');
  return AGO.format(Math.round(seconds / DAY), 'day');
}

/** A moment in the reader's zone, `2025-11-27 14:30:00`. @param {string} moment @returns {string} */
function localOf(moment) {
  const date = new Date(moment);
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** @param {string} moment @returns {string} */
function utcOf(moment) {
  return moment.replace('T', ' ').replace('Z', ' UTC');
}

/** @param {number | null} milliseconds @returns {string} */
function durationOf(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return '';
  if (milliseconds < 1000) return `${milliseconds} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < MINUTE) return `${seconds.toFixed(1)} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ${Math.floor(seconds % MINUTE)} s`;
  return `${Math.floor(seconds / HOUR)} h ${Math.floor((seconds % HOUR) / MINUTE)} min`;
}

