/** Starts the viewer with the avatar that the page's loader unpacked. */

import { Clip } from "./clip";
import { el } from "./dom";
import { readPayload } from "./payload";
import { Player } from "./player";
import { record } from "./record";
import { Stage } from "./stage";
import css from "./style.css?inline";
import { Ui } from "./ui";

declare global {
  interface Window {
    headcast: {
      start: (avatar: ArrayBuffer) => Promise<void>;
      show: (avatar: ArrayBuffer, root: HTMLElement) => Promise<Shown>;
      stage?: Stage;
      ui?: Ui;
    };
  }
}

/** A head without controls, for pages that have their own. */
export interface Shown {
  stage: Stage;
  player: Player;
  clips: Map<string, Clip>;
  poses: Record<string, Record<string, number>>;
  open: (name: string, bytes: Uint8Array) => Clip;
  record: typeof record;
}

window.headcast = {
  async show(avatar: ArrayBuffer, root: HTMLElement): Promise<Shown> {
    const payload = readPayload(avatar);
    const stage = new Stage(el("canvas"), payload);
    await stage.start();
    root.replaceChildren(stage.canvas);
    new ResizeObserver(() => stage.resize(root.clientWidth, root.clientHeight)).observe(root);
    stage.resize(root.clientWidth, root.clientHeight);
    window.headcast.stage = stage;
    const names = stage.rig.names;
    const clips = new Map(Object.entries(payload.facts.clips).map(([n, facts]) => [n, Clip.of(n, facts, names)]));
    const open = (name: string, bytes: Uint8Array) => Clip.parse(name, bytes, names);
    return { stage, player: new Player(stage), clips, poses: payload.facts.poses, open, record };
  },


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
