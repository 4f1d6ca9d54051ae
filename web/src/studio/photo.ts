/** What was understood of the photos, in words and images; how the head shall be made. */

import { el } from "../dom";
import { type Job, type State, deleteUpload, job, upload } from "./api";
import { type Shell, type View, attempt, button, chooser, fill, methodName, picture, sentence } from "./view";

const SHOWN: [string, string][] = [["view", "Photo"], ["landmarks", "Landmarks"], ["mesh", "Shape"], ["masks", "Parts"]];
const MARKS = { good: "✓", note: "○", warning: "!" };
const SAID = { good: "good", note: "note", warning: "attention" };

export class Photo implements View {
  readonly title = "Your photo";
  readonly root: HTMLElement;
  private ids: string[];
  private shown = "view";
  private current: string;
  private readonly figure = el("figure", { class: "photo" });
  private readonly strip = el("div", { class: "strip" });
  private readonly findings = el("div", { class: "findings", role: "status" });
  private readonly make = button("Make the head", () => attempt(this.shell, () => this.start()), "primary big");
  private readonly name = el("input", { type: "text", id: "name", maxlength: "80", autocomplete: "off" });
  private readonly method = el("select", { id: "method" });
  private readonly second = el("select", { id: "second" });
  private readonly consent = el("textarea", { id: "consent", rows: "2", maxlength: "2000" });
  private readonly same = el("input", { type: "checkbox", id: "same" });
  private readonly quality = el("fieldset", { class: "choice" }, el("legend", {}, "How it is made"));

  constructor(private readonly shell: Shell, ids: string) {
    this.ids = ids.split(",");
    this.current = this.ids[0];
    for (const [value, title, words, on] of [
      ["gaussians", "Full", "Most like the photo. Takes longer.", true],
      ["mesh", "Quick", "A textured surface. Half the time.", false],
    ] as [string, string, string, boolean][]) {
      const input = el("input", { type: "radio", name: "quality", value, id: `quality-${value}` });
      input.checked = on;
      this.quality.append(el("label", { for: input.id }, input, el("strong", {}, title), el("span", {}, words)));
    }
    this.root = el(
      "div", { class: "two" },
      el("div", { class: "stage" }, this.figure, this.strip),
      el(
        "div", { class: "side" },
        el("h1", {}, "What I see"), this.findings,
        el("label", { for: "name", class: "field" }, "Name"), this.name, this.quality,
        el(
          "details", {}, el("summary", {}, "More choices"),
          el("label", { for: "method", class: "field" }, "Method"), this.method,
          el("label", { for: "second", class: "field" }, "Compare with"), this.second,
          el("label", { for: "consent", class: "field" }, "Consent of the person shown"), this.consent,
          el("p", { class: "hint" }, "Kept in the head's file. Ask people before you make a head of them."),
          el("label", { class: "check", for: "same" }, this.same, " All photos show the same person, even if they look different"),
        ),
        el("div", { class: "actions" }, this.make, button("Back", () => this.back())),
      ),
    );
  }

  private back(): void {
    attempt(this.shell, async () => {
      for (const id of this.ids) await deleteUpload(id).catch(() => undefined);
      this.shell.go("");
    });
  }

  private async start(): Promise<void> {
    const quality = this.root.querySelector<HTMLInputElement>("input[name=quality]:checked")?.value;
    const common = { kind: "create", uploads: this.ids, name: this.name.value || "Head", consent: this.consent.value, same_person: this.same.checked };
    const jobs: string[] = [];
    for (const method of [this.method.value, this.second.value].filter(Boolean)) {
      const representation = this.shell.state().methods.find((m) => m.name === method)?.representations.length ? quality : null;
      jobs.push((await job({ ...common, method, representation })).id);
    }
    this.shell.go(`making/${jobs.join(",")}`);
  }

  private report(state: State, id: string): Job | undefined {
    return state.jobs.filter((j) => j.kind === "observe" && j.spec.uploads?.[0] === id).at(-1);
  }

  private add(files: File[]): void {
    attempt(this.shell, async () => {
      const ids = [...this.ids];
      for (const file of files.slice(0, this.shell.state().limits.photos - ids.length)) {
        const { id } = await upload(file, file.name, "photo");
        await job({ kind: "observe", uploads: [id] });
        ids.push(id);
      }
      this.shell.go(`photo/${ids.join(",")}`);
    });
  }

  update(state: State): void {
    const report = this.report(state, this.current);
    const all = this.ids.map((id) => this.report(state, id));
    const named = state.uploads.find((u) => u.id === this.ids[0]);
    if (!this.name.value && !this.name.dataset.set && named) {
      this.name.value = named.name.replace(/\.\w+$/, "");
      this.name.dataset.set = "yes";
    }
    this.methods(state);
    const done = report?.state === "done";
    const has = (n: string) => done || (report?.images.includes(`${n}.jpg`) ?? false);
    const place = (n: string) => (report?.state === "running" ? `/api/jobs/${report.id}/${n}.jpg` : `/api/uploads/${this.current}/${n}.jpg`);
    const key = JSON.stringify([this.current, this.shown, report?.state, report?.images, this.ids]);
    fill(this.figure, key, () => [
      has(this.shown)
        ? picture(place(this.shown), this.shown === "view" ? "Your photo" : `Your photo: ${this.shown}`)
        : el("div", { class: "blank" }),
      el(
        "div", { class: "tabs", role: "group", "aria-label": "What is shown" },
        ...SHOWN.map(([n, text]) => {
          const b = button(text, () => {
            this.shown = n;
            this.update(this.shell.state());
            this.figure.querySelector<HTMLButtonElement>(`[data-show=${n}]`)?.focus();
          });
          b.dataset.show = n;
          b.setAttribute("aria-pressed", String(this.shown === n));
          b.disabled = !has(n);
          return b;
        }),
      ),
    ]);
    fill(this.strip, key, () => [
      ...(this.ids.length > 1
        ? this.ids.map((id, i) => {
            const b = button("", () => {
              this.current = id;
              this.update(this.shell.state());
            }, "thumb");
            b.setAttribute("aria-pressed", String(id === this.current));
            b.setAttribute("aria-label", `Photo ${i + 1}`);
            if (this.report(state, id)?.state === "done") b.append(picture(`/api/uploads/${id}/view.jpg`, ""));
            return b;
          })
        : []),
      chooser("Add more photos of this person", "image/*,.heic", true, (files) => this.add(files), "link"),
    ]);
    fill(this.findings, JSON.stringify([report?.state, report?.error, report?.result]), () => this.words(report));
    const wrong = all.some((j) => j?.state === "failed");
    this.make.disabled = wrong || all.some((j) => j?.state !== "done") || !state.methods.length;
  }

  private words(report: Job | undefined): HTMLElement[] {
    if (report?.state === "failed")
      return [el("p", { class: "wrong" }, sentence(report.error)), el("p", { class: "hint" }, "Go back and choose another photo.")];
    if (report?.state !== "done") return [el("p", { class: "quiet" }, "Looking at your photo…")];
    const found = report.result.findings ?? [];
    return [
      el(
        "ul", {},
        ...found.map((f) =>
          el("li", { class: f.severity }, el("span", { class: "mark", role: "img", "aria-label": SAID[f.severity] }, MARKS[f.severity]), sentence(f.text)),
        ),
      ),
    ];
  }

  private methods(state: State): void {
    fill(this.method, JSON.stringify(state.methods), () =>
      state.methods.filter((m) => m.available).map((m) => el("option", { value: m.name, title: m.description }, methodName(m.name))));
    fill(this.second, JSON.stringify(state.methods), () => [
      el("option", { value: "" }, "nothing"),
      ...state.methods.filter((m) => m.available).map((m) => el("option", { value: m.name, title: m.description }, methodName(m.name))),
    ]);
  }
}
