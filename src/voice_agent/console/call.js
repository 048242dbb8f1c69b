// One call over WebSocket; the contract is docs/protocol.md. Dispatches "frame" (a text frame's object), "audio" (an
// ArrayBuffer of PCM at 24 kHz) and, once and last, "closed" ({ opened, code, reason }).

// Audio for a network that has stalled is old by the time it arrives: beyond this much unsent, new frames are dropped.
const UNSENT_LIMIT_BYTES = 64000; // two seconds

export class Call extends EventTarget {
  constructor({ callerId, locale, agent, token }) {
    super();
    const url = new URL("ws/call", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("events", "1");
    url.searchParams.set("caller_id", callerId);
    url.searchParams.set("locale", locale);
    if (agent) url.searchParams.set("agent", agent);
    if (token) url.searchParams.set("token", token);
    this.opened = false;
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => (this.opened = true);
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = ({ code, reason }) => this.tell("closed", { opened: this.opened, code, reason });
  }

  receive(data) {
    if (typeof data === "string") this.tell("frame", JSON.parse(data));
    else this.tell("audio", data);
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  sendAudio(pcm) {
    const { socket } = this;
    if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < UNSENT_LIMIT_BYTES) socket.send(pcm);
  }

  control(frame) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  press(key) {
    this.control({ type: "dtmf", key });
  }

  played(replyId, playedMs) {
    this.control({ type: "playback", reply_id: replyId, played_ms: Math.round(playedMs) });
  }

  resume() {
    this.control({ type: "resume" });
  }

  // The server answers with "end" and closes; a server that does not is left after a moment.
  hangUp() {
    this.control({ type: "hangup" });
    setTimeout(() => this.socket.close(1000), 1500);
  }
}
