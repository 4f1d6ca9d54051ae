/** A finished head: large, alive, with everything that can be done with it. */

import type { Shown } from "../main";
import { el } from "../dom";
import { type Head, type State, deleteHead, job, rename, upload } from "./api";
import { Pace } from "./making";
import { type Shell, type View, attempt, button, chooser, duration, fill, methodName, picture, sentence } from "./view";

const FILES: [string, string, string][] = [
  ["glb", "3D model", "For Blender, Unity, Unreal and others, with all expressions (GLB)"],
  ["html", "Web page", "One file that anybody can open and play with, offline"],
  ["splat-ply", "Splats", "For splat viewers (PLY)"],
  ["spz", "Small splats", "The same, compressed (SPZ)"],
  ["mesh-ply", "Coloured mesh", "One pose (PLY)"],
];
const CLIPS: Record<string, string> = { speech: "Talk", expressions: "Expressions", turntable: "Turn around" };

export class HeadView implements View {
  readonly root = el("div", { class: "head" });
  private readonly frame: HTMLIFrameElement;
  private readonly name = el("input", { type: "text", class: "title", "aria-label": "Name of this head", maxlength: "80" });
  private readonly heading = el("h1", { class: "unseen" });
  private readonly poses = el("div", { class: "chips", role: "group", "aria-label": "Expressions" });
  private readonly clips = el("div", { class: "chips", role: "group", "aria-label": "Movement" });
  private readonly saved = el("div", { class: "saved" });
  private readonly files = el("ul", { class: "files" });
  private readonly about = el("div", { class: "facts" });
  private readonly improve = el("div", { class: "actions" });
  private readonly paces = new Map<string, Pace>();
  private shown: Shown | null = null;
  private built = false;

  constructor(private readonly shell: Shell, private readonly id: string) {
    this.frame = el("iframe", { src: `/view/${id}`, title: "The head in 3D. Arrow keys turn it.", class: "stage3d" });
    this.listen = this.listen.bind(this);
    addEventListener("message", this.listen);
    this.name.addEventListener("change", () => attempt(shell, () => rename(id, this.name.value)));
    this.name.addEventListener("keydown", (e) => e.key === "Enter" && this.name.blur());
  }

  get title(): string {
    return this.head(this.shell.state())?.name ?? "Head";
  }

  close(): void {
    removeEventListener("message", this.listen);
  }

  private head(state: State): Head | undefined {
    return state.heads.find((h) => h.id === this.id);
  }

  private listen(e: MessageEvent): void {
    if (e.origin !== location.origin || e.source !== this.frame.contentWindow) return;
    if (e.data === "ready") {
      this.shown = (this.frame.contentWindow as unknown as { shown: Shown }).shown;
      this.root.dataset.ready = "yes";
      this.controls(this.shown);
    } else if (typeof e.data === "string") this.shell.say(sentence(e.data), true);
  }

  private controls(shown: Shown): void {
    const names = shown.stage.rig.names;
    const strike = (pose: Record<string, number>) => {
      if (shown.player.playing) shown.player.toggle();
      shown.stage.weights.fill(0);
      for (const [n, w] of Object.entries(pose)) shown.stage.weights[names.at(n)] = w;
      shown.stage.change();
      mark("");
    };
    const mark = (name: string) => {
      for (const b of this.clips.querySelectorAll("button")) b.setAttribute("aria-pressed", String(b.dataset.clip === name));
    };
    const play = (name: string) => {
      const again = shown.player.playing && shown.player.clip?.name === name;
      if (again) shown.player.toggle();
      else shown.player.load(shown.clips.get(name) ?? null, true);
      mark(again ? "" : name);
    };
    const chip = (name: string) => {
      const b = button(CLIPS[name] ?? name, () => play(name));
      b.dataset.clip = name;
      b.setAttribute("aria-pressed", "false");
      return b;
    };
    this.poses.replaceChildren(
      button("Rest", () => {
        shown.player.load(null, false);
        shown.stage.look("front");
        strike({});
      }),
      ...Object.entries(shown.poses).map(([name, pose]) => button(name.charAt(0).toUpperCase() + name.slice(1), () => strike(pose))),
    );
    this.clips.replaceChildren(
      ...[...shown.clips.keys()].map(chip),
      chooser("Play a recording…", ".csv,.json", false, ([file]) => attempt(this.shell, async () => {
        if (!file) return;
        const clip = shown.open(file.name, new Uint8Array(await file.arrayBuffer()));
        shown.clips.set(clip.name, clip);
        const b = chip(clip.name);
        this.clips.insertBefore(b, this.clips.lastElementChild);
        play(clip.name);
        this.shell.say(`${clip.frames} frames, ${clip.seconds.toFixed(1)} seconds. ${clip.notes.join(" ")}`);
      }), "link"),
    );
    if (shown.stage.hasSplats) {
      const b = button("", () => {
        shown.stage.setMode(shown.stage.mode === "mesh" ? "splat" : "mesh");
        b.textContent = shown.stage.mode === "mesh" ? "Show splats" : "Show mesh";
      }, "corner");
      b.textContent = shown.stage.mode === "mesh" ? "Show splats" : "Show mesh";
      this.root.querySelector(".window")?.append(b);
    }
  }

  private build(head: Head): void {
    this.built = true;
    this.name.value = head.name;
    const video = (spec: Record<string, unknown>) => attempt(this.shell, () => job({ kind: "animate", head: this.id, ...spec }));
    const drive = chooser("A video moves the head…", "video/*,.csv,.json,.npz", false, ([file]) => attempt(this.shell, async () => {
      if (!file) return;
      const { id } = await upload(file, file.name, "driver");
      await job({ kind: "animate", head: this.id, uploads: [id] });
    }));
    this.root.replaceChildren(
      this.heading,
      el(
        "div", { class: "window" },
        head.facts.viewable ? this.frame : picture(`/api/heads/${this.id}/front.jpg`, head.name, "still"),
      ),
      el("p", { class: "synthetic" }, "Synthetic: the person did not make these movements"),
      el("div", { class: "play" }, this.poses, this.clips),
      el(
        "div", { class: "below" },
        el("header", {}, this.name),
        el("section", {}, el("h2", {}, "Save as"), this.files, this.saved),
        el(
          "div", {},
          el(
            "section", {}, el("h2", {}, "Make a video"),
            el("div", { class: "actions" }, ...["speech", "turntable"].map((p) => button(CLIPS[p], () => video({ preset: p }))), drive),
          ),
          el("section", {}, el("h2", {}, "Make it better"), this.improve),
          el("section", { class: "about" }, el("h2", {}, "About this head"), this.about),
        ),
      ),
    );
    for (const [format, title, words] of FILES) {
      const b = button(title, () => attempt(this.shell, () => job({ kind: "export", head: this.id, format })));
      b.dataset.format = format;
      b.disabled = (format === "spz" || format === "splat-ply") && !head.facts.splats;
      this.files.append(el("li", {}, b, el("span", { class: "hint" }, b.disabled ? "Only for heads made in full" : words)));
    }
    const own = el("a", { href: `/api/heads/${this.id}/avatar`, download: "", class: "button" }, "headcast file");
    this.files.append(el("li", {}, own, el("span", { class: "hint" }, "To open it here again, or with the command line (.avatar)")));
  }

  update(state: State): void {
    const head = this.head(state);
    if (!head) {
      fill(this.root, "gone", () => [el("p", { class: "quiet" }, "This head is no longer here.")]);
      return;
    }
    if (!this.built) this.build(head);
    this.heading.textContent = head.name;
    const jobs = state.jobs.filter((j) => j.head === this.id && (j.kind === "export" || j.kind === "animate"));
    const active = jobs.filter((j) => j.state !== "done" && j.state !== "cancelled");
    fill(this.saved, JSON.stringify([head.exports, active.map((j) => [j.id, j.state, Math.round(j.fraction * 50)])]), () => [
      ...active.map((j) => {
        const pace = this.paces.get(j.id) ?? new Pace();
        this.paces.set(j.id, pace);
        const left = pace.left(j), what = j.kind === "animate" ? "Video" : (FILES.find(([f]) => f === j.spec.format)?.[1] ?? "File");
        return j.state === "failed"
          ? el("p", { class: "wrong" }, `${what}: ${sentence(j.error)}`)
          : el("p", { class: "quiet", role: "status" }, `${what}: ${j.state === "queued" ? "waiting" : `${Math.round(j.fraction * 100)} %`}${left ? `, ${duration(left)} left` : ""}`);
      }),
      ...(head.exports.length
        ? [
            el("h3", {}, "Ready to save"),
            el(
              "ul", { class: "ready" },
              ...[...head.exports].reverse().map((x) => {
                const label = FILES.find(([f]) => f === x.label)?.[1] ?? `Video: ${CLIPS[x.label] ?? x.label}`;
                return el("li", {}, el("a", { href: `/api/heads/${this.id}/exports/${x.id}`, download: "" }, label), el("span", { class: "when" }, new Date(x.created).toLocaleTimeString()));
              }),
            ),
          ]
        : []),
    ]);
    fill(this.improve, JSON.stringify([state.methods, head.photos, state.heads.length]), () => this.improvements(state, head));
    fill(this.about, JSON.stringify(head), () => this.facts(head));
  }

  private improvements(state: State, head: Head): HTMLElement[] {
    const found: HTMLElement[] = [];
    if (head.photos.length)
      found.push(
        chooser("Add photos of this person…", "image/*,.heic", true, (files) => attempt(this.shell, async () => {
          const ids = [...head.photos];
          for (const file of files) {
            const { id } = await upload(file, file.name, "photo");
            await job({ kind: "observe", uploads: [id] });
            ids.push(id);
          }
          this.shell.go(`photo/${ids.join(",")}`);
        })),
      );
    if (head.facts.splats && state.methods.some((m) => m.enhances && m.available))
      found.push(button("Super-resolve (slow)", () => attempt(this.shell, async () =>
        this.shell.go(`making/${(await job({ kind: "enhance", head: this.id, name: `${head.name}, enhanced` })).id}`))));
    const others = state.heads.filter((h) => h.id !== this.id);
    if (others.length) {
      const choice = el(
        "select", { "aria-label": "Compare with another head" },
        el("option", { value: "" }, "Compare with…"), ...others.map((h) => el("option", { value: h.id }, `${h.name} (${methodName(h.facts.facts.method ?? "")})`)),
      );
      choice.addEventListener("change", () => choice.value && this.shell.go(`compare/${this.id},${choice.value}`));
      found.push(choice);
    }
    return found;
  }

  private facts(head: Head): HTMLElement[] {
    const f = head.facts.facts, list = el("dl", {});
    const add = (k: string, v: string | undefined) => v && list.append(el("dt", {}, k), el("dd", {}, v));
    add("Made", new Date(head.created).toLocaleString());
    add("Method", methodName(f.method ?? ""));
    add("Photos", String(f.photos ?? ""));
    add("Consent", f.consent ?? "none stated");
    add("Good to know", (f.warnings ?? []).map(sentence).join(" "));
    add("Mark", f.synthetic_media);
    add("Licences", (f.weights ?? []).map((w) => `${w.name}: ${w.licence}`).join("; "));
    return [
      list,
      el("p", { class: "hint" }, el("a", { href: "/page/LICENSES.txt", target: "_blank", rel: "noreferrer" }, "Licences of this page's programs and fonts")),
      el("div", { class: "actions" }, button("Delete this head", () => this.confirm(head), "danger")),
    ];
  }

  private confirm(head: Head): void {
    const dialog = el("dialog", { "aria-labelledby": "delete-title" });
    const gone = () => attempt(this.shell, async () => {
      dialog.close();
      await deleteHead(this.id);
      this.shell.say(`${head.name} is deleted.`);
      this.shell.go("");
    });
    dialog.append(
      el("h2", { id: "delete-title" }, `Delete ${head.name}?`),
      el("p", {}, "The head, its exports, and photos that no other head uses are deleted for good."),
      el("div", { class: "actions" }, button("Delete", gone, "danger"), button("Keep it", () => dialog.close())),
    );
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }
}
