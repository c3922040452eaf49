// How the page asks for its data, and with which key.

/** An answer that is not the data asked for. */
class Trouble extends Error {
  /** @param {number} status 0 when there was no answer. @param {string} title @param {string} detail */
  constructor(status, title, detail) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

/**
 * The key with which the page was opened. It leaves the address, so that no bookmark, history or screenshot holds it,
 * and lives in this variable only.
 */
let key = takeKey();

function takeKey() {
  const address = new URL(location.href);
  const name = [...address.searchParams.keys()].find((one) => one.toLowerCase() === 'code');
  if (name === undefined) return '';
  const found = address.searchParams.get(name) ?? '';
  address.searchParams.delete(name);
  history.replaceState(null, '', address.pathname + address.search + address.hash);
  return found;
}

/** @param {string} value */
function useKey(value) {
  key = value;
}

/**
 * Asks for a view.
 * @param {string} view
 * @param {Record<string, string | number | boolean | null>} [parameters] What is empty is left out.
 * @param {string} [type]
 * @returns {Promise<Response>}
 */
async function ask(view, parameters = {}, type = 'application/json') {
  const query = new URLSearchParams({ view });
  for (const [name, value] of Object.entries(parameters)) if (value !== null && value !== '') query.set(name, String(value));
  /** @type {Record<string, string>} */
  const headers = { accept: type };
  if (key !== '') headers['x-functions-key'] = key;
  try {
    return await fetch(`${location.pathname}?${query}`, { headers, cache: 'no-store', referrerPolicy: 'no-referrer' });
  } catch {
    throw new Trouble(0, 'dbvc does not answer', 'Is it still running, and is this machine online? What is shown below is as old as it says.');
  }
}

/** @param {Response} response @returns {Promise<Trouble>} */
async function troubleOf(response) {
  if (response.status === 401 || response.status === 403) {
    return new Trouble(response.status, 'The key is missing or is not valid any more',
      'Open this page with ?code=… and a key of the function dbvc, or give the key here. The page keeps it only as long as it is open.');
  }
  const problem = await response.json().catch(() => ({}));
  return new Trouble(response.status, problem.title ?? `dbvc answered with the status ${response.status}`,
    [problem.detail, `Request ${response.headers.get('x-request-id') ?? 'without an id'}.`].filter(Boolean).join('. '));
}

/** The data of a view. @param {string} view @param {Record<string, any>} [parameters] @returns {Promise<any>} */
async function dataOf(view, parameters) {
  const response = await ask(view, parameters);
  // An app that is not well says so with 503 and says what it is that is not well.
  if (response.ok || (view === 'health' && response.status === 503)) return response.json();
  throw await troubleOf(response);
}

/** The drift report of a database as a page. @param {string} databaseId @returns {Promise<string>} */
async function reportOf(databaseId) {
  const response = await ask('drift', { databaseId }, 'text/html');
  if (response.ok) return response.text();
  throw await troubleOf(response);
}

