// The console: requests the status and the totals every two seconds and shows what an operator has to know.
// Text from files reaches the page as text nodes, never as markup. Data that is older than STALE_MS, or followed by a
// failed request, is greyed out: the page never shows old data as current.
const EVERY_MS = 2000, HIDDEN_MS = 10000, TIMEOUT_MS = 8000, STALE_MS = 6000, ROWS = 200, HISTORY = 120, LISTED = 5;
const LEVELS = ["good", "warn", "bad"];
const byId = (id) => document.getElementById(id);

let status = null, totals = null, before = null;
// When the newest status arrived, when the pending request began, and why the request before it failed.
let received = null, asked = null, failure = null;
const history = [];

// Elements

function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// Replaces the content of an element, but only if it changed, so that the operator's selection stays.
const shown = new Map();
function show(id, key, children) {
  const text = JSON.stringify(key);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  byId(id).replaceChildren(...children());
}

function facts(id, pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined);
  show(id, rows, () => rows.map(([term, value, level]) =>
    el("div", {}, el("dt", {}, term), el("dd", { class: level }, value))));
}

// Words

const count = (number) => number.toLocaleString("en");
const counted = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

function rateText(rate) {
  if (rate === null || rate === undefined) return "–";
  return rate >= 100 || rate === 0 ? count(Math.round(rate)) : rate.toFixed(1);
}

function span(secs) {
  secs = Math.max(0, Math.round(secs));
  if (secs < 90) return `${secs} s`;
  if (secs < 5400) return `${Math.round(secs / 60)} min`;
  if (secs < 129600) return `${Math.round(secs / 3600)} h`;
  return `${Math.round(secs / 86400)} days`;
}

const moment = (secs) => new Date(secs * 1000).toISOString().replace(".000Z", "Z");
const day = (secs) => moment(secs).slice(0, 10);
const ago = (secs) => `${span(status.now - secs)} ago`;
const ahead = (secs) => (secs > status.now ? `in ${span(secs - status.now)}` : ago(secs));
const time = (secs, words) => el("time", { datetime: moment(secs), title: moment(secs) }, words);

// What is wrong

function concerns() {
  const found = [];
  const say = (level, what, lines) => found.push({ level, what, lines });
  const { configuration, datacenters, targets } = status;
  for (const concern of status.concerns || []) say(concern["is-grave"] ? 2 : 1, sentence(concern.text));
  const dead = datacenters.filter((datacenter) => datacenter.health === "all-down" && datacenter.state !== "disabled");
  if (dead.length) say(2, `All targets are down in ${names(dead)}.`);
  if (configuration.errors.length && !(status.held || []).length) {
    const when = configuration.refused ? ` since ${moment(configuration.refused)}` : "";
    say(1, `Errors in files${when}; the previous configuration stays in use. Fix:`, configuration.errors);
  }
  const answered = datacenters.filter((datacenter) => datacenter["still-answered-count"] && !rampOf(datacenter));
  if (answered.length) say(1, `Drained, but still in answers: ${names(answered)}. The services are in the table below.`);
  const down = targets.filter((target) => target.verdict === "down").length;
  if (down) say(1, `${count(down)} of ${counted(targets.length, "target", "targets")} down.`);
  const failing = (status.loads || []).filter((load) => load.error || load["is-stale"]).length;
  if (failing) say(1, `${count(failing)} of ${counted(status.loads.length, "load source", "load sources")} failing: see Load and ramps.`);
  const doubtful = (status.loads || []).filter((load) => load.disagreement).length;
  if (doubtful) say(1, `${counted(doubtful, "load report contradicts", "load reports contradict")} the health checks: see Load and ramps.`);
  const flipping = targets.filter((target) => target["flips-in-secs"] !== undefined && target.verdict !== "down").length;
  if (flipping) say(1, `${counted(flipping, "target fails", "targets fail")} and will be down soon.`);
  const drops = growth((doc) => sum(doc, "kernel-drops"));
  if (drops > 0) say(1, `The kernel drops ${rateText(drops)} datagrams a second: this server is overloaded.`);
  const drained = datacenters.filter((datacenter) => datacenter.state === "draining");
  if (drained.length) say(0, `Draining or drained: ${names(drained)}.`);
  const overrides = (status.overrides || []).map((one) => `${one.subject}: ${one.value}, by ${one.author} since ${moment(one.since)}${one.reason ? `: ${one.reason}` : ""}${one["in-force"] ? (one.effective ? "" : " (not effective yet)") : " (not in force)"}`);
  if (overrides.length) say(0, `${counted(overrides.length, "override", "overrides")} of operators:`, overrides);
  if (configuration.warnings.length) say(0, `${counted(configuration.warnings.length, "warning", "warnings")} about the files in use:`, configuration.warnings);
  return found.sort((a, b) => b.level - a.level);
}

// A path or a name at the start keeps its case.
const sentence = (text) => (/^[a-z]+ /.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text) + (/[.!?]$/.test(text) ? "" : ".");
const names = (datacenters) => datacenters.map((datacenter) => datacenter.name).join(", ");
const rampOf = (datacenter) => (status.ramps || []).find((ramp) => !ramp.pool && ramp.name === datacenter.name);

function showConcerns(found) {
  const words = ["Note: ", "Check: ", "Problem: "];
  byId("concerns-section").hidden = !found.length;
  show("concerns", found, () => found.map((concern) => el("li", {},
    el("span", { class: `word ${concern.level ? LEVELS[concern.level] : "unknown"}` }, words[concern.level]), concern.what,
    concern.lines ? el("pre", { tabindex: "0", class: "mono" }, concern.lines.join("\n")) : null)));
}

// The banner stays in view. It is updated each second, not only when a reply arrives.
function showBanner() {
  const age = received === null ? null : Date.now() - received;
  // A page in the background polls seldom: there, old data alone does not mean that the server is gone.
  const isUnanswered = asked !== null && Date.now() - asked > STALE_MS;
  const isStale = failure !== null || isUnanswered || (age !== null && age > STALE_MS && !document.hidden && asked === null);
  document.body.classList.toggle("stale", isStale);
  const level = isStale ? 2 : status ? Math.max(0, ...concerns().map((concern) => concern.level)) : null;
  const serving = ["Serving.", "Serving. Something needs attention.", "Serving, with problems."][level];
  const headline = isStale ? "The server does not answer." : serving || "Waiting for the server …";
  byId("banner").className = `banner ${LEVELS[level] || "unknown"}`;
  if (byId("headline").textContent !== headline) byId("headline").textContent = headline;
  byId("age").textContent = age === null ? failure || "" : isStale
    ? `${failure || "No reply yet"}. This page shows data of ${moment(status.now)}, ${span(age / 1000)} old.`
    : `Data is ${span(age / 1000)} old.`;
  const mark = isStale ? "(no answer) " : ["", "(check) ", "(problem) "][level] || "";
  document.title = `${mark}portolan${status && status.server ? ` ${status.server.node}` : ""}`;
}

// Rates

const sum = (doc, key) => Object.values(doc.transports).reduce((all, transport) => all + transport[key], 0);

// The growth of a count per second; null until there are two documents to compare.
function growth(pick) {
  if (!before || !totals) return null;
  const difference = pick(totals.document) - pick(before.document);
  const secs = (totals.at - before.at) / 1000;
  return difference >= 0 && secs > 0 ? difference / secs : null;
}

function showTraffic() {
  if (!totals) return;
  const rate = growth((doc) => sum(doc, "received"));
  byId("rate").textContent = rateText(rate);
  if (rate !== null && !totals.isDrawn) {
    totals.isDrawn = true;
    history.push(rate);
    if (history.length > HISTORY) history.shift();
    draw();
  }
  const doc = totals.document;
  const per = (key) => Object.keys(doc[key]).map((word) => [word, growth((each) => each[key][word] || 0)]);
  const busy = Object.keys(doc.transports).filter((word) => doc.transports[word].received > 0);
  const pairs = busy.map((word) => [word.toUpperCase(), `${rateText(growth((each) => each.transports[word].received))}/s`]);
  for (const [word, rate] of per("rcodes")) pairs.push([word, `${rateText(rate)}/s`]);
  pairs.push(["received since the start", count(sum(doc, "received"))]);
  pairs.push(["without reply", count(sum(doc, "ignored") + sum(doc, "send-errors"))]);
  pairs.push(["dropped by the kernel", count(sum(doc, "kernel-drops")), sum(doc, "kernel-drops") ? "warn" : undefined]);
  facts("traffic", pairs);
}

function draw() {
  const canvas = byId("history"), context = canvas.getContext("2d");
  const { width, height } = canvas, maximum = Math.max(1, ...history);
  context.clearRect(0, 0, width, height);
  context.strokeStyle = getComputedStyle(canvas).color;
  context.lineWidth = 1.5;
  context.beginPath();
  history.forEach((rate, index) => {
    const x = width - (history.length - 1 - index) * (width / (HISTORY - 1)), y = height - 2 - (rate / maximum) * (height - 4);
    if (index) context.lineTo(x, y); else context.moveTo(x, y);
  });
  context.stroke();
}

// Tables

// The administrative state. It is independent of health, so that none of its words is green.
const STATES = { active: ["", "active"], standby: ["unknown", "standby"], draining: ["warn", "▽ draining"], paused: ["warn", "▽ drain paused"], drained: ["warn", "▼ drained"], disabled: ["warn", "■ disabled"] };
const HEALTH = {
  "all-up": ["good", "● all up"], "some-down": ["warn", "◐ some down"], "all-down": ["bad", "✕ all down"],
  unknown: ["unknown", "? not known yet"], "no-targets": ["unknown", "– no health checks"],
};
const VERDICTS = { up: ["good", "● up"], down: ["bad", "✕ down"], unknown: ["unknown", "? unknown"] };

function word(table, key) {
  const [level, text] = table[key] || ["unknown", key];
  return el("span", { class: `word ${level}` }, text);
}

function verdictCounts({ up, down, unknown }) {
  if (!(up + down + unknown)) return [];
  const parts = [`${count(up)} up`];
  if (down) parts.push(", ", el("span", { class: "word bad" }, `✕ ${count(down)} down`));
  if (unknown) parts.push(`, ${count(unknown)} unknown`);
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  for (const [kind, number] of [["up", up], ["down", down], ["open", unknown]]) {
    const part = el("span", { class: kind });
    part.style.flexGrow = number;
    bar.append(part);
  }
  return [...parts, bar];
}

function datacenterNotes(datacenter) {
  const notes = [];
  if (datacenter.reason) notes.push(el("div", {}, datacenter.reason));
  if (datacenter.origin && datacenter.origin !== datacenter.file) notes.push(el("div", {}, `by ${datacenter.origin}`));
  if (datacenter.until !== undefined) notes.push(el("div", {}, "until ", time(datacenter.until, `${moment(datacenter.until)}, ${ahead(datacenter.until)}`)));
  const drain = datacenter.drain;
  if (drain && datacenter.effective) {
    const isOver = drain.expires <= status.now;
    const words = isOver ? `The last cached answer expired ${ago(drain.expires)}` : `The last cached answer expires ${ahead(drain.expires)}`;
    notes.push(el("div", { class: isOver ? "good" : "warn" }, time(drain.expires, words), ` (in no new answer since ${ago(drain.effective)}, longest TTL ${drain["longest-ttl"]} s).`));
    if (!isOver) notes.push(el("progress", { max: drain.expires - drain.effective, value: status.now - drain.effective, "aria-label": "Drain" }));
  }
  return [...notes, ...stillAnswered(datacenter)];
}

// The services whose answers name a datacenter that is drained or disabled.
function stillAnswered(datacenter) {
  const all = datacenter["still-answered-count"];
  if (!all) return [];
  const listed = datacenter["still-answered"].slice(0, LISTED);
  const items = listed.map((service) => el("li", {}, el("span", { class: "mono" }, `${service.service} ${service.type}`), `: ${service.why}`));
  if (all > listed.length) items.push(el("li", { class: "quiet" }, `and ${count(all - listed.length)} more: portolan status --json`));
  return [el("div", { class: rampOf(datacenter) ? undefined : "word warn" }, "Still in answers:"), el("ul", { class: "still" }, items)];
}

function stateOf(datacenter) {
  if (datacenter.state !== "draining") return datacenter.state;
  const ramp = rampOf(datacenter);
  if (ramp && ramp.kind === "held-drain") return "paused";
  return datacenter.effective ? "drained" : "draining";
}

// Targets of a disabled datacenter are not probed.
function healthOf(datacenter) {
  const isProbed = datacenter.up + datacenter.down > 0 || datacenter.state !== "disabled";
  return isProbed ? [word(HEALTH, datacenter.health), el("div", {}, ...verdictCounts(datacenter))] : [el("span", { class: "quiet" }, "not probed")];
}

function showDatacenters() {
  const rate = (name) => growth((doc) => doc.datacenters[name] || 0);
  const rows = status.datacenters.map((datacenter) => [datacenter, rate(datacenter.name), rampOf(datacenter)]);
  const isTimed = status.datacenters.some((datacenter) => datacenter.drain || datacenter.until !== undefined);
  show("datacenters", [rows, isTimed && status.now], () => rows.length ? rows.map(([datacenter, answers]) => el("tr", {},
    el("th", { scope: "row" }, datacenter.name, datacenter.region ? el("span", { class: "quiet" }, ` ${datacenter.region}`) : null),
    el("td", {}, word(STATES, stateOf(datacenter))),
    el("td", { class: "nowrap" }, ...healthOf(datacenter)),
    el("td", { class: "number" }, count(datacenter.services)),
    el("td", { class: "number" }, rateText(answers)),
    el("td", {}, ...datacenterNotes(datacenter), el("div", { class: "quiet mono" }, datacenter.file)))) : [empty(6, "No datacenter is configured.")]);
}

// Load reports, the shares that follow them, and changes in progress

// Shows 100 % or 0 % only if that is exact.
function percent(share) {
  const whole = Math.round(share * 100), isExact = share <= 0 || share >= 1 || (whole > 9 && whole < 100);
  if (isExact) return `${whole} %`;
  return `${Math.min(99.9, Math.max(0.1, share * 100)).toFixed(1)} %`;
}

const RAMPS = { drain: "▽ drain of ", "held-drain": "▽ drain paused: ", "slow-start": "△ slow start of ", failback: "△ clients return to " };

function bar(share, level) {
  const whole = el("div", { class: "bar thin", "aria-hidden": "true" });
  const part = el("span", { class: level ? "warned" : "share" }), rest = el("span", {});
  part.style.flexGrow = Math.min(1, share);
  rest.style.flexGrow = 1 - Math.min(1, share);
  whole.append(part, rest);
  return whole;
}

// "Receives" and "moved" leave no doubt which side of a drain a number means.
function rampProgress(ramp) {
  const received = `Receives ${percent(ramp.at)} of its normal traffic`;
  return ["drain", "held-drain"].includes(ramp.kind) ? `${received}; ${percent(1 - ramp.at)} already moved` : received;
}

function showRamps() {
  const rows = status.ramps || [];
  byId("ramps-part").hidden = !rows.length;
  show("ramps", [rows, rows.length && status.now], () => rows.map((ramp) => el("tr", {},
    el("th", { scope: "row" }, RAMPS[ramp.kind] || `${ramp.kind} `, ramp.name, ramp.pool ? el("span", { class: "quiet" }, ` pool ${ramp.pool}`) : null),
    el("td", {}, el("div", { class: "nowrap" }, rampProgress(ramp)), bar(ramp.at, !["slow-start", "failback"].includes(ramp.kind))),
    el("td", {}, `${percent(ramp.goal)} of normal `, ramp.at === ramp.goal ? `(paused; portolan drain ${ramp.name} --resume continues)` : time(ramp.ends, ahead(ramp.ends))))));
  return rows.length;
}

function poolRow(pool) {
  const parts = [];
  if (pool.shares && pool.shares.length) {
    parts.push(el("div", { class: "shares" }, pool.shares.flatMap(([member, share]) =>
      [el("span", {}, member), bar(share), el("span", { class: "number" }, percent(share))])));
  }
  if (pool.keep !== undefined) {
    const level = pool.level === undefined ? "" : `, load ${round2(pool.level)}, limit ${round2(pool.target)}`;
    const spills = pool.keep < 1;
    parts.push(el("div", { class: spills ? "warn" : undefined }, `${spills ? `sends ${percent(1 - pool.keep)} of its clients to the next choice` : "keeps all of its clients"}${level}`));
  }
  if (pool.holder) parts.push(el("div", { class: "warn" }, `clients stay with ${pool.holder} until failback`));
  if (pool.fallback) parts.push(el("div", { class: "warn" }, `uses its configured weights: ${pool.fallback}`));
  return parts.length ? el("tr", {}, el("th", { scope: "row" }, pool.name), el("td", {}, parts)) : null;
}

const round2 = (number) => count(Math.round(number * 100) / 100);

function showPools() {
  const rows = (status.pools || []).filter((pool) => (pool.shares || []).length || pool.keep !== undefined || pool.holder);
  byId("pools-part").hidden = !rows.length;
  show("pools", rows.slice(0, ROWS), () => rows.slice(0, ROWS).map(poolRow).filter((row) => row));
  return rows.length;
}

const isFailing = (load) => Boolean(load.error || load["is-stale"] || load.disagreement);

function reportState(load) {
  const since = load["failing-since"] ? ` (since ${moment(load["failing-since"])})` : "";
  const notes = [load["is-stale"] ? "report expired" : null, load.error ? load.error + since : null, load.disagreement].filter((note) => note);
  const first = load.error || load["is-stale"] ? ["bad", "✕ failing"] : load.disagreement ? ["warn", "▽ doubtful"]
    : load["age-secs"] === undefined ? ["unknown", "? none yet"] : ["good", "● current"];
  return [el("span", { class: `word ${first[0]}` }, first[1]), ...notes.map((note) => el("div", { class: first[0] }, note))];
}

function connections(load) {
  if (load.connections === undefined) return ["–"];
  if (load.limit === undefined) return [count(load.connections)];
  const share = load.limit > 0 ? load.connections / load.limit : 1;
  return [el("span", { class: "nowrap" }, `${count(load.connections)} of ${count(load.limit)}`), bar(share, share > 0.9)];
}

function showLoads() {
  const loads = status.loads || [];
  const rows = [...loads.filter(isFailing), ...loads.filter((load) => !isFailing(load))].slice(0, ROWS);
  byId("loads-part").hidden = !rows.length;
  byId("loads-rest").textContent = loads.length > ROWS ? `${count(loads.length - ROWS)} more sources are not listed: portolan status has all.` : "";
  show("loads", rows, () => rows.map((load) => el("tr", {},
    el("th", { scope: "row" }, load.load, load.target ? el("span", { class: "quiet mono" }, ` ${load.target}`) : null),
    el("td", {}, ...reportState(load)),
    el("td", {}, ...connections(load)),
    el("td", { class: "number" }, load.servers ? `${load.servers[0]} of ${load.servers[1]}` : "–"),
    el("td", { class: "number" }, load["response-ms"] === undefined ? "–" : `${round2(load["response-ms"])} ms`),
    el("td", {}, Object.entries(load.gauges || {}).map(([name, value]) => `${name} ${round2(value)}`).join(", ") || "–"),
    el("td", { class: "number" }, load["age-secs"] === undefined ? "–" : span(load["age-secs"])))));
  return loads.length;
}

function showLoad() {
  const [ramps, pools, loads] = [showRamps(), showPools(), showLoads()];
  byId("load-section").hidden = !(ramps || pools || loads);
  byId("load-count").textContent = loads ? counted(loads, "source", "sources") : "";
}

const empty = (columns, words) => el("tr", {}, el("td", { colspan: columns, class: "quiet" }, words));

const URGENCY = { down: 0, unknown: 2, up: 3 };
const urgency = (target) => (target.verdict !== "down" && target["flips-in-secs"] !== undefined ? 1 : URGENCY[target.verdict] ?? 2);

function showTargets() {
  const search = byId("find").value.trim().toLowerCase(), isFailingOnly = byId("failing").checked;
  const matches = (target) => [target.monitor, target.target, target.verdict, target.last || ""].some((text) => text.toLowerCase().includes(search));
  const found = status.targets
    .filter((target) => (!isFailingOnly || urgency(target) < 3) && (!search || matches(target)))
    .map((target) => [urgency(target), target])
    .sort(([a], [b]) => a - b)
    .map(([, target]) => target);
  const rows = found.slice(0, ROWS);
  const all = status.targets.length;
  byId("targets-count").textContent = found.length === all ? count(all) : `${count(found.length)} of ${count(all)}`;
  byId("targets-rest").textContent = found.length > ROWS ? `${count(found.length - ROWS)} more: narrow the list with Find.` : "";
  const ages = rows.map((target) => (target.since === undefined ? "" : ago(target.since)));
  show("targets", [rows, ages], () => rows.length ? rows.map((target, index) => el("tr", {},
    el("td", {}, word(VERDICTS, target.verdict), flips(target)),
    el("th", { scope: "row", class: "mono" }, target.target),
    el("td", {}, target.monitor),
    el("td", { class: "nowrap" }, target.since === undefined ? "–" : time(target.since, ages[index])),
    el("td", { class: target.last && !target.last.startsWith("ok") ? "bad" : undefined }, target.last || "–"),
    el("td", { class: "number" }, target["latency-ms"] === undefined ? "–" : `${count(target["latency-ms"])} ms`)))
    : [empty(6, all ? "No target matches." : "No health checks: no pool names a monitor.")]);
}

function flips(target) {
  if (target["flips-in-secs"] === undefined) return null;
  return el("div", { class: "quiet nowrap" }, `${target.verdict === "down" ? "up" : "down"} in at least ${target["flips-in-secs"]} s`);
}

function showRest() {
  const { distressed, databases, zones, checker, configuration } = status;
  byId("distressed-section").hidden = !distressed.length;
  show("distressed", distressed, () => distressed.map((service) => el("tr", {},
    el("th", { scope: "row" }, service.name), el("td", {}, service.rtype),
    el("td", {}, (service.clients || []).join("; ") || "all"), el("td", {}, service.plight))));
  const unlisted = status["distressed-count"] - distressed.length;
  byId("distressed-rest").textContent = unlisted > 0 ? `${count(unlisted)} more: portolan status --json` : "";
  show("databases", databases, () => databases.length ? databases.map((database) => el("tr", {},
    el("th", { scope: "row" }, database.kind), el("td", { class: "nowrap" }, day(database.built)),
    el("td", { class: "number" }, count(database.networks)),
    el("td", {}, el("span", { class: "mono" }, database.path), database.error ? el("div", { class: "warn" }, `newest file refused: ${database.error}`) : null)))
    : [empty(4, "None: the locations of clients are not known.")]);
  byId("zones-count").textContent = count(zones.length);
  byId("zones-rest").textContent = zones.length > ROWS ? `${count(zones.length - ROWS)} more.` : "";
  show("zones", zones.slice(0, ROWS), () => zones.slice(0, ROWS).map((zone) => el("tr", {},
    el("th", { scope: "row" }, zone.name), el("td", { class: "number" }, String(zone.serial)),
    el("td", { class: "number" }, count(zone.records)), el("td", { class: "number" }, count(zone.services)))));
  const doubts = { trusting: "normal", suspecting: "frozen: most targets failed at once", convinced: "normal: the failures are confirmed" };
  facts("checker", [
    ["health status", doubts[checker.doubt] || checker.doubt, checker.doubt === "suspecting" ? "bad" : undefined],
    ["freezes", count(checker.freezes)], ["probes", count(checker.started)],
    ["late", count(checker.late), checker.late ? "warn" : undefined],
    ["discarded", count(checker.discarded)], ["running", count(checker["in-flight"])],
    ["unchecked targets", count(checker.checks ? checker.checks.unchecked : 0),
      checker.checks && checker.checks.unchecked ? "bad" : undefined],
  ]);
  facts("files", [
    ["in use since", `${moment(configuration.loaded)} (${ago(configuration.loaded)})`],
    ["reloads", count(configuration.reloads)],
    ["refused", count(configuration.failures), configuration.failures ? "warn" : undefined],
    ["services", count(status.services)],
  ]);
}

function showAll() {
  showConcerns(concerns());
  byId("facts").textContent = `${status.server ? `${status.server.node} · ` : ""}version ${status.version} · generation ${count(status.generation)} · up ${span(status.now - status.started)} · as of ${moment(status.now).slice(11)}`;
  showDatacenters();
  showTraffic();
  showLoad();
  showTargets();
  showRest();
}

// Requests

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
  if (!response.ok) throw new Error(`${path} answers HTTP ${response.status}`);
  return response.json();
}

async function round() {
  asked = Date.now();
  try {
    const [newStatus, newTotals] = await Promise.all([ask("/api/v1/status"), ask("/api/v1/totals")]);
    const isRestarted = status && status.started !== newStatus.started;
    before = isRestarted ? null : totals;
    [status, totals] = [newStatus, { at: performance.now(), document: newTotals }];
    [received, failure] = [Date.now(), null];
    showAll();
  } catch (error) {
    failure = error.message;
  }
  asked = null;
  showBanner();
}

async function run() {
  await round();
  setTimeout(run, document.hidden ? HIDDEN_MS : EVERY_MS);
}

byId("find").addEventListener("input", () => status && showTargets());
byId("failing").addEventListener("change", () => status && showTargets());
document.addEventListener("visibilitychange", () => document.hidden || asked !== null || round());
setInterval(showBanner, 1000);
run();
