/** The first page: drop a portrait; the heads that exist. */

import { el } from "../dom";
import { demo, job, type State, upload } from "./api";
import { openCamera } from "./camera";
import { type Shell, type View, PHOTOS, attempt, button, chooser, fill, picture } from "./view";

/** Takes files in and goes where they lead: a photo to its report, an avatar to the job that reads it. */
export async function takeFiles(shell: Shell, files: File[]): Promise<void> {
  const avatar = files.find((f) => f.name.toLowerCase().endsWith(".avatar"));
  if (avatar) {
    shell.say("Reading the file…");
    const { id } = await upload(avatar, avatar.name, "avatar");
    const name = avatar.name.replace(/\.avatar$/i, "");
    shell.go(`making/${(await job({ kind: "import", uploads: [id], name })).id}`);
    return;
  }
  if (!files.length) return;
  shell.say("Reading the photo…");
  const ids: string[] = [];
  for (const file of files.slice(0, shell.state().limits.photos)) ids.push((await upload(file, file.name, "photo")).id);
  for (const id of ids) await job({ kind: "observe", uploads: [id] });
  shell.say("");
  shell.go(`photo/${ids.join(",")}`);
}

async function takeDemo(shell: Shell): Promise<void> {
  const { id } = await demo();
  await job({ kind: "observe", uploads: [id] });
  shell.go(`photo/${id}`);
}

export class Home implements View {
  readonly title = "headcast studio";
  readonly root: HTMLElement;
  private readonly heads = el("div", { class: "heads" });

  constructor(shell: Shell) {
    const drop = el(
      "div", { class: "drop" },
      picture("/page/head.svg", "", "outline"),
      el("p", { class: "lead" }, "Drop a portrait here"),
      el(
        "div", { class: "actions" },
        chooser("Choose a photo", PHOTOS, true, (files) => attempt(shell, () => takeFiles(shell, files)), "primary"),
        button("Use the camera", () => attempt(shell, async () => {
          const photo = await openCamera();
          if (photo) await takeFiles(shell, [photo]);
        })),
      ),
      button("or try the demo portrait", () => attempt(shell, () => takeDemo(shell)), "link"),
    );
    this.root = el(
      "div", { class: "home" },
      el(
        "section", { class: "hero" },
        el("h1", {}, "A portrait goes in.", el("br"), "A head that moves comes out."),
        el("p", { class: "sub" }, "Everything happens on this computer. No photo leaves it."),
      ),
      drop,
      this.heads,
    );
  }

  update(state: State): void {
    const key = JSON.stringify(state.heads.map((h) => [h.id, h.name]));
    fill(this.heads, key, () =>
      state.heads.length
        ? [
            el("h2", {}, "Your heads"),
            el(
              "ul", { class: "grid" },
              ...state.heads.map((h) =>
                el(
                  "li", {},
                  el(
                    "a", { href: `#/head/${h.id}` },
                    picture(`/api/heads/${h.id}/thumb.jpg`, ""),
                    el("span", { class: "name" }, h.name),
                    el("span", { class: "when" }, new Date(h.created).toLocaleDateString(undefined, { day: "numeric", month: "long" })),
                  ),
                ),
              ),
            ),
          ]
        : [],
    );
  }
}
