// The conversation: what the caller is heard to say, and the agent's words as they reach the ear.
//
// The agent's words are shown at once but faint; they turn solid as they are heard. At an interruption what was not heard
// is struck out. Sighted readers see all of this live; screen readers get each finished line once, through `announcer`.

const CHARACTERS_PER_S = 15; // ordinary speech, until a reply's own pace is known

const STATUS_WORDS = {
  started: "…",
  ok: "done",
  business_error: "nothing found",
  denied: "not allowed yet",
  invalid: "asked wrongly",
  failed: "failed",
};

export class Transcript {
  constructor(list, announcer) {
    this.list = list;
    this.announcer = announcer;
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.turns = new Map();
    this.replies = new Map();
    this.tools = new Map();
  }

  caller({ turn_id: turnId, text, final }) {
    let line = this.turns.get(turnId);
    if (!text) {
      line?.item.remove();
      this.turns.delete(turnId);
      return;
    }
    if (!line) {
      line = this.line("caller", "You");
      line.item.dataset.turn = turnId;
      this.turns.set(turnId, line);
    }
    line.words.textContent = text;
    line.item.classList.toggle("partial", !final);
    if (final) this.announceLater(line, () => `You said: ${line.words.textContent}`);
    this.follow();
  }

  agentSegment({ reply_id: replyId, index, text, purpose }, playedMs) {
    let reply = this.replies.get(replyId);
    if (!reply) {
      reply = { ...this.line("agent", "Agent"), segments: [], pace: CHARACTERS_PER_S };
      reply.item.dataset.reply = replyId;
      reply.item.dataset.purpose = purpose;
      this.replies.set(replyId, reply);
    }
    const before = reply.segments.at(-1);
    const startMs = index === 0 ? 0 : playedMs;
    if (before) {
      const seconds = (startMs - before.startMs) / 1000;
      if (seconds > 0.5) reply.pace = Math.max(8, Math.min(25, before.length / seconds));
      for (const word of before.words) word.element.className = "said";
      reply.words.append(" ");
    }
    reply.segments.push({ startMs, length: text.length, words: wordsOf(text, reply.words) });
    this.follow();
  }

  progress(replyId, playedMs) {
    const reply = this.replies.get(replyId);
    if (!reply || reply.over) return;
    const segment = reply.segments.at(-1);
    const characters = ((playedMs - segment.startMs) / 1000) * reply.pace;
    for (const word of segment.words) if (word.begin < characters) word.element.className = "said";
  }

  interruption({ reply_id: replyId, action }) {
    const item = this.replies.get(replyId)?.item;
    item?.classList.toggle("held", action === "pause");
    item?.classList.toggle("stopped", action === "stop");
  }

  heard({ reply_id: replyId, text, interrupted }) {
    const reply = this.replies.get(replyId);
    if (!reply) return;
    reply.over = true;
    reply.item.classList.remove("held");
    const words = reply.segments.flatMap((segment) => segment.words);
    const heard = interrupted ? text.split(/\s+/).filter(Boolean).length : words.length;
    words.forEach((word, index) => (word.element.className = index < heard ? "said" : "unheard"));
    if (interrupted) {
      reply.item.classList.add("stopped");
      const cut = element("span", "cut", "interrupted");
      const first = words[heard]?.element;
      if (first) first.before(cut, " ");
      else reply.words.append(" ", cut);
    }
    this.announcer(`Agent: ${text}${interrupted ? " (interrupted)" : ""}`);
  }

  tool({ name, status }) {
    const label = name.replaceAll("_", " ");
    let note = this.tools.get(name);
    if (!note || status === "started") {
      note = this.note("", "tool");
      this.tools.set(name, note);
    }
    note.dataset.status = status;
    note.textContent = `${label}: ${STATUS_WORDS[status] ?? status}`;
  }

  note(text, kind = "plain") {
    const item = element("li", `note ${kind}`, text);
    this.list.append(item);
    if (text) this.announcer(text);
    this.follow();
    return item;
  }

  line(role, speaker) {
    const item = element("li", `line ${role}`);
    item.dataset.role = role;
    const words = element("p", "words");
    item.append(element("p", "who", speaker), words);
    this.list.append(item);
    return { item, words };
  }

  // A recogniser may improve a final within the same breath; only the last one is read out.
  announceLater(line, text) {
    clearTimeout(line.timer);
    line.timer = setTimeout(() => line.item.isConnected && this.announcer(text()), 700);
  }

  // Keeps the newest line in view unless the reader has scrolled back.
  follow() {
    const box = this.list.parentElement;
    if (box.scrollHeight - box.scrollTop - box.clientHeight < 160) box.scrollTop = box.scrollHeight;
  }
}

function wordsOf(text, into) {
  const words = [];
  let begin = 0;
  for (const piece of text.split(/(\s+)/)) {
    if (piece.trim()) {
      const word = element("span", "", piece);
      into.append(word);
      words.push({ element: word, begin });
    } else {
      into.append(piece);
    }
    begin += piece.length;
  }
  return words;
}

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
