// The rows that are in view, and the lines between them; the rest is height.
const scroller = byId("scroller"), room = byId("room"), sides = { left: byId("left"), right: byId("right") };
const SVG = "http://www.w3.org/2000/svg";
let layout = { left: [], right: [], pairs: [], links: [] }, current = null, currentLinks = new Set(), hot = new Set();
const height = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
let rowHeight = height();

function rowOf(node, side) {
  const inner = node.list.length > 0, item = node.item;
  const row = make("div", { class: "row", role: "treeitem", id: "row-" + side + node.row, "aria-level": node.depth + 1, "aria-selected": node === current ? "true" : "false", "aria-setsize": node.parent.list.length, "aria-posinset": node.parent.list.indexOf(node) + 1 });
  if (inner) row.setAttribute("aria-expanded", isOpen(node) ? "true" : "false");
  row.style.top = node.row * rowHeight + "px";
  row.style.paddingLeft = Math.min(node.depth, 12) * (innerWidth < 640 ? 7 : 14) + 2 + "px";
  row.classList.toggle("at", node === current);
  row.classList.toggle("hot", hot.has(node));
  row.append(make("span", { class: "twist", "aria-hidden": "true" }, inner ? (isOpen(node) ? "\u25be" : "\u25b8") : ""));
  const status = SEVERITY[Math.min(node.worst, SEVERITY.length - 1)];
  if (item || status !== "moved") row.append(make("span", { class: "dot " + status, title: status }));
  const full = item ? item.name + " " + item.spec + "\n" + status + (item.why ? ": " + item.why : "") : node.label;
  row.append(make("span", { class: "name", title: full }, inner ? make("b", {}, node.label) : node.label));
  if (item && item.status !== "moved") row.append(make("span", { class: "unseen" }, " " + item.status));
  row.append(make("span", { class: "spec" }, item ? item.spec : isOpen(node) ? "" : node.count.toLocaleString("en") + " \u00b7 " + sized(node.bytes)));
  row.addEventListener("click", () => { choose(node, side); if (inner && !item) toggle(node); else showDetails(item); });
  return row;
}

function draw() {
  const top = scroller.scrollTop, first = Math.max(0, Math.floor(top / rowHeight) - 8), last = Math.min(layout.pairs.length, Math.ceil((top + scroller.clientHeight) / rowHeight) + 8);
  const left = [], right = [];
  for (let at = first; at < last; at++) {
    const [one, other] = layout.pairs[at];
    if (one) left.push(rowOf(one, "left"));
    if (other) right.push(rowOf(other, "right"));
  }
  sides.left.replaceChildren(...left);
  sides.right.replaceChildren(...right);
  drawLinks(first, last);
  for (const side of ["left", "right"]) {
    const here = current && current.side === side && current.row >= first && current.row < last;
    if (here) sides[side].setAttribute("aria-activedescendant", "row-" + side + current.row);
    else sides[side].removeAttribute("aria-activedescendant");
  }
}

function drawLinks(first, last) {
  const width = byId("links").clientWidth, paths = [];
  const seen = row => row >= first && row < last;
  for (const link of layout.links) {
    const { from, to } = link;
    if (!seen(from.row) && !seen(to.row)) continue;
    const a = (from.row + .5) * rowHeight, b = (to.row + .5) * rowHeight, path = document.createElementNS(SVG, "path");
    path.setAttribute("d", `M0 ${a}C${width / 2} ${a},${width / 2} ${b},${width} ${b}`);
    const isHot = hot.size && hot.has(from) && hot.has(to);
    path.setAttribute("class", (isHot ? "hot " : "") + (link.moves.some(move => move.origin === "graph") ? "graph" : ""));
    if (isHot) paths.push(path); else paths.unshift(path);
  }
  byId("links").replaceChildren(...paths);
}

let waiting = false;
scroller.addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
});

function arrange() {
  layout = layOut();
  for (const node of layout.left) node.side = "left";
  for (const node of layout.right) node.side = "right";
  const all = layout.pairs.length * rowHeight + "px";
  room.style.height = sides.left.style.height = sides.right.style.height = all;
  if (current && (layout.pairs[current.row] || []).indexOf(current) < 0) current = null;
  warm();
  draw();
}

// What belongs to the current row is highlighted on both sides.
function warm() {
  hot = new Set();
  if (!current) return;
  for (const { from, to } of layout.links) if (from === current || to === current) hot.add(from).add(to);
}

function choose(node, side) {
  current = node;
  warm();
  const top = node.row * rowHeight;
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (top + rowHeight > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + rowHeight - scroller.clientHeight;
  draw();
}

function toggle(node, open = !isOpen(node)) { setOpen(node, open); arrange(); }

function openAll(open) {
  search.closed.clear();
  for (const tree of Object.values(trees))
    (function walk(node) { for (const child of node.list) { if (child.list.length) setOpen(child, open); walk(child); } })(tree);
  arrange();
}

const filterForm = byId("filter"), filterText = filterForm.querySelector("input[type=search]");
function applyFilter() {
  const text = filterText.value.trim().toLowerCase(), words = text.split(/\s+/).filter(Boolean);
  const wanted = new Set([...byId("statuses").querySelectorAll("input:checked")].map(box => box.value));
  if (text !== search.text) search.closed.clear();
  search.text = text;
  let shown = 0;
  for (const unit of units) {
    unit.shown = wanted.has(unit.status) && words.every(one => unit.text.includes(one));
    if (unit.shown) shown += unit.items.length;
  }
  scroller.scrollTop = 0;
  arrange();
  filterForm.querySelector("output").value = shown === tensors.length + leaves.length ? "" : shown ? shown.toLocaleString("en") + " of " + (tensors.length + leaves.length).toLocaleString("en") : "nothing has all these words";
}

function treeKeys(event, side) {
  const rows = layout[side];
  if (!rows.length || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = current && current.side === side ? rows.indexOf(current) : -1;
  const node = rows[at], page = Math.max(1, Math.floor(scroller.clientHeight / rowHeight) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length };
  if (event.key in steps) choose(rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + steps[event.key]))], side);
  else if (!node) return;
  else if (event.key === "ArrowRight") { if (node.list.length && !isOpen(node)) toggle(node, true); else if (node.list.length) choose(rows[at + 1], side); }
  else if (event.key === "ArrowLeft") { if (node.list.length && isOpen(node)) toggle(node, false); else if (node.parent.parent) choose(node.parent, side); }
  else if (event.key === "Enter" || event.key === " ") { if (node.item) showDetails(node.item, true); else toggle(node); }
  else return;
  event.preventDefault();
}
for (const side of ["left", "right"]) {
  sides[side].addEventListener("keydown", event => treeKeys(event, side));
  sides[side].addEventListener("focus", () => {
    if (current && current.side === side || !layout[side].length) return;
    const beside = [...hot].find(node => node.side === side && node !== current);
    const inView = layout[side].find(node => node.row * rowHeight >= scroller.scrollTop);
    if (current || !sides[side].matches(":hover")) choose(beside || inView || layout[side][0], side);
  });
}
