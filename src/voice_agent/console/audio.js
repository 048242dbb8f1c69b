// The browser's side of a call's sound: microphone in, loudspeaker out, both through audio worklets.

const here = (file) => new URL(file, import.meta.url);

// Why a call could not get its sound; `kind` picks the message (see problems.js).
export class AudioProblem extends Error {
  constructor(kind, cause) {
    super(kind, { cause });
    this.kind = kind;
  }
}

// Call `open` in answer to a click: browsers let a page make sound only then.
export class AudioPath {
  static async open({ microphone, onFrame, onProgress, onResume }) {
    const path = new AudioPath();
    try {
      if (microphone) path.stream = await askForMicrophone();
      await path.start({ onFrame, onProgress, onResume });
      return path;
    } catch (error) {
      path.close();
      throw error;
    }
  }

  async start({ onFrame, onProgress, onResume }) {
    this.context = new AudioContext({ latencyHint: "interactive" });
    const worklets = ["player-worklet.js", ...(this.stream ? ["mic-worklet.js"] : [])];
    try {
      await Promise.all(worklets.map((file) => this.context.audioWorklet.addModule(here(file))));
    } catch (error) {
      throw new AudioProblem(error.name === "AbortError" ? "unreachable" : "failed", error);
    }
    await this.context.resume();

    this.player = new AudioWorkletNode(this.context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.player.port.onmessage = (event) => onProgress(event.data);
    this.player.connect(this.context.destination);

    if (this.stream) {
      const source = this.context.createMediaStreamSource(this.stream);
      const mic = new AudioWorkletNode(this.context, "microphone", {
        numberOfOutputs: 0,
        channelCount: 1,
        channelCountMode: "explicit",
      });
      mic.port.onmessage = (event) => onFrame(event.data.pcm, event.data.level);
      source.connect(mic);
    }

    // A telephone call or a sleeping tab may stop the sound for a while.
    let stopped = false;
    this.context.onstatechange = () => {
      if (this.context.state === "running" && stopped) onResume();
      stopped = this.context.state !== "running";
    };
  }

  // What the ear has not heard yet of what the worklet has played.
  get latencyS() {
    return (this.context.outputLatency || 0) + (this.context.baseLatency || 0);
  }

  play(pcm) {
    this.player.port.postMessage({ type: "audio", pcm }, [pcm]);
  }

  clear() {
    this.player.port.postMessage({ type: "clear" });
  }

  mute(muted) {
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.context && this.context.state !== "closed") {
      this.context.onstatechange = null;
      this.context.close();
    }
  }
}

async function askForMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) throw new AudioProblem("insecure");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    const kinds = { NotAllowedError: "refused", NotFoundError: "none", NotReadableError: "in-use" };
    throw new AudioProblem(kinds[error.name] ?? "failed", error);
  }
}
