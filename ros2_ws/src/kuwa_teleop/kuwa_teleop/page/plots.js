// The last twenty seconds as lines on a canvas.
"use strict";

const SPAN = 20;
const STEP = 0.1;  // Between two points: more cannot be seen, and drawing them takes the sticks' time [s].
const COLOURS = ["#0b4f8a", "#b8480f", "#0a6b2d", "#8a1c7c", "#7a6500", "#3d3d3d", "#00747a"];

class Plots {
  constructor(canvas, legend) {
    this.canvas = canvas;
    this.legend = legend;
    this.rows = [];
    this.names = [];
    this.shown = "";
    this.width = this.height = 0;
    // Asked for while drawing, the size would have the page laid out at once.
    new ResizeObserver(() => { this.width = canvas.clientWidth; this.height = canvas.clientHeight; }).observe(canvas);
  }

  add(t, m) {
    const at = (k) => this.rows.length >= k ? this.rows[this.rows.length - k].t : -Infinity;
    if (t < at(1)) this.rows = [];  // The clock of a simulation began anew.
    else if (t === at(1) || t - at(2) < STEP) this.rows.pop();
    this.rows.push({t, m});
    while (this.rows.length && this.rows[0].t < t - SPAN) this.rows.shift();
  }

  // Returns {title, unit, lines: [{name, colour, dash, values}], limit}.
  content(what) {
    const of = (pick) => this.rows.map((row) => { const v = pick(row.m); return v === undefined ? null : v; });
    const deg = (v) => v === null ? null : v * 180 / Math.PI;
    const each = (pick, dash) => this.names.map((name, k) => (
      {name, colour: COLOURS[k % COLOURS.length], dash, values: of((m) => pick(m, k))}));
    if (what === "Joints") return {unit: "deg", lines: each((m, k) => deg(m.q[k]))};
    if (what === "Speeds") {
      return {unit: "of maximum", lines: [
        ...each((m, k) => m.qd[k] / this.speeds[k]),
        ...each((m, k) => m.reference ? m.reference[k] : null, [5, 4]).map((l) => ({...l, name: ""}))],
        note: "dashed: asked for"};
    }
    if (what === "Valves") {
      return {unit: "of full stroke", lines: [
        ...each((m, k) => m.applied ? m.applied[k] : null),
        ...each((m, k) => m.requested ? m.requested[k] : null, [5, 4]).map((l) => ({...l, name: ""}))],
        note: "dashed: requested"};
    }
    if (what === "Oil") {
      return {unit: "MPa", lines: [
        ...each((m, k) => m.oil ? m.oil.head[k] : null),
        ...each((m, k) => m.oil ? m.oil.rod[k] : null, [5, 4]).map((l) => ({...l, name: ""})),
        {name: "pump", colour: "#000", values: of((m) => m.oil ? m.oil.pump : null)}],
        note: "dashed: rod side"};
    }
    return {unit: "", lines: [
      {name: "spikes, mean [Hz]", colour: COLOURS[0], values: of((m) => m.spikes ? m.spikes.rate : null)},
      {name: "surprise [nat]", colour: COLOURS[1], values: of((m) => m.latent ? m.latent.energy : null)},
      {name: "its limit", colour: COLOURS[1], dash: [5, 4], values: of((m) => m.latent ? m.latent.limit : null)}]};
  }

  draw(what) {
    const {unit, lines, note} = this.content(what);
    const c = this.canvas, ratio = window.devicePixelRatio || 1;
    const w = this.width, h = this.height;
    if (c.width !== Math.round(w * ratio) || c.height !== Math.round(h * ratio)) { c.width = Math.round(w * ratio); c.height = Math.round(h * ratio); }
    const g = c.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, w, h);
    const all = lines.flatMap((l) => l.values.filter((v) => v !== null && Number.isFinite(v)));
    g.font = "12px system-ui, sans-serif";
    g.fillStyle = "#3c4b58";
    if (!all.length) {
      g.fillText("nothing is heard of this", 44, h / 2);
      this.words(lines.filter(() => false), "");
      return;
    }
    let low = Math.min(...all), high = Math.max(...all);
    const least = unit === "deg" ? 5 : unit === "MPa" ? 2 : 0.5;
    if (high - low < least) { const mid = (high + low) / 2; low = mid - least / 2; high = mid + least / 2; }
    const step = [1, 2, 5].map((k) => k * 10 ** Math.floor(Math.log10((high - low) / 2))).find((s) => (high - low) / s <= 5) || (high - low);
    low = Math.floor(low / step) * step; high = Math.ceil(high / step) * step;
    const x0 = 40, y = (v) => h - 16 - (v - low) / (high - low) * (h - 26);
    const end = this.rows[this.rows.length - 1].t, x = (t) => w - 4 - (end - t) / SPAN * (w - 4 - x0);
    g.strokeStyle = "#c6d0d8"; g.lineWidth = 1; g.setLineDash([]);
    for (let v = low; v <= high + 1e-9; v += step) {
      g.beginPath(); g.moveTo(x0, y(v)); g.lineTo(w, y(v)); g.stroke();
      g.textAlign = "right"; g.fillText(String(Math.round(v * 100) / 100), x0 - 5, y(v) + 4);
    }
    g.textAlign = "left"; g.fillText(`20 s`, x0, h - 3); g.textAlign = "right"; g.fillText("now", w - 2, h - 3);
    if (unit) g.fillText(unit, w - 2, 10);
    for (const line of lines) {
      g.strokeStyle = line.colour; g.lineWidth = 2; g.setLineDash(line.dash || []); g.beginPath();
      let open = false;
      line.values.forEach((v, k) => {
        if (v === null || !Number.isFinite(v)) { open = false; return; }
        if (open) g.lineTo(x(this.rows[k].t), y(v)); else g.moveTo(x(this.rows[k].t), y(v));
        open = true;
      });
      g.stroke();
    }
    this.words(lines, note || "");
  }

  words(lines, note) {
    const text = lines.map((l) => l.name + l.colour).join() + note;
    if (text === this.shown) return;
    this.shown = text;
    this.legend.replaceChildren(...lines.filter((l) => l.name).map((l) => {
      const span = document.createElement("span"), mark = document.createElement("i");
      mark.style.background = l.colour;
      span.append(mark, l.name);
      return span;
    }), note);
  }
}
