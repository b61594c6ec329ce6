const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// All text enters the page here, as text: names and logs may hold anything. Characters that are
// not seen, or that turn the direction of writing, are spelt out.
const unseen = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
const visible = (words) => words.replace(unseen, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  const known = children.filter((child) => child != null);
  node.append(...known.map((child) => (typeof child === "string" ? visible(child) : child)));
  return node;
}

const say = (words) => { $("#live").textContent = words; };

async function unpack(id) {
  const bytes = Uint8Array.from(atob($(id).textContent.trim()), (c) => c.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(plain).text());
}

function remembered(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}
function remember(key, value) {
  try { localStorage.setItem(key, value); } catch { /* private window: forget */ }
}

// Colours: as the system says, light, dark.
const themes = { "": ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };
function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  $("#theme").textContent = themes[name][0];
  $("#theme").setAttribute("aria-label", `Colours: ${themes[name][1]}`);
  remember("lra-theme", name);
}
setTheme(remembered("lra-theme") in themes ? remembered("lra-theme") : "");
$("#theme").addEventListener("click", () => {
  const names = Object.keys(themes);
  setTheme(names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % 3]);
});

// Tables: sort by a column, unfold long ones.
const valueOf = (cell) => {
  const given = cell.dataset.v;
  if (given === undefined) return cell.classList.contains("hole") ? null : cell.textContent.trim();
  return given !== "" && !Number.isNaN(Number(given)) ? Number(given) : given;
};
function order(a, b) {
  if (a === null || b === null) return (a === null) - (b === null) || 0;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}
function nextDirection(header, numeric) {
  const now = header.getAttribute("aria-sort");
  if (!now) return numeric ? "descending" : "ascending";
  return now === "ascending" ? "descending" : "ascending";
}
function markSorted(header, direction) {
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  say(`Sorted by ${header.textContent}, ${direction}`);
}
for (const table of $$("table.sortable")) {
  const body = table.tBodies[0];
  $$("thead th", table).forEach((header, column) => {
    const button = el("button", { type: "button" }, header.textContent);
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const rows = [...body.rows];
      const values = new Map(rows.map((row) => [row, valueOf(row.cells[column])]));
      const numeric = [...values.values()].some((value) => typeof value === "number");
      const direction = nextDirection(header, numeric);
      const sign = direction === "ascending" ? 1 : -1;
      rows.sort((a, b) => {
        const [x, y] = [values.get(a), values.get(b)];
        return x === null || y === null ? order(x, y) : sign * order(x, y);
      });
      body.append(...rows);
      markSorted(header, direction);
      fold(table);
    });
  });
  fold(table);
}
function fold(table) {
  const limit = Number(table.dataset.fold);
  const rows = [...table.tBodies[0].rows];
  rows.forEach((row, at) => { row.hidden = Boolean(limit) && at >= limit; });
  if (limit && !$(".more", table.parentNode)) {
    const button = el("button", { type: "button", class: "more" }, `Show all ${rows.length} rows`);
    button.addEventListener("click", () => {
      delete table.dataset.fold;
      fold(table);
      button.remove();
    });
    table.after(button);
  }
}

// Tips of plots.
const tip = $("#tip");
function showTip(rows, x, y) {
  const facts = rows.slice(1).filter(([, value]) => value);
  tip.replaceChildren(
    el("b", {}, rows[0][1]),
    el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
  );
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = Math.min(Math.max(6, x + 14), innerWidth - box.width - 6);
  const above = y - box.height - 14;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 6 ? above : Math.min(y + 18, innerHeight - box.height - 6)}px`;
}
const hideTip = () => { tip.hidden = true; };
for (const moved of ["wheel", "touchmove"]) addEventListener(moved, hideTip, { passive: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

// Plots, each drawn when it comes near the window.
const specs = await unpack("#specs");
const views = new Map();
const hiddenOf = (scope, key) =>
  $$(`[data-${key}][aria-pressed="false"]`, scope).map((chip) => chip.dataset[key]);

async function draw(host) {
  const scope = host.closest("[data-scope]");
  const width = () => Math.max(220, Math.floor(host.clientWidth));
  const pointed = (_, event, item, value) => {
    if (value && event.clientX !== undefined) showTip(value, event.clientX, event.clientY);
    else hideTip();
  };
  const settings = { mode: "vega", renderer: "svg", actions: false, defaultStyle: false, width: width(), tooltip: pointed };
  host.style.minHeight = `${host.clientHeight}px`;
  const { view } = await vegaEmbed(host, specs[host.dataset.chart], settings);
  host.style.minHeight = "";
  const picked = $("[data-pick-mixer]", host.closest("section"));
  view.signal("hidden", [...new Set(hiddenOf(scope, "hide"))]);
  view.signal("off", [...new Set(hiddenOf(scope, "off"))]);
  if (picked) view.signal("mixer", picked.value);
  view.run();
  new ResizeObserver(() => { if (view.width() !== width()) view.width(width()).run(); }).observe(host);
  views.set(host, view);
  host.addEventListener("pointerleave", hideTip);
  walkByKeys(host);
}

// With the plot focused, arrow keys go from marker to marker.
function walkByKeys(host) {
  host.tabIndex = 0;
  host.setAttribute("role", "application");
  host.setAttribute("aria-label", `${host.dataset.about} Arrow keys move between points.`);
  let at = -1;
  host.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const markers = $$(".mark-symbol.role-mark path", host).filter((node) => node.__data__?.tooltip);
    if (!markers.length) return;
    at = (at + step + markers.length) % markers.length;
    const box = markers[at].getBoundingClientRect();
    const rows = markers[at].__data__.tooltip;
    for (const marker of markers) marker.classList.toggle("pointed", marker === markers[at]);
    showTip(rows, box.right, box.top);
    say(rows.map(([name, value]) => `${name} ${value}`).join(", "));
  });
  host.addEventListener("blur", hideTip);
}
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    draw(target);
  }
}, { rootMargin: "400px" });
for (const host of $$("[data-chart]")) near.observe(host);

for (const key of ["hide", "off"]) {
  for (const chip of $$(`[data-${key}]`)) {
    chip.addEventListener("click", () => {
      const scope = chip.closest("[data-scope]");
      const pressed = chip.getAttribute("aria-pressed") === "true" ? "false" : "true";
      const all = $$(`[data-${key}]`, scope);
      for (const twin of all) {
        if (twin.dataset[key] === chip.dataset[key]) twin.setAttribute("aria-pressed", pressed);
      }
      // Hiding the last one shows all again: nobody wants an empty plot.
      if (all.every((twin) => twin.getAttribute("aria-pressed") === "false")) {
        for (const twin of all) twin.setAttribute("aria-pressed", "true");
      }
      const names = [...new Set(hiddenOf(scope, key))];
      for (const [host, view] of views) {
        if (scope.contains(host)) view.signal(key === "hide" ? "hidden" : "off", names).run();
      }
    });
  }
}
for (const select of $$("[data-pick-mixer]")) {
  select.addEventListener("change", () => {
    for (const [host, view] of views) {
      if (select.closest("section").contains(host)) view.signal("mixer", select.value).run();
    }
  });
}

// Every run.
const PAGE = 25;
const percent = (share) => (share == null ? null : 100 * share);
const fixed = (value, digits) => (value == null ? "—" : value.toFixed(digits));
const short = (value) => (value == null ? "—" : Number(value.toPrecision(3)).toLocaleString("en"));
const mebibytes = (bytes) => (bytes == null ? null : bytes / 2 ** 20);
const whole = (value) => Math.round(value).toLocaleString("en");
const inMebibytes = (bytes) => (bytes == null ? null : `${whole(mebibytes(bytes))} MiB`);
const clock = (seconds) => (seconds == null ? "—" : seconds < 90 ? `${seconds.toFixed(0)} s` : seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`);
const records = await unpack("#data");
const COLUMNS = [
  ["Task", (r) => r.identity.task, (v) => v],
  ["Mixer", (r) => r.identity.mixer, (v) => v],
  ["Encoding", (r) => r.identity.encoding, (v) => v],
  ["Seed", (r) => r.identity.seed, (v) => String(v)],
  ["Protocol", (r) => r.identity.protocol, (v) => v],
  ["Data", (r) => (r.data ? r.data.dataset + (r.data.synthetic ? " (SYNTHETIC)" : "") : null), (v) => v ?? "—"],
  ["Status", (r) => (r.kind === "profile" ? "profile" : r.status.replaceAll("_", " ")), (v) => v],
  ["Test, %", (r) => percent(r.accuracy?.test), (v) => fixed(v, 2)],
  ["Train ex/s", (r) => r.throughput?.train_examples_per_second ?? null, short],
  ["Peak, MiB", (r) => mebibytes(r.memory?.peak_bytes), (v) => (v == null ? "—" : whole(v))],
  ["Time", (r) => r.time?.total ?? null, clock],
];
const FILTERS = ["Task", "Mixer", "Encoding", "Protocol", "Status"];
const getter = Object.fromEntries(COLUMNS.map(([name, get]) => [name, get]));
const state = { search: "", picks: {}, sort: null, page: 0, open: null };

const form = $("#filters");
const search = el("input", { type: "search", size: "18", autocomplete: "off" });
form.append(el("label", {}, "Search", search));
const selects = {};
for (const name of FILTERS) {
  const values = [...new Set(records.map(getter[name]))].sort(order);
  selects[name] = el("select", {}, el("option", { value: "" }, "all"),
    ...values.map((value) => el("option", { value }, value.length > 60 ? `${value.slice(0, 60)}…` : value)));
  form.append(el("label", {}, name, selects[name]));
  selects[name].addEventListener("change", () => { state.picks[name] = selects[name].value; state.page = 0; list(); });
}
const clear = el("button", { type: "button" }, "Clear");
form.append(clear);
clear.addEventListener("click", () => { pick({}); list(); });
form.addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", () => { state.search = search.value.toLowerCase(); state.page = 0; list(); });

function pick(values) {
  state.search = search.value = "";
  state.page = 0;
  state.open = null;
  for (const name of FILTERS) {
    selects[name].value = values[name] ?? "";
    state.picks[name] = selects[name].value;
  }
}

const haystacks = new Map();
function matches(record) {
  for (const name of FILTERS) {
    if (state.picks[name] && getter[name](record) !== state.picks[name]) return false;
  }
  if (!state.search) return true;
  if (!haystacks.has(record)) {
    const words = [...COLUMNS.map(([, get]) => get(record)), record.reason, record.identity.hash];
    haystacks.set(record, words.join(" ").toLowerCase());
  }
  return state.search.split(/\s+/).every((word) => haystacks.get(record).includes(word));
}

const table = $("#records");
const headRow = el("tr");
table.append(el("thead", {}, headRow), el("tbody"));
COLUMNS.forEach(([name, get]) => {
  const button = el("button", { type: "button" }, name);
  const header = el("th", { scope: "col" }, button);
  headRow.append(header);
  button.addEventListener("click", () => {
    const direction = nextDirection(header, records.some((r) => typeof get(r) === "number"));
    state.sort = { get, sign: direction === "ascending" ? 1 : -1 };
    state.page = 0;
    markSorted(header, direction);
    list();
  });
});

function list() {
  const found = records.filter(matches);
  if (state.sort) {
    const { get, sign } = state.sort;
    found.sort((a, b) => {
      const [x, y] = [get(a), get(b)];
      return x == null || y == null ? order(x ?? null, y ?? null) : sign * order(x, y);
    });
  }
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  state.page = Math.min(state.page, pages - 1);
  const shown = found.slice(state.page * PAGE, (state.page + 1) * PAGE);
  table.tBodies[0].replaceChildren(...shown.flatMap(rowsOf));
  $("#count").textContent = `${found.length.toLocaleString("en")} of ${records.length.toLocaleString("en")} records`;
  $("#place").textContent = `page ${state.page + 1} of ${pages}`;
  $("#earlier").disabled = state.page === 0;
  $("#later").disabled = state.page >= pages - 1;
}
$("#earlier").addEventListener("click", () => { state.page -= 1; list(); });
$("#later").addEventListener("click", () => { state.page += 1; list(); });

const idOf = (record) => `run-${record.identity.hash.replace(/[^\w-]/g, "")}`;
function rowsOf(record) {
  const open = state.open === record;
  const cells = COLUMNS.map(([name, get, show], at) => {
    const value = get(record);
    const shown = show(value);
    const words = String(shown).length > 48 ? `${String(shown).slice(0, 48)}…` : String(shown);
    if (at > 0) {
      const bad = name === "Status" && !["done", "profile"].includes(value);
      return el("td", { class: name === "Status" ? (bad ? "status-bad" : "status-done") : null }, el("bdi", {}, words));
    }
    const button = el("button", { type: "button", "aria-expanded": String(open), "aria-controls": open ? idOf(record) : null }, el("bdi", {}, words));
    button.addEventListener("click", () => {
      state.open = open ? null : record;
      list();
      $(`[data-record="${CSS.escape(idOf(record))}"] button`)?.focus();
    });
    return el("th", { scope: "row" }, button);
  });
  const row = el("tr", { "data-record": idOf(record) }, ...cells);
  if (!open) return [row];
  return [row, el("tr", { class: "detail", id: idOf(record) }, el("td", { colspan: COLUMNS.length }, detail(record)))];
}

function block(title, facts) {
  const known = Object.entries(facts).filter(([, value]) => value != null && value !== "");
  if (!known.length) return null;
  const plain = (value) => {
    if (typeof value === "number") return String(Number(value.toPrecision(6)));
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  return el("section", {}, el("h3", {}, title),
    el("dl", {}, ...known.flatMap(([name, value]) => [el("dt", {}, el("bdi", {}, name.replaceAll("_", " "))), el("dd", {}, el("bdi", {}, plain(value)))])));
}
function detail(record) {
  const { identity, data, accuracy, parameters, throughput, memory, time, environment } = record;
  const { config, ...who } = identity;
  const blocks = [
    block("Cell", { ...who, created: record.created, status: record.status, reason: record.reason }),
    block("Configuration", config ?? {}),
    data && block("Data", data),
    accuracy && block("Accuracy", { test: `${fixed(percent(accuracy.test), 2)} % (${accuracy.test_correct} / ${accuracy.test_total})`, best_validation: `${fixed(percent(accuracy.best_validation), 2)} % at step ${accuracy.best_step}`, selected_on: accuracy.selected_on }),
    throughput && block("Throughput", throughput),
    memory && block("Memory", { peak: inMebibytes(memory.peak_bytes), whole_run: inMebibytes(memory.run_peak_bytes), method: memory.method }),
    parameters && block("Parameters", parameters),
    time && block("Seconds", time),
    environment && block("Environment", environment),
    record.notes?.length ? block("Notes", Object.fromEntries(record.notes.map((note, at) => [at + 1, note]))) : null,
    record.curve?.length > 1 ? spark(record.curve) : null,
  ];
  const log = record.log
    ? el("section", {}, el("h3", {}, "End of the log"), el("pre", { tabindex: "0", dir: "ltr", "aria-label": "End of the log" }, record.log))
    : null;
  return el("div", {}, el("div", { class: "facts" }, ...blocks), log);
}
function spark(curve) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const [steps, values] = [curve.map((p) => p[0]), curve.map((p) => p[1])];
  const [low, high, last] = [Math.min(...values), Math.max(...values), Math.max(...steps)];
  const points = curve.map(([step, value]) => `${(100 * step) / last},${high > low ? 38 - (36 * (value - low)) / (high - low) : 20}`);
  path.setAttribute("d", `M${points.join("L")}`);
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spark");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Validation accuracy from ${fixed(100 * values[0], 1)} % to ${fixed(100 * values.at(-1), 1)} % over ${last} steps`);
  svg.append(path);
  return el("section", {}, el("h3", {}, `Validation accuracy, ${fixed(100 * low, 1)}–${fixed(100 * high, 1)} %`), svg);
}

function openFromAddress() {
  const wanted = location.hash.slice(1);
  const record = wanted.startsWith("run-") && records.find((r) => idOf(r) === wanted);
  if (!record) return;
  pick({});
  state.open = record;
  state.page = Math.floor(records.indexOf(record) / PAGE);
  list();
  document.getElementById(wanted)?.scrollIntoView();
}
addEventListener("hashchange", openFromAddress);
for (const link of $$("a[data-runs]")) {
  link.addEventListener("click", () => { pick(JSON.parse(link.dataset.runs)); list(); });
}
list();
openFromAddress();

// The section in view, in the bar.
const links = $$(".bar nav a");
const spy = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    for (const link of links) {
      if (link.hash !== `#${entry.target.id}`) continue;
      if (entry.isIntersecting) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}, { rootMargin: "-20% 0px -80% 0px" });
for (const link of links) {
  const section = document.getElementById(link.hash.slice(1));
  if (section) spy.observe(section);
}

// While a study runs: load again, and stay where the reader was.
const every = Number(document.body.dataset.refresh);
if (every) {
  const pause = $("#pause");
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  const set = (on) => {
    pause.setAttribute("aria-pressed", String(on));
    sessionStorage.setItem("lra-paused", on ? "1" : "");
  };
  set(sessionStorage.getItem("lra-paused") === "1");
  pause.addEventListener("click", () => set(!paused()));
  setInterval(() => { if (!paused() && !document.hidden && !state.open) location.reload(); }, 1000 * every);
}
document.body.dataset.ready = "true";
