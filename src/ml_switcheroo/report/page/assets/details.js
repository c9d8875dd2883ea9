// All that is known of one tensor or leaf.
const panel = byId("details");
let shownItem = null, cameFrom = null;

const number = value => value === null ? "?" : Math.abs(value) >= 1e5 || value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(2) : String(+value.toPrecision(4));

function histogram(values, after) {
  const svg = document.createElementNS(SVG, "svg"), most = Math.max(1, ...values.counts), bins = values.counts.length;
  svg.setAttribute("viewBox", `0 0 ${bins * 4} 40`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", after ? "histogram after" : "histogram");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `histogram from ${number(values.low)} to ${number(values.high)}`);
  values.counts.forEach((count, at) => {
    const bar = document.createElementNS(SVG, "rect"), tall = count ? Math.max(1, 40 * count / most) : 0;
    for (const [key, value] of Object.entries({ x: at * 4, y: 40 - tall, width: 3.4, height: tall })) bar.setAttribute(key, value);
    svg.append(bar);
  });
  return svg;
}

function valuesOf(item, after) {
  const values = item.values;
  if (!values) return null;
  const bad = [values.nans && values.nans.toLocaleString("en") + " NaN", values.infinite && values.infinite.toLocaleString("en") + " infinite"].filter(Boolean);
  return make("div", {}, make("div", { class: "small" }, (after ? "after: " : "before: ") + item.name), histogram(values, after),
    make("div", { class: "small" }, `${number(values.low)} \u2026 ${number(values.high)}, mean ${number(values.mean)}, deviation ${number(values.deviation)}; bars of ${values.taken.toLocaleString("en")} of ${values.size.toLocaleString("en")}`),
    bad.length ? make("div", { class: "warn" }, bad.join(", ")) : null);
}

function parts(item) {
  const found = [], move = item.move;
  if (!move) {
    found.push(make("p", { class: item.status }, make("b", {}, item.status), ": " + STATUSES[item.status]), make("p", {}, make("code", {}, item.name), " ", make("code", { class: "small" }, item.spec)), make("h3", {}, "why"), make("p", {}, item.why));
    if (item.question) found.push(make("p", {}, make("button", { type: "button", class: "primary", onclick: () => goToQuestion(item.question) }, "settle it")));
    const values = valuesOf(item, false);
    if (values) found.push(make("h3", {}, "values"), values);
    return found;
  }
  const names = (title, items) => [make("h3", {}, title), make("div", { class: "pairing" }, ...items.map(one => make("div", {}, make("code", {}, one.name), " ", make("code", { class: "small" }, one.spec))))];
  found.push(...names("PyTorch", move.sources), make("h3", {}, "move"), make("pre", { id: "equation" }, move.what), ...names(facts.target, move.targets));
  found.push(make("h3", {}, "kind and why"), make("p", {}, make("b", {}, move.kind), ` \u00b7 ${move.origin}: ${move.reason}`));
  if (move.where) found.push(make("p", { class: "small" }, move.where), move.line ? make("pre", { id: "evidence" }, move.line) : "");
  if (move.origin === "graph") found.push(make("p", { class: "small" }, "decided by what both programs compute"));
  for (const note of move.notes) found.push(make("p", {}, "note: " + note));
  const values = [...move.sources.map(one => valuesOf(one, false)), ...move.targets.map(one => valuesOf(one, true))].filter(Boolean);
  if (values.length) found.push(make("h3", {}, "values"), ...values);
  return found;
}

function showDetails(item, focus = false) {
  if (!item) return;
  cameFrom = document.activeElement;
  shownItem = item;
  const close = make("button", { type: "button", onclick: hideDetails }, "close");
  panel.replaceChildren(make("div", { class: "bar" }, make("h2", {}, item.node.label), close), ...parts(item).filter(Boolean));
  const first = panel.hidden;
  panel.hidden = false;
  panel.scrollTop = 0;
  if (first) draw();
  if (focus) close.focus();
}

function hideDetails() {
  if (panel.hidden) return false;
  panel.hidden = true;
  shownItem = null;
  if (cameFrom && cameFrom.isConnected) cameFrom.focus();
  draw();
  return true;
}
