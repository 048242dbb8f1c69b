// The call console: ties the call, its sound and the page together.

import { AudioPath, AudioProblem } from "./audio.js";
import { Call } from "./call.js";
import { Keypad } from "./keypad.js";
import { levelOf, Meter, Tape } from "./meters.js";
import { Playback } from "./playback.js";
import { closeProblem, needsToken, soundProblem } from "./problems.js";
import { element, Transcript } from "./transcript.js";
import { Waterfall } from "./waterfall.js";

const at = (id) => document.getElementById(id);

const ENDINGS = {
  completed: "The call has ended.",
  escalated: "The call was handed over to a person.",
  abandoned: "The call has ended.",
  error: "The call was ended by the server.",
};

const transcript = new Transcript(at("transcript"), announce);
const waterfall = new Waterfall(at("turns"), at("timing-summary"));
const keypad = new Keypad(at("keys"), at("pressed"), (key) => session?.call?.press(key));
const meterIn = new Meter(at("meter-in"));
const meterOut = new Meter(at("meter-out"));
const tape = new Tape(at("tape"));

const narrow = window.matchMedia("(max-width: 44rem)");
let padTouched = false; // the person has opened or closed the keypad during this call

let session = null; // the running call: { audio, call, playback, ended, began }

// Screen readers get finished lines only, one after the other.
function announce(text) {
  const log = at("announcer");
  log.append(element("p", "", text));
  while (log.childElementCount > 30) log.firstElementChild.remove();
}

function show(state, status) {
  document.body.dataset.state = state;
  at("status").textContent = status;
  const inCall = state !== "idle";
  at("call").hidden = inCall;
  at("hang-up").hidden = !inCall;
  at("mute").hidden = !(inCall && session?.audio?.stream);
}

function showProblem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

async function begin({ microphone }) {
  if (session) return;
  const mine = { ended: null, began: 0 };
  session = mine;
  padTouched = false;
  showProblem("");
  at("without-mic").hidden = true;
  transcript.clear();
  waterfall.clear();
  show("connecting", microphone ? "Waiting for the microphone" : "Connecting");
  at("hang-up").focus();
  try {
    mine.audio = await AudioPath.open({
      microphone,
      onFrame: (pcm, rms) => hear(mine, pcm, rms),
      onProgress: (report) => progress(mine, report),
      onResume: () => mine.call?.resume(),
    });
  } catch (error) {
    const kind = error instanceof AudioProblem ? error.kind : "failed";
    if (!(error instanceof AudioProblem)) console.error(error);
    finish(mine, soundProblem(kind));
    at("without-mic").hidden = kind === "failed" || kind === "unreachable";
    return;
  }
  if (session !== mine) {
    mine.audio.close(); // hung up while the browser was asking for the microphone
    return;
  }
  show("connecting", "Connecting");
  connect(mine);
}

function connect(mine) {
  mine.call = new Call({
    callerId: at("caller-id").value.trim(),
    locale: at("locale").value,
    agent: at("agent").value,
    token: at("token").value,
  });
  mine.playback = new Playback((replyId, playedMs) => mine.call.played(replyId, playedMs));
  mine.call.addEventListener("frame", ({ detail }) => frame(mine, detail));
  mine.call.addEventListener("audio", ({ detail }) => {
    mine.playback.audio(detail.byteLength);
    mine.audio.play(detail);
  });
  mine.call.addEventListener("closed", ({ detail }) => closed(mine, detail));
}

function hear(mine, pcm, rms) {
  if (session !== mine) return;
  mine.call?.sendAudio(pcm);
  const level = levelOf(rms);
  meterIn.set(level);
  tape.hearInput(level);
}

function progress(mine, { passed, level: rms }) {
  if (session !== mine || !mine.playback) return;
  const level = levelOf(rms);
  meterOut.set(level);
  tape.hearOutput(level);
  mine.playedMs = mine.playback.progress(passed, mine.audio.latencyS, performance.now());
  if (mine.playback.replyId !== null) transcript.progress(mine.playback.replyId, mine.playedMs);
}

function frame(mine, message) {
  if (session !== mine) return;
  const before = mine.playback.replyId;
  mine.playback.frame(message);
  switch (message.type) {
    case "session":
      return started(mine);
    case "state":
      if (message.verified && !mine.verified) transcript.note("Identity confirmed", "verified");
      mine.verified = message.verified;
      return state(message);
    case "transcript":
      return transcript.caller(message);
    case "agent_text":
      return transcript.agentSegment(message, before === message.reply_id ? mine.playedMs : 0);
    case "agent_heard":
      return transcript.heard(message);
    case "interruption":
      transcript.interruption(message);
      if (message.action === "stop") tape.note("stop");
      return undefined;
    case "clear":
      return mine.audio.clear();
    case "tool":
      return transcript.tool(message);
    case "provider":
      return transcript.note(providerChange(message));
    case "metrics":
      return waterfall.add(message);
    case "escalation":
      return transcript.note(handover(message), "handover");
    case "error":
      return console.warn("the server did not understand a frame:", message.code, message.message);
    case "end":
      mine.ended = message;
      return undefined;
    default:
      return undefined; // newer servers may say more
  }
}

const STAGES = { asr: "recognition", llm: "language model", tts: "synthesis" };

function providerChange({ stage, previous, provider, reason }) {
  const what = STAGES[stage] ?? stage;
  if (!provider) return `${what}: ${previous} failed (${reason}), and nothing is left`;
  if (reason === "recovered") return `${what}: back to ${provider}`;
  if (reason === "hedge") return `${what}: ${provider} was quicker than ${previous}`;
  return `${what}: ${provider} instead of ${previous} (${reason})`;
}

function started(mine) {
  mine.began = performance.now();
  mine.playedMs = 0;
  mine.clock = setInterval(() => showClock(mine), 500);
  keypad.enable(true);
  openPad(!narrow.matches);
  tape.start();
  show("active", "Connected");
}

function showClock(mine) {
  const seconds = Math.floor((performance.now() - mine.began) / 1000);
  at("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function state({ call, caller, agent, waiting_for: waitingFor, verified }) {
  if (call === "ended") return;
  const asksPin = waitingFor === "pin";
  document.body.dataset.agent = agent;
  document.body.dataset.verified = verified;
  at("pad-hint").textContent = asksPin
    ? "The agent asks for your PIN: say it, or enter it here."
    : "Press a key here or on your keyboard.";
  at("pad").classList.toggle("wanted", asksPin);
  if (asksPin) openPad(true);
  else if (narrow.matches) openPad(false);
  let status = "Listening";
  if (call === "transferring") status = "Handing over to a person";
  else if (caller === "speaking") status = "Hearing you";
  else if (agent === "speaking") status = "Agent is speaking";
  else if (agent === "thinking") status = "Thinking";
  if (at("status").textContent !== status) at("status").textContent = status;
}

// The keypad opens by itself where there is room for it or a PIN is asked; what a person opened or closed by hand stays.
function openPad(open) {
  if (!padTouched) at("pad").open = open;
}

function handover({ reason, reference }) {
  const why = reason.replaceAll("_", " ");
  return reference ? `Handed over to a person (${why}). Reference ${reference}.` : `The handover failed (${why}).`;
}

function closed(mine, detail) {
  if (session !== mine) return;
  if (needsToken(detail)) askForToken();
  finish(mine, closeProblem(detail));
}

function finish(mine, problem) {
  const ended = mine.ended;
  clearInterval(mine.clock);
  // What the agent said last may still be on its way to the ear.
  const { audio } = mine;
  if (audio) setTimeout(() => audio.close(), mine.call && !problem ? 400 : 0);
  session = null;
  keypad.enable(false);
  openPad(false);
  tape.stop();
  meterIn.reset();
  meterOut.reset();
  document.body.dataset.agent = "idle";
  at("pad").classList.remove("wanted");
  setMuted(false);
  showProblem(problem);
  if (mine.began) transcript.note(problem || ENDINGS[ended?.outcome] || "The call has ended.", problem ? "bad" : "end");
  show("idle", problem ? "Not connected" : mine.began ? "Call ended" : "Ready to call");
  if (document.activeElement === document.body || document.activeElement?.hidden) at("call").focus();
}

function hangUp() {
  const mine = session;
  if (!mine) return;
  if (mine.call) {
    show(document.body.dataset.state, "Hanging up");
    mine.call.hangUp();
  } else {
    finish(mine, "");
  }
}

function setMuted(muted) {
  at("mute").setAttribute("aria-pressed", String(muted));
  session?.audio?.mute(muted);
}

function askForToken() {
  at("token-field").hidden = false;
  at("token").focus();
}

// Only where there is a choice; the page says which agent answers by itself.
function offerAgents({ agents }) {
  at("agent").replaceChildren(
    ...agents.map(({ name, title, locale, default: usual }) => {
      const option = new Option(title || name, name, usual, usual);
      option.dataset.locale = locale;
      return option;
    }),
  );
  at("agent-field").hidden = agents.length < 2;
  speakTheirLanguage();
}

function speakTheirLanguage() {
  const locale = at("agent").selectedOptions[0]?.dataset.locale;
  if (locale) at("locale").value = locale;
}

// What the server says of itself before the first call: does it want a token, can it take calls, who takes them?
async function ask() {
  try {
    const token = at("token").value;
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const [ready, agents] = await Promise.all([fetch("ready"), fetch("api/agents", { headers })]);
    if (agents.status === 401) at("token-field").hidden = false;
    else offerAgents(await agents.json());
    const { reason } = await ready.json();
    if (!session && !ready.ok) at("status").textContent = `Not ready: ${reason}`;
  } catch {
    if (!session) at("status").textContent = "The server cannot be reached";
  }
}

at("call-form").addEventListener("submit", (event) => {
  event.preventDefault();
  begin({ microphone: true });
});
at("without-mic").addEventListener("click", () => begin({ microphone: false }));
at("hang-up").addEventListener("click", hangUp);
at("agent").addEventListener("change", speakTheirLanguage);
at("token").addEventListener("change", ask);
at("pad").firstElementChild.addEventListener("click", () => (padTouched = true));
at("mute").addEventListener("click", () => setMuted(at("mute").getAttribute("aria-pressed") !== "true"));
window.addEventListener("pagehide", hangUp);
waterfall.clear();
ask();
