"use strict";
// The theme first, before anything is painted; the rest once the page and plotly are there.
const root = document.documentElement;
const kept = {
  get() { try { return localStorage.getItem("sway-theme"); } catch { return null; } },
  set(theme) { try { localStorage.setItem("sway-theme", theme); } catch { /* a page that may keep nothing */ } },
};
const preferred = matchMedia("(prefers-color-scheme: dark)");
const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : preferred.matches);
if (["dark", "light"].includes(kept.get())) root.dataset.theme = kept.get();

document.addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  themes(figures(data.figures));
  const table = document.getElementById("probe-table");
  if (table) {
    sortable(table, () => [...table.tBodies], table);
    rows(table, data.probes);
    filter(table);
  }
});

/** An element with its text or children; texts are never read as HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Figures: drawn when they come into sight, and again where the theme changes.

function figures(all) {
  const drawn = new Set();
  const ink = document.body.appendChild(make("span", { hidden: "" }));
  const colour = (name) => {
    ink.style.color = name;
    return getComputedStyle(ink).color;
  };
  const coloured = (value, key) => {
    if (Array.isArray(value)) return value.map((item) => coloured(item, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, name)]));
    }
    return /color$/i.test(key) && String(value).startsWith("var(") ? colour(value) : value;
  };
  const axis = {
    gridcolor: "var(--line)", zerolinecolor: "var(--muted)", linecolor: "var(--line)", fixedrange: true, title: { font: { size: 13 } },
  };
  const frame = {
    template: { layout: { xaxis: axis, yaxis: axis } },
    margin: { l: 48, r: 24, t: 16, b: 44 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: "var(--text)", family: getComputedStyle(document.body).fontFamily, size: 13 },
    hoverlabel: { bgcolor: "var(--panel)", bordercolor: "var(--line)", font: { color: "var(--text)" }, align: "left" },
    showlegend: false,
    dragmode: false,
    hovermode: "closest",
  };
  const draw = (element) => {
    const { traces, layout } = all[element.id];
    Plotly.react(element, coloured(traces, ""), coloured({ ...frame, ...layout }, ""), { displayModeBar: false, responsive: true });
    drawn.add(element);
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "400px" });
  const plots = [...document.querySelectorAll(".plot")];
  plots.forEach((element) => seen.observe(element));
  return { again: () => drawn.forEach(draw), all: () => plots.forEach(draw) };
}

function themes(plots) {
  const button = document.getElementById("theme");
  const show = () => {
    button.setAttribute("aria-pressed", String(dark()));
    plots.again();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    kept.set(root.dataset.theme);
    show();
  });
  preferred.addEventListener("change", show);
  button.setAttribute("aria-pressed", String(dark()));
  addEventListener("beforeprint", () => {
    root.classList.add("paper"); // light, whatever the screen shows, and with every figure
    plots.all();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("paper");
    plots.again();
  });
}

// Tables: a heading's button sorts up, down, and back to the order that was written.

function sortable(table, units, parent) {
  const written = units();
  for (const th of table.tHead.rows[0].cells) {
    if (!th.hasAttribute("data-sortable")) continue;
    const button = make("button", { type: "button" }, ...th.childNodes);
    th.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[th.getAttribute("aria-sort")];
      const direction = next === undefined ? "ascending" : next;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      if (direction) th.setAttribute("aria-sort", direction);
      parent.append(...(direction ? ordered(written, th.cellIndex, direction) : written));
    });
  }
}

/** By a column's keys: numbers before words, what is missing last in both directions. */
function ordered(units, column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const keyed = units.map((unit) => {
    const cell = (unit.rows ? unit.rows[0] : unit).cells[column];
    const text = cell ? (cell.dataset.key ?? cell.textContent.replaceAll(",", "")) : "";
    const number = text.trim() === "" ? NaN : Number(text);
    return { unit, text, number, missing: text.trim() === "" || text === "—" };
  });
  keyed.sort((a, b) => {
    if (a.missing || b.missing) return Number(a.missing) - Number(b.missing);
    const words = Number(Number.isNaN(a.number)) - Number(Number.isNaN(b.number));
    if (words) return words;
    return sign * (Number.isNaN(a.number) ? a.text.localeCompare(b.text) : a.number - b.number);
  });
  return keyed.map(({ unit }) => unit);
}

// Probes: a row opens; what it shows is made when it is opened first.

function rows(table, probes) {
  table.addEventListener("click", (event) => {
    const button = event.target.closest(".opener");
    if (!button) return;
    const details = document.getElementById(button.getAttribute("aria-controls"));
    details.hidden = !details.hidden;
    button.setAttribute("aria-expanded", String(!details.hidden));
    const place = details.querySelector("[data-probe]");
    if (!place.hasChildNodes()) place.append(...contents(probes[place.dataset.probe]));
  });
}

function* contents(probe) {
  if (probe.items.length) {
    yield make("h4", {}, `Items (${probe.items.length})`);
    yield items(probe);
  }
  for (const [name, part] of [["Evidence", probe.evidence], ["Its null adapters", probe.null]]) {
    if (!Object.keys(part).length) continue;
    yield make("h4", {}, name);
    yield tree(part, name);
  }
}

function items({ items: names, values, texts }) {
  const largest = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  const lines = names.map((name, i) => {
    const bar = make("span", { "aria-hidden": "true" });
    bar.style.width = `${largest ? (100 * Math.abs(values[i] ?? 0)) / largest : 0}%`;
    if (values[i] < 0) bar.classList.add("below");
    const number = make("td", { class: "num", "data-key": values[i] ?? "" }, texts[i]);
    return make("tr", {}, make("th", { scope: "row", "data-key": name }, name), number, make("td", { class: "bars" }, bar));
  });
  return grid("Items", [["Item", true], ["Value", true], ["", false]], lines);
}

function grid(name, columns, lines) {
  const heads = columns.map(([text, sorts]) =>
    text ? make("th", { scope: "col", ...(sorts ? { "data-sortable": "" } : {}) }, text) : make("td", { class: "bars" }));
  const body = make("tbody", {}, ...lines);
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body);
  sortable(table, () => [...body.rows], body);
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": name }, table);
}

/** Data as a reader takes it: names with values, rows of a table, lists; the long ones folded. */
function tree(value, name) {
  if (typeof value === "string") return document.createTextNode(value);
  if (!Array.isArray(value)) {
    const pairs = Object.entries(value).map(([key, item]) =>
      make("div", {}, make("dt", {}, key.replaceAll("_", " ")), make("dd", {}, tree(item, key))));
    return pairs.length ? make("dl", { class: "tree" }, ...pairs) : document.createTextNode("none");
  }
  if (!value.length) return document.createTextNode("none");
  if (value.every((item) => typeof item === "string" && item.length < 24) && value.length <= 12) {
    return document.createTextNode(value.join(", "));
  }
  const plain = value.every((item) => item && typeof item === "object" && !Array.isArray(item));
  const inner = () => (plain ? records(value, name) : make("ol", {}, ...value.map((item) => make("li", {}, tree(item, name)))));
  const folded = make("details", {}, make("summary", {}, `${value.length} ${value.length === 1 ? "entry" : "entries"}`));
  folded.addEventListener("toggle", () => folded.children.length > 1 || folded.append(inner()));
  return folded;
}

function records(list, name) {
  const columns = [...new Set(list.flatMap((record) => Object.keys(record)))];
  const lines = list.map((record) => make("tr", {}, ...columns.map((column) =>
    make("td", {}, column in record ? tree(record[column], column) : ""))));
  return grid(name.replaceAll("_", " "), columns.map((column) => [column.replaceAll("_", " "), true]), lines);
}

function filter(table) {
  const form = document.getElementById("filter");
  const apply = () => {
    const wanted = new Set([...form.querySelectorAll("[name=verdict]:checked")].map((box) => box.value));
    const words = document.getElementById("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const body of table.tBodies) {
      const fits = wanted.has(body.dataset.verdict) && words.every((word) => body.dataset.words.includes(word));
      body.hidden = !fits;
      shown += fits;
    }
    document.getElementById("count").textContent = `${shown} of ${table.tBodies.length} probes`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
}
