// The console: session, socket, input at a steady pace, and what is shown of the machine.
"use strict";

const $ = (id) => document.getElementById(id);
const SEND_LEAST = 12, SEND_MOST = 33;  // Between two words of the sticks [ms].
const SILENT = 600;                      // Without news for so long the link is called late [ms].
const OLD = 1000;                        // A camera's picture that came longer ago is shown as old [ms].
const HANDING = 1000;                    // Sooner after this the news may not yet say who was given the machine [ms].
const PLOT_EVERY = 100;                  // Lines of twenty seconds: more often they take the sticks' time [ms].
const MODES = {
  off: ["Off", "nothing moves"], ready: ["Ready", "nothing moves; only listening"],
  armed: ["Armed", "moves when the deadman is held"], teleop: ["Driven by hand", ""],
  auto: ["Planner drives", ""], stopped: ["STOPPED", "latched: release it when all is well"],
};
const EPISODE_KEYS = {Digit1: "start", Digit2: "success", Digit3: "failure", Digit4: "redo", Digit5: "discard", Digit6: "undo", Digit7: "stop"};
const BUTTON_KEYS = {KeyZ: "arm", KeyX: "disarm", KeyR: "release", KeyP: "auto", KeyO: "back", KeyT: "take", KeyY: "give", KeyN: "keep", KeyV: "three"};

let socket = null, session = null, hello = null, me = "", last = null, lastAt = 0, drawnAt = performance.now();
let sentAt = 0, sentText = "", shownHands = "", plottedAt = 0, dirty = false, shownTab = "Joints", releaseUntil = 0, everOpen = false;
let parted = {mode: "", mine: false, driver: ""}, handedAt = -Infinity, three = localStorage.getItem("kuwa-scene") !== "off", pictureAt = [];
const plots = new Plots($("plot"), $("legend"));
const hands = new Hands(padAction, lost);

// Session ------------------------------------------------------------------------------------

async function begin() {
  const token = decodeURIComponent(location.hash.slice(1));
  if (token) history.replaceState(null, "", location.pathname);
  session = JSON.parse(sessionStorage.getItem("kuwa") || "null");
  if (token) {
    const answer = await fetch("session", {headers: {Authorization: `Bearer ${token}`}, cache: "no-store"});
    if (!answer.ok) { banner(`This page was not let in: ${await answer.text()}.`); return; }
    session = await answer.json();
    sessionStorage.setItem("kuwa", JSON.stringify(session));
  }
  if (!session) {
    banner("Open the address that kuwa teleop printed: it ends with a # and the token.");
    return;
  }
  connect();
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/ws`, ["kuwa", `key.${session.drive}`]);
  socket.binaryType = "arraybuffer";
  let open = false;
  socket.onopen = () => { open = everOpen = true; banner(""); };
  socket.onmessage = (event) => {
    if (typeof event.data === "string") heard(JSON.parse(event.data));
    else picture(new Uint8Array(event.data));
  };
  socket.onclose = () => {
    hands.letGo();
    if (last) part();
    dirty = true;
    banner(open || everOpen
      ? `No connection to the machine. ${partedWords()[1]} The emergency stop is on the machine itself.`
      : "This session is not valid any more. Open the address that kuwa teleop printed.");
    setTimeout(connect, 1000);
  };
}

// Keeps how things stood: without news nothing later is known.
function part() {
  parted = {mode: lastAt - handedAt > HANDING ? last.m.mode : "", mine: driving(), driver: last.desk.driver_name || "somebody"};
  last = null;
}

// Short and as a sentence. Only what this page drove by hand stops with it: while the planner or
// another page drives, the gate does not miss this one.
function partedWords() {
  const {mode, mine, driver} = parted;
  if (mode === "teleop" && mine) return ["its valves went to neutral", "You drove it: its valves went to neutral, but others may drive it by now."];
  if (mode === "auto") return ["it may be moving: the planner drives", "It may be moving: the planner drives, and goes on without this page."];
  if (mode === "teleop") return [`it may be moving: ${driver} drives`, `It may be moving: ${driver} drives.`];
  return ["it may be moving", "It may be moving: who drives it now is not known."];
}

function say(message) {
  if (socket && socket.readyState === WebSocket.OPEN) { socket.send(JSON.stringify(message)); return true; }
  return false;
}

function act(what, more) {
  if (what === "auto" || what === "give") handedAt = performance.now();
  say({t: "do", do: what, ...more});
}

function lost(why) { if (driving()) act("lost", {why}); hands.letGo(); }

function driving() { return last !== null && last.desk.driver === me; }

// Input --------------------------------------------------------------------------------------

function tick() {
  const now = performance.now();
  const read = hands.read();
  if (last && driving() && !document.hidden) {
    const body = JSON.stringify([read.levers, read.deadman, read.source]);
    const age = now - sentAt;
    if (age >= SEND_MOST || (body !== sentText && age >= SEND_LEAST)) {
      sentAt = now;
      sentText = body;
      // What it answers and how old its picture is: a page that shows the past must not drive.
      say({t: "in", l: read.levers, d: read.deadman, src: read.source, e: last.n, a: Math.round(now - drawnAt) / 1000});
    }
  }
  const shown = JSON.stringify([read.levers, read.deadman, driven()]);
  if (shown !== shownHands) { shownHands = shown; showHands(read); }
}
setInterval(tick, 8);

function padAction(name) {
  if (PAD_EPISODE[name]) episode(PAD_EPISODE[name][Number(recording())]);
  else act(name);
}

function typing(target) { return target.closest && target.closest("input, textarea, select"); }

// While the Meta key is down some browsers report no other key's release.
function meta(event) {
  const down = event.metaKey || event.code.startsWith("Meta") || event.code.startsWith("OS");
  if (down && hands.letGo()) lost("the Meta key was pressed");
  return down;
}

function keydown(event) {
  if (event.code === "Escape") { event.preventDefault(); act("stop"); return; }
  if (meta(event)) return;
  if (typing(event.target) || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.code === "Space" || KEYS[event.code] || event.code.startsWith("Shift")) {
    // Arrows are levers only where the machine has a dial; else they scroll.
    if (event.code.startsWith("Arrow") && $("dial").hidden) return;
    if (!event.code.startsWith("Shift")) event.preventDefault();
    hands.key(event.code, true);
    return;
  }
  if (event.repeat) return;
  if (EPISODE_KEYS[event.code]) episode(EPISODE_KEYS[event.code]);
  else if (BUTTON_KEYS[event.code]) {
    const button = $(BUTTON_KEYS[event.code]);
    if (button.offsetParent !== null && !button.disabled) button.click();
  }
}
function keyup(event) { if (meta(event)) return; hands.key(event.code, false); if (event.code === "Space" && !typing(event.target)) event.preventDefault(); }
function listenForKeys(target) {
  target.addEventListener("keydown", keydown, true);
  target.addEventListener("keyup", keyup, true);
}
listenForKeys(window);
$("scene").addEventListener("load", () => {
  const inner = $("scene").contentWindow;
  listenForKeys(inner);
  inner.addEventListener("blur", blurred);
});
function blurred() {
  // Into the scene and back is no loss; to another window is.
  setTimeout(() => { if (!document.hasFocus() && hands.letGo()) lost("the page has lost the keys"); }, 0);
}
window.addEventListener("blur", blurred);
document.addEventListener("visibilitychange", () => { if (document.hidden) lost("the page is hidden"); });
window.addEventListener("pagehide", () => lost("the page was closed"));
window.addEventListener("gamepaddisconnected", () => hands.read());

// On-screen sticks, deadman and dial ---------------------------------------------------------

const padsOf = {};
function makeStick(side) {
  const box = $(side);
  const words = {};
  for (const at of ["up", "down", "minus", "plus"]) {
    words[at] = document.createElement("div");
    words[at].className = `word ${at}`;
    box.append(words[at]);
  }
  const pad = document.createElement("div"), knob = document.createElement("div");
  pad.className = "pad"; knob.className = "knob";
  pad.append(knob); box.append(pad);
  const x = side === "left" ? 0 : 2;
  let held = null;
  const move = (event) => {
    const r = pad.getBoundingClientRect(), reach = r.width / 2 - 8;
    let dx = (event.clientX - r.left - r.width / 2) / reach, dy = -(event.clientY - r.top - r.height / 2) / reach;
    const norm = Math.max(1, Math.hypot(dx, dy));
    hands.touch[x] = dx / norm; hands.touch[x + 1] = dy / norm;
  };
  const end = () => { held = null; hands.touch[x] = hands.touch[x + 1] = 0; };
  pad.addEventListener("pointerdown", (e) => { held = e.pointerId; pad.setPointerCapture(held); move(e); e.preventDefault(); });
  pad.addEventListener("pointermove", (e) => { if (e.pointerId === held) move(e); });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) pad.addEventListener(name, (e) => { if (e.pointerId === held) end(); });
  padsOf[side] = {box, pad, knob, words, x, reach: 0};
  // Asked for at every tick, its size would have the whole page laid out anew each time.
  new ResizeObserver(() => { padsOf[side].reach = pad.clientWidth / 2 - 26; shownHands = ""; }).observe(pad);
}
makeStick("left"); makeStick("right");

function hold(button, down, up) {
  button.addEventListener("pointerdown", (e) => { button.setPointerCapture(e.pointerId); down(); e.preventDefault(); });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(name, up);
  button.addEventListener("contextmenu", (e) => e.preventDefault());
}
hold($("deadman"), () => { hands.touchDeadman = true; }, () => { hands.touchDeadman = false; });

function driven() { return Boolean(last && last.desk.held && driving()); }

function showHands({levers, deadman}) {
  $("deadman").classList.toggle("on", deadman);
  $("deadman").setAttribute("aria-pressed", String(deadman));
  for (const {box, knob, words, x, reach} of Object.values(padsOf)) {
    knob.style.transform = `translate(${levers[x] * reach}px, ${-levers[x + 1] * reach}px)`;
    box.classList.toggle("live", driven());
    words.minus.classList.toggle("on", levers[x] < -0.1); words.plus.classList.toggle("on", levers[x] > 0.1);
    words.down.classList.toggle("on", levers[x + 1] < -0.1); words.up.classList.toggle("on", levers[x + 1] > 0.1);
  }
}

function showPattern(name) {
  const pattern = hello.patterns[name], keys = {left: ["A", "D", "S", "W"], right: ["J", "L", "K", "I"]};
  for (const side of ["left", "right"]) {
    const {words, pad} = padsOf[side];
    const across = pattern.levers[`${side}_x`], along = pattern.levers[`${side}_y`];
    [["minus", across, 0], ["plus", across, 1], ["down", along, 0], ["up", along, 1]].forEach(([at, use, k], i) => {
      words[at].replaceChildren();
      if (!use) return;
      const key = document.createElement("small");
      key.textContent = keys[side][i];
      words[at].append(use[k], key);
    });
    pad.classList.toggle("empty", !across && !along);
  }
  const dial = $("dial");
  dial.replaceChildren();
  [["dial_x", 4, ["Left", "Right"]], ["dial_y", 5, ["Down", "Up"]]].forEach(([lever, k, arrows]) => {
    const use = pattern.levers[lever];
    if (!use) return;
    use.forEach((word, side) => {
      const b = document.createElement("button"), key = document.createElement("kbd"), to = side ? 1 : -1;
      key.textContent = arrows[side];
      b.append(word, key);
      hold(b, () => { hands.touch[k] = to; b.classList.add("on"); }, () => { hands.touch[k] = 0; b.classList.remove("on"); });
      dial.append(b);
    });
  });
  dial.hidden = !dial.children.length;
  $("patternline").textContent = `${pattern.title} pattern`;
  $("patternline").title = pattern.follows;
  $("pattern").value = $("pattern").dataset.shown = name;
}

// What is heard ------------------------------------------------------------------------------

function heard(message) {
  if (message.t === "s") { last = message; lastAt = performance.now(); plots.add(message.m.t, message.m); dirty = true; }
  else if (message.t === "note") note(message.text, message.good);
  else if (message.t === "hello") greet(message);
}

function greet(message) {
  hello = message;
  me = message.id;
  plots.names = hello.joints.map((j) => j.name);
  plots.speeds = hello.joints.map((j) => j.speed);
  plots.rows = [];
  $("machine").textContent = hello.machine.toUpperCase();
  $("subtitle").textContent = hello.title;
  document.title = `${hello.machine} – Kuwa console`;
  $("pattern").replaceChildren(...Object.entries(hello.patterns).map(([name, p]) => new Option(p.title, name)));
  $("scales").replaceChildren(...hello.scales.map((scale) => {
    const b = document.createElement("button");
    b.textContent = `${Math.round(100 * scale)} %`;
    b.dataset.scale = scale;
    b.setAttribute("role", "radio");
    b.onclick = () => act("scale", {value: scale});
    return b;
  }));
  $("valves").replaceChildren(...hello.joints.map((j) => {
    const row = document.createElement("div");
    row.className = "valve";
    for (const [tag, cls] of [["span", "name"], ["span", "bar"], ["span", "at"]]) {
      const e = document.createElement(tag);
      e.className = cls;
      row.append(e);
    }
    row.children[0].textContent = j.name;
    for (const cls of ["given", "asked"]) { const e = document.createElement("span"); e.className = cls; row.children[1].append(e); }
    return row;
  }));
  pictureAt = [];
  $("cameras").replaceChildren(...hello.cameras.map((name) => {
    const f = document.createElement("figure"), c = document.createElement("figcaption"), i = document.createElement("img");
    i.alt = `Camera ${name}`;
    c.textContent = `Camera ${name}`;
    // The caption comes first: of a high picture in a low window the lower end is not seen.
    f.append(c, i);
    f.hidden = true;
    return f;
  }));
  $("plannerrow").hidden = !hello.planner;
  $("keys").replaceChildren(...[["", "Keys", "Gamepad"], ...hello.controls].map((row) => {
    const tr = document.createElement("tr");
    for (const cell of row) { const td = document.createElement("td"); td.textContent = cell; tr.append(td); }
    return tr;
  }));
  $("reset").hidden = !hello.can_reset;
  const name = localStorage.getItem("kuwa-name");
  if (name) { $("who").value = name; act("name", {name}); }
  // Which one is in force comes with the first news; until then nothing is driven.
  const before = $("pattern").dataset.shown;
  showPattern(hello.patterns[before] ? before : Object.keys(hello.patterns)[0]);
  $("view").dataset.scene = "";
  showScene();
}

function showScene() {
  const wanted = hello.scene && three, on = wanted && Boolean(last && last.desk.scene);
  $("three").parentElement.hidden = !hello.scene;
  $("three").setAttribute("aria-pressed", String(three));
  const url = on ? `scene/${session.view}` : "about:blank";
  if ($("scene").dataset.url !== url) { $("scene").dataset.url = url; $("scene").src = url; }
  $("scene").hidden = !on;
  $("noscene").hidden = on;
  text($("noscene"), wanted ? "The view in three dimensions is being made." : "The view in three dimensions is off.");
  $("view").classList.toggle("noscene", !on);
}

function picture(bytes) {
  const figure = $("cameras").children[bytes[0]];
  if (!figure) return;
  const image = figure.querySelector("img"), old = image.src;
  image.src = URL.createObjectURL(new Blob([bytes.subarray(1)], {type: "image/jpeg"}));
  figure.hidden = false;
  pictureAt[bytes[0]] = performance.now();
  if (old) URL.revokeObjectURL(old);
}

function note(text, good) {
  const p = document.createElement("p");
  p.textContent = text;
  if (!good) p.className = "bad";
  $("notes").append(p);
  while ($("notes").children.length > 3) $("notes").firstChild.remove();
  setTimeout(() => p.remove(), 7000);
}

function banner(text, info) {
  $("banner").textContent = text;
  $("banner").hidden = !text;
  $("banner").className = info ? "info" : "";
}

// What is shown ------------------------------------------------------------------------------

function draw() {
  drawnAt = performance.now();
  if (hello && (dirty || drawnAt - lastAt > SILENT)) { dirty = false; show(); }
  if (hello) showAges();
  requestAnimationFrame(draw);
}
requestAnimationFrame(draw);

function text(element, words) { if (element.textContent !== words) element.textContent = words; }

// A picture that stands still looks like a machine that does: what is old is grey and says so.
function showAges() {
  pictureAt.forEach((at, k) => {
    const figure = $("cameras").children[k], age = drawnAt - at, old = age > OLD;
    figure.classList.toggle("old", old);
    text(figure.firstChild, `Camera ${hello.cameras[k]}${old ? `: old, ${seconds(age)}` : ""}`);
  });
}

function seconds(ms) { return `${Math.floor(ms / 1000)} s`; }

function show() {
  const silent = performance.now() - lastAt, late = !last || silent > SILENT;
  $("link").classList.toggle("late", late);
  // The scene comes from the same thread as the news.
  $("view").classList.toggle("old", late);
  $("oldscene").hidden = !late || $("scene").hidden;
  if (late) text($("oldscene"), `Old: no news for ${seconds(silent)}`);
  if (!last) {
    text($("link").lastChild, "lost");
    text($("driver").lastChild, "not known");
    text($("hint"), "No connection");
    $("hint").classList.add("bad");
    showMode("", "No connection", partedWords()[0]);
    return;
  }
  if (last.desk.scene !== ($("view").dataset.scene === "true")) { $("view").dataset.scene = last.desk.scene; showScene(); }
  const {desk, m} = last, mine = desk.driver === me;
  const driver = desk.driver_name || "nobody";
  const [word, sub] = MODES[m.mode] || ["No gate heard", "is the stack up?"];
  let words = word, under = sub;
  if (m.mode === "teleop") { words = mine ? "You drive" : `${driver} drives`; under = desk.intervening ? "intervention: taken over from the planner" : `${desk.pattern.toUpperCase()} pattern, at ${Math.round(100 * desk.scale)} %`; }
  if (m.mode === "auto") under = m.plan ? `${m.plan.phase.replaceAll("_", " ")}, cycle ${m.plan.cycle}` : "";
  // Who drives is of no account while the gate lets nothing through.
  const held = holds(m);
  if (held) { under = `${m.level === "hold" ? "by" : "valves in neutral by"} the gate: see the alarm`; words = "Held"; }
  if (!m.heard) under = "no joint state is heard";
  if (late) under = `no news for ${seconds(silent)}`;
  showMode(held ? "held" : m.mode, words, under);
  const sources = {pad: "gamepad", keys: "keys", touch: "touch screen", joy: "joystick"};
  text($("driver").lastChild, mine ? `you, ${sources[desk.source] || "no sticks yet"}` : driver);
  text($("link").lastChild, late ? "late" : desk.delay === null ? "–" : `${Math.round(desk.delay)} ms`);
  showRecorder(m.recording);
  showDesk(desk, m, mine);
  showAlarms(m);
  showValves(m);
  showHandover(desk, mine);
  if (performance.now() - plottedAt >= PLOT_EVERY) { plottedAt = performance.now(); plots.draw(shownTab); }
}

// The gate lets the machine be driven, but a fault makes it hold, or keep the valves in neutral.
function holds(m) {
  return ["armed", "teleop", "auto"].includes(m.mode) && ["hold", "neutral"].includes(m.level);
}

function showMode(mode, word, sub) {
  $("mode").dataset.mode = mode;
  text($("mode").children[0], word);
  text($("mode").children[1], sub);
  $("stop").classList.toggle("latched", mode === "stopped");
  text($("stop").firstChild, mode === "stopped" ? "STOPPED" : "STOP");
}

function showDesk(desk, m, mine) {
  const stopped = m.mode === "stopped";
  $("release").hidden = !stopped;
  $("arm").hidden = stopped;
  $("disarm").hidden = stopped;
  const armed = !["disarmed", "lost", "absent"].includes(desk.phase) && ["armed", "teleop", "auto"].includes(m.mode);
  $("arm").disabled = !mine || armed;
  text($("arm").firstChild, desk.lost ? "Arm again" : "Arm");
  $("disarm").disabled = !mine || ["ready", "off", ""].includes(m.mode);
  $("auto").disabled = !mine || !["armed", "teleop"].includes(m.mode);
  $("back").disabled = !mine || m.mode !== "auto";
  text($("auto").firstChild, desk.intervening ? "Give back" : "Planner drives");
  $("deadman").disabled = !mine;
  for (const id of ["pattern", "reset", "release"]) $(id).disabled = !mine;
  if (performance.now() > releaseUntil) text($("release").firstChild, "Release stop");
  if (hello.patterns[desk.pattern] && $("pattern").dataset.shown !== desk.pattern) { $("pattern").dataset.shown = desk.pattern; showPattern(desk.pattern); }
  for (const b of $("scales").children) { b.setAttribute("aria-checked", String(Number(b.dataset.scale) === desk.scale)); b.disabled = !mine; }
  $("take").disabled = mine;
  text($("take").firstChild, desk.asker === me ? "Asked for …" : "Take the controls");
  let hint = desk.hint, bad = desk.lost;
  if (!mine) hint = desk.driver ? `${desk.driver_name} has the controls` : "Nobody has the controls: take them";
  else if (stopped) { hint = "Stopped. Look around, then release the stop"; bad = true; }
  else if (m.mode === "teleop" && desk.held) hint = holds(m) ? "The gate holds the machine. Let go, and see the alarm" : "Driving. Let go to stop";
  else if (m.mode === "auto" && !desk.lost) hint = desk.phase === "held" ? "Move a stick to take over" : desk.phase === "ready" ? "To take over: hold the deadman and move a stick" : "Arm the sticks to be able to take over";
  else if (hands.odd) { hint = `The gamepad ${hands.odd.slice(0, 40)} has an unknown layout`; bad = true; }
  else if (desk.hint) hint = desk.hint[0].toUpperCase() + desk.hint.slice(1);
  text($("hint"), hint);
  $("hint").classList.toggle("bad", bad);
}

function showAlarms(m) {
  // Letting go of the deadman is the operator's own doing; the line above the buttons says it.
  const alarms = m.alarms.filter((a) => a.code !== "deadman_released");
  const key = JSON.stringify([alarms, m.reasons]);
  if ($("alarms").dataset.shown === key) return;
  $("alarms").dataset.shown = key;
  const add = (parent, tag, cls, words) => { const e = document.createElement(tag); e.className = cls; e.textContent = words; parent.append(e); return e; };
  $("alarms").replaceChildren();
  $("alarmcard").classList.toggle("alarmed", alarms.some((a) => a.level !== "none"));
  for (const a of alarms) {
    const box = add($("alarms"), "div", "alarm", "");
    box.dataset.level = a.level;
    add(box, "strong", "", a.code.replaceAll("_", " "));
    add(box, "p", "", a.reason);
    add(box, "p", "do", a.remedy);
  }
  if (!alarms.length) add($("alarms"), "p", "quiet", "None");
  if (m.reasons.length) add($("alarms"), "p", "reason", `Gate: ${m.reasons.join("; ")}`);
}

function showValves(m) {
  hello.joints.forEach((joint, k) => {
    const row = $("valves").children[k], [given, asked] = row.children[1].children;
    const put = (bar, list) => {
      const v = list && list[k] !== null ? Math.max(-1, Math.min(1, list[k])) : 0;
      bar.style.left = `${50 + 50 * Math.min(v, 0)}%`;
      bar.style.width = `${50 * Math.abs(v)}%`;
      bar.style.display = Math.abs(v) < 0.004 ? "none" : "";
    };
    put(given, m.applied);
    put(asked, m.requested);
    row.classList.toggle("limited", Boolean(m.limited[k]));
    const q = m.q[k];
    text(row.children[2], q === null ? "–" : joint.max === null ? `${(m.qd[k] / joint.speed * 100).toFixed(0)} %` : `${(q * 180 / Math.PI).toFixed(1)}°`);
  });
  const facts = [];
  const add = (name, value, unit) => { if (value !== null && value !== undefined) facts.push([name, `${value} ${unit}`]); };
  if (m.oil) { add("Pump", m.oil.pump, "MPa"); add("Flow", m.oil.flow, "L/min"); add("Load", m.oil.load, "kg"); }
  if (m.status) { add("Engine", m.status.engine, "rpm"); add("Oil", m.status.oil, "°C"); }
  if (m.spikes) { add("Spikes", m.spikes.rate, "Hz"); facts.push(["Learning", m.spikes.learning ? "yes" : `not all joints${m.spikes.reason ? `, ${m.spikes.reason}` : ""}`]); }
  if (m.latent) add("Surprise", m.latent.energy, `of ${m.latent.limit} nat`);
  const key = facts.join();
  if ($("numbers").dataset.shown === key) return;
  $("numbers").dataset.shown = key;
  $("numbers").replaceChildren(...facts.map(([name, value]) => { const s = document.createElement("span"), b = document.createElement("b"); b.textContent = value; s.append(`${name} `, b); return s; }));
}

function recording() { const r = last && last.m.recording; return Boolean(r && r.here && ["countdown", "recording", "review"].includes(r.state)); }

function showRecorder(r) {
  const here = Boolean(r && r.here);
  $("rec").classList.toggle("recording", here && r.state === "recording");
  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  const words = !here ? "none" : r.state === "recording" ? `episode ${r.episode}, ${clock(r.elapsed || 0)}`
    : r.state === "countdown" ? `begins in ${Math.ceil(r.countdown || 0)}` : r.state;
  text($("rec").lastChild, words);
  text($("saved"), here ? `${r.saved} saved` : "");
  for (const b of document.querySelectorAll("[data-episode]")) b.disabled = !here || !driving();
  text($("end").firstChild, here && r.state === "review" ? "Save without a label" : "End, label it later");
  const room = here && r.remaining !== null ? `; room for ${r.remaining > 7200 ? `${Math.round(r.remaining / 3600)} h` : `${Math.round(r.remaining / 60)} min`}` : "";
  const drops = here && r.dropped ? `; ${r.dropped} messages dropped` : "";
  text($("recmessage"), here ? `${r.message || r.folder}${room}${drops}` : "No recorder runs in this stack.");
  if (here && document.activeElement !== $("task") && r.task && $("task").value !== r.task) $("task").value = r.task;
}

function episode(command) { act("episode", {value: command}); }

function showHandover(desk, mine) {
  const open = mine && desk.asker !== "";
  if (open && !$("handover").open) { text($("askname"), `${desk.asker_name} asks for the controls. The machine stops when you give them.`); $("handover").show(); }
  if (!open && $("handover").open) $("handover").close();
}

// Buttons ------------------------------------------------------------------------------------

$("stop").onclick = () => {
  if (!say({t: "do", do: "stop"})) banner("Not connected: use the stop on the machine itself.");
};
for (const id of ["arm", "disarm", "auto", "back", "take", "give", "keep"]) $(id).onclick = () => act(id);
$("release").onclick = () => {
  // Two presses: one by accident must not release a stop.
  if (performance.now() < releaseUntil) { releaseUntil = 0; act("release"); }
  else { releaseUntil = performance.now() + 4000; text($("release").firstChild, "Press again to release"); }
};
$("reset").onclick = () => { if (confirm("Set the simulation back to its beginning?")) act("reset"); };
$("pattern").onchange = () => { act("pattern", {value: $("pattern").value}); $("pattern").blur(); };
$("task").onchange = () => { act("episode", {value: "task", text: $("task").value}); };
$("task").onkeydown = (e) => { if (e.key === "Enter") $("task").blur(); };
$("who").onchange = () => { localStorage.setItem("kuwa-name", $("who").value); act("name", {name: $("who").value}); };
$("who").onkeydown = $("task").onkeydown;
$("three").onclick = () => { three = !three; localStorage.setItem("kuwa-scene", three ? "on" : "off"); showScene(); };
for (const b of document.querySelectorAll("[data-episode]")) b.onclick = () => episode(b.dataset.episode);
for (const name of ["Joints", "Speeds", "Valves", "Oil", "Network"]) {
  const b = document.createElement("button");
  b.textContent = name;
  b.setAttribute("role", "tab");
  b.setAttribute("aria-selected", String(name === shownTab));
  b.onclick = () => { shownTab = name; plottedAt = 0; dirty = true; for (const each of b.parentElement.children) each.setAttribute("aria-selected", String(each === b)); };
  document.querySelector(".tabs").append(b);
}
begin();
