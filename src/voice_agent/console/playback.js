// Which reply is being heard, and how far. Audio frames carry no reply id; a reply's audio begins with the first audio
// frame after the agent was not speaking. Positions are in samples at 24 kHz, the same count as the player's "passed".

const SAMPLES_PER_MS = 24;
const ACK_INTERVAL_MS = 200;

export class Playback {
  // `acknowledge(replyId, playedMs)` is called about five times a second while a reply is being played.
  constructor(acknowledge) {
    this.acknowledge = acknowledge;
    this.received = 0;
    this.passed = 0;
    this.between = true; // no reply's audio is expected, or none has come yet
    this.start = 0;
    this.replyId = null;
    this.lastAckAt = -Infinity;
  }

  audio(byteLength) {
    if (this.between) {
      this.between = false;
      this.start = this.received;
    }
    this.received += byteLength / 2;
  }

  frame(frame) {
    if (frame.type === "agent_text") this.replyId = frame.reply_id;
    else if (frame.type === "state" && frame.agent !== "speaking") this.between = true;
    else if (frame.type === "clear") this.replyId = null;
  }

  // Milliseconds of the present reply that have reached the ear.
  progress(passed, latencyS, nowMs) {
    this.passed = passed;
    const playedMs = Math.max(0, (passed - this.start) / SAMPLES_PER_MS - latencyS * 1000);
    if (this.replyId !== null && playedMs > 0 && nowMs - this.lastAckAt >= ACK_INTERVAL_MS) {
      this.lastAckAt = nowMs;
      this.acknowledge(this.replyId, playedMs);
    }
    return playedMs;
  }
}
