"use strict";
// The console's first page: sign in, then look once a second. Every text from the API goes into
// text nodes, never into markup.

const TOKEN = "roadstead.token";
const PROJECT = "roadstead.project";
const LANGUAGE = "roadstead.language";
const THEME = "roadstead.theme";
const LOOK_MS = 1000;
// The newest; the head says how many there are in all.
const DEVICES_SHOWN = 50;
const OWNERS_EVERY = 5;
const FAILING_SHOWN = 20;
const STAGES = Object.keys(WORDS.en.stages);
const HOPS = { up: "↑", down: "↓", cloud: "•", phone: "☎", api: "»" };

const state = {
  language: localStorage.getItem(LANGUAGE) || (navigator.language.startsWith("zh") ? "zh" : "en"),
  token: sessionStorage.getItem(TOKEN), project: sessionStorage.getItem(PROJECT),
  devices: [], total: 0, failing: [], failingTotal: 0, strangers: [], attempts: [], owners: new Map(), names: new Map(), bound: 0,
  selected: null, why: null, trace: [], shadow: [], presence: null, search: "", looks: 0, shown: {},
};

const $ = (id) => document.getElementById(id);
const words = () => WORDS[state.language];

/** Makes an element; children are nodes or texts. */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Replaces the children of an element, but only when what they show has changed. */
function show(id, data, make) {
  const key = JSON.stringify([state.language, data]);
  if (state.shown[id] === key) return;
  state.shown[id] = key;
  $(id).replaceChildren(...[make()].flat().filter((child) => child !== null));
}

async function api(path) {
  const answer = await fetch(`/v5/iot/${encodeURIComponent(state.project)}${path}`,
    { headers: { "X-Auth-Token": state.token }, cache: "no-store" });
  const body = await answer.json();
  if (body.code === "api.unauthenticated") { signOut(); throw new Error("signed out"); }
  if (!answer.ok) throw Object.assign(new Error(body.error_msg), { code: body.code });
  return body;
}

async function signIn(event) {
  event.preventDefault();
  $("sign-in-problem").textContent = "";
  const user = { name: $("user").value, password: $("password").value, domain: { name: "default" } };
  const auth = { identity: { methods: ["password"], password: { user } } };
  try {
    const answer = await fetch("/v3/auth/tokens", { method: "POST", body: JSON.stringify({ auth }) });
    const body = await answer.json();
    if (!answer.ok) { $("sign-in-problem").textContent = body.error_msg; return; }
    state.token = answer.headers.get("X-Subject-Token");
    state.project = body.token.project.id;
    sessionStorage.setItem(TOKEN, state.token);
    sessionStorage.setItem(PROJECT, state.project);
    $("password").value = "";
    state.looks = 0;
    page();
    look();
  } catch (error) {
    $("sign-in-problem").textContent = words().lost;
  }
}

function signOut() {
  sessionStorage.clear();
  Object.assign(state, { token: null, project: null, selected: null, devices: [], failing: [], strangers: [], attempts: [], shown: {} });
  page();
}

function page() {
  const inside = Boolean(state.token);
  $("login").hidden = inside;
  $("board").hidden = !inside;
  $("sign-out").hidden = !inside;
  $("pulse").hidden = !inside;
  if (!inside) $("space").textContent = "";
  document.documentElement.lang = state.language === "zh" ? "zh-CN" : "en";
  $("language").textContent = words().other;
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = words()[element.dataset.word];
  }
  for (const element of document.querySelectorAll("[data-word-placeholder]")) {
    element.placeholder = words()[element.dataset.wordPlaceholder];
  }
  for (const element of document.querySelectorAll("[data-word-title]")) {
    element.title = words()[element.dataset.wordTitle];
  }
  if (inside) render();
}

async function look() {
  if (!state.token) return;
  if (!document.hidden) {
    try {
      await read();
      $("pulse").className = "pulse";
      $("pulse").textContent = words().live;
    } catch (error) {
      $("pulse").className = "pulse lost";
      $("pulse").textContent = words().lost;
    }
    if (state.token) render();
  }
  setTimeout(look, LOOK_MS);
}

async function read() {
  const [devices, attempts, failing] = await Promise.all([api(`/devices?limit=${DEVICES_SHOWN}`),
    api("/attempts?limit=20"), api(`/failing-devices?limit=${FAILING_SHOWN}`)]);
  state.devices = devices.devices;
  state.total = devices.page.count;
  state.attempts = attempts.attempts;
  Object.assign(state, { failing: failing.devices, failingTotal: failing.page.count });
  if (state.looks % OWNERS_EVERY === 0) await readOwners();
  state.looks += 1;
  if (!state.selected && state.devices.length > 0) {
    const on = state.devices.find((device) => device.status === "ONLINE");
    state.selected = (on || state.devices[0]).device_id;
  }
  await readSelected();
}

async function readOwners() {
  const bindings = await api("/bindings?limit=1000");
  state.bound = bindings.bindings.filter((binding) => binding.role === "owner").length;
  state.owners = new Map(bindings.bindings.filter((binding) => binding.role === "owner")
    .map((binding) => [binding.device_id, binding.user_id]));
  const quietly = (path) => api(path).catch(() => ({}));
  // Strangers are the administrator's to see.
  const [users, spaces, strangers] = await Promise.all([quietly("/users"), quietly("/apps"),
    quietly(`/strangers?limit=${FAILING_SHOWN}`)]);
  state.strangers = strangers.strangers || [];
  state.names = new Map((users.users || []).map((user) => [user.user_id, user.username]));
  const space = (spaces.applications || []).find((app) => app.app_id === state.project);
  $("space").textContent = space ? space.app_name : "";
}

async function readSelected() {
  const id = state.selected;
  if (!id) return;
  const path = `/devices/${encodeURIComponent(id)}`;
  try {
    const [why, trace, shadow, presence] = await Promise.all([
      api(`${path}/why`), api(`${path}/trace?limit=60`), api(`${path}/shadow`), api(`${path}/presence`)]);
    if (state.selected !== id) return;
    Object.assign(state, { why, trace: trace.entries, shadow: shadow.shadow, presence });
  } catch (error) {
    if (error.code !== "device.unknown") throw error;
    state.selected = null;
  }
}

function render() {
  const w = words();
  const online = state.devices.filter((device) => device.status === "ONLINE").length;
  const running = state.attempts.filter((attempt) => attempt.result === "running").length;
  const failed = state.attempts.filter((attempt) => attempt.result === "failure").length;
  const tiles = [[state.total, w.devices, ""], [online, w.online, "good"], [state.bound, w.bound, ""],
    [running, w.running, "live"], [failed, w.failed, failed ? "bad" : ""]];
  show("tiles", tiles, () => tiles.map(([count, label, kind]) =>
    h("div", { class: `tile ${kind}` }, h("b", null, String(count)), h("span", null, label))));
  renderDevices();
  renderDetail();
  renderFailing();
  renderAttempts();
}

function renderDevices() {
  const wanted = state.search.toLowerCase();
  const rows = state.devices.filter((device) => [device.device_name, device.device_id, device.product_name,
    device.dialect, owner(device.device_id)].some((text) => text.toLowerCase().includes(wanted)));
  const data = rows.map((device) => [device, owner(device.device_id), ago(device.connection_status_update_time, device)]);
  $("device-count").textContent = rows.length === state.total ? state.total : `${rows.length} / ${state.total}`;
  $("no-devices").hidden = state.devices.length > 0;
  show("device-rows", [data, state.selected], () => data.map(([device, who, seen]) => {
    const choose = () => select(device.device_id);
    return h("tr", { class: device.device_id === state.selected ? "on" : null, tabindex: "0",
      on: { click: choose, keydown: (event) => { if (event.key === "Enter") choose(); } } },
      h("td", null, pill(statusKind(device.status), words().states[device.status] || device.status)),
      h("td", null, h("span", { class: "name" }, device.device_name), h("span", { class: "sub" }, device.device_id)),
      h("td", null, device.product_name), h("td", null, h("span", { class: "tag" }, device.dialect)),
      h("td", null, who || words().nobody), h("td", { class: "muted" }, seen));
  }));
}

function renderDetail() {
  const w = words();
  const device = state.devices.find((one) => one.device_id === state.selected);
  const why = state.why && state.why.device_id === state.selected ? state.why : null;
  show("detail", [device, why, state.trace, state.shadow, state.presence], () => {
    if (!device || !why) return h("p", { class: "empty" }, w.choose);
    return [title(device), verdict(why), facts(device), values(), h("h3", null, w.trace), trace()];
  });
}

function title(device) {
  return h("div", { class: "title" },
    h("div", { class: "row" }, h("h2", null, device.device_name), h("span", { class: "grow" }),
      pill(statusKind(device.status), words().states[device.status] || device.status)),
    h("span", { class: "mono muted" }, device.device_id));
}

function verdict(why) {
  const w = words();
  const kind = { well: "good", frozen: "bad", refused: "bad", never_seen: "idle", never_connected: "warn" };
  const well = why.state === "well";
  return h("div", { class: `why ${kind[why.state] || "warn"}` },
    h("div", { class: "row" }, h("strong", null, w.why[why.state] || why.state), h("span", { class: "grow" }),
      well ? null : h("code", null, why.code)),
    h("span", null, well ? w.well : why.meaning), well || !why.cause ? null : h("span", { class: "muted" }, why.cause),
    well || !why.remedy ? null : h("span", { class: "do" }, `→ ${why.remedy}`));
}

function facts(device) {
  const w = words();
  const presence = state.presence || {};
  const rows = [[w.product, `${device.product_name} · ${device.product_id}`], [w.dialect, device.dialect],
    [w.owner, owner(device.device_id) || w.nobody], [w.firmware, device.fw_version],
    [w.address, [presence.transport, presence.peer].filter(Boolean).join(" · ")],
    [w.created, clock(compactDate(device.create_time), true)]];
  return h("dl", { class: "facts" }, ...rows.filter(([, value]) => value)
    .flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

function values() {
  const w = words();
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  const chips = state.shadow.flatMap((service) => [
    ...Object.entries(service.reported.properties).map(([key, value]) =>
      h("span", { class: "value", title: service.service_id }, key, h("b", null, text(value)))),
    ...Object.entries(service.desired.properties).map(([key, value]) =>
      h("span", { class: "value wanted", title: w.wanted }, `${key} →`, h("b", null, text(value))))]);
  return chips.length ? h("div", { class: "values" }, ...chips) : null;
}

function trace() {
  if (state.trace.length === 0) return h("p", { class: "empty" }, words().noTrace);
  return h("ul", { class: "trace" }, ...[...state.trace].reverse().map((entry) => h("li", null,
    h("time", { title: entry.at }, clock(entry.at)), h("span", { class: `hop ${entry.hop}`, title: entry.hop }, HOPS[entry.hop] || "•"),
    h("span", null, h("span", { class: "what" }, entry.what),
      entry.code === "ok" ? null : h("span", { class: "failed" }, entry.code),
      entry.text ? h("span", { class: "text" }, entry.text) : null))));
}

/** Who was refused and is still away: registered devices, then clients that are none of ours. */
function renderFailing() {
  const strangers = together(state.strangers);
  $("failing").hidden = state.failing.length + strangers.length === 0;
  $("failing-count").textContent = state.failingTotal + strangers.length;
  const known = state.failing.map((device) =>
    [device.device_id, device.device_name, [ago(device.refused_at)], device.reason, null]);
  const unknown = strangers.map(({ product, node, host, at, reason: why, times }) =>
    [null, [product, node].filter(Boolean).join(" · ") || words().unknown,
      [host, times > 1 ? `×${times}` : null, ago(at)], why, product || node ? words().stranger : null]);
  const data = [...known, ...unknown];
  show("failing-rows", [data, state.selected], () => data.map(([id, label, about, why, mark]) => {
    const choose = id ? { tabindex: "0", role: "button", on: { click: () => select(id),
      keydown: (event) => { if (event.key === "Enter") select(id); } } } : {};
    return h("article", { class: `refusal ${id ? "known" : ""} ${id && id === state.selected ? "on" : ""}`, ...choose },
      h("div", { class: "row" }, h("strong", null, label),
        h("span", { class: "sub" }, about.filter(Boolean).join(" · ")), h("span", { class: "grow" }),
        mark ? pill("idle", mark) : null),
      reason({ reason: why }));
  }));
}

/** Refusals of the same client for the same reason are one row, that of the newest. */
function together(strangers) {
  const rows = new Map();
  for (const one of strangers) {
    const host = (one.peer || "").replace(/:\d+$/, "");
    const key = JSON.stringify([one.product, one.node, host, one.reason.code]);
    const row = rows.get(key);
    if (row) row.times += 1;
    else rows.set(key, { ...one, host, times: 1 });
  }
  return [...rows.values()];
}

function renderAttempts() {
  $("attempt-count").textContent = state.attempts.length || "";
  $("no-attempts").hidden = state.attempts.length > 0;
  const data = state.attempts.map((attempt) => [attempt, name(attempt.user_id), ago(attempt.started_at)]);
  show("attempt-rows", data, () => data.map(([attempt, who, started]) => {
    const device = state.devices.find((one) => one.device_id === attempt.device_id);
    const label = device ? device.device_name : attempt.device_id || words().someone;
    const about = [who, attempt.method, started].filter(Boolean).join(" · ");
    return h("article", { class: "attempt" },
      h("div", { class: "row" }, h("strong", null, label), h("span", { class: "sub" }, about),
        h("span", { class: "grow" }), outcome(attempt)),
      stages(attempt), reason(attempt));
  }));
}

function stages(attempt) {
  const start = Date.parse(attempt.started_at);
  const furthest = Math.max(-1, ...attempt.stages.map((mark) => STAGES.indexOf(mark.stage)));
  return h("div", { class: "stages" }, ...STAGES.map((stage, n) => {
    const marks = attempt.stages.filter((mark) => mark.stage === stage);
    const stop = attempt.result === "failure" && n === furthest + 1;
    const next = attempt.result === "running" && n === furthest + 1;
    const kind = [marks.length ? "seen" : "", stop ? "stop" : "", next ? "next" : ""].join(" ");
    const hint = marks.map((mark) => [words()[mark.by], clock(mark.at), mark.detail].filter(Boolean).join(" · ")).join("\n");
    const at = marks.length ? seconds(Math.min(...marks.map((mark) => Date.parse(mark.at))) - start) : "";
    return h("div", { class: `cell ${kind}`, title: `${words().stages[stage]}\n${hint}`.trim() },
      h("div", { class: "track" }, ...marks.map((mark) => h("i", { class: `seg ${mark.by}` }))),
      h("span", { class: "label" }, words().stages[stage]), h("span", { class: "at" }, at));
  }));
}

function outcome(attempt) {
  const w = words();
  const [kind, label] = { success: ["good", w.success], failure: ["bad", w.failure] }[attempt.result] || ["warn", w.waiting];
  const took = attempt.ended_at ? ` · ${seconds(Date.parse(attempt.ended_at) - Date.parse(attempt.started_at))}` : "";
  return pill(kind, label + took);
}

function reason(attempt) {
  const { code, detail, remedy, meaning } = attempt.reason || {};
  if (!code) return null;
  return h("p", { class: "reason" }, h("code", null, code), detail ? h("span", { class: "sub" }, detail) : null,
    h("span", { class: "do" }, `→ ${remedy || meaning}`));
}

const pill = (kind, text) => h("span", { class: `pill ${kind}` }, text);
const statusKind = (status) => ({ ONLINE: "good", FROZEN: "bad", OFFLINE: "warn" })[status] || "idle";
const name = (user) => (user ? state.names.get(user) || user.slice(0, 8) : "");
const owner = (device) => name(state.owners.get(device));
const seconds = (ms) => (ms < 60000 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : `${Math.round(ms / 60000)} min`);
const compactDate = (text) => text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");

function clock(text, withDate) {
  const date = new Date(text);
  const two = (n) => String(n).padStart(2, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return withDate ? `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}` : time;
}

function ago(text, device) {
  if (device && device.status === "ONLINE") return words().now;
  if (!text) return words().never;
  const s = Math.max(0, Math.round((Date.now() - Date.parse(text)) / 1000));
  const [n, unit] = s < 60 ? [Math.floor(s / 5) * 5, 0] : s < 3600 ? [Math.floor(s / 60), 1]
    : s < 172800 ? [Math.floor(s / 3600), 2] : [Math.floor(s / 86400), 3];
  return n === 0 ? words().now : words().ago.replace("{}", `${n} ${words().units[unit]}`);
}

function select(id) {
  Object.assign(state, { selected: id, why: null, trace: [], shadow: [], presence: null });
  render();
  readSelected().then(render, () => {});
}

function theme(value) {
  if (value) document.documentElement.dataset.theme = value;
}

$("sign-in").addEventListener("submit", signIn);
$("sign-out").addEventListener("click", signOut);
$("search").addEventListener("input", (event) => { state.search = event.target.value; renderDevices(); });
$("language").addEventListener("click", () => {
  state.language = state.language === "zh" ? "en" : "zh";
  localStorage.setItem(LANGUAGE, state.language);
  page();
});
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  localStorage.setItem(THEME, dark ? "light" : "dark");
  theme(dark ? "light" : "dark");
});
theme(localStorage.getItem(THEME));
page();
look();
