// How the page is built: every text of the API becomes a text node, never markup.

/** @typedef {Node | string | null | false | undefined} Child */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [attributes] With `on…` for a listener; what is null or false is left out.
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(.../** @type {(Node | string)[]} */ (children.filter((child) => child)));
  return node;
}

/** @param {string} id @returns {any} */
function at(id) {
  return document.getElementById(id);
}

/** @param {string} state @param {string} [words] @returns {HTMLElement} */
function chip(state, words = state.replaceAll('-', ' ')) {
  const { sign, tone } = lookOf(state);
  return el('span', { class: `chip ${tone}` }, el('span', { 'aria-hidden': 'true' }, sign), ` ${words}`);
}

/** How long ago a moment was, kept up to date. @param {string} moment @returns {HTMLElement} */
function ago(moment) {
  const title = `${localOf(moment)} here, ${utcOf(moment)}`;
  return el('time', { datetime: moment, title, 'data-ago': true }, agoOf(moment, Date.now()));
}

/** A moment in the reader's zone. @param {string} moment @returns {HTMLElement} */
function clock(moment) {
  return el('time', { datetime: moment, title: utcOf(moment) }, localOf(moment));
}

/** Moves what says how long ago something was. */
function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll('time[data-ago]')) {
    time.textContent = agoOf(/** @type {HTMLTimeElement} */ (time).dateTime, now);
  }
}

/**
 * A table whose rows become blocks on a narrow screen; the roles keep it a table there.
 * @param {string} caption
 * @param {string[]} columns
 * @param {Child[][]} rows The first cell of each is its heading.
 * @returns {HTMLElement}
 */
function table(caption, columns, rows) {
  const head = el('tr', { role: 'row' }, ...columns.map((name) => el('th', { role: 'columnheader', scope: 'col' }, name)));
  const body = rows.map((cells) =>
    el('tr', { role: 'row' }, ...cells.map((child, index) => {
      const label = { 'data-label': columns[index] };
      return index === 0
        ? el('th', { role: 'rowheader', scope: 'row', ...label }, child)
        : el('td', { role: 'cell', ...label, class: child ? null : 'empty' }, child);
    })));
  return el('table', { role: 'table' },
    el('caption', { class: 'unseen' }, caption),
    el('thead', { role: 'rowgroup' }, head),
    el('tbody', { role: 'rowgroup' }, ...body));
}

/** @param {[string, Child][]} pairs @param {string} [name] @returns {HTMLElement} */
function facts(pairs, name = 'facts') {
  const shown = pairs.filter(([, child]) => child);
  return el('dl', { class: name }, ...shown.map(([term, child]) => el('div', {}, el('dt', {}, term), el('dd', {}, child))));
}

/** @param {...Child} children @returns {HTMLElement} */
function group(...children) {
  return el('span', { class: 'group' }, ...children);
}

/** What opens on a click; `key` keeps it open when the data come anew. @param {string} key @param {Child} summary @param {...Child} children */
function fold(key, summary, ...children) {
  return el('details', { 'data-key': key }, el('summary', {}, summary), ...children);
}

/** A text that keeps its lines, and can be scrolled by keyboard. @param {string} label @param {string} text */
function code(label, text) {
  return el('pre', { tabindex: 0, role: 'group', 'aria-label': label }, text);
}

/**
 * Puts something new into a place. What the reader had opened stays open, and the focus stays where it was.
 * @param {HTMLElement} place
 * @param {...Child} children
 */
function show(place, ...children) {
  const opened = [...place.querySelectorAll('details[open]')].map((one) => /** @type {HTMLElement} */ (one).dataset.key);
  const focused = place.contains(document.activeElement) ? document.activeElement?.closest('[data-key]') : null;
  const key = /** @type {HTMLElement | null | undefined} */ (focused)?.dataset.key;
  place.replaceChildren(.../** @type {(Node | string)[]} */ (children.filter((child) => child)));
  for (const one of place.querySelectorAll('details')) one.open = opened.includes(one.dataset.key);
  if (key === undefined) return;
  const again = place.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const target = again instanceof HTMLDetailsElement ? again.querySelector('summary') : again;
  if (target instanceof HTMLElement) target.focus({ preventScroll: true });
}

