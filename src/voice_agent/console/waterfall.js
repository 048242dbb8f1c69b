// Where the time of each answer went: one bar per turn, its parts in order, with their figures.

import { element } from "./transcript.js";

const PARTS = [
  ["asr", "Recognition", "asr_ms"],
  ["llm", "Model", "llm_ms"],
  ["tts", "Voice", "tts_ms"],
  ["rest", "Remainder", "remainder_ms"],
];
const LEAST_SCALE_MS = 500; // so that a quick turn does not fill the bar

export class Waterfall {
  constructor(list, summary) {
    this.list = list;
    this.summary = summary;
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.turns = [];
    this.summary.textContent = "Each answer’s time appears here once it is spoken.";
  }

  add(metrics) {
    const item = element("li", "turn");
    item.dataset.turn = metrics.turn_id;
    const head = element("p", "turn-head");
    head.append(element("span", "turn-name", `Turn ${this.turns.length + 1}`), element("span", "turn-total", ms(metrics.turn_ms)));
    const bar = element("div", "bar");
    bar.setAttribute("aria-hidden", "true");
    const figures = element("dl", "figures");
    const pieces = PARTS.map(([part, label, field]) => {
      const piece = element("span", `piece ${part}`);
      if (metrics[field] > 0) bar.append(piece);
      const figure = element("div", part);
      figure.append(element("dt", "", label), element("dd", "", ms(metrics[field])));
      figures.append(figure);
      return [piece, metrics[field]];
    });
    item.append(head, bar, figures);
    this.list.prepend(item);
    this.turns.push({ total: metrics.turn_ms, pieces });
    this.draw();
  }

  // All bars share one scale, so that turns can be compared.
  draw() {
    const totals = this.turns.map((turn) => turn.total).sort((a, b) => a - b);
    const scale = Math.max(LEAST_SCALE_MS, totals.at(-1));
    for (const { pieces } of this.turns) {
      for (const [piece, value] of pieces) piece.style.width = `${(100 * value) / scale}%`;
    }
    const middle = totals.length >> 1;
    const median = totals.length % 2 ? totals[middle] : (totals[middle - 1] + totals[middle]) / 2;
    this.summary.textContent = `Median ${ms(median)}, slowest ${ms(totals.at(-1))}, over ${totals.length} ${totals.length === 1 ? "turn" : "turns"}.`;
  }
}

function ms(value) {
  return `${Math.round(value)} ms`;
}
