/** Starts the viewer with the avatar that the page's loader unpacked. */

import { readPayload } from "./payload";
import { Stage } from "./stage";
import css from "./style.css?inline";
import { Ui, el } from "./ui";

declare global {
  interface Window {
    headcast: { start: (avatar: ArrayBuffer) => Promise<void>; stage?: Stage; ui?: Ui };
  }
}

window.headcast = {
  /** `stage` and `ui` are there for programs that embed the page, and for tests. */
  async start(avatar: ArrayBuffer): Promise<void> {
    document.head.append(el("style", {}, css));
    const payload = readPayload(avatar);
    const stage = new Stage(el("canvas"), payload);
    await stage.start();
    const root = document.getElementById("viewer") ?? document.body;
    root.replaceChildren();
    window.headcast.stage = stage;
    window.headcast.ui = new Ui(stage, payload, root);
    document.documentElement.dataset.ready = "yes";
  },
};
