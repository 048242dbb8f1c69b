// How loud it is: two level meters, and the tape, a strip of the last seconds with the caller above the line and the agent
// below it. The tape is decoration for the eye: it says nothing that the meters and the transcript do not say.

const FLOOR_DB = -60;
const ARIA_INTERVAL_MS = 1000;
const COLUMN_PX = 3;
const COLUMN_MS = 50;

// A level in [0, 1] for an RMS amplitude.
export function levelOf(rms) {
  const db = 20 * Math.log10(Math.max(rms, 1e-6));
  return Math.max(0, Math.min(1, 1 - db / FLOOR_DB));
}

export class Meter {
  constructor(box) {
    this.box = box;
    this.fill = box.querySelector(".fill");
    this.level = 0;
    this.saidAt = 0;
  }

  // Rises at once and falls slowly, as meters do.
  set(level, nowMs = performance.now()) {
    this.level = Math.max(level, this.level * 0.85);
    this.fill.style.transform = `scaleX(${this.level.toFixed(3)})`;
    if (nowMs - this.saidAt > ARIA_INTERVAL_MS || level === 0) {
      this.saidAt = nowMs;
      this.box.setAttribute("aria-valuenow", String(Math.round(this.level * 100)));
    }
  }

  reset() {
    this.level = 0;
    this.set(0);
  }
}

export class Tape {
  constructor(canvas) {
    this.canvas = canvas;
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.columns = [];
    this.input = 0;
    this.output = 0;
    this.mark = "";
  }

  start() {
    this.columns = [];
    this.timer ??= setInterval(() => this.step(), COLUMN_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  hearInput(level) {
    this.input = Math.max(this.input, level);
  }

  hearOutput(level) {
    this.output = Math.max(this.output, level);
  }

  // Draws a line at this moment: "stop" for an interruption.
  note(kind) {
    this.mark = kind;
  }

  step() {
    if (this.still.matches) return;
    this.columns.push({ input: this.input, output: this.output, mark: this.mark });
    this.input = this.output = 0;
    this.mark = "";
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const shown = Math.floor(width / COLUMN_PX);
    this.columns = this.columns.slice(-shown);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const middle = height / 2;
    context.fillStyle = colour("--line");
    context.fillRect(0, middle - 0.5, width, 1);
    this.columns.forEach(({ input, output, mark }, index) => {
      const x = width - (this.columns.length - index) * COLUMN_PX;
      context.fillStyle = colour("--caller");
      context.fillRect(x, middle - 1 - input * (middle - 2), COLUMN_PX - 1, input * (middle - 2));
      context.fillStyle = colour("--agent");
      context.fillRect(x, middle + 1, COLUMN_PX - 1, output * (middle - 2));
      if (mark) {
        context.fillStyle = colour("--alarm");
        context.fillRect(x, 0, 2, height);
      }
    });
  }
}
