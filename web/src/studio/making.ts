/** A head while it is being made. */

import { el } from "../dom";
import { type Job, type State, cancel } from "./api";
import { type Shell, type View, attempt, button, duration, fill, methodName, picture, sentence } from "./view";

/** Guesses the time left from the pace so far. */
export class Pace {
  private start = 0;
  private first = 0;

  left(job: Job): number | null {
    if (job.state !== "running") return null;
    if (!this.start) {
      this.start = performance.now();
      this.first = job.fraction;
    }
    const seconds = (performance.now() - this.start) / 1000, done = job.fraction - this.first;
    return done > 0.03 && seconds > 2 ? (seconds / done) * (1 - job.fraction) : null;
  }
}

export class Making implements View {
  readonly title = "Making the head";
  readonly root = el("div", { class: "making" });
  private readonly ids: string[];
  private readonly cards = new Map<string, Card>();
  private gone = false;

  constructor(private readonly shell: Shell, ids: string) {
    this.ids = ids.split(",");
  }

  update(state: State): void {
    const jobs = this.ids.map((id) => state.jobs.find((j) => j.id === id)).filter((j) => j !== undefined);
    for (const job of jobs) {
      let card = this.cards.get(job.id);
      if (!card) {
        card = new Card(this.shell, jobs.length > 1);
        this.cards.set(job.id, card);
        this.root.append(card.root);
      }
      card.update(job);
    }
    if (!jobs.length) fill(this.root, "none", () => [el("p", {}, "This is no longer here.")]);
    const heads = jobs.map((j) => j.result.head).filter((h): h is string => Boolean(h));
    if (!this.gone && jobs.length && jobs.every((j) => j.state === "done") && heads.length === jobs.length) {
      this.gone = true;
      this.shell.go(heads.length > 1 ? `compare/${heads.join(",")}` : `head/${heads[0]}`);
    }
  }
}

class Card {
  readonly root = el("section", { class: "card" });
  private readonly image = el("div", { class: "portrait" });
  private readonly heading = el("h1", {});
  private readonly bar = el("progress", { max: "1", value: "0", "aria-label": "Progress" });
  private readonly words = el("p", { class: "quiet", role: "status" });
  private readonly actions = el("div", { class: "actions" });
  private readonly pace = new Pace();

  constructor(private readonly shell: Shell, private readonly several: boolean) {
    this.root.append(this.image, this.heading, this.bar, this.words, this.actions);
  }

  update(job: Job): void {
    const last = job.state === "running" ? job.images.at(-1) : undefined;
    const photo = job.kind !== "import" ? job.spec.uploads?.[0] : undefined;
    const parent = job.spec.head;
    const src = last ? `/api/jobs/${job.id}/${last}` : photo ? `/api/uploads/${photo}/view.jpg` : parent ? `/api/heads/${parent}/front.jpg` : "/page/head.svg";
    fill(this.image, src, () => [picture(src, "")]);
    const active = job.state === "queued" || job.state === "running";
    const titles: Record<string, string> = { failed: "It did not work", cancelled: "Cancelled", done: "Done", queued: "Waiting for its turn" };
    const method = this.several && job.spec.method ? ` · ${methodName(job.spec.method)}` : "";
    this.heading.textContent = (titles[job.state] ?? "Making the head") + method;
    this.bar.hidden = !active;
    this.bar.value = job.fraction;
    const left = this.pace.left(job);
    const step = sentence(job.step).replace(/\.$/, "");
    this.words.textContent =
      job.state === "failed" ? sentence(job.error) : active ? `${step} · ${Math.round(job.fraction * 100)} %${left === null ? "" : `, ${duration(left)} left`}` : "";
    this.words.classList.toggle("wrong", job.state === "failed");
    fill(this.actions, job.state, () =>
      active
        ? [button("Cancel", () => attempt(this.shell, () => cancel(job.id)))]
        : [
            ...(job.spec.uploads?.length && job.kind === "create"
              ? [button("Back to the photo", () => this.shell.go(`photo/${job.spec.uploads!.join(",")}`), "primary")]
              : []),
            button("Start again", () => this.shell.go("")),
          ]);
  }
}
