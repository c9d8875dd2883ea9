// Lines between the steps of both programs, measured when they are in view.
const programs = byId("programs");
function drawPrograms() {
  if (!programs || !programs.getClientRects().length) return;
  const at = programs.getBoundingClientRect(), paths = [];
  const box = step => { const one = step.getBoundingClientRect(); return { left: one.left - at.left, right: one.right - at.left, top: one.top - at.top, bottom: one.bottom - at.top }; };
  const boxes = new Map([...programs.querySelectorAll("[id]")].map(step => [step.id, box(step)]));
  const path = (d, name) => { const one = document.createElementNS(SVG, "path"); one.setAttribute("d", d); if (name) one.setAttribute("class", name); paths.push(one); };
  for (const step of programs.querySelectorAll("[data-takes]")) {
    const end = boxes.get(step.id), left = step.id[0] === "a";
    for (const id of step.dataset.takes.split(" ").filter(Boolean)) {
      const begin = boxes.get(id), x = left ? end.left : end.right, bend = Math.min(28, 8 + (end.top - begin.bottom) / 40), out = x + (left ? -bend : bend);
      if (+step.id.slice(1) - id.slice(1) === 1) path(`M${(end.left + end.right) / 2} ${begin.bottom}V${end.top}`);
      else path(`M${x} ${begin.bottom - 6}C${out} ${begin.bottom},${out} ${end.top},${x} ${end.top + 6}`);
    }
    if (step.dataset.pair) { const other = boxes.get(step.dataset.pair); path(`M${end.right} ${(end.top + end.bottom) / 2}L${other.left} ${(other.top + other.bottom) / 2}`, "pair"); }
  }
  programs.querySelector("svg").replaceChildren(...paths);
}
