// The page for people as a reader uses it, in a headless Chromium.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { HOME, ME, startApp } from './app.mjs';

/** What would do harm if it ever became markup. */
const HOSTILE = '<img src=x onerror=alert(1)>';
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

let app;
let browser;
/** Everything that any page asked for, and everything that went wrong in one. */
const requests = [];
const complaints = [];

before(async () => {
  app = await startApp();
  await app.addDatabase('reporting');
  await app.addDatabase('untouched');
  await app.register(HOME, 'V101__add_colour_themes', 'CREATE TABLE colour_themes (id INTEGER PRIMARY KEY);', { downScript: 'DROP TABLE colour_themes;' });
  await app.run(HOME);
  await app.register(HOME, 'V102__broken', 'INSERT INTO nowhere VALUES (1);');
  await app.run(HOME);
  await app.register(HOME, 'V103__hostile', `SELECT '${HOSTILE}';`, { author: HOSTILE, description: HOSTILE });
  await app.register('reporting', 'V1__sales', 'CREATE TABLE sales (day TEXT PRIMARY KEY);');
  await app.run('reporting', { executor: HOSTILE });
  app.byHand('reporting', `CREATE TABLE "${HOSTILE}" (made_by_hand INTEGER)`);
  await app.snapshot('reporting');
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim(),
    // Chromium's own sandbox does not start for root, and the page is our own.
    args: ['--no-sandbox'],
  });
});

after(async () => {
  await browser?.close();
  await app?.stop();
});

/** Opens the page and waits until all of it is there. */
async function open({ viewport = WIDE, colorScheme = 'light', query = '', prepare = async () => {} } = {}) {
  const page = await browser.newPage({ viewport, colorScheme, reducedMotion: 'reduce' });
  page.setDefaultTimeout(20000);
  page.on('request', (request) => requests.push(request));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => complaints.push(`a dialog: ${dialog.message()}`));
  await prepare(page);
  await page.goto(app.address + query);
  return page;
}

async function opened(options) {
  const page = await open(options);
  await page.locator('#history table').waitFor();
  return page;
}

const textOf = (page, selector) => page.locator(selector).innerText();
const card = (page, id) => page.locator('#databases article', { has: page.getByRole('heading', { name: id }) });

test('the head names the app and one sentence sums all databases up', async () => {
  const page = await opened();
  assert.match(await textOf(page, '#app'), /dev\s+embedded, version \d/);
  assert.equal(await textOf(page, 'h1'), '3 databases, 1 pending script, 1 failed, drift in 1, drift not judged in 1');
  assert.match(await page.title(), /^dev: 3 databases/);
  await page.close();
});

test('every database shows its version, scripts, drift, lock and last run', async () => {
  const page = await opened();
  const home = (await card(page, HOME).innerText()).replace(/\s+/g, ' ');
  assert.match(home, /Version 101 Scripts ✕ 1 failed ○ 1 pending ✓ 1 applied Drift ✓ none Compare now seen .* Lock free Last run ✕ failed/);
  assert.match(await card(page, 'reporting').innerText(), /≠ found/);
  assert.match(await card(page, 'untouched').innerText(), /not judged\s+there is no trusted snapshot yet/);
  const time = card(page, HOME).locator('time').first();
  assert.match(await time.getAttribute('title'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d here, .* UTC$/);
  await page.close();
});

test('a click opens the scripts of a database, pending ones first, and they stay open when the data come anew', async () => {
  const page = await opened();
  const scripts = card(page, HOME).locator('details');
  await scripts.locator('summary').click();
  assert.deepEqual(await scripts.locator('tbody th button').allInnerTexts(), ['V102__broken', 'V103__hostile', 'V101__add_colour_themes']);
  await app.register(HOME, 'V104__another', 'SELECT 1;');
  await page.getByRole('button', { name: 'Refresh' }).click();
  await scripts.locator('tbody tr').nth(3).waitFor();
  assert.equal(await scripts.getAttribute('open'), '');
  await app.call('DELETE', `databases/${HOME}/migrations/V104__another`);
  await page.close();
});

test('a database without scripts tells how to register the first one', async () => {
  const page = await opened();
  await card(page, 'untouched').locator('summary').click();
  const commands = await card(page, 'untouched').locator('pre').allInnerTexts();
  assert.ok(commands[0].startsWith(`curl -X POST ${app.address}/migrations \\\n`), commands[0]);
  assert.match(commands[1], /New-Migration\.ps1 .*-Database "untouched"/);
  await page.close();
});

test('a failed run tells the error and its line', async () => {
  const page = await opened();
  const failed = page.locator('#runs details', { hasText: 'failed' });
  await failed.locator('summary').click();
  assert.match(await failed.innerText(), /no such table: nowhere \(line 1\)/);
  await page.close();
});

test('nothing that callers wrote becomes markup', async () => {
  const page = await opened();
  assert.equal(await page.locator('#to-do td', { hasText: HOSTILE }).count(), 1);
  assert.equal(await page.locator('#runs .who', { hasText: HOSTILE }).count(), 1);
  await page.locator('#to-do button', { hasText: 'V103__hostile' }).click();
  await page.locator('#dialog pre').first().waitFor();
  assert.equal((await page.locator('#dialog dd', { hasText: HOSTILE }).count()), 2);
  assert.equal(await textOf(page, '#dialog pre >> nth=0'), `SELECT '${HOSTILE}';`);
  assert.equal(await page.locator('img').count(), 0);
  await page.close();
});

test('text cannot become markup, not even by a mistake in the script', async () => {
  const page = await opened();
  const thrown = await page.evaluate((html) => {
    try {
      document.body.innerHTML = html;
      return '';
    } catch (error) {
      return error.name;
    }
  }, HOSTILE);
  assert.equal(thrown, 'TypeError');
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes('TrustedHTML')));
  await page.close();
});

test('the drift report opens in the page, in its own style, and can be saved', async () => {
  const page = await opened();
  await card(page, 'reporting').getByRole('button', { name: /Report/ }).click();
  const report = page.frameLocator('#dialog iframe');
  assert.equal(await report.locator('.name').first().innerText(), HOSTILE);
  assert.equal(await report.locator('img').count(), 0);
  const ground = await report.locator('.verdict').evaluate((node) => getComputedStyle(node).borderLeftWidth);
  assert.equal(ground, '4px');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Save the report' }).click()]);
  assert.equal(download.suggestedFilename(), 'drift-reporting.html');
  await page.getByRole('button', { name: 'Close' }).click();
  assert.equal(await page.locator('dialog[open]').count(), 0);
  await page.close();
});

/** Opens everything that can be opened. */
async function openAll(page) {
  await page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
}

for (const [colorScheme, width, viewport] of [['light', 'wide', WIDE], ['dark', 'phone', PHONE]]) {
  test(`axe finds no fault of accessibility, ${colorScheme} and ${width}`, async () => {
    const page = await opened({ viewport, colorScheme });
    await openAll(page);
    await page.evaluate(axe.source);
    const faults = (scope) => page.evaluate(async (selector) => {
      const found = await axe.run(selector, { resultTypes: ['violations'] });
      return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target).join(' ')}`);
    }, scope);
    assert.deepEqual(await faults('body'), []);
    await page.locator('#to-do button').first().click();
    await page.locator('#dialog pre').first().waitFor();
    assert.deepEqual(await faults('#dialog'), []);
    await page.close();
  });
}

test('the history is filtered by the API and searched in the page', async () => {
  const page = await opened();
  await page.getByLabel('Database', { exact: true }).selectOption(HOME);
  await page.locator('#history tr', { hasText: 'V102__broken' }).first().waitFor();
  const all = await page.locator('#history tbody tr').count();
  await page.getByLabel('Search what is loaded').fill('nowhere line');
  assert.equal(await page.locator('#history tbody tr').count(), 1);
  assert.match(await textOf(page, '#history tbody'), /V102__broken: no such table: nowhere \(line 1\)/);
  assert.match(await textOf(page, '#history-count'), new RegExp(`^1 of ${all} events loaded`));
  await page.getByLabel('Search what is loaded').fill('');
  const asked = page.waitForRequest(/type=registered/);
  await page.getByLabel('Type').selectOption('registered');
  await asked;
  await page.waitForFunction(() => [...document.querySelectorAll('#history tbody .chip')].every((chip) => chip.textContent.includes('registered')));
  await page.getByLabel('Migration').fill('V103__hostile');
  await page.getByLabel('Migration').press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('#history tbody tr').length === 1);
  await page.locator('#history summary').click();
  assert.match(await textOf(page, '#history pre'), /"previousHash": "sha256:/);
  await page.getByLabel('Migration').fill('V9__nowhere');
  await page.getByLabel('Migration').press('Enter');
  await page.getByText('No event is of this type and migration').waitFor();
  await page.close();
});

test('older events are loaded page by page', async () => {
  for (let number = 1; number <= 52; number += 1) await app.register('untouched', `V${number}__step`, `SELECT ${number};`);
  const page = await opened();
  await page.getByLabel('Database', { exact: true }).selectOption('untouched');
  await page.locator('#history tr', { hasText: 'V52__step' }).waitFor();
  assert.equal(await page.locator('#history tbody tr').count(), 50);
  await page.getByRole('button', { name: 'Load older events' }).click();
  await page.locator('#history tr', { hasText: 'V1__step' }).waitFor();
  assert.ok(await page.locator('#older').isHidden());
  const loaded = await page.locator('#history tbody tr').count();
  await app.register('untouched', 'V53__step', 'SELECT 53;');
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.locator('#history tr', { hasText: 'V53__step' }).waitFor();
  assert.equal(await page.locator('#history tbody tr').count(), loaded + 1);
  await page.close();
});

test('a run shows its progress while it goes on, and is announced', async () => {
  const batch = 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200000) SELECT count(*) FROM c;\n';
  await app.register('reporting', 'V2__slow', Array(500).fill(batch).join('GO\n'));
  const page = await opened();
  const { status, body } = await app.run('reporting', {}, { prefer: 'respond-async' });
  assert.equal(status, 202);
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.locator('#runs progress').waitFor();
  assert.match(await textOf(page, '#runs .progress'), /^0 of 1 done, now V2__slow/);
  assert.equal(await textOf(page, '#news'), 'Run on reporting began.');
  await app.call('POST', `runs/${body.runId}/cancel`);
  await page.waitForFunction(() => document.querySelector('#news').textContent === 'Run on reporting: cancelled.');
  assert.equal(await page.locator('#runs progress').count(), 0);
  await page.close();
});

test('a page that nobody sees asks for nothing, and looks again when it is seen', async () => {
  const page = await open({ prepare: (one) => one.clock.install() });
  await page.locator('#history table').waitFor();
  let asked = 0;
  page.on('request', () => { asked += 1; });
  const atRest = () => page.waitForFunction(() => !document.querySelector('#refresh').hasAttribute('aria-busy'));
  const turn = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  const nothingIsAskedFor = async () => {
    await atRest();
    asked = 0;
    await page.clock.runFor(120000);
    assert.equal(asked, 0);
  };
  const inTime = page.waitForResponse(/view=runs/);
  await page.clock.runFor(31000);
  await inTime;
  await atRest();
  await turn(true);
  await nothingIsAskedFor();
  // Seen again, and hidden while it asks.
  await page.route(/view=runs/, async (route) => {
    await turn(true);
    await route.continue();
  }, { times: 1 });
  const seenAgain = page.waitForResponse(/view=runs/);
  await turn(false);
  await seenAgain;
  await nothingIsAskedFor();
  await page.close();
});

test('the key of the address goes into a header and out of the address', async () => {
  const page = await opened({ query: '?code=s3cret%2F%3D&clientId=default' });
  assert.equal(page.url(), `${app.address}?clientId=default`);
  const asked = page.waitForRequest(/view=runs/);
  await page.getByRole('button', { name: 'Refresh' }).click();
  const request = await asked;
  assert.equal(request.headers()['x-functions-key'], 's3cret/=');
  assert.ok(!request.headers().referer);
  assert.ok(!request.url().includes('s3cret'));
  assert.ok(!(await page.content()).includes('s3cret'));
  await page.close();
});

test('without a valid key the page asks for one', async () => {
  const page = await open({
    prepare: (one) => one.route(/view=/, (route) => (route.request().headers()['x-functions-key'] === 'right'
      ? route.continue() : route.fulfill({ status: 401, body: '' }))),
  });
  await page.getByText('The key is missing or is not valid any more').waitFor();
  await page.getByLabel('Function key').fill('right');
  await page.getByRole('button', { name: 'Use this key' }).click();
  await page.locator('#history table').waitFor();
  assert.ok(await page.locator('#key-form').isHidden());
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes('401 (Unauthorized)')));
  await page.close();
});

test('a service that is down is told, and what was seen stays', async () => {
  const page = await opened();
  await page.route(/view=/, (route) => route.fulfill({
    status: 503, contentType: 'application/problem+json', body: JSON.stringify({ title: 'A service cannot be used', detail: 'the registry does not answer' }),
  }));
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.locator('#trouble', { hasText: 'the registry does not answer' }).waitFor();
  assert.equal(await page.locator('#databases article').count(), 3);
  await page.unroute(/view=/);
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.locator('#trouble').waitFor({ state: 'hidden' });
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes('503 (Service Unavailable)')));
  await page.close();
});

test('dark mode is dark and light mode is light', async () => {
  const brightness = async (colorScheme) => {
    const page = await opened({ colorScheme });
    const colour = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.close();
    return Math.max(...colour.match(/\d+/g).map(Number));
  };
  assert.ok(await brightness('dark') < 60);
  assert.ok(await brightness('light') > 200);
});

test('nothing is wider than a phone', async () => {
  const page = await opened({ viewport: PHONE });
  await openAll(page);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
  for (const id of ['#to-do button', '#databases button']) {
    await page.locator(id).first().click();
    await page.locator('#dialog h3, #dialog iframe').first().waitFor();
    assert.ok(await page.evaluate(() => document.querySelector('#dialog').scrollWidth) <= PHONE.width);
    await page.keyboard.press('Escape');
  }
  await page.close();
});

test('the keyboard reaches everything, and the focus can be seen', async () => {
  const page = await opened();
  const reached = new Set();
  for (let step = 0; step < 200; step += 1) {
    await page.keyboard.press('Tab');
    const here = await page.evaluate(() => {
      const node = document.activeElement;
      if (!node || node === document.body) return null;
      return { name: node.id || node.textContent.trim().slice(0, 40), outline: getComputedStyle(node).outlineStyle };
    });
    if (here === null) break;
    assert.equal(here.outline, 'solid', here.name);
    reached.add(here.name);
  }
  const wanted = await page.locator('button:visible, summary:visible, select:visible, input:visible').evaluateAll((nodes) =>
    nodes.map((node) => node.id || node.textContent.trim().slice(0, 40)));
  assert.deepEqual(wanted.filter((name) => !reached.has(name)), []);
  await page.close();
});

test('a dialog opens by the keyboard, takes the focus, and gives it back', async () => {
  const page = await opened();
  const script = page.locator('#to-do button').first();
  await script.focus();
  await page.keyboard.press('Enter');
  await page.locator('#dialog pre').first().waitFor();
  assert.ok(await page.evaluate(() => document.querySelector('#dialog').contains(document.activeElement)));
  await page.keyboard.press('Escape');
  assert.ok(await script.evaluate((node) => node === document.activeElement));
  await page.keyboard.press('Tab');
  await page.close();
});

test('the page asks nobody but its own app, and complains of nothing', () => {
  const elsewhere = requests.map((request) => request.url()).filter((url) => !url.startsWith(app.address) && !/^(data|blob|about):/.test(url));
  assert.deepEqual(elsewhere, []);
  assert.deepEqual([...new Set(requests.map((request) => request.method()))], ['GET']);
  assert.deepEqual(complaints, []);
});
