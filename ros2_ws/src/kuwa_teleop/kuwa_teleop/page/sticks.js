// Gamepad, keys and on-screen sticks: what the hands do now, as levers from -1 to 1.
"use strict";

const LEVERS = ["left_x", "left_y", "right_x", "right_y", "dial_x", "dial_y"];
// Of the gamepad layout that browsers call standard.
const PAD_ACTIONS = {arm: 9, stop: 1, auto: 3, record: 0, end: 10, failure: 8, again: 11, discard: 2};
// What a button asks the recorder for: while no episode is open, and while one is.
const PAD_EPISODE = {
  record: ["start", "success"], end: ["stop", "stop"], failure: ["failure", "failure"],
  again: ["undo", "redo"], discard: ["discard", "discard"],
};
// Clicks of the sticks count only with the deadman let go: a stick that is pushed hard clicks, too.
const PAD_CLICKS = ["end", "again"];
const PAD_DEADMAN = [4, 5];
const KEYS = {
  KeyD: [0, 1], KeyA: [0, -1], KeyW: [1, 1], KeyS: [1, -1],
  KeyL: [2, 1], KeyJ: [2, -1], KeyI: [3, 1], KeyK: [3, -1],
  ArrowRight: [4, 1], ArrowLeft: [4, -1], ArrowUp: [5, 1], ArrowDown: [5, -1],
};
const ATTACK = 4.0;  // A key's lever needs a quarter of a second to its end.
const FINE = 0.4;    // Share of the lever with Shift.

class Hands {
  // onAction(name): a button of the pad was pressed. onLost(why): what moved it is gone.
  constructor(onAction, onLost) {
    this.onAction = onAction;
    this.onLost = onLost;
    this.keys = new Set();
    this.touch = new Float64Array(6);
    this.touchDeadman = false;
    this.ramp = new Float64Array(6);
    this.at = performance.now();
    this.padIndex = null;
    this.pressed = new Set();
    this.source = "keys";
    this.odd = "";
  }

  key(code, down) {
    if (down) this.keys.add(code); else this.keys.delete(code);
  }

  letGo() {
    const any = this.keys.size > 0 || this.touchDeadman || this.touch.some((v) => v !== 0);
    this.keys.clear();
    this.touch.fill(0);
    this.ramp.fill(0);
    this.touchDeadman = false;
    return any;
  }

  pad() {
    const all = navigator.getGamepads ? Array.from(navigator.getGamepads()) : [];
    const found = all.filter((p) => p && p.connected);
    let pad = found.find((p) => p.index === this.padIndex);
    if (this.padIndex !== null && !pad) {
      this.padIndex = null;
      this.pressed.clear();
      if (this.source === "pad") this.onLost("the gamepad is gone");
    }
    if (!pad) {
      pad = found.find((p) => p.mapping === "standard");
      if (pad) this.padIndex = pad.index;
    }
    this.odd = !pad && found.length ? found[0].id : "";
    return pad || null;
  }

  fromPad(pad) {
    const b = (k) => Boolean(pad.buttons[k] && pad.buttons[k].pressed);
    const a = (k) => Math.max(-1, Math.min(1, Number(pad.axes[k]) || 0));
    const now = new Set();
    for (const [name, k] of Object.entries(PAD_ACTIONS)) if (b(k)) now.add(name);
    const deadman = PAD_DEADMAN.some(b);
    for (const name of now) {
      if (!this.pressed.has(name) && !(deadman && PAD_CLICKS.includes(name))) this.onAction(name);
    }
    this.pressed = now;
    return {
      levers: [a(0), -a(1), a(2), -a(3), b(15) - b(14), b(12) - b(13)],
      deadman,
    };
  }

  fromPage(dt) {
    const fine = this.keys.has("ShiftLeft") || this.keys.has("ShiftRight") ? FINE : 1.0;
    const want = new Float64Array(6);
    for (const code of this.keys) {
      if (KEYS[code]) want[KEYS[code][0]] += KEYS[code][1] * fine;
    }
    const levers = [];
    for (let k = 0; k < 6; k++) {
      // Towards the middle at once, outwards with a ramp.
      const from = want[k] * this.ramp[k] > 0 ? this.ramp[k] : 0;
      const step = ATTACK * dt;
      this.ramp[k] = want[k] === 0 ? 0 : from + Math.max(-step, Math.min(step, want[k] - from));
      if (Math.abs(this.ramp[k]) > Math.abs(want[k])) this.ramp[k] = want[k];
      levers.push(Math.max(-1, Math.min(1, this.ramp[k] + this.touch[k])));
    }
    return {levers, deadman: this.keys.has("Space") || this.touchDeadman};
  }

  // Levers and deadman always come from the same hands: of the pad, or of keys and screen.
  read() {
    const now = performance.now();
    const dt = Math.min((now - this.at) / 1000, 0.1);
    this.at = now;
    const pad = this.pad();
    const page = this.fromPage(dt);
    const held = pad ? this.fromPad(pad) : null;
    if (this.source === "pad" && !held) this.source = "keys";
    if (held && !page.deadman && (held.deadman || !page.levers.some((v) => v !== 0))) {
      this.source = "pad";
    } else if (held && page.deadman && !held.deadman) {
      this.source = "keys";
    }
    const used = this.source === "pad" ? held : page;
    const touched = this.touchDeadman || this.touch.some((v) => v !== 0);
    return {
      levers: used.levers.map((v) => Math.round(v * 1000) / 1000),
      deadman: used.deadman,
      source: this.source === "pad" ? "pad" : touched ? "touch" : "keys",
    };
  }
}
