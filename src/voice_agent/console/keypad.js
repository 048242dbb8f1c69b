// The telephone keypad: buttons, and the same keys on a keyboard. What was pressed is shown as dots: it may be a PIN.

const KEYS = new Set("0123456789*#");
const SHOWN = 12;

export class Keypad {
  constructor(box, display, onKey) {
    this.box = box;
    this.display = display;
    this.onKey = onKey;
    this.enabled = false;
    this.count = 0;
    box.addEventListener("click", (event) => {
      const key = event.target.closest("button")?.dataset.key;
      if (key) this.press(key);
    });
    document.addEventListener("keydown", (event) => this.typed(event));
  }

  enable(enabled) {
    this.enabled = enabled;
    this.count = 0;
    this.show();
    for (const button of this.box.querySelectorAll("button")) button.disabled = !enabled;
  }

  typed(event) {
    if (!this.enabled || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest("input, select, textarea") || !KEYS.has(event.key)) return;
    event.preventDefault();
    this.press(event.key);
  }

  press(key) {
    if (!this.enabled) return;
    this.count += 1;
    this.show();
    this.onKey(key);
    const button = this.box.querySelector(`button[data-key="${key}"]`);
    button.classList.add("pressed");
    setTimeout(() => button.classList.remove("pressed"), 120);
  }

  show() {
    this.display.textContent = "•".repeat(Math.min(SHOWN, this.count));
    this.display.setAttribute("aria-label", this.count === 1 ? "1 key pressed" : `${this.count} keys pressed`);
  }
}
