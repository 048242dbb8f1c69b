// Streaming sample-rate conversion between any two rates: a windowed sinc, tabulated at PHASES sub-sample positions.
// Runs inside audio worklets. Delay: ZERO_CROSSINGS periods of the lower rate (1 ms at 16 kHz).

const ZERO_CROSSINGS = 16;
const PHASES = 256;
const PASSBAND = 0.92; // of the lower rate's Nyquist frequency; the window's skirt needs the rest

export class Resampler {
  constructor(inRate, outRate) {
    this.step = inRate / outRate;
    const cutoff = Math.min(1, outRate / inRate) * PASSBAND;
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.taps = 2 * this.half;
    this.table = kernel(cutoff, this.half);
    this.reset();
  }

  reset() {
    this.buffer = new Float32Array(this.half);
    this.position = this.half; // of the next output sample, in the buffer
  }

  // Takes a block of samples (Float32Array, any length); gives all output that it completes.
  process(input) {
    const buffer = new Float32Array(this.buffer.length + input.length);
    buffer.set(this.buffer);
    buffer.set(input, this.buffer.length);
    const room = buffer.length - this.half - this.position;
    const output = new Float32Array(Math.max(0, Math.ceil(room / this.step)));
    let count = 0;
    while (this.position + this.half < buffer.length && count < output.length) {
      const index = Math.floor(this.position);
      const row = Math.round((this.position - index) * PHASES) * this.taps;
      const first = index - this.half + 1;
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap += 1) sum += buffer[first + tap] * this.table[row + tap];
      output[count] = sum;
      count += 1;
      this.position += this.step;
    }
    const keepFrom = Math.max(0, Math.floor(this.position) - this.half);
    this.buffer = buffer.slice(keepFrom);
    this.position -= keepFrom;
    return output.subarray(0, count);
  }
}

// One row of taps for each position between two input samples, both ends included.
function kernel(cutoff, half) {
  const taps = 2 * half;
  const table = new Float32Array((PHASES + 1) * taps);
  for (let phase = 0; phase <= PHASES; phase += 1) {
    let sum = 0;
    for (let tap = 0; tap < taps; tap += 1) {
      const distance = tap - half + 1 - phase / PHASES;
      const value = sinc(distance * cutoff) * blackman(distance / half);
      table[phase * taps + tap] = value;
      sum += value;
    }
    for (let tap = 0; tap < taps; tap += 1) table[phase * taps + tap] /= sum; // unity gain for every phase
  }
  return table;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function blackman(x) {
  return Math.abs(x) >= 1 ? 0 : 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}
