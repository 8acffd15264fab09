"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const STEP = 60;
const byId = (id) => document.getElementById(id);
function number(value) {
  if (value === null || value === undefined) return "";
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4 ? value.toExponential(1) : value.toPrecision(2);
}
const shape = (sizes) => "(" + sizes.join(", ") + ")";

/* A table that can be searched and filtered; only so many rows are drawn as have been asked for. */
function table(name, rows, columns, filters, choose) {
  const section = byId(name);
  if (!rows.length) { section.hidden = true; return { show() {} }; }
  let shown = STEP, filter = filters[0], found = rows;
  const text = rows.map((row) => columns.map((column) => column.text(row)).join(" ").toLowerCase());
  const head = document.createElement("tr");
  for (const column of columns) {
    const cell = document.createElement("th");
    cell.textContent = column.head;
    if (column.number) cell.className = "number";
    head.append(cell);
  }
  byId(name + "-head").append(head);

  function draw() {
    const body = byId(name + "-body");
    body.replaceChildren(...found.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      line.dataset.index = rows.indexOf(row);
      for (const column of columns) {
        const cell = document.createElement("td");
        cell.textContent = column.text(row);
        cell.dataset.head = column.head;
        cell.className = [column.number ? "number" : "", column.tone ? "state " + column.tone(row) : ""].join(" ").trim();
        line.append(cell);
      }
      return line;
    }));
    byId(name + "-count").textContent = found.length === rows.length ? rows.length : found.length + " of " + rows.length;
    byId(name + "-more").hidden = found.length <= shown;
  }
  function search() {
    const words = byId(name + "-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    found = rows.filter((row, index) => filter.holds(row) && words.every((word) => text[index].includes(word)));
    shown = STEP;
    draw();
  }
  for (const entry of filters) {
    const count = rows.filter(entry.holds).length;
    if (!count) continue;
    const button = document.createElement("button");
    button.textContent = entry.name + " " + count;
    button.setAttribute("aria-pressed", String(entry === filter));
    button.addEventListener("click", () => {
      filter = entry;
      for (const other of byId(name + "-filters").children) other.setAttribute("aria-pressed", String(other === button));
      search();
    });
    byId(name + "-filters").append(button, " ");
  }
  byId(name + "-search").addEventListener("input", search);
  byId(name + "-more").addEventListener("click", () => { shown += STEP; draw(); });
  byId(name + "-body").addEventListener("click", (event) => {
    const line = event.target.closest("tr");
    if (line) { choose(rows[line.dataset.index]); byId("detail").scrollIntoView({ block: "nearest" }); }
  });
  draw();
}

const SVG = "http://www.w3.org/2000/svg";
function bars(counts, side) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 400 110");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", side + " histogram");
  const most = Math.max(...counts, 1), width = 400 / Math.max(counts.length, 1);
  counts.forEach((count, index) => {
    if (!count) return;
    const bar = document.createElementNS(SVG, "rect"), height = Math.max(1, (100 * count) / most);
    bar.setAttribute("x", index * width);
    bar.setAttribute("y", 108 - height);
    bar.setAttribute("width", Math.max(width - 1, 0.5));
    bar.setAttribute("height", height);
    bar.setAttribute("class", side);
    svg.append(bar);
  });
  return svg;
}
function paragraph(text, tag = "p") {
  const found = document.createElement(tag);
  found.textContent = text;
  return found;
}
function drawVariable(variable) {
  const pair = document.createElement("div");
  pair.className = "pair";
  pair.append(paragraph(variable.name + " " + shape(variable.shape) + " " + variable.dtype, "h3"));
  const histogram = variable.histogram;
  if (!histogram) { pair.append(paragraph("no numbers")); return pair; }
  const range = "from " + number(histogram.low) + " to " + number(histogram.high) + (histogram.sampled ? ", a part of it" : "");
  const left = document.createElement("div"), right = document.createElement("div");
  left.append(paragraph("PyTorch: " + (variable.sources.join(", ") || variable.kind + ", no source")));
  left.append(histogram.torch.length ? bars(histogram.torch, "torch") : paragraph(variable.reason));
  right.append(paragraph("Keras, " + range));
  right.append(histogram.keras.some(Boolean) ? bars(histogram.keras, "keras") : paragraph("not drawn: too large"));
  pair.append(left, right);
  return pair;
}
function chooseLayer(layer) {
  const own = data.variables.filter((variable) => variable.layer === layer || variable.layer.startsWith(layer + "/"));
  byId("detail-title").textContent = "Weights of " + (layer || "the model");
  byId("detail-body").replaceChildren(...(own.length ? own.map(drawVariable) : [paragraph("no weights")]));
}

const outcome = { equal: "good", differs: "bad" };
table("layers", data.layers.map((row, index) => ({ ...row, index })), [
  { head: "#", number: true, text: (row) => row.index + 1 },
  { head: "Keras", text: (row) => row.layer },
  { head: "PyTorch", text: (row) => row.module },
  { head: "kind", text: (row) => row.kind },
  { head: "relative", number: true, text: (row) => number(row.relative) },
  { head: "largest", number: true, text: (row) => number(row.largest) },
  { head: "cosine", number: true, text: (row) => (row.cosine === null ? "" : row.cosine.toFixed(7)) },
  { head: "tolerance", number: true, text: (row) => number(row.tolerance || null) },
  { head: "outcome", text: (row) => row.outcome + (row.alone === "differs" ? ", by itself too" : "") + (row.reason ? ": " + row.reason : "") +
      (row.outcome === "differs" && row.largest === null ? " " + shape(row.torch_shape) + " " + shape(row.keras_shape) : ""),
    tone: (row) => outcome[row.outcome] || "" },
], [
  { name: "all", holds: () => true },
  { name: "differs", holds: (row) => row.outcome === "differs" },
  { name: "by itself", holds: (row) => row.alone === "differs" },
  { name: "equal", holds: (row) => row.outcome === "equal" },
  { name: "not compared", holds: (row) => row.outcome === "not compared" },
], (row) => chooseLayer(row.layer));
byId("depth").hidden = !data.layers.length;

table("variables", data.variables, [
  { head: "Keras", text: (row) => row.name },
  { head: "shape", text: (row) => shape(row.shape) },
  { head: "dtype", text: (row) => row.dtype },
  { head: "made from", text: (row) => row.sources.join(", ") || row.kind + ": " + row.reason },
  { head: "layout", text: (row) => row.layout },
  { head: "rule", text: (row) => row.rule },
  { head: "shape cannot verify", text: (row) => row.blind },
], [
  { name: "all", holds: () => true },
  { name: "moved", holds: (row) => row.kind === "moved" },
  { name: "filled", holds: (row) => row.kind === "filled" },
  { name: "kept", holds: (row) => row.kind === "kept" },
  { name: "shape cannot verify", holds: (row) => row.blind !== "" },
], (row) => chooseLayer(row.layer));

document.querySelectorAll(".dot").forEach((dot) => {
  dot.addEventListener("click", () => { chooseLayer(data.layers[dot.dataset.row].layer); byId("detail").scrollIntoView(); });
});
const worst = data.layers.find((row) => row.outcome === "differs") || data.layers[0] || data.variables[0];
if (worst) chooseLayer(worst.layer);
