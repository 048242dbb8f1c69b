// The loudspeaker: takes 16-bit PCM at 24 kHz, evens out jitter, plays at the context's rate, and says how far it is.
//
// Playing begins once TARGET seconds are queued, or what there is has waited that long. Running dry in the middle of
// speech raises the target by a step, up to a limit: a jittery network gets a longer buffer, a good one keeps a short one.
// Positions are in samples at 24 kHz since the beginning; what "clear" throws away counts as passed.

import { Resampler } from "./resampler.js";

const RATE_HZ = 24000;
const TARGET_S = 0.04;
const TARGET_STEP_S = 0.03;
const TARGET_MAX_S = 0.2;
const DRY_RESTART_S = 0.3; // running dry is a fault only if more arrives this soon; otherwise the speech was over
const REPORT_S = 0.05;

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE_HZ, sampleRate);
    this.queue = [];
    this.offset = 0; // into the first block
    this.queued = 0; // samples, at the context's rate
    this.passed = 0; // samples played or thrown away, at the context's rate
    this.playing = false;
    this.fading = false;
    this.waited = 0;
    this.driedAt = -Infinity;
    this.target = TARGET_S;
    this.energy = 0;
    this.rendered = 0;
    this.port.onmessage = (event) => this.take(event.data);
  }

  take(message) {
    if (message.type === "clear") {
      this.fading = this.playing; // the block being built fades out: a cut would click
      if (!this.fading) this.drop();
      return;
    }
    const pcm = new Int16Array(message.pcm);
    const samples = new Float32Array(pcm.length);
    for (let i = 0; i < pcm.length; i += 1) samples[i] = pcm[i] / 32768;
    const block = this.resampler.process(samples);
    if (!this.playing && this.queued === 0) {
      this.waited = 0;
      if (currentTime - this.driedAt < DRY_RESTART_S) this.target = Math.min(TARGET_MAX_S, this.target + TARGET_STEP_S);
    }
    this.queue.push(block);
    this.queued += block.length;
  }

  drop() {
    this.passed += this.queued;
    this.queue = [];
    this.offset = 0;
    this.queued = 0;
    this.playing = false;
    this.fading = false;
    this.resampler.reset();
  }

  process(_inputs, outputs) {
    const output = outputs[0][0];
    if (!this.playing && this.queued > 0) {
      this.waited += output.length;
      this.playing = Math.max(this.queued, this.waited) >= this.target * sampleRate;
    }
    if (this.playing) this.render(output);
    for (const sample of output) this.energy += sample * sample;
    for (let channel = 1; channel < outputs[0].length; channel += 1) outputs[0][channel].set(output);
    this.rendered += output.length;
    if (this.rendered >= REPORT_S * sampleRate) this.report();
    return true;
  }

  render(output) {
    let filled = 0;
    while (filled < output.length && this.queue.length > 0) {
      const block = this.queue[0];
      const count = Math.min(output.length - filled, block.length - this.offset);
      output.set(block.subarray(this.offset, this.offset + count), filled);
      filled += count;
      this.offset += count;
      if (this.offset === block.length) {
        this.queue.shift();
        this.offset = 0;
      }
    }
    this.queued -= filled;
    this.passed += filled;
    if (this.fading) {
      for (let i = 0; i < output.length; i += 1) output[i] *= 1 - i / output.length;
      this.drop();
    } else if (this.queue.length === 0) {
      this.playing = false;
      this.driedAt = currentTime;
    }
  }

  report() {
    const toSource = RATE_HZ / sampleRate;
    this.port.postMessage({
      passed: this.passed * toSource,
      queued: this.queued * toSource,
      level: Math.sqrt(this.energy / this.rendered),
    });
    this.energy = 0;
    this.rendered = 0;
  }
}

registerProcessor("player", Player);
