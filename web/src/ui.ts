/** Buttons, sliders, panels. Everything is a native control, so keys and screen readers work. */

import { Clip } from "./clip";
import { type Child, el } from "./dom";
import type { Payload } from "./payload";
import { Player } from "./player";
import { record } from "./record";
import type { Mode, Stage, ViewName } from "./stage";
import { gazeFromLook, lookFromGaze } from "./weights";

const GROUPS: [string, RegExp][] = [
  ["Brows", /^brow/], ["Eyes", /^eye/], ["Jaw", /^jaw/], ["Mouth", /^mouth/], ["Cheeks and nose", /^(cheek|nose)/],
  ["Tongue", /^tongue/],
];

/** `mouthSmileLeft` as `Smile left`. */
function label(name: string): string {
  const words = name.replace(/([A-Z])/g, " $1").toLowerCase().split(" ");
  const rest = words.length > 1 && !/^(cheek|nose|tongue)$/.test(words[0]) ? words.slice(1) : words;
  const text = rest.join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

interface Slider {
  row: HTMLElement;
  show: (value: number) => void;
}

export class Ui {
  private readonly player: Player;
  private readonly sliders = new Map<string, Slider>();
  private readonly status = el("p", { class: "status", role: "status" });
  private readonly caption = el("p", { class: "caption", "aria-hidden": "true" });
  private readonly scrub = el("input", { type: "range", min: "0", max: "1", step: "any", value: "0", "aria-label": "Time" });
  private readonly play = el("button", { type: "button", class: "play", "aria-label": "Play" }, "▶");
  private readonly clips = el("select", { "aria-label": "Clip" }, el("option", { value: "" }, "no clip"));
  private readonly loaded = new Map<string, Clip>();
  private readonly modes = new Map<Mode, HTMLButtonElement>();
  private readonly film = this.button("Record clip", "Records the chosen clip as WebM", () => void this.recordClip());
  private readonly link = el("input", { type: "checkbox", checked: "" });

  constructor(private readonly stage: Stage, private readonly payload: Payload, root: HTMLElement) {
    this.player = new Player(stage);
    this.player.onChange = () => this.refresh();
    const names = stage.rig.names;
    for (const [name, facts] of Object.entries(payload.facts.clips)) this.addClip(Clip.of(name, facts, names));
    const view = el("main", {}, stage.canvas, this.caption, this.bar(), this.mark(), this.hint());
    root.append(view, this.panel());
    this.keys(view);
    this.drops(root);
    new ResizeObserver(() => stage.resize(view.clientWidth, view.clientHeight)).observe(view);
    stage.resize(view.clientWidth, view.clientHeight);
    this.refresh();
  }

  say(text: string, wrong = false): void {
    this.status.textContent = text;
    this.status.classList.toggle("wrong", wrong);
  }

  private button(text: string, title: string, act: () => void): HTMLButtonElement {
    return el("button", { type: "button", title, click: act }, text);
  }

  private bar(): HTMLElement {
    const bar = el("div", { class: "bar", role: "toolbar", "aria-label": "View" });
    if (this.stage.hasSplats) {
      const group = el("span", { class: "pair", role: "group", "aria-label": "Shown as" });
      for (const mode of ["mesh", "splat"] as Mode[]) {
        const b = this.button(mode === "mesh" ? "Mesh" : "Splats", `Show ${mode} (M)`, () => this.setMode(mode));
        this.modes.set(mode, b);
        group.append(b);
      }
      bar.append(group);
    }
    bar.append(
      this.button("Front", "Upright, from the front (R)", () => this.look("front")),
      this.button("Photo", "Camera, pose and expression of the photo", () => this.look("source")),
      this.button("Screenshot", "Saves a PNG (S)", () => void this.screenshot()),
    );
    if ("MediaRecorder" in window && "captureStream" in this.stage.canvas)
      bar.append(this.button("Turntable", "Records a turn as WebM", () => void this.turntable()), this.film);
    return bar;
  }

  private setMode(mode: Mode): void {
    this.stage.setMode(mode);
    this.refresh();
  }

  private look(view: ViewName): void {
    this.player.load(null, false);
    this.clips.value = "";
    const facts = this.stage.look(view);
    this.stage.weights.fill(0);
    for (const [name, w] of Object.entries(facts.weights)) this.stage.weights[this.stage.rig.names.at(name)] = w;
    this.stage.change();
    this.refresh();
  }

  async screenshot(): Promise<void> {
    const { clientWidth: w, clientHeight: h } = this.stage.canvas;
    const scale = Math.max(1, 2048 / Math.max(w, h));
    save(await this.stage.picture(Math.round(w * scale), Math.round(h * scale)), `${this.name}.png`);
    this.say("Screenshot saved.");
  }

  private async turntable(): Promise<void> {
    const turn = (t: number) => this.stage.setYaw(60 * Math.sin((2 * Math.PI * t) / 6));
    await this.recorded("turntable", 6, turn);
    this.stage.setYaw(0);
  }

  private async recordClip(): Promise<void> {
    const { clip } = this.player;
    if (!clip) return;
    this.still();
    await this.recorded(clip.name, clip.seconds, (t) => this.player.seek(t));
  }

  private async recorded(what: string, seconds: number, show: (t: number) => void): Promise<void> {
    this.say(`Recording ${seconds.toFixed(0)} s…`);
    try {
      save(await record(this.stage, seconds, show), `${this.name}-${what.replace(/[^\w-]+/g, "_")}.webm`);
      this.say("Recording saved.");
    } catch (e) {
      this.say((e as Error).message, true);
    }
  }

  /** The sliders as a file that `headcast render --expression` reads. */
  private savePose(): void {
    const { weights, rig } = this.stage;
    const pose = Object.fromEntries(rig.names.names.map((n, i) => [n, Math.round(weights[i] * 1e4) / 1e4]).filter(([, w]) => w));
    save(new Blob([JSON.stringify(pose, null, 1)], { type: "application/json" }), `${this.name}-pose.json`);
    this.say("Pose saved: a file for headcast render --expression.");
  }

  private get name(): string {
    return this.payload.facts.title.replace(/[^\w-]+/g, "_") || "avatar";
  }

  private mark(): HTMLElement {
    return el("p", { class: "mark" }, String(this.payload.facts.marks.synthetic_media));
  }

  /** How to turn the head, until somebody did. */
  private hint(): HTMLElement {
    const hint = el("p", { class: "turn" }, "Drag to turn, wheel or pinch to come closer");
    this.stage.controls.addEventListener("start", () => hint.remove());
    return hint;
  }

  private panel(): HTMLElement {
    const reset = this.button("Reset", "Everything back to rest (R)", () => this.look("front"));
    const poses = el("div", { class: "poses", role: "group", "aria-label": "Expressions" });
    for (const [name, pose] of Object.entries(this.payload.facts.poses))
      poses.append(this.button(name, `Expression: ${name}`, () => this.strike(pose)));
    const saved = this.button("Save pose", "The sliders as JSON, for headcast render --expression", () => this.savePose());
    return el(
      "aside", { "aria-label": "Controls" },
      el("header", {}, el("h1", {}, this.payload.facts.title), reset),
      this.motion(), section("Expressions", true, poses, el("div", { class: "line" }, saved)), this.gazeAndNeck(),
      el("label", { class: "check" }, this.link, " move left and right together"),
      ...GROUPS.map(([title, which]) =>
        section(title, title === "Mouth" || title === "Jaw", ...this.stage.rig.names.names.filter((n) => which.test(n))
          .map((n) => this.weightSlider(n)))),
      this.about(),
    );
  }

  private motion(): HTMLElement {
    const file = el("input", { type: "file", accept: ".json,.csv,application/json,text/csv", class: "hidden", id: "file" });
    file.addEventListener("change", () => void this.open(file.files?.[0]));
    this.clips.addEventListener("change", () => this.player.load(this.loaded.get(this.clips.value) ?? null, true));
    this.play.addEventListener("click", () => this.player.toggle());
    this.scrub.addEventListener("input", () => {
      if (this.player.playing) this.player.toggle();
      this.player.seek(Number(this.scrub.value));
    });
    return section(
      "Motion", true, el("div", { class: "line" }, this.clips, el("label", { for: "file", class: "open" }, "Open…"), file),
      el("div", { class: "line" }, this.play, this.scrub),
      el("p", { class: "hint" }, "Drop a Live Link Face CSV or a JSON of ARKit weights anywhere."), this.status,
    );
  }

  private addClip(clip: Clip): void {
    if (!this.loaded.has(clip.name)) this.clips.append(el("option", { value: clip.name }, clip.name));
    this.loaded.set(clip.name, clip);
  }

  /** A file that was dropped or chosen. */
  async open(file: File | undefined): Promise<void> {
    if (!file) return;
    try {
      const clip = Clip.parse(file.name, new Uint8Array(await file.arrayBuffer()), this.stage.rig.names);
      this.addClip(clip);
      this.clips.value = clip.name;
      this.player.load(clip, true);
      this.say([`${clip.name}: ${clip.frames} frames, ${clip.seconds.toFixed(1)} s`, ...clip.notes].join("; "));
    } catch (e) {
      this.say((e as Error).message, true);
    }
  }

  private strike(pose: Record<string, number>): void {
    this.still();
    this.stage.weights.fill(0);
    for (const [n, w] of Object.entries(pose)) this.stage.weights[this.stage.rig.names.at(n)] = w;
    this.stage.change();
    this.refresh();
  }

  /** The hand takes over from a clip. */
  private still(): void {
    if (this.player.playing) this.player.toggle();
  }

  private slider(text: string, id: string, range: [number, number], set: (v: number) => void): HTMLElement {
    const input = el("input", { type: "range", id, min: `${range[0]}`, max: `${range[1]}`, step: "0.01", value: "0" });
    const value = el("output", { for: id }, "0");
    input.addEventListener("input", () => {
      this.still();
      set(Number(input.value));
      this.stage.change();
      this.refresh();
    });
    input.addEventListener("dblclick", () => {
      input.value = "0";
      input.dispatchEvent(new Event("input"));
    });
    const row = el("div", { class: "slider" }, el("label", { for: id }, text), input, value);
    const show = (v: number) => {
      input.value = String(v);
      value.textContent = Math.abs(v) < 0.005 ? "0" : v.toFixed(2);
    };
    this.sliders.set(id, { row, show });
    return row;
  }

  private weightSlider(name: string): HTMLElement {
    const { names } = this.stage.rig;
    const twin = name.endsWith("Left") ? name.replace(/Left$/, "Right") : name.replace(/Right$/, "Left");
    return this.slider(label(name), name, [0, 1], (v) => {
      this.stage.weights[names.at(name)] = v;
      // a look to one side is the other eye's look inwards: those stay as they are
      if (this.link.checked && twin !== name && names.index.has(twin) && !/^(eyeLook(In|Out)|jaw(Left|Right)|mouth(Left|Right)$)/.test(name))
        this.stage.weights[names.at(twin)] = v;
    });
  }

  private gazeAndNeck(): HTMLElement {
    const names = this.stage.rig.names;
    const gaze = (axis: number) => (v: number) => {
      const g = gazeFromLook(this.stage.weights, names);
      g[axis] = g[axis + 2] = v;
      lookFromGaze(this.stage.weights, g, names);
    };
    const neck = (axis: number) => (v: number) => (this.stage.neck[axis] = v);
    return section(
      "Gaze and neck", false,
      this.slider("Gaze sideways", "gazeYaw", [-0.52, 0.52], gaze(0)),
      this.slider("Gaze up", "gazePitch", [-0.52, 0.44], gaze(1)),
      this.slider("Turn", "neckYaw", [-0.8, 0.8], neck(1)),
      this.slider("Nod", "neckPitch", [-0.6, 0.6], neck(0)),
      this.slider("Tilt", "neckRoll", [-0.6, 0.6], neck(2)),
    );
  }

  private about(): HTMLElement {
    const list = el("dl", {});
    const add = (k: string, v: unknown) => {
      if (v === undefined || v === null || v === "") return;
      list.append(el("dt", {}, k.replace(/_/g, " ")), el("dd", {}, words(v)));
    };
    for (const [k, v] of Object.entries({ consent: "none stated", ...this.payload.facts.marks })) add(k, v);
    const licences = el("pre", {}, document.getElementById("licences")?.textContent ?? "");
    return section("About this head", false, list, el("details", {}, el("summary", {}, "Licences of the viewer"), licences));
  }

  private refresh(): void {
    const { weights, rig, neck } = this.stage, gaze = gazeFromLook(weights, rig.names);
    const values: Record<string, number> = {
      gazeYaw: (gaze[0] + gaze[2]) / 2, gazePitch: (gaze[1] + gaze[3]) / 2,
      neckPitch: neck[0], neckYaw: neck[1], neckRoll: neck[2],
    };
    for (const [id, slider] of this.sliders) slider.show(values[id] ?? weights[rig.names.at(id)]);
    for (const [mode, b] of this.modes) b.setAttribute("aria-pressed", String(this.stage.mode === mode));
    const { clip, playing, seconds } = this.player;
    this.play.disabled = this.scrub.disabled = this.film.disabled = !clip;
    this.play.textContent = playing ? "❚❚" : "▶";
    this.play.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.scrub.max = String(clip ? clip.seconds : 1);
    this.scrub.value = String(seconds);
    this.caption.textContent = clip ? clip.at(seconds).label : "";
  }

  private keys(view: HTMLElement): void {
    this.stage.canvas.tabIndex = 0;
    this.stage.canvas.setAttribute("aria-label", "The head; arrow keys turn the camera");
    document.addEventListener("keydown", (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement) return;
      const act: Record<string, () => void> = {
        r: () => this.look("front"), s: () => void this.screenshot(),
        m: () => this.stage.hasSplats && this.setMode(this.stage.mode === "mesh" ? "splat" : "mesh"),
      };
      if (!(e.target instanceof HTMLButtonElement)) act[" "] = () => this.player.toggle();
      if (e.target === this.stage.canvas || e.target === document.body) {
        act.ArrowLeft = () => this.stage.orbit(-5);
        act.ArrowRight = () => this.stage.orbit(5);
        act.ArrowUp = () => this.stage.orbit(0, 5);
        act.ArrowDown = () => this.stage.orbit(0, -5);
      }
      const found = act[e.key.length === 1 ? e.key.toLowerCase() : e.key];
      if (!found) return;
      e.preventDefault();
      found();
    });
    view.addEventListener("pointerdown", () => this.stage.canvas.focus({ preventScroll: true }));
  }

  private drops(root: HTMLElement): void {
    root.addEventListener("dragover", (e) => {
      e.preventDefault();
      root.classList.add("drop");
    });
    root.addEventListener("dragleave", () => root.classList.remove("drop"));
    root.addEventListener("drop", (e) => {
      e.preventDefault();
      root.classList.remove("drop");
      void this.open(e.dataTransfer?.files[0]);
    });
  }
}

function section(title: string, open: boolean, ...children: Child[]): HTMLElement {
  const node = el("details", { class: "section" }, el("summary", {}, title), ...children);
  node.open = open;
  return node;
}

/** A fact in words. */
function words(v: unknown): string {
  if (Array.isArray(v)) return v.map(words).join("; ");
  if (typeof v === "object" && v !== null) return Object.entries(v).map(([k, x]) => `${k}: ${words(x)}`).join(", ");
  return String(v);
}

function save(blob: Blob, name: string): void {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
