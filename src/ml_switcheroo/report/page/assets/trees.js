// Two trees of names, and where their rows stand beside each other.
class Node {
  constructor(label, parent, key) { this.label = label; this.parent = parent; this.key = key; this.children = new Map(); this.list = []; this.item = null; this.depth = 0; this.open = true; this.shown = true; this.count = 0; this.bytes = 0; this.worst = 9; this.order = Infinity; this.rank = Infinity; this.row = -1; this.at = -1; }
}

function grow(items, side) {
  const slashes = items.some(item => item.name.includes("/")), cut = slashes ? "/" : ".";
  const root = new Node("", null, side + ":");
  for (const item of items) {
    let node = root;
    const parts = item.name.split(cut);
    parts.forEach((part, at) => {
      // A tensor and a module may have one name; a tensor is never the parent of another.
      const key = at === parts.length - 1 ? "=" + part : part;
      let child = node.children.get(key);
      if (!child) node.children.set(key, child = new Node(part, node, node.key + cut + key));
      node = child;
    });
    node.item = item;
    item.node = node;
  }
  squeeze(root, cut);
  measure(root, -1);
  fold(root, items.length);
  return root;
}

// A module with one child is one row with it.
function squeeze(node, cut) {
  node.list = [...node.children.values()];
  for (const child of node.list) squeeze(child, cut);
  if (node.parent && node.list.length === 1) {
    const [child] = node.list;
    node.label += cut + child.label;
    node.item = child.item;
    if (child.item) child.item.node = node;
    node.list = child.list;
    for (const grandchild of node.list) grandchild.parent = node;
  }
}

function measure(node, depth) {
  node.depth = depth;
  if (node.item) {
    node.count = 1; node.bytes = bytesOf(node.item.spec); node.order = node.item.number; node.worst = SEVERITY.indexOf(node.item.status);
  }
  for (const child of node.list) {
    measure(child, depth + 1);
    node.count += child.count; node.bytes += child.bytes; node.order = Math.min(node.order, child.order); node.worst = Math.min(node.worst, child.worst);
  }
}

// Of many repeated layers only the first stays open, and those in which something is open.
function fold(node, size) {
  let first = true;
  for (const child of node.list) {
    if (/\d$/.test(child.label) && child.list.length) {
      child.open = size <= 60 || first || child.worst < SEVERITY.indexOf("moved");
      if (size > 3000) child.open = first && child.count < 200;
      first = false;
    }
    fold(child, size);
  }
}

const natural = new Intl.Collator("en", { numeric: true }).compare;
const COMPARE = {
  order: (a, b) => a.order - b.order,
  name: (a, b) => natural(a.label, b.label),
  size: (a, b) => b.bytes - a.bytes || a.order - b.order,
  status: (a, b) => a.worst - b.worst || a.order - b.order,
};
function sortTree(node, compare) {
  node.list.sort(compare);
  for (const child of node.list) sortTree(child, compare);
}

const trees = { left: grow(tensors, "left"), right: grow(leaves, "right") };

// The target follows the order of PyTorch, so that most lines are level; leaves that nothing fills stay where they are.
function sortBoth(by) {
  sortTree(trees.left, COMPARE[by]);
  let next = 0;
  (function number(node) { if (node.item) node.item.rank = next++; node.list.forEach(number); })(trees.left);
  (function follow(node) {
    node.rank = node.item ? Math.min(...(node.item.move ? node.item.move.sources.map(item => item.rank) : [Infinity])) : Infinity;
    for (const child of node.list) { follow(child); node.rank = Math.min(node.rank, child.rank); }
  })(trees.right);
  sortTree(trees.right, by === "status" ? (a, b) => a.worst - b.worst || a.rank - b.rank || a.order - b.order : (a, b) => (a.rank === b.rank ? 0 : a.rank - b.rank) || COMPARE[by](a, b));
}

// What the filter leaves of a tree; with a text, everything that it finds is open.
const search = { text: "", closed: new Set() };
const isOpen = node => search.text ? !search.closed.has(node.key) : node.open;
function setOpen(node, open) {
  if (!search.text) node.open = open;
  else if (open) search.closed.delete(node.key);
  else search.closed.add(node.key);
}

function visibleRows(root) {
  const rows = [];
  (function mark(node) {
    node.shown = node.item ? node.item.unit.shown : false;
    for (const child of node.list) if (mark(child)) node.shown = true;
    return node.shown;
  })(root);
  (function walk(node) {
    for (const child of node.list) {
      if (!child.shown) continue;
      rows.push(child);
      if (child.list.length && isOpen(child)) walk(child);
    }
  })(root);
  return rows;
}

// The row that stands for an item: its own, or that of the closed module it is in.
function standIn(item) {
  if (search.text && !search.closed.size) return item.node;
  let node = item.node, seen = node;
  for (; node.parent; node = node.parent) if (node.parent.parent && !isOpen(node.parent)) seen = node.parent;
  return seen;
}

// Rows of both trees in one list of pairs: partners share one, as far as both orders allow it.
function layOut() {
  const left = visibleRows(trees.left), right = visibleRows(trees.right);
  for (const rows of [left, right]) rows.forEach((node, at) => { node.at = at; });
  const links = [], known = new Map(), partner = new Array(left.length).fill(-1);
  const standIns = items => (items.length === 1 ? [standIn(items[0])] : new Set(items.map(standIn)));
  for (const move of moves) {
    if (!move.sources.length || !move.sources[0].unit.shown) continue;
    const tos = standIns(move.targets);
    for (const from of standIns(move.sources)) for (const to of tos) {
      if (partner[from.at] < 0 || to.at < partner[from.at]) partner[from.at] = to.at;
      // Only the rows of closed modules can share a line with other moves.
      const key = from.item && to.item ? -1 : from.at * right.length + to.at, link = key < 0 ? null : known.get(key);
      if (link) { link.moves.push(move); continue; }
      links.push({ from, to, moves: [move] });
      if (key >= 0) known.set(key, links[links.length - 1]);
    }
  }
  const pairs = [];
  let a = 0, b = 0;
  for (const [x, y] of [...rising(partner), [left.length, right.length]]) {
    const rows = Math.max(x - a, y - b);
    for (let at = 0; at < rows; at++) {
      // What has no partner stands next to what comes after it; at the end, to what came before.
      const l = (x < left.length ? x - rows : a) + at, r = (x < left.length ? y - rows : b) + at;
      pairs.push([l >= a && l < x ? left[l] : null, r >= b && r < y ? right[r] : null]);
    }
    if (x < left.length) pairs.push([left[x], right[y]]);
    a = x + 1; b = y + 1;
  }
  pairs.forEach(([one, other], row) => { if (one) one.row = row; if (other) other.row = row; });
  return { left, right, pairs, links };
}

// The longest series of partners in which both sides rise.
function rising(partner) {
  const ends = [], before = new Array(partner.length).fill(-1);
  partner.forEach((value, at) => {
    if (value < 0) return;
    let low = 0, high = ends.length;
    while (low < high) { const middle = (low + high) >> 1; if (partner[ends[middle]] < value) low = middle + 1; else high = middle; }
    before[at] = low ? ends[low - 1] : -1;
    ends[low] = at;
  });
  const found = [];
  for (let at = ends.length ? ends[ends.length - 1] : -1; at >= 0; at = before[at]) found.push([at, partner[at]]);
  return found.reverse();
}
