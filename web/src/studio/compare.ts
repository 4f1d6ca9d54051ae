/** Heads side by side, in the same views. */

import { el } from "../dom";
import type { State } from "./api";
import { type Shell, type View, fill, methodName, picture } from "./view";

const VIEWS: [string, string][] = [["front", "From the front"], ["side", "From the side"], ["smile", "Smiling"]];

export class Compare implements View {
  readonly title = "Side by side";
  readonly root = el("div", { class: "compare" });
  private readonly ids: string[];

  constructor(_: Shell, ids: string) {
    this.ids = ids.split(",");
  }

  update(state: State): void {
    const heads = this.ids.map((id) => state.heads.find((h) => h.id === id)).filter((h) => h !== undefined);
    fill(this.root, JSON.stringify(heads.map((h) => [h.id, h.name])), () => [
      el("h1", {}, "Side by side"),
      el(
        "div", { class: "columns" },
        ...heads.map((h) =>
          el(
            "section", {},
            el("h2", {}, el("a", { href: `#/head/${h.id}` }, `${h.name} · ${methodName(h.facts.facts.method ?? "")}`)),
            ...VIEWS.map(([n, words]) => el("figure", {}, picture(`/api/heads/${h.id}/${n}.jpg`, `${h.name}, ${words.toLowerCase()}`), el("figcaption", {}, words))),
          ),
        ),
      ),
      ...(heads.length ? [] : [el("p", {}, "These heads are no longer here.")]),
    ]);
  }
}
